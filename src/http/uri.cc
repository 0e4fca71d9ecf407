#include "http/uri.h"

#include <algorithm>
#include <cstddef>

#include "http/internal/bytes.h"

namespace weir::http {
namespace {

using internal::hex_value;
using internal::is;

constexpr std::string_view kHexDigits = "0123456789ABCDEF";
constexpr size_t kGrowthMax = 3;  // One byte becomes at most "%XX".

// True if the path is its own normalised form: no escape, no byte that needs one, and no segment
// that begins with a dot. (A segment like ".well-known" takes the long way, which copies it.)
bool is_plain(std::string_view path) {
  char previous = 0;
  for (const char byte : path) {
    if (!is(byte, internal::kPathPlain) || (byte == '.' && previous == '/')) return false;
    previous = byte;
  }
  return true;
}

bool is_dots(std::string_view segment) {
  return segment == "." || segment == "..";
}

// True if some server could see a dot segment in `segment`, which is none itself, by decoding %2F
// or by stripping parameters. Escapes are in upper case.
bool hides_dot_segment(std::string_view segment) {
  for (bool more = true; more;) {
    const size_t slash = segment.find("%2F");
    std::string_view part = segment.substr(0, slash);
    part = part.substr(0, std::min(part.find(';'), part.find("%3B")));
    if (is_dots(part)) return true;
    more = slash != std::string_view::npos;
    if (more) segment.remove_prefix(slash + 3);
  }
  return false;
}

// What a byte that stands for itself, or an escape that stands for it, is refused as.
Malformed forbidden(char byte) {
  if (byte == '\0') return Malformed::path_nul;
  if (internal::is_control(byte)) return Malformed::path_control;
  return byte == '\\' ? Malformed::path_backslash : Malformed::none;
}

// Builds the normalised path segment by segment. `segment_` is where the current one begins, right
// after the slash before it.
class Builder {
 public:
  explicit Builder(std::span<char> out) : out_(out) {}

  [[nodiscard]] bool put(char byte) {
    if (size_ == out_.size()) return false;
    out_[size_++] = byte;
    return true;
  }

  [[nodiscard]] bool put_escape(char byte) {
    if (out_.size() - size_ < 3) return false;
    const auto value = static_cast<uint8_t>(byte);
    out_[size_++] = '%';
    out_[size_++] = kHexDigits[value >> 4U];
    out_[size_++] = kHexDigits[value & 0xFU];
    return true;
  }

  void begin_segment() { segment_ = size_; }

  // Judges the current segment. After a dot segment, that segment, and what it takes back with it,
  // is gone, and the output ends with the slash before it.
  // Returns path_dot_segment, or whether the segment was a dot segment.
  Result<bool> end_segment() {
    const std::string_view segment{out_.data() + segment_, size_ - segment_};
    if (segment.empty() || segment.size() > 2 || !is_dots(segment)) {
      if (hides_dot_segment(segment)) return Malformed::path_dot_segment;
      return false;
    }
    const bool up = segment.size() == 2;
    size_ = segment_;
    if (up && size_ > 1) {
      --size_;
      while (out_[size_ - 1] != '/')
        --size_;
    }
    segment_ = size_;
    return true;
  }

  std::string_view view() const { return {out_.data(), size_}; }

 private:
  std::span<char> out_;
  size_t size_ = 0;
  size_t segment_ = 0;
};

// Appends one character of a segment, and sets `at` behind it.
Result<void> normalise_character(std::string_view path, size_t& at, Builder& builder) {
  char byte = path[at];
  bool escaped = false;
  if (byte == '%') {
    const int high = path.size() - at > 2 ? hex_value(path[at + 1]) : -1;
    const int low = path.size() - at > 2 ? hex_value(path[at + 2]) : -1;
    if (high < 0 || low < 0) return Malformed::path_escape;
    byte = static_cast<char>(high * 16 + low);
    escaped = true;
    at += 2;
  }
  ++at;
  if (const Malformed kind = forbidden(byte); kind != Malformed::none) return kind;
  if (!escaped && byte == '#') return Malformed::path_fragment;
  const bool as_it_is = is(byte, escaped ? internal::kUnreserved : internal::kPathPlain);
  const bool fits = as_it_is ? builder.put(byte) : builder.put_escape(byte);
  if (!fits) return Malformed::target_too_long;
  return {};
}

}  // namespace

Result<std::string_view> normalise_path(std::string_view raw_path, std::span<char> out) {
  if (!raw_path.starts_with('/')) return Malformed::path_not_rooted;
  if (is_plain(raw_path)) return raw_path;
  Builder builder{out};
  size_t at = 0;
  bool slash_is_there = false;  // The slash before this segment is already in the output.
  while (at < raw_path.size()) {
    ++at;  // The slash.
    if (!slash_is_there && !builder.put('/')) return Malformed::target_too_long;
    builder.begin_segment();
    while (at < raw_path.size() && raw_path[at] != '/') {
      WEIR_TRY(normalise_character(raw_path, at, builder));
    }
    slash_is_there = WEIR_TRY(builder.end_segment());
  }
  return builder.view();
}

Result<std::string_view> normalise_path(std::string_view raw_path, std::string& scratch) {
  if (raw_path.starts_with('/') && is_plain(raw_path)) return raw_path;
  if (scratch.size() < kGrowthMax * raw_path.size()) scratch.resize(kGrowthMax * raw_path.size());
  return normalise_path(raw_path, std::span<char>{scratch});
}

}  // namespace weir::http
