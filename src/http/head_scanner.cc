#include "http/head_scanner.h"

#include <algorithm>

#include "http/internal/bytes.h"

namespace weir::http {
namespace {

constexpr size_t kVersionBytes = 8;  // "HTTP/1.1"

// Keeps sums of positions and limits from wrapping around.
constexpr size_t kLimitMax = size_t{1} << 40U;

// The first CR, LF or NUL in bytes[at, end), or `end`.
size_t find_line_byte(std::string_view bytes, size_t at, size_t end) {
  const char* const last = bytes.data() + end;
  const char* found = internal::find_control(bytes.data() + at, last);
  while (found != last && *found != '\r' && *found != '\n' && *found != '\0') {
    found = internal::find_control(found + 1, last);  // The parser judges other control characters.
  }
  return static_cast<size_t>(found - bytes.data());
}

}  // namespace

HeadScanner::HeadScanner(const RequestLimits& limits)
    : line_bytes_max_(std::min(limits.target_bytes_max, kLimitMax) + kMethodBytesMax +
                      kVersionBytes + 2),  // Two spaces.
      head_bytes_max_(std::min(limits.header_bytes_max, kLimitMax)),
      request_(true) {}

HeadScanner::HeadScanner(const ResponseLimits& limits)
    : line_bytes_max_(std::min(limits.header_bytes_max, kLimitMax)),
      head_bytes_max_(line_bytes_max_),
      request_(false) {}

Result<std::optional<size_t>> HeadScanner::scan(std::string_view bytes_so_far) {
  for (;;) {
    const size_t head_end = start_ + head_bytes_max_;
    // The CR of the first line is at most here, so that the line is not longer than its limit.
    const size_t line_end = first_line_ ? start_ + line_bytes_max_ + 1 : head_end;
    const size_t allowed = std::min(head_end, line_end);
    const size_t end = std::min(bytes_so_far.size(), allowed);
    at_ = find_line_byte(bytes_so_far, at_, end);
    if (at_ == end) {
      if (end == allowed) return too_large();
      return std::optional<size_t>{};
    }
    if (bytes_so_far[at_] == '\n') return Malformed::bare_lf;
    if (bytes_so_far[at_] == '\0') return Malformed::nul;
    if (at_ + 1 == head_end) return too_large();
    if (at_ + 1 == bytes_so_far.size()) return std::optional<size_t>{};
    if (bytes_so_far[at_ + 1] != '\n') return Malformed::bare_cr;
    const bool empty = at_ == line_start_;
    at_ += 2;
    line_start_ = at_;
    if (!empty) {
      first_line_ = false;
    } else if (!first_line_) {
      return std::optional<size_t>{at_};
    } else {
      if (!request_) return Malformed::status_line;
      if (start_ != 0) return Malformed::request_line;
      start_ = at_;
    }
  }
}

void HeadScanner::reset() {
  first_line_ = true;
  start_ = 0;
  line_start_ = 0;
  at_ = 0;
}

Malformed HeadScanner::too_large() const {
  return request_ && first_line_ ? Malformed::target_too_long : Malformed::header_too_large;
}

}  // namespace weir::http
