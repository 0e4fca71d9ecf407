#pragma once
// Unsigned integers in as few bytes as they need: 7 bits a byte, least first, the high bit set on
// all but the last (LEB128). A reader accepts only the shortest form.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::codec {

inline constexpr size_t kVarintBytesMax = 10;

// Writes `value` at `out` and returns the place after it. Requires kVarintBytesMax bytes there.
inline char* write_varint(char* out, uint64_t value) {
  while (value >= 0x80U) {
    *out++ = static_cast<char>(static_cast<unsigned char>(value | 0x80U));
    value >>= 7U;
  }
  *out++ = static_cast<char>(value);
  return out;
}

// Takes one from the front of `in`. False, `in` unspecified, when there is none in shortest form.
inline bool read_varint(std::string_view& in, uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !in.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    if (shift == 63 && byte > 1) return false;
    value |= static_cast<uint64_t>(byte & 0x7fU) << shift;
    if ((byte & 0x80U) == 0) return byte != 0 || shift == 0;
  }
  return false;
}

// Small negative numbers as small unsigned ones: 0, -1, 1, -2, … become 0, 1, 2, 3, …
constexpr uint64_t zigzag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1U) ^ static_cast<uint64_t>(value >> 63);
}
constexpr int64_t unzigzag(uint64_t value) {
  return static_cast<int64_t>((value >> 1U) ^ (~(value & 1U) + 1));
}

}  // namespace weir::codec
