#pragma once
// Finds where the head of a message ends, while its bytes are still arriving.
//
// It looks at every byte once, however the bytes are split between calls, and refuses at once what
// no later byte could mend: so a client that drips a head, or sends one without end, costs no more
// than its bytes. It does not judge the lines themselves: that is parse_request_head() and
// parse_response_head(), called once, with the complete head.

#include <cstddef>
#include <optional>
#include <string_view>

#include "http/malformed.h"

namespace weir::http {

struct RequestLimits {
  size_t header_bytes_max =
      size_t{16} * 1024;          // The whole head, its request line and last CRLF included.
  size_t header_count_max = 100;  // Field lines.
  size_t target_bytes_max = size_t{8} * 1024;  // The request target.
};

struct ResponseLimits {
  size_t header_bytes_max = size_t{64} * 1024;
  size_t header_count_max = 200;
};

inline constexpr size_t kMethodBytesMax = 32;

// Threading: one thread at a time.
// Limits: those given; a head that cannot end within them is refused as soon as that many bytes are
//   there, so a buffer of header_bytes_max + 2 bytes is always large enough.
class HeadScanner {
 public:
  // Skips one empty line (CRLF) before the request line, as RFC 9112 section 2.2 asks of servers;
  // those 2 bytes are part of the head's length but not of its limit. A second one is refused.
  explicit HeadScanner(const RequestLimits& limits);
  // Skips nothing. A status line longer than the limit is `header_too_large`.
  explicit HeadScanner(const ResponseLimits& limits);

  // The length of the head, its final empty line included, or nullopt while it is incomplete.
  // `bytes_so_far` begins at the same byte in each call and never shrinks; its address may change.
  // Once a length was returned, the scanner must be reset() before it is used again.
  //
  // Errors: bare_lf, bare_cr, nul, request_line (a second empty line), status_line (an empty line),
  // target_too_long (a request line that no target within the limit could explain),
  // header_too_large.
  Result<std::optional<size_t>> scan(std::string_view bytes_so_far);

  // For the next message, which begins at the first byte of the next call.
  void reset();

 private:
  Malformed too_large() const;  // Which limit was reached at `at_`.

  size_t line_bytes_max_;
  size_t head_bytes_max_;
  bool request_;
  bool first_line_ = true;
  size_t start_ = 0;       // Of the first line: 2 after an empty line.
  size_t line_start_ = 0;  // Of the current line.
  size_t at_ = 0;          // Everything before it was looked at.
};

}  // namespace weir::http
