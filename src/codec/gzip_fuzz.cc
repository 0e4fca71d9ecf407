// Goal: the reader's outcome depends on the bytes alone, never on how they were split, and what it
// accepts survives another round. Method: the input as it is, and, because a checksum hides most of
// the reader from random bytes, the input as the deflate stream of a member whose header is right.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "codec/crc32c.h"
#include "codec/gzip.h"

namespace {

using weir::base::ErrorCode;
using weir::base::Status;
using weir::codec::GzipMember;
using weir::codec::GzipReader;
using weir::codec::GzipWriter;

constexpr uint64_t kRawBytesMax = 300'000;

// The raw bytes; an error leaves none.
std::optional<ErrorCode> read(std::string_view bytes, size_t piece_bytes, std::string& raw) {
  GzipReader reader{kRawBytesMax, [&raw](std::string_view piece) {
                      raw += piece;
                      return Status{};
                    }};
  std::optional<ErrorCode> error;
  for (; !bytes.empty() && !error; bytes.remove_prefix(std::min(piece_bytes, bytes.size()))) {
    const Status taken = reader.append(bytes.substr(0, piece_bytes));
    if (!taken.ok()) error = taken.error().code;
  }
  const Status finished = reader.finish();
  WEIR_ASSERT(raw.size() <= kRawBytesMax);
  if (!finished.ok()) {
    WEIR_ASSERT(!error || *error == finished.error().code);
    raw.clear();
    return finished.error().code;
  }
  WEIR_ASSERT(!error);
  return {};
}

void check(std::string_view bytes) {
  std::string raw;
  const auto error = read(bytes, SIZE_MAX, raw);
  for (const size_t piece_bytes : {1U, 13U}) {
    std::string in_pieces;
    WEIR_ASSERT(read(bytes, piece_bytes, in_pieces) == error && in_pieces == raw);
  }
  if (error) return;
  std::string again;
  GzipWriter writer{{.member_raw_bytes_max = 1000},
                    [&](std::string_view member, const GzipMember&) {
                      again += member;
                      return Status{};
                    }};
  WEIR_ASSERT(writer.append(raw).ok() && writer.finish().ok());
  std::string raw_again;
  WEIR_ASSERT(!read(again, SIZE_MAX, raw_again) && raw_again == raw);
}

std::string u32(uint32_t value) {
  std::string bytes;
  for (unsigned i = 0; i < 4; ++i)
    bytes += static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  return bytes;
}

// docs/formats/gzip.md.
std::string member_around(std::string_view deflate_and_trailer) {
  std::string header{"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x0c\0WR\x08\0", 16};
  header += u32(static_cast<uint32_t>(24 + deflate_and_trailer.size()));
  header += u32(weir::codec::crc32c(deflate_and_trailer, weir::codec::crc32c(header)));
  return header.append(deflate_and_trailer);
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  check(input);
  check(member_around(input));
  return 0;
}
