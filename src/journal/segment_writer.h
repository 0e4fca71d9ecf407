#pragma once
// Writes segments, one after the other: the storage thread's pen.

#include <memory>
#include <string>
#include <vector>

#include "base/logger.h"
#include "base/result.h"
#include "journal/catalogue.h"
#include "journal/options.h"
#include "journal/segment.h"
#include "os/files.h"

namespace weir::journal {

// After a write or a sync that failed the segment is abandoned: what was synced in it before stays
// readable, it is never written or synced again, and everything since the last sync that succeeded
// has to be appended again, to the next one. Ownership: borrows files, catalogue and logger; owns
// the open segment. Threading: the storage thread. Limits: segment_bytes per segment.
class SegmentWriter {
 public:
  SegmentWriter(const JournalOptions& options, os::Files& files, const EpochIdentity& identity,
                Catalogue& catalogue, base::Logger& logger);

  // Is there an open segment with room for `bytes` more?
  bool has_room(uint64_t bytes) const;

  // Finishes the open segment, whose records must be synced, and opens the next, with its notes,
  // durable, names included. Blocks for two syncs.
  // Errors: os/files.h; no segment is open then.
  base::Status open_next();

  // Requires has_room(bytes.size()). Blocks. Errors: os/files.h; the segment is abandoned.
  base::Status append(const Stream& stream, SequenceRange range, std::string_view bytes);

  // Makes what was appended durable and publishes it to the consumer. Blocks for the disk.
  // Errors: os/files.h; the segment is abandoned.
  base::Status sync();

  bool unsynced() const { return !chunks_.empty(); }
  // Up to where what this start wrote is durable, for the rings' marks: the last segment that was
  // ever made durable, and its bytes.
  uint32_t durable_index() const { return durable_index_; }
  uint64_t durable_bytes() const { return durable_bytes_; }
  uint64_t write_failures() const { return write_failures_; }
  uint64_t sync_failures() const { return sync_failures_; }

 private:
  void abandon();
  void leave();  // The segment gets no more records; its end goes into the next one's notes.
  base::Status create(SegmentId id, os::File& file);

  const JournalOptions& options_;
  os::Files& files_;
  const EpochIdentity& identity_;
  Catalogue& catalogue_;
  base::Logger& logger_;

  SegmentId id_;
  std::unique_ptr<os::File> file_;  // Empty: none is open.
  uint64_t written_ = 0;
  uint64_t synced_ = 0;
  uint32_t durable_index_ = 0;
  uint64_t durable_bytes_ = 0;
  std::vector<Catalogue::Chunk> chunks_;  // Since the last sync.
  std::vector<SegmentId> unnoted_;        // Left, their ends not written in any later segment yet.
  uint64_t write_failures_ = 0;
  uint64_t sync_failures_ = 0;
};

}  // namespace weir::journal
