#include "state/internal/bytes.h"

#include <array>

#include "codec/crc32c.h"
#include "codec/varint.h"

namespace weir::state::internal {
namespace {

constexpr std::string_view kMagic = "WS";
constexpr size_t kChecksumBytes = 4;

uint64_t little_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t at = bytes.size(); at > 0; --at)
    value = value << 8U | static_cast<unsigned char>(bytes[at - 1]);
  return value;
}

void append_little_endian(std::string& out, uint64_t value, size_t bytes) {
  for (size_t at = 0; at < bytes; ++at, value >>= 8U)
    out.push_back(static_cast<char>(value & 0xffU));
}

}  // namespace

Writer::Writer(Kind kind, uint8_t version, uint64_t generation) : out_(kMagic) {
  byte(static_cast<uint8_t>(kind));
  byte(version);
  number(generation);
}

void Writer::number(uint64_t value) {
  std::array<char, codec::kVarintBytesMax> bytes;
  out_.append(bytes.data(), codec::write_varint(bytes.data(), value));
}

void Writer::signed_number(int64_t value) {
  number(codec::zigzag(value));
}
void Writer::fixed(uint64_t value) {
  append_little_endian(out_, value, 8);
}

void Writer::text(std::string_view value) {
  number(value.size());
  out_ += value;
}

std::string Writer::finish() && {
  append_little_endian(out_, codec::crc32c(out_), kChecksumBytes);
  return std::move(out_);
}

Reader::Reader(std::string_view bytes, Kind kind, uint8_t version) : in_(bytes) {
  expect(bytes.size() > kMagic.size() + kChecksumBytes && bytes.starts_with(kMagic));
  if (!ok_) return;
  const size_t checked = bytes.size() - kChecksumBytes;
  expect(codec::crc32c(bytes.substr(0, checked)) == little_endian(bytes.substr(checked)));
  in_ = bytes.substr(kMagic.size(), checked - kMagic.size());
  expect(byte() == static_cast<uint8_t>(kind));
  expect(byte() == version);
  generation_ = number(kCountMax);
}

uint8_t Reader::byte() {
  expect(!in_.empty());
  if (!ok_) return 0;
  const auto value = static_cast<uint8_t>(in_.front());
  in_.remove_prefix(1);
  return value;
}

uint64_t Reader::number(uint64_t max) {
  uint64_t value = 0;
  expect(codec::read_varint(in_, value) && value <= max);
  return ok_ ? value : 0;
}

int64_t Reader::signed_number() {
  return codec::unzigzag(number());
}

uint64_t Reader::fixed() {
  expect(in_.size() >= 8);
  if (!ok_) return 0;
  const uint64_t value = little_endian(in_.substr(0, 8));
  in_.remove_prefix(8);
  return value;
}

std::string_view Reader::text(size_t bytes_max) {
  const uint64_t size = number(bytes_max);
  expect(size <= in_.size());
  if (!ok_) return {};
  const std::string_view value = in_.substr(0, size);
  in_.remove_prefix(size);
  return value;
}

base::Status Reader::complete() const {
  if (ok_ && in_.empty()) return {};
  return base::Error{.code = base::ErrorCode::corrupt,
                     .origin = base::Origin::storage,
                     .retry = base::Retry::never,
                     .what = "state image"};
}

}  // namespace weir::state::internal
