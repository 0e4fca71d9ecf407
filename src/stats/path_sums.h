#pragma once
// Sums over hours of `hourly`, path by path, and the largest of them: in memory that does not grow
// with the number of paths.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "base/result.h"
#include "sqlite/database.h"

namespace weir::stats {

struct PathSum {
  int64_t path_id = 0;
  uint64_t requests = 0;
  uint64_t errors = 0;
};

// Calls `each` once for every path with a row in the hours from `first_hour` to `last_hour`, both
// included, in the order of path_id. Each hour with traffic is a statement while it is read.
// Errors: those of sqlite/database.h.
base::Status for_each_path(sqlite::Database& database, int64_t first_hour, int64_t last_hour,
                           const std::function<void(const PathSum&)>& each);

// Keeps the sums with most requests.
// Threading: one thread at a time.
// Limits: `count` sums.
class TopSums {
 public:
  explicit TopSums(size_t count) : count_(count) {}

  void offer(const PathSum& sum);

  // Most requests first, then the oldest path; afterwards nothing is kept.
  std::vector<PathSum> take();

 private:
  struct Before {
    bool operator()(const PathSum& a, const PathSum& b) const {
      return a.requests != b.requests ? a.requests > b.requests : a.path_id < b.path_id;
    }
  };

  const size_t count_;
  std::priority_queue<PathSum, std::vector<PathSum>, Before> sums_;  // The last one on top.
};

}  // namespace weir::stats
