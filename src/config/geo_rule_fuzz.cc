// The forms of cities' names: short enough, and each word by itself.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "config/geo_rule.h"

namespace {

std::string key_of(std::string_view text) {
  std::string key;
  weir::config::append_city_key(key, text);
  if (key.size() > 2 * text.size()) std::abort();
  if (key.starts_with(' ') || key.ends_with(' ')) std::abort();
  if (key.find("  ") != std::string::npos) std::abort();
  return key;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  static_cast<void>(weir::config::parse_city(text));
  const std::string key = key_of(text);
  const std::string_view first = text.substr(0, size / 2);
  const std::string_view second = text.substr(size / 2);
  const std::string two = key_of(std::string{first} + " \t" + std::string{second});
  const std::string one = key_of(first);
  const std::string other = key_of(second);
  if (two != one + (one.empty() || other.empty() ? "" : " ") + other) std::abort();
  return 0;
}
