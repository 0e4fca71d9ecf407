#pragma once
// What each byte is in the grammars of HTTP and URIs, and a quick search for control characters.
// Source: RFC 9110 section 5.6.2 (token), RFC 3986 section 2 (unreserved, sub-delims, pchar).

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace weir::http::internal {

// Bits, which a byte may have several of.
using ByteClass = uint8_t;
inline constexpr ByteClass kToken = 1;   // tchar
inline constexpr ByteClass kTarget = 2;  // Stands in a request target: no space, control or '#'.
inline constexpr ByteClass kUnreserved = 4;  // Letters, digits, "-._~".
inline constexpr ByteClass kHost = 8;        // The same, in a host name.
inline constexpr ByteClass kPathPlain = 16;  // pchar but '%', and '/': stands in a path as it is.
inline constexpr ByteClass kDigit = 32;

constexpr bool is_alpha(unsigned byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}
constexpr bool is_digit(unsigned byte) {
  return byte >= '0' && byte <= '9';
}

constexpr uint8_t classify(unsigned byte) {
  constexpr std::string_view kTokenMarks = "!#$%&'*+-.^_`|~";
  constexpr std::string_view kUnreservedMarks = "-._~";
  constexpr std::string_view kPathMarks = "!$&'()*+,;=:@/";  // sub-delims, ":@", and the separator.
  const char c = static_cast<char>(byte);
  const bool alnum = is_alpha(byte) || is_digit(byte);
  const bool mark = byte != 0;
  const bool unreserved = alnum || (mark && kUnreservedMarks.find(c) != std::string_view::npos);
  unsigned classes = 0;
  if (alnum || (mark && kTokenMarks.find(c) != std::string_view::npos)) classes |= kToken;
  if (byte > 0x20 && byte != 0x7F && byte != '#') classes |= kTarget;
  if (unreserved) classes |= kUnreserved | kHost | kPathPlain;
  if (mark && kPathMarks.find(c) != std::string_view::npos) classes |= kPathPlain;
  if (is_digit(byte)) classes |= kDigit;
  return static_cast<uint8_t>(classes);
}

inline constexpr std::array<uint8_t, 256> kByteClasses = [] {
  std::array<uint8_t, 256> table{};
  for (unsigned byte = 0; byte < table.size(); ++byte)
    table[byte] = classify(byte);
  return table;
}();

constexpr bool is(char byte, ByteClass wanted) {
  return (kByteClasses[static_cast<uint8_t>(byte)] & wanted) != 0;
}

// The value of a hex digit, or -1.
constexpr int hex_value(char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
  return -1;
}

constexpr bool is_control(char byte) {
  return static_cast<uint8_t>(byte) < 0x20 || byte == 0x7F;
}

// The first control character (0x00 to 0x1F, 0x7F) in [at, end), or `end`.
//
// Eight bytes at a time. (x - n) & ~x has the top bit of each byte that is below n; a borrow can
// make false hits only above a true one, and only the lowest hit is used.
inline const char* find_control(const char* at, const char* end) {
  if constexpr (std::endian::native == std::endian::little) {
    constexpr uint64_t kOnes = 0x0101010101010101U;
    constexpr uint64_t kTops = kOnes * 0x80U;
    while (end - at >= 8) {
      uint64_t word = 0;
      std::memcpy(&word, at, sizeof word);
      const uint64_t delete_as_zero = word ^ (kOnes * 0x7FU);
      const uint64_t hits =
          (((word - kOnes * 0x20U) & ~word) | ((delete_as_zero - kOnes) & ~delete_as_zero)) & kTops;
      if (hits != 0) return at + std::countr_zero(hits) / 8;
      at += 8;
    }
  }
  while (at < end && !is_control(*at))
    ++at;
  return at;
}

}  // namespace weir::http::internal
