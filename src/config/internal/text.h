#pragma once
// Small tests on characters and names, in the C locale whatever the process has set.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::config::internal {

inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
inline bool is_control(char c) {
  return static_cast<uint8_t>(c) < 0x20 || c == 0x7f;
}
inline char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
inline std::string to_lower(std::string_view text) {
  std::string out{text};
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

// Without the `blanks` at its ends.
inline std::string_view trimmed(std::string_view text, std::string_view blanks) {
  const size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

// Source: RFC 9110 section 5.6.2.
inline bool is_token(std::string_view text) {
  static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || is_digit(c) ||
           kMarks.find(c) != std::string_view::npos;
  });
}

}  // namespace weir::config::internal
