// An accepted pattern, written from its parts, is accepted again and is the same; its literal
// prefix is in normal form; and it matches a path made from itself.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "config/pattern.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::config;  // NOLINT(google-build-using-namespace): a fuzz target only.
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const auto parsed = parse_pattern(input);
  if (!parsed.ok()) return 0;
  const Pattern& pattern = parsed.value();
  std::string text;
  std::string path;
  for (const Pattern::Segment& segment : pattern.segments) {
    text += '/' + (segment.any ? "*" : segment.text);
    path += '/' + (segment.any ? "x" : segment.text);
  }
  if (pattern.rest) {
    text += "/**";
    path += "/y/z";
  }
  WEIR_ASSERT(matches(pattern, path));
  if (text.size() <= kPatternBytesMax) {
    const auto again = parse_pattern(text);
    WEIR_ASSERT(again.ok() && again.value() == pattern);
    const auto prefix = normalize_literal_path(pattern.literal_prefix);
    WEIR_ASSERT(prefix.ok() && prefix.value() == pattern.literal_prefix);
  }
  return 0;
}
