#pragma once
// What the three sketches share: saturating sums, and the ends of reading and writing their bytes.

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "base/error.h"
#include "codec/varint.h"

namespace weir::sketch {

// 2^64 - 1 instead of an overflow. Still associative and commutative, as merging must be.
inline uint64_t saturating_sum(uint64_t a, uint64_t b) {
  const uint64_t sum = a + b;
  return sum < a ? std::numeric_limits<uint64_t>::max() : sum;
}

inline void append_varint(std::string& out, uint64_t value) {
  std::array<char, codec::kVarintBytesMax> bytes{};
  out.append(bytes.data(), codec::write_varint(bytes.data(), value));
}

// Takes the first byte of `in`. False when there is none, or when it is not `expected`.
inline bool take_byte(std::string_view& in, char expected) {
  if (in.empty() || in.front() != expected) return false;
  in.remove_prefix(1);
  return true;
}

inline base::Error corrupt(base::StaticText what) {
  return {.code = base::ErrorCode::corrupt,
          .origin = base::Origin::storage,
          .retry = base::Retry::never,
          .what = what};
}

}  // namespace weir::sketch
