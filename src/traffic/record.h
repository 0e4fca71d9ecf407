#pragma once
// The stored record: one payload with its place in the world and a checksum. Rings and segments
// hold the same bytes, so the storage thread copies without taking anything apart. The layout is
// docs/formats/ring.md.
//
// A record starts at a multiple of 8 bytes. Its first 8 bytes (checksum and length) are the commit
// word: stored last, in one piece, they make the record valid at one instant. Who finds bytes that
// are no record goes on 8 bytes further; nothing but a record passes the checksum, which starts
// from a secret salt drawn for each epoch, so that no client can send bytes that look like one.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "base/thread_annotations.h"
#include "traffic/event.h"

namespace weir::traffic {

enum class RecordKind : uint16_t {
  event = 0,  // The payload is an encoded Event.
  note = 1,   // In segments only: what an earlier segment holds (docs/formats/segment.md).
};

inline constexpr size_t kRecordAlignment = 8;
inline constexpr size_t kRecordHeaderBytes = 24;
inline constexpr size_t kRecordPayloadBytesMax = kEventBytesMax;
inline constexpr size_t kRecordBytesMax = kRecordHeaderBytes + kRecordPayloadBytesMax;

constexpr size_t record_bytes(size_t payload_bytes) {
  return (kRecordHeaderBytes + payload_bytes + kRecordAlignment - 1) / kRecordAlignment *
         kRecordAlignment;
}

struct RecordPlace {
  uint32_t epoch = 0;
  uint16_t loop = 0;
  RecordKind kind = RecordKind::event;
  uint64_t sequence = 0;
};

struct RecordView {
  RecordPlace place;
  std::string_view payload;
  size_t bytes = 0;  // Where the next record starts, from the start of this one.
};

// The commit word of a finished record at `record`, whose payload already stands behind the header;
// fills in the rest of the header and the padding, all but the commit word itself.
uint64_t seal_record(char* record, const RecordPlace& place, size_t payload_bytes, uint32_t salt);

// Makes the sealed record valid, for this process' other threads and for whoever reads the file
// after a kill: a release store, so everything written before is there when the word is.
inline void commit_record(char* record, uint64_t commit_word) {
  std::atomic_ref<uint64_t>(*static_cast<uint64_t*>(static_cast<void*>(record)))
      .store(commit_word, std::memory_order_release);
}

// The record that starts at the front of `bytes` (8-byte aligned in its file), if there is a valid
// one, whole, with a known kind.
std::optional<RecordView> parse_record(std::string_view bytes WEIR_LIFETIMEBOUND, uint32_t salt);

// Walks `bytes` from the front: valid records in order of place, whatever lies between them skipped
// in steps of 8 bytes.
// Threading: one thread at a time.
class RecordScanner {
 public:
  RecordScanner(std::string_view bytes, uint32_t salt) : bytes_(bytes), salt_(salt) {}

  // The next valid record, or nothing when the rest holds none.
  std::optional<RecordView> next();

  size_t record_offset() const { return record_offset_; }  // Of the record returned last.
  size_t offset() const { return offset_; }                // Behind it.
  size_t skipped_bytes() const { return skipped_; }        // In all, that belong to no record.

 private:
  const std::string_view bytes_;
  const uint32_t salt_;
  size_t offset_ = 0;
  size_t record_offset_ = 0;
  size_t skipped_ = 0;
};

}  // namespace weir::traffic
