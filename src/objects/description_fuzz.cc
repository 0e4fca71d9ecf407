// Goal: of stored bytes only what encode_tail() writes is accepted, whatever the bytes. Method: the
// input as it is, and, because a checksum hides the decoder from random bytes, as a description
// with the right footer; what is accepted is encoded again, and must come back byte for byte.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "codec/crc32c.h"
#include "objects/description.h"

namespace {

using weir::objects::decode_tail;
using weir::objects::encode_tail;

void check(std::string_view file_end) {
  auto tail = decode_tail(file_end);
  if (!tail.ok()) return;
  auto decoded = std::move(tail).value();
  const std::string etag = decoded.info.etag;
  const std::string again = encode_tail(decoded.info);
  WEIR_ASSERT(again.size() == decoded.bytes && file_end.ends_with(again));
  WEIR_ASSERT(decoded.info.etag == etag);
}

void append_u32(std::string& out, uint32_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8)
    out += static_cast<char>(static_cast<unsigned char>(value >> shift));
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  check(input);
  // docs/formats/objects.md.
  std::string file_end{input};
  append_u32(file_end, static_cast<uint32_t>(size));
  append_u32(file_end, weir::codec::crc32c(file_end));
  file_end += "WEIROBJ1";
  check(file_end);
  return 0;
}
