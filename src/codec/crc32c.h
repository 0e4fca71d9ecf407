#pragma once
// CRC32C (Castagnoli), for finding torn and flipped bytes. Not for anything an enemy may choose.

#include <cstdint>
#include <string_view>

namespace weir::codec {

// Of `bytes`, continuing from `before`: crc32c(b, crc32c(a)) == crc32c(a + b).
// Uses the processor's instruction where it has SSE4.2 (about 8 bytes in 3 cycles), else tables.
// Source: RFC 3720, appendix B.4, for the polynomial and the test vectors.
uint32_t crc32c(std::string_view bytes, uint32_t before = 0);

// The table version, for tests: both must agree.
uint32_t crc32c_portable(std::string_view bytes, uint32_t before = 0);

}  // namespace weir::codec
