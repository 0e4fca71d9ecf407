#pragma once
// Sums over hours of `hourly`, path by path, and the largest of them: in bounded memory, however
// many paths there are.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sqlite/database.h"

namespace weir::stats {

struct PathSum {
  int64_t path_id = 0;
  uint64_t requests = 0;
  uint64_t errors = 0;
};

// Reads the sums, and remembers the hours that are over in a compact form: reading a row again
// costs a twentieth of what SQLite takes for it. An hour is remembered with the figures that
// `totals` and the count of rows set by hand (rebuilt_rows.h) had before it was read, and read
// again when they have changed: whatever changes a row of `hourly` changes one of them.
//
// Ownership: borrows the database.
// Threading: as its database.
// Limits: Options::bytes_max for what is remembered, some 6 bytes a row; beyond it hours are read
// anew each time. Hours outside the last range that was asked for are forgotten.
class PathSums {
 public:
  struct Options {
    size_t bytes_max = 32 * 1024 * 1024;  // 0: nothing is remembered.
  };

  explicit PathSums(sqlite::Database& database) : PathSums(database, Options{}) {}
  PathSums(sqlite::Database& database, Options options);

  // Calls `each` once for every path with a row in the hours from `first_hour` to `last_hour`, both
  // included, in the order of path_id. Each hour with traffic is a statement while it is read.
  // Errors: those of sqlite/database.h.
  base::Status for_each(int64_t first_hour, int64_t last_hour,
                        const std::function<void(const PathSum&)>& each);

  // Reads and remembers the first hour from `first_hour` to `last_hour` that is not remembered, so
  // that for_each() takes less long at once: some 20 ms for 40,000 paths. Returns the hour to go on
  // with; none: there is no such hour. Errors: those of sqlite/database.h.
  base::Result<std::optional<int64_t>> read_ahead(int64_t first_hour, int64_t last_hour);

  // Of all that is remembered.
  size_t bytes() const { return bytes_; }

 private:
  // What changes with the rows of an hour.
  struct Stamp {
    uint64_t requests = 0;
    uint64_t errors = 0;
    int64_t rows_set = 0;

    bool operator==(const Stamp&) const = default;
  };
  struct Hour {
    Stamp stamp;
    std::string rows;  // For each: path_id less that before it, requests, errors, as varints.
  };
  class Cursor;

  base::Result<std::map<int64_t, Stamp>> stamps(int64_t first_hour, int64_t last_hour);
  void forget_all_but(const std::map<int64_t, Stamp>& stamps);
  base::Result<Cursor> read_hour(int64_t hour, const Stamp& stamp, size_t bytes_max);
  void remember(Cursor& cursor);

  sqlite::Database& database_;
  const Options options_;
  std::map<int64_t, Hour> hours_;
  size_t bytes_ = 0;  // Of hours_.
};

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
