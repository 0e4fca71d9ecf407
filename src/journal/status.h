#pragma once
// What the journal knows about itself, for `weir status`, metrics and alarms.

#include <chrono>
#include <cstdint>
#include <vector>

#include "journal/journal.h"

namespace weir::journal {

struct RingStatus {
  Stream stream;
  uint64_t written = 0;      // Sequences committed by the loop.
  uint64_t synced = 0;       // Of these, on the disk.
  uint64_t answered = 0;     // Responses that ended, counted by separate code.
  uint64_t degraded = 0;     // Exchanges counted in the PathCollector by need,
  uint64_t totals_only = 0;  // and by configuration.
  uint64_t used_bytes = 0;   // Of capacity_bytes, not yet on the disk.
  uint64_t capacity_bytes = 0;
  uint64_t corrupt_bytes = 0;  // Skipped: found damaged before they were copied.
  bool failed = false;         // SIGBUS: this loop counts in the PathCollector until a restart.
};

// A stream of an earlier start, as its ring told when it was recovered.
struct EndedStream {
  Stream stream;
  uint64_t answered = 0;
  uint64_t synced = 0;        // Last sequence in the journal before the recovery,
  uint64_t recovered_to = 0;  // and after it. What was committed beyond is unknown.
};

struct JournalStatus {
  uint32_t epoch = 0;
  bool recovering = false;  // Files of earlier starts are still being read.

  uint64_t backlog_records = 0;  // Synced and not released by the consumer. An upper bound for
                                 // streams of earlier starts until they were first read.
  uint64_t backlog_bytes = 0;    // Segment files, all of them.
  uint64_t segments = 0;

  std::chrono::milliseconds last_sync_age{0};  // Since the last sync that succeeded, or the start.
  std::chrono::microseconds last_sync_duration{0};
  std::chrono::microseconds sync_duration_max{0};
  uint64_t syncs = 0;
  uint64_t sync_failures = 0;
  uint64_t write_failures = 0;

  uint64_t lost = 0;                  // Sequences that no valid record holds, as far as read.
  uint64_t corrupt_bytes = 0;         // Skipped in segments, as far as read.
  uint64_t abandoned_segments = 0;    // After a failed write or sync.
  uint64_t damaged_files = 0;         // Set aside at the start, renamed to *.damaged.
  uint64_t discarded_collectors = 0;  // Unmerged totals that a loss of power took.

  // Why the journal takes nothing now; the rings fill, then exchanges are only counted.
  bool failing = false;  // Writing or syncing failed; tried again all the time.
  bool full = false;     // max_bytes reached: the consumer is too far behind.
  // Exchanges are being counted instead of recorded: within the last sync interval, by need.
  bool degraded = false;

  std::vector<RingStatus> rings;
  std::vector<EndedStream> ended;
};

}  // namespace weir::journal
