#pragma once
// Numbers of a fixed size as bytes, the least first, wherever they stand: what file formats have.

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstring>
#include <string>

namespace weir::codec {

// Its own inverse: the bytes of a number between this machine's order and the least first.
template <std::unsigned_integral Number>
constexpr Number least_first(Number number) {
  if constexpr (std::endian::native == std::endian::little) return number;
  auto bytes = std::bit_cast<std::array<char, sizeof(Number)>>(number);
  std::reverse(bytes.begin(), bytes.end());
  return std::bit_cast<Number>(bytes);
}

// Requires sizeof(Number) bytes at `out` or `in`.
template <std::unsigned_integral Number>
void store_little_endian(char* out, Number number) {
  number = least_first(number);
  std::memcpy(out, &number, sizeof number);
}
template <std::unsigned_integral Number>
Number load_little_endian(const char* in) {
  Number number;
  std::memcpy(&number, in, sizeof number);
  return least_first(number);
}

template <std::unsigned_integral Number>
void append_little_endian(std::string& out, Number number) {
  number = least_first(number);
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

}  // namespace weir::codec
