#include "config/problem.h"

#include <fmt/format.h>

namespace weir::config {

std::string to_string(const Problem& problem) {
  std::string out = problem.file;
  if (problem.line != 0) out += fmt::format(":{}:{}", problem.line, problem.column);
  if (!out.empty()) out += ": ";
  if (!problem.key.empty()) out += problem.key + ": ";
  out += problem.message;
  if (!problem.allowed.empty()) out += "; allowed: " + problem.allowed;
  return out;
}

std::string plain(std::string_view text) {
  constexpr size_t kBytesMax = 80;
  const bool shortened = text.size() > kBytesMax;
  if (shortened) {
    text = text.substr(0, kBytesMax);
    // Not within a UTF-8 sequence.
    while (!text.empty() && (static_cast<uint8_t>(text.back()) & 0xc0U) == 0x80)
      text.remove_suffix(1);
    if (!text.empty() && static_cast<uint8_t>(text.back()) >= 0xc0) text.remove_suffix(1);
  }
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    out += byte < 0x20 || byte == 0x7f || c == '"' ? '?' : c;
  }
  return shortened ? out + "..." : out;
}

std::string in_quotes(std::string_view text) {
  return '"' + plain(text) + '"';
}

}  // namespace weir::config
