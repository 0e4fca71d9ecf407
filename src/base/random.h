#pragma once
// A small, fast, seedable source of randomness for load balancing, jitter and tests. Not for
// secrets: those come from os::secure_random().
//
// Source: xoshiro256** and SplitMix64, Blackman and Vigna (2018), public domain algorithms.

#include <array>
#include <bit>
#include <cstdint>

namespace weir::base {

// Threading: one thread at a time.
class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15U;
      uint64_t z = seed;
      z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
      z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
      word = z ^ (z >> 31U);
    }
  }

  uint64_t next() {
    const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const uint64_t shifted = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  // Uniform in [0, bound). Requires bound > 0. The bias of the multiplication is under 2^-32 for
  // bounds below 2^32.
  uint64_t below(uint64_t bound) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>((static_cast<Wide>(next()) * bound) >> 64U);
  }

 private:
  std::array<uint64_t, 4> state_{};
};

}  // namespace weir::base
