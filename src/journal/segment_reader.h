#pragma once
// The consumer's eyes: reads synced records of one stream after another from the segments.

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "journal/catalogue.h"
#include "journal/journal.h"
#include "os/files.h"

namespace weir::journal {

// Ownership: borrows files and catalogue; owns one open segment and the payloads it returned last.
// Threading: the consumer thread; lost() and corrupt_bytes(): any thread.
// Limits: bytes_max of payloads a read.
class SegmentReader {
 public:
  SegmentReader(os::Files& files, std::string dir, Catalogue& catalogue, size_t bytes_max);

  base::Result<Read> read(Stream stream, uint64_t from, size_t records_max);
  // Released: places and files that are not needed any more go.
  void forget(Stream stream, uint64_t through);

  // Counted once, however often a place is read. Relaxed: for status.
  uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }
  uint64_t corrupt_bytes() const { return corrupt_bytes_.load(std::memory_order_relaxed); }

 private:
  // Where a sequence is to be looked for.
  struct Place {
    uint64_t sequence = 0;
    SegmentId segment;
    uint64_t offset = 0;
  };
  struct Cursor {
    Place start;                // Of the last read, because it may be repeated,
    Place end;                  // and behind it.
    uint64_t lost_counted = 0;  // Sequences up to here are counted in lost_.
  };

  base::Status open(const Catalogue::Extent& extent);
  // Reads on in one extent. True: `read` is full.
  base::Result<bool> read_extent(const Catalogue::Extent& extent, Stream stream, size_t records_max,
                                 Cursor& cursor, Read& read);
  void account(Cursor& cursor, Read& read, uint64_t next);
  void count_corrupt(SegmentId segment, uint64_t begin, uint64_t end);

  os::Files& files_;
  const std::string dir_;
  Catalogue& catalogue_;
  const size_t payload_bytes_max_;
  const std::unique_ptr<char[]> payloads_;  // Its pages come into being when they are needed.
  size_t payload_bytes_ = 0;
  std::map<Stream, Cursor> cursors_;

  std::optional<SegmentId> open_segment_;
  std::unique_ptr<os::File> file_;
  std::optional<RecordFile> records_;

  // Damaged places that are in corrupt_bytes_ already; at most kPlacesMax, further ones may be
  // counted again when another stream passes them.
  static constexpr size_t kPlacesMax = 4096;
  std::set<std::pair<SegmentId, uint64_t>> corrupt_places_;

  std::atomic<uint64_t> lost_ = 0;
  std::atomic<uint64_t> corrupt_bytes_ = 0;
};

}  // namespace weir::journal
