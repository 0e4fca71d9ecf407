#pragma once
// Where events of some time lie: `events` has no index over time, `event_zones` stands for it.

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "sqlite/database.h"

namespace weir::pipeline {

// The events with seqs from `first` to `last`, both included.
struct EventZone {
  int64_t first = 0;
  int64_t last = 0;
  int64_t ts_max = 0;  // The latest arrival among them.
};

// All zones that may hold events that arrived at `from_ms` or later and before `end_ms`, newest
// first; they hold others, too. Reads one narrow row for each 8192 events that are kept.
// Errors: those of sqlite/database.h.
base::Result<std::vector<EventZone>> zones_between(sqlite::Database& reader, int64_t from_ms,
                                                   int64_t end_ms);

}  // namespace weir::pipeline
