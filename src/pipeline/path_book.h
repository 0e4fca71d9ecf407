#pragma once
// Decides which paths get a row of their own in an hour, and which are counted under `__other__`,
// so that no client can make the tables grow without bound.
//
// The rules, per UTC hour:
//   - a path that has a row keeps it;
//   - a route may start up to `per_route` paths;
//   - all routes together may start up to `in_all` paths;
//   - requests without a route may start up to `per_route` paths together, and only while fewer
//     than `in_all` paths have rows at all. They take nothing from the routes: an hour holds at
//     most `in_all + per_route` paths, whoever comes first.
// A path here is its template (codec/path_template.h), where it has one.
//
// Totals are exact in any case, because `__other__` is counted like any path.

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/result.h"
#include "codec/seeded_hash.h"
#include "stats/stats.h"

namespace weir::pipeline {

// Ownership: borrows Stats, from which it learns what an hour already holds.
// Threading: the consumer thread.
// Limits: remembers kHoursMax hours, about 40 bytes for each of their paths, so at most 18 MiB with
//   the limits that are set by default; other hours are read again from Stats when they are needed.
class PathBook {
 public:
  struct Limits {
    uint32_t per_route = 10'000;
    uint32_t in_all = 100'000;
  };
  static constexpr size_t kHoursMax = 4;

  PathBook(stats::Stats& stats, Limits limits, uint64_t hash_seed)
      : stats_(stats), limits_(limits), hash_{hash_seed} {}

  // Whether `path` has, or from here on has, a row of its own in `hour` (Unix hours). `route` is
  // empty for requests without one.
  // Blocks for the store when the hour is not remembered. Errors: those of Stats.
  base::Result<bool> admit(int64_t hour, std::string_view path, std::string_view route);

  // From here on. What has a row keeps it, though it be more than the new limits allow.
  void set_limits(Limits limits) { limits_ = limits; }

  // After a transaction that was rolled back: what it admitted has no rows.
  void forget();

 private:
  struct Hour {
    int64_t hour = 0;
    uint64_t used_at = 0;                // For finding the least recently used; 0: empty.
    std::unordered_set<uint64_t> paths;  // Hashes: a collision only admits one path more.
    std::map<std::string, uint32_t, std::less<>> by_route;
    uint32_t routed = 0;
    uint32_t unrouted = 0;
  };

  base::Result<Hour*> hour_of(int64_t hour);
  static void count(Hour& hour, std::string_view route);

  stats::Stats& stats_;
  Limits limits_;
  const codec::SeededHash hash_;
  std::array<Hour, kHoursMax> hours_;
  uint64_t uses_ = 0;
};

}  // namespace weir::pipeline
