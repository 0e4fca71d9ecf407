#pragma once
// The seed of a property test.

#include <cstdint>
#include <cstdlib>

namespace weir::state::testing {

// `given` is what WEIR_SEED says, or nothing.
inline uint64_t seed_or(const char* given, uint64_t own) {
  return given == nullptr ? own : std::strtoull(given, nullptr, 10);
}

}  // namespace weir::state::testing
