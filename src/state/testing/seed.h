#pragma once
// The seed of a property test.

#include <charconv>
#include <cstdint>
#include <string_view>

namespace weir::state::testing {

// `given` is what WEIR_SEED says, or nothing.
inline uint64_t seed_or(const char* given, uint64_t own) {
  const std::string_view text = given == nullptr ? std::string_view{} : given;
  std::from_chars(text.data(), text.data() + text.size(), own);
  return own;
}

}  // namespace weir::state::testing
