#include "traffic/record.h"

#include <algorithm>

#include "base/assert.h"
#include "codec/crc32c.h"

namespace weir::traffic {
namespace {

// docs/formats/ring.md, "Record". Integers are little-endian.
struct Header {
  uint32_t crc;
  uint32_t payload_bytes;
  uint32_t epoch;
  uint16_t loop;
  uint16_t kind;
  uint64_t sequence;
};
static_assert(sizeof(Header) == kRecordHeaderBytes);

constexpr size_t kCheckedFrom = sizeof(uint32_t);  // All but the checksum itself.

}  // namespace

uint64_t seal_record(char* record, const RecordPlace& place, size_t payload_bytes, uint32_t salt) {
  WEIR_ASSERT(payload_bytes <= kRecordPayloadBytesMax);
  Header header{0,          static_cast<uint32_t>(payload_bytes), place.epoch,
                place.loop, static_cast<uint16_t>(place.kind),    place.sequence};
  std::memcpy(record + sizeof(uint64_t), &header.epoch, sizeof header - sizeof(uint64_t));
  const size_t used = kRecordHeaderBytes + payload_bytes;
  std::memset(record + used, 0, record_bytes(payload_bytes) - used);
  const std::string_view length{reinterpret_cast<const char*>(&header.payload_bytes),
                                sizeof header.payload_bytes};
  const std::string_view rest{record + sizeof(uint64_t), used - sizeof(uint64_t)};
  header.crc = codec::crc32c(rest, codec::crc32c(length, salt));
  return static_cast<uint64_t>(header.payload_bytes) << 32U | header.crc;
}

std::optional<RecordView> parse_record(std::string_view bytes, uint32_t salt) {
  if (bytes.size() < kRecordHeaderBytes) return std::nullopt;
  Header header;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.payload_bytes > kRecordPayloadBytesMax) return std::nullopt;
  if (header.kind > static_cast<uint16_t>(RecordKind::note)) return std::nullopt;
  const size_t whole = record_bytes(header.payload_bytes);
  if (bytes.size() < whole) return std::nullopt;
  const std::string_view checked =
      bytes.substr(kCheckedFrom, kRecordHeaderBytes - kCheckedFrom + header.payload_bytes);
  if (codec::crc32c(checked, salt) != header.crc) return std::nullopt;
  return RecordView{
      {header.epoch, header.loop, static_cast<RecordKind>(header.kind), header.sequence},
      bytes.substr(kRecordHeaderBytes, header.payload_bytes),
      whole};
}

std::optional<RecordView> RecordScanner::next() {
  while (offset_ < bytes_.size()) {
    const auto record = parse_record(bytes_.substr(offset_), salt_);
    if (record.has_value()) {
      record_offset_ = offset_;
      offset_ += record->bytes;
      return record;
    }
    const size_t step = std::min(kRecordAlignment, bytes_.size() - offset_);
    offset_ += step;
    skipped_ += step;
  }
  return std::nullopt;
}

}  // namespace weir::traffic
