// Properties: a normalised path is a fixed point, fits the promised memory, and has no dot segment:
// neither as it is, nor with its escapes decoded, nor with its parameters stripped.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "http/uri.h"

namespace {

using weir::http::Malformed;
using weir::http::normalise_path;

int digit(char byte) {
  return byte <= '9' ? byte - '0' : byte - 'A' + 10;
}

std::string decoded(std::string_view path) {
  std::string text;
  for (size_t at = 0; at < path.size(); ++at) {
    if (path[at] == '%') {
      text += static_cast<char>(digit(path[at + 1]) * 16 + digit(path[at + 2]));
      at += 2;
    } else {
      text += path[at];
    }
  }
  return text;
}

bool has_dot_segment(std::string_view path) {
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    std::string_view segment = path.substr(begin, end - begin);
    segment = segment.substr(0, segment.find(';'));
    if (segment == "." || segment == "..") return true;
    begin = end + 1;
  }
  return false;
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  std::string memory(3 * size, '\0');
  const auto once = normalise_path(input, std::span<char>{memory});
  std::string scratch;
  const auto by_string = normalise_path(input, scratch);
  WEIR_ASSERT(once.ok() == by_string.ok());
  if (!once.ok()) {
    WEIR_ASSERT(once.error() == by_string.error() && once.error() != Malformed::target_too_long);
    return 0;
  }
  const std::string_view path = once.value();
  WEIR_ASSERT(path == by_string.value() && path.starts_with('/'));
  WEIR_ASSERT(!has_dot_segment(path) && !has_dot_segment(decoded(path)));
  for (const char byte : path)
    WEIR_ASSERT(byte > 0x20 && byte < 0x7F && byte != '\\');
  std::string again;
  WEIR_ASSERT(normalise_path(path, again).value() == path);
  return 0;
}
