#pragma once
// The segment file: its name, its header and its notes. The layout is docs/formats/segment.md.
//
// A segment is written once, from front to end, by one start of the process. Behind the header
// stand records (traffic/record.h) of any streams. Where a segment ends is not written in itself
// but in a note at the beginning of the next one, because a segment whose sync failed may hold
// bytes that look whole and are not on the disk.

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "journal/journal.h"
#include "os/files.h"
#include "traffic/record.h"

namespace weir::journal {

struct SegmentId {
  uint32_t epoch = 0;  // Of the start that wrote it; its records may be of earlier epochs.
  uint32_t index = 0;  // 1, 2, 3, …
  auto operator<=>(const SegmentId&) const = default;
};

inline constexpr size_t kSegmentHeaderBytes = 1024;

std::string segment_name(SegmentId id);
std::optional<SegmentId> parse_segment_name(std::string_view name);

// Names of the files of one loop: "ring-…" and "paths-…".
std::string loop_file_name(std::string_view kind, Stream stream);
std::optional<Stream> parse_loop_file_name(std::string_view kind, std::string_view name);

std::string encode_segment_header(SegmentId id, uint32_t salt);
// The salt, if either copy of the header is valid and of this segment.
std::optional<uint32_t> decode_segment_header(std::string_view bytes, SegmentId id);

struct SequenceRange {
  uint64_t first = 0;
  uint64_t last = 0;
  bool operator==(const SequenceRange&) const = default;
};

// What an earlier segment of the same epoch holds.
struct SegmentNote {
  uint32_t index = 0;
  uint64_t readable_bytes = 0;  // What lies beyond is not to be believed.
  std::map<Stream, SequenceRange> streams;
  bool operator==(const SegmentNote&) const = default;
};

// Ready-made records, several where one cannot hold all streams; their sequences count from
// `first_sequence`.
std::string encode_note(const SegmentNote& note, uint32_t epoch, uint32_t salt,
                        uint64_t first_sequence);
// Adds what the payload says to `notes`. False: it is not a note.
bool decode_note(std::string_view payload, std::map<uint32_t, SegmentNote>& notes);

// Finds records in part of a file, through a window.
// Ownership: borrows the file.
// Threading: one thread at a time.
// Limits: kWindowBytes of memory.
class RecordFile {
 public:
  static constexpr size_t kWindowBytes = 256 * 1024;

  struct Found {
    uint64_t offset = 0;
    traffic::RecordView record;  // Valid until the next call.
    uint64_t end() const { return offset + record.bytes; }
  };

  RecordFile(os::File& file, uint32_t salt) : file_(file), salt_(salt) {}

  // The first valid record that starts at or after `offset` (a multiple of 8) and ends at or before
  // `end`; nothing if there is none. What lies before it is no record. Blocks for the disk.
  base::Result<std::optional<Found>> next(uint64_t offset, uint64_t end);

  // The same, but only the record that starts at `offset`.
  base::Result<std::optional<Found>> at(uint64_t offset, uint64_t end);

 private:
  base::Status load(uint64_t offset, uint64_t end);
  uint64_t last_zero(uint64_t offset, uint64_t end) const;

  os::File& file_;
  const uint32_t salt_;
  std::unique_ptr<char[]> window_;
  uint64_t window_at_ = 0;
  size_t window_bytes_ = 0;
  bool at_file_end_ = false;  // The file ended in the window, before the `end` it was loaded for.
};

}  // namespace weir::journal
