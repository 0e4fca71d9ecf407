#include "config/pattern.h"

#include <algorithm>
#include <cstdint>

namespace weir::config {
namespace {

using base::Error;
using base::ErrorCode;
using base::Origin;
using base::Result;
using base::Retry;

constexpr Error bad_pattern(base::StaticText what) {
  return {ErrorCode::invalid_input, Origin::self, Retry::never, 0, what};
}
constexpr Error over_limit(base::StaticText what) {
  return {ErrorCode::limit_exceeded, Origin::self, Retry::never, 0, what};
}

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

// RFC 3986 section 3.3: pchar without the escapes.
bool is_path_char(char c) {
  return is_unreserved(c) || std::string_view{"!$&'()*+,;=:@"}.find(c) != std::string_view::npos;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void append_escape(std::string& out, uint8_t byte) {
  static constexpr std::string_view kDigits = "0123456789ABCDEF";
  out += '%';
  out += kDigits[byte >> 4U];
  out += kDigits[byte & 15U];
}

// Whether a segment is "." or "..", or would be one once "%2F" is decoded or parameters are cut
// off: no normalised path holds such a segment.
bool has_dot_segment(std::string_view segment) {
  while (true) {
    const size_t slash = segment.find("%2F");
    std::string_view name = segment.substr(0, slash);
    name = name.substr(0, std::min(name.find(';'), name.find("%3B")));
    if (name == "." || name == "..") return true;
    if (slash == std::string_view::npos) return false;
    segment.remove_prefix(slash + 3);
  }
}

Result<std::string> normalize_segment(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '%') {
      if (at + 2 >= text.size()) return bad_pattern("an incomplete %-escape");
      const int high = hex_digit(text[at + 1]);
      const int low = hex_digit(text[at + 2]);
      if (high < 0 || low < 0) return bad_pattern("an invalid %-escape");
      const auto byte = static_cast<uint8_t>(high * 16 + low);
      if (byte < 0x20 || byte == 0x7f) return bad_pattern("an escaped control character");
      if (byte == '\\') return bad_pattern("an escaped backslash");
      if (is_unreserved(static_cast<char>(byte))) {
        out += static_cast<char>(byte);
      } else {
        append_escape(out, byte);
      }
      at += 2;
    } else if (is_path_char(c)) {
      out += c;
    } else if (c == '?' || c == '#') {
      return bad_pattern("a query or fragment; only paths are matched");
    } else if (c == '\\') {
      return bad_pattern("a backslash");
    } else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) {
      return bad_pattern("a control character");
    } else {
      append_escape(out, static_cast<uint8_t>(c));
    }
  }
  if (has_dot_segment(out)) return bad_pattern("a '.' or '..' segment");
  return out;
}

// The segment of `text` that begins at `begin`.
std::string_view segment_at(std::string_view text, size_t begin) {
  return text.substr(begin, text.find('/', begin) - begin);
}

}  // namespace

bool Pattern::has_wildcard() const {
  if (rest) return true;
  for (const Segment& segment : segments) {
    if (segment.any) return true;
  }
  return false;
}

Result<Pattern> parse_pattern(std::string_view text) {
  if (text.empty() || text.front() != '/') return bad_pattern("no '/' at its beginning");
  if (text.size() > kPatternBytesMax) return over_limit("more than 1024 bytes");
  Pattern pattern;
  bool literal_so_far = true;
  for (size_t at = 1; at <= text.size();) {
    const std::string_view raw = segment_at(text, at);
    const bool last = at + raw.size() == text.size();
    at += raw.size() + 1;
    if (literal_so_far) pattern.literal_prefix += '/';
    if (raw == "**" && !last) return bad_pattern("'**' before its end");
    if (last && (raw == "**" || raw == "*")) {
      pattern.rest = true;
      break;
    }
    if (pattern.segments.size() == kPatternSegmentsMax) return over_limit("more than 64 segments");
    if (raw == "*") {
      literal_so_far = false;
      pattern.segments.push_back({true, {}});
      continue;
    }
    if (raw.find('*') != std::string_view::npos) {
      return bad_pattern("'*' beside other characters of its segment");
    }
    std::string literal = WEIR_TRY(normalize_segment(raw));
    if (literal_so_far) pattern.literal_prefix += literal;
    pattern.segments.push_back({false, std::move(literal)});
  }
  return pattern;
}

Result<std::string> normalize_literal_path(std::string_view text) {
  if (text.empty() || text.front() != '/') return bad_pattern("no '/' at its beginning");
  if (text.size() > kPatternBytesMax) return over_limit("more than 1024 bytes");
  std::string out;
  for (size_t at = 1; at <= text.size();) {
    const std::string_view raw = segment_at(text, at);
    at += raw.size() + 1;
    out += '/';
    out += WEIR_TRY(normalize_segment(raw));
  }
  return out;
}

bool matches(const Pattern& pattern, std::string_view path) {
  size_t at = 0;  // Each segment begins with its '/'.
  for (const Pattern::Segment& segment : pattern.segments) {
    if (at >= path.size() || path[at] != '/') return false;
    const std::string_view actual = segment_at(path, at + 1);
    if (segment.any ? actual.empty() : actual != segment.text) return false;
    at += 1 + actual.size();
  }
  return pattern.rest ? at < path.size() && path[at] == '/' : at == path.size();
}

}  // namespace weir::config
