// The input: a line with a rule's pattern, a line with its replacement, and a path. Whatever they
// are: a template is its own template, it is no longer than promised, and without a rule for whole
// paths it has as many segments as its path.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "codec/path_template.h"

namespace {

using weir::codec::PathTemplateOptions;
using weir::codec::PathTemplates;

void check(const PathTemplateOptions& options, std::string_view path) {
  const auto created = PathTemplates::create(options);
  if (!created.ok()) return;
  std::string scratch;
  const std::string once{created.value()->of(path, scratch)};
  const std::string twice{created.value()->of(once, scratch)};
  WEIR_ASSERT(once == twice);
  WEIR_ASSERT(once.size() <= 3 * path.size() + weir::codec::kPathRuleBytesMax);
  WEIR_ASSERT(once.empty() == path.empty() && (once.empty() || once[0] == path[0]));
  for (const auto& rule : options.rules) {
    if (rule.pattern.find('/') != std::string::npos) return;
  }
  WEIR_ASSERT(std::count(once.begin(), once.end(), '/') ==
              std::count(path.begin(), path.end(), '/'));
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input{reinterpret_cast<const char*>(data), size};
  const auto line = [&input] {
    const size_t end = std::min(input.find('\n'), input.size());
    const std::string text{input.substr(0, end)};
    input.remove_prefix(std::min(end + 1, input.size()));
    return text;
  };
  const std::string pattern = line();
  const std::string replace = line();
  check({}, input);
  check({.built_in = true, .rules = {{pattern, replace}}}, input);
  check({.built_in = false, .rules = {{"x+", "{x}"}, {pattern, replace}}}, input);
  return 0;
}
