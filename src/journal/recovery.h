#pragma once
// Takes over what earlier starts left behind: catalogues their segments, copies their rings into
// this start's segments, hands their PathCollectors to the consumer. Works beside the live rings,
// one bounded piece at a time, because a start must not wait for it.
//
// What can be believed:
//   A segment with a note in a later one: what the note says.
//   A segment without (the last one of its epoch):
//     after a kill, while the machine ran on: what the epoch's rings say was synced (SyncMark). The
//       bytes behind it are in the page cache and may never reach the disk, even if a sync were to
//       say so after one that failed; the rings still hold them.
//     after a loss of power, or without any ring: all of it; what the disk holds it holds.
//   A ring: its valid records above the journal's highest sequence.
//   A PathCollector: all of it after a kill, nothing after a loss of power, unless it was closed in
//     good order.

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/logger.h"
#include "base/result.h"
#include "journal/catalogue.h"
#include "journal/epoch.h"
#include "journal/old_collectors.h"
#include "journal/options.h"
#include "journal/segment_writer.h"
#include "journal/status.h"
#include "os/files.h"
#include "traffic/ring.h"

namespace weir::journal {

// Ownership: borrows all of its constructor's references.
// Threading: the storage thread.
// Limits: a step reads at most one segment or one ring, or writes at most kStepBytes; 16 bytes of
// memory for each record of the ring being copied.
class Recovery {
 public:
  static constexpr size_t kStepBytes = size_t{4} * 1024 * 1024;

  Recovery(const JournalOptions& options, os::Files& files, const EpochIdentity& identity,
           Catalogue& catalogue, OldCollectors& collectors, SegmentWriter& writer,
           base::Logger& logger, Leftovers leftovers);

  bool done() const { return phase_ == Phase::done; }
  // Does it need room in a segment now? The caller provides kRoomBytes before the step.
  bool writes() const {
    return phase_ == Phase::copy_ring && copy_.has_value() && !copy_->finished();
  }
  static constexpr uint64_t kRoomBytes = 128 * 1024;

  // One piece of work. Errors: os/files.h: to be called again later; nothing is forgotten. When
  // the writer failed its segment is abandoned and the caller rewinds.
  base::Status step();

  void synced();  // Everything appended is durable.
  void rewind();  // Nothing appended since the last synced() is.

  uint64_t damaged_files() const { return damaged_files_; }
  uint64_t discarded_collectors() const { return discarded_collectors_; }
  const std::vector<EndedStream>& ended() const { return ended_; }

 private:
  enum class Phase : uint8_t { ring_headers, notes, segments, copy_ring, collectors, done };

  struct EpochLeftovers {
    std::vector<SegmentId> segments;
    std::map<uint32_t, SegmentNote> notes;  // By index.
    std::map<uint32_t, uint32_t> salts;     // By index: of segments whose header is valid.
    std::optional<uint32_t> salt;           // Of any file of the epoch.
    std::optional<traffic::SyncMark> mark;  // Of rings that were written since this boot.
  };
  struct OldRingFile {
    Stream stream;
    traffic::OldRing header;
  };
  struct RingRecord {
    uint64_t sequence;
    uint64_t offset;
  };
  struct Copy {
    OldRingFile ring;
    std::unique_ptr<os::File> file;
    std::vector<RingRecord> records;  // Ascending sequences.
    size_t appended = 0;
    size_t durable = 0;
    uint64_t data_end = 0;  // In the file.
    uint64_t synced_before = 0;
    bool finished() const { return appended == records.size(); }
  };

  base::Status read_ring_headers();
  base::Status read_notes();
  base::Status catalogue_segment();
  base::Status cut(const std::string& path, uint64_t end);
  base::Status scan_segment(SegmentId id, os::File& file, uint32_t salt, uint64_t end);
  base::Status open_ring();
  base::Status copy_records();
  base::Status finish_ring();
  base::Status read_collector();
  base::Status set_aside(const std::string& path);
  std::string ring_path(std::string_view kind, Stream stream) const;

  const JournalOptions& options_;
  os::Files& files_;
  const EpochIdentity& identity_;
  Catalogue& catalogue_;
  OldCollectors& collectors_;
  SegmentWriter& writer_;
  base::Logger& logger_;

  Phase phase_ = Phase::ring_headers;
  std::map<uint32_t, EpochLeftovers> epochs_;
  std::deque<Stream> ring_headers_left_;
  std::deque<uint32_t> notes_left_;
  std::deque<SegmentId> segments_left_;
  std::deque<OldRingFile> rings_left_;
  std::deque<Stream> collectors_left_;
  std::optional<Copy> copy_;
  std::string batch_;

  uint64_t damaged_files_ = 0;
  uint64_t discarded_collectors_ = 0;
  std::vector<EndedStream> ended_;
};

}  // namespace weir::journal
