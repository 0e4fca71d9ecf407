#pragma once
// What was counted in the last 24 hours, to the moment, and in the 24 hours before them.
//
// Counts are kept by hour, and both windows begin within one:
//
//        now − 48 h                now − 24 h                  now
//   ├──────╂────┼──── … ────┼────────╂─────┼──── … ────┼────────┤
//    edge hour   23 whole    edge hour      23 whole    running hour
//               hours of `totals`, `hourly`
//
// What an edge hour has after the window's beginning is counted by its events, which `event_zones`
// finds without a look at others. Two things are shared out by time instead, as if they had come
// evenly over the hour, and then `approximate` says so: exchanges without a detail row (sampled
// out, totals only, degraded), which are known by hour only; and whole edge hours that lie in more
// than EdgeLimits::zones_max zones, which would take too long to read (and are even enough).
// The running hour counts whole: what a clock that went back left ahead of it, too.

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "sqlite/database.h"

namespace weir::pipeline {

inline constexpr int64_t kWindowHours = 24;

struct WindowSums {
  uint64_t requests = 0;
  uint64_t errors = 0;
  uint64_t cache_hits = 0;
  uint64_t us_sum = 0;
  uint64_t us_count = 0;

  WindowSums& operator+=(const WindowSums& other);
};

// Of an edge hour, what came at a moment within it or later.
struct WindowEdge {
  WindowSums sum;
  std::unordered_map<int64_t, WindowSums> paths;  // By path_id.
  bool approximate = false;
};

struct EdgeLimits {
  size_t zones_max = 64;  // Half a million events: some 0.1 s.
};

// The edge at `from_ms`. Errors of all: those of sqlite/database.h.
base::Result<WindowEdge> window_edge(sqlite::Database& reader, int64_t from_ms,
                                     const EdgeLimits& limits = {});

struct WindowTotals {
  WindowSums last;               // Of the last 24 hours.
  uint64_t requests_before = 0;  // Of the 24 hours before.
  bool approximate = false;
};

// `edge` is the one at `now_ms` − 24 h. Reads 49 rows, and the other edge.
base::Result<WindowTotals> window_totals(sqlite::Database& reader, int64_t now_ms,
                                         const WindowEdge& edge, const EdgeLimits& limits = {});

struct WindowPath {
  std::string path;
  uint64_t requests = 0;
  uint64_t errors = 0;
};

// The `count` paths with most requests in the last 24 hours, most first, then the oldest path.
// Reads all hourly rows of these hours; keeps no more than `count` paths and those of `edge`.
base::Result<std::vector<WindowPath>> window_top_paths(sqlite::Database& reader, int64_t now_ms,
                                                       const WindowEdge& edge, size_t count);

}  // namespace weir::pipeline
