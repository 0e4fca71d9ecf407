#pragma once
// A hash of strings for tables whose keys come from clients.
//
// std::hash has a fixed seed, so anybody can compute thousands of paths that fall into one bucket
// and make a batch quadratic. With a seed of this process that nobody outside knows, they cannot.
//
// Source: the folded 64 x 64 multiplication of wyhash (Wang Yi, public domain), shortened.

#include <cstdint>
#include <cstring>
#include <string_view>

namespace weir::codec {

struct SeededHash {
  using is_transparent = void;
  uint64_t seed = 0;

  size_t operator()(std::string_view text) const {
    uint64_t hash = seed ^ (text.size() * kPrime1);
    const char* at = text.data();
    size_t left = text.size();
    for (; left >= 16; at += 16, left -= 16)
      hash = fold(load(at) ^ kPrime1, load(at + 8) ^ hash);
    if (left >= 8) {
      hash = fold(load(at) ^ kPrime2, hash ^ kPrime1);
      at += 8;
      left -= 8;
    }
    uint64_t tail = 0;
    if (left > 0) std::memcpy(&tail, at, left);
    return fold(fold(tail ^ kPrime3, hash ^ kPrime2) ^ kPrime1, seed ^ kPrime3);
  }

 private:
  static constexpr uint64_t kPrime1 = 0xa0761d6478bd642fU;
  static constexpr uint64_t kPrime2 = 0xe7037ed1a0b428dbU;
  static constexpr uint64_t kPrime3 = 0x8ebc6af09c88c6e3U;

  static uint64_t load(const char* at) {
    uint64_t value = 0;
    std::memcpy(&value, at, sizeof value);
    return value;
  }
  static uint64_t fold(uint64_t a, uint64_t b) {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64U);
  }
};

}  // namespace weir::codec
