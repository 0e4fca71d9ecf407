#pragma once
// The snapshot of the busiest paths, published in the KV store for dashboards and scripts: they
// read one small value instead of querying the database.
//
// Keys (spec 10.1): `snapshot:config` {version, timestamp, count, timeRange}, `snapshot:v{N}:paths`
// (the items) and `snapshot:latest` (the same items), written in one transaction together with the
// removal of versions older than the newest kVersionsKept.

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "kv/kv.h"
#include "stats/stats.h"

namespace weir::pipeline {

inline constexpr uint64_t kVersionsKept = 5;
inline constexpr size_t kSnapshotPaths = 100;
inline constexpr int64_t kSnapshotHours = 24;

struct Snapshot {
  uint64_t version = 0;  // 0: there was nothing to publish.
  size_t paths = 0;
};

// The first hour that a snapshot made `now` tells of.
int64_t first_snapshot_hour(base::Wall now);

// Reads the top paths of the last kSnapshotHours hours and publishes them.
// Blocks for the store. Errors: those of Stats and Kv.
base::Result<Snapshot> publish_snapshot(stats::Stats& stats, kv::Kv& kv, base::Wall now);

// When to publish: after every `batches` batches, but at most once per `interval`; when a new hour
// begins; when asked to.
// Threading: the consumer thread.
class SnapshotSchedule {
 public:
  struct Rules {
    uint32_t batches = 10;
    std::chrono::milliseconds interval{1000};
  };

  explicit SnapshotSchedule(Rules rules) : rules_(rules) {}

  void batch_done() { ++batches_; }
  void request() { requested_ = true; }

  bool due(base::Monotonic now, base::Wall wall) const;
  // After an attempt that began at `now` and ended at `end`. A slow one makes the next wait ten
  // times as long as it took, so that snapshots never take more than a tenth of the consumer.
  void done(base::Monotonic now, base::Monotonic end, base::Wall wall);

 private:
  const Rules rules_;
  uint32_t batches_ = 0;
  bool requested_ = false;
  bool published_ = false;
  int64_t hour_ = 0;
  base::Monotonic not_before_{};
};

}  // namespace weir::pipeline
