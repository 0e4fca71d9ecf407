#pragma once
// The storage thread's side of the journal: copies rings into segments, makes them durable, deletes
// what was released, takes over what earlier starts left. The thread itself is the composition
// root's:
//
//   while (!stopping) wait_until(storage.step());   // then, when the loops have ended:
//   storage.close();
//
// Nothing here fails the program. A write or sync that failed abandons its segment; the records are
// still in the rings and go into the next segment, tried again with a growing pause, for ever. If
// that takes longer than the rings hold, exchanges are counted in the PathCollectors.

#include <memory>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "base/thread_annotations.h"
#include "journal/catalogue.h"
#include "journal/old_collectors.h"
#include "journal/options.h"
#include "journal/recovery.h"
#include "journal/segment_writer.h"
#include "journal/status.h"
#include "os/files.h"
#include "traffic/path_collector.h"
#include "traffic/ring.h"

namespace weir::journal {

// Fault points, for base/fault_point.h. The ring's own are in traffic/ring.h.
inline constexpr const char* kFaultBeforeWrite = "journal.before_write";
inline constexpr const char* kFaultAfterWrite = "journal.after_write";
inline constexpr const char* kFaultBeforeSync = "journal.before_sync";
inline constexpr const char* kFaultAfterSync = "journal.after_sync";
inline constexpr const char* kFaultBeforeRelease =
    "journal.before_release";  // Synced and published.
inline constexpr const char* kFaultAfterRelease = "journal.after_release";
inline constexpr const char* kFaultBeforeSegmentDelete = "journal.before_segment_delete";
inline constexpr const char* kFaultAfterSegmentDelete = "journal.after_segment_delete";
inline constexpr const char* kFaultBeforeRingDelete = "journal.before_ring_delete";
inline constexpr const char* kFaultAfterRingDelete = "journal.after_ring_delete";

// Ownership: borrows everything it is given; SegmentJournal makes it and outlives it.
// Threading: the storage thread; status(): any thread.
// Limits: one step copies at most what each ring holds, and does one piece of recovery.
class Storage {
 public:
  struct Parts {
    const JournalOptions& options;
    os::Files& files;
    const base::Clock& clock;
    base::Logger& logger;
    const EpochIdentity& identity;
    Catalogue& catalogue;
    OldCollectors& old_collectors;
    std::span<const std::unique_ptr<traffic::Ring>> rings;
    std::span<const std::unique_ptr<traffic::PathCollector>> collectors;
  };

  Storage(const Parts& parts, Leftovers leftovers);

  // Does what there is to do and returns when to be called again: sync_interval later, or at once
  // when a ring is filling or recovery has more to do. Blocks for the disk.
  base::Monotonic step();

  // After the loops have ended, instead of a further step(): copies and syncs the rest, then
  // deletes the rings and the empty PathCollectors. Blocks for the disk. Errors: os/files.h; what
  // could not be done is done by the next start.
  base::Status close();

  // As of the last step, and without what SegmentJournal adds.
  JournalStatus status() const;

 private:
  base::Status copy_rings();
  base::Status make_room(uint64_t bytes);
  base::Status sync();
  base::Status recover();
  void failed(const base::Error& error);
  void rewind();
  void collect();
  void delete_released();
  void delete_finished_collectors();
  void prefault();
  void note_status(base::Monotonic now);
  base::Status close_collector(size_t loop);
  std::string path_of(std::string_view kind, uint16_t loop) const;

  const Parts parts_;
  SegmentWriter writer_;
  Recovery recovery_;
  std::vector<traffic::RingReader> readers_;

  std::chrono::milliseconds pause_{0};  // After failures; 0: none.
  base::Monotonic retry_at_{};
  std::chrono::milliseconds recovery_pause_{0};  // The same for reading what earlier starts left.
  base::Monotonic recovery_retry_at_{};
  base::Monotonic started_{};
  base::Monotonic last_sync_{};
  base::Monotonic last_collect_{};
  base::Monotonic last_prefault_{};
  bool filling_ = false;  // Some ring was over a quarter full.
  bool full_ = false;
  bool delete_failed_ = false;
  uint64_t degraded_seen_ = 0;
  JournalStatus counters_;  // The storage thread's own copy.

  mutable base::Mutex mutex_;
  JournalStatus status_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::journal
