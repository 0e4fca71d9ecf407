#pragma once
// How long the statistics are kept: which rows may go, and their deletion in short pieces.
//
// Nothing goes that belongs to a day whose events and adjustments are not all archived, proven and
// cleaned: first_unproven_day() is where every deletion ends. A bound in `meta` says from which day
// on rows are whole; it is raised before the first row goes, so that an audit never compares what
// is half deleted.
//
// Functions take the Database of their thread; those that delete run on the writing one, as short
// commands (sqlite/writer.h), and return whether nothing is left to do. Errors of all: those of
// sqlite/database.h.

#include <cstdint>

#include "base/result.h"
#include "sqlite/database.h"

namespace weir::stats {

// INT64_MAX: every day is proven.
base::Result<int64_t> first_unproven_day(sqlite::Database& database);

// Names in `meta`.
enum class Bound : uint8_t {
  hourly,    // hourly_from_day: hourly rows and totals.
  clients,   // clients_from_day: rows of clients.
  sketches,  // sketches_from_day: sketches of hours; days before have merged ones.
};
// Never lowers it.
base::Status raise_bound(sqlite::Database& database, Bound bound, int64_t day);

// The day that ages are counted from: `today` (Unix days), unless the clock went ahead by more than
// kLeapDays since the last call. Then it is the day of that call, until the clock has stood there
// for kLeapTrustDays: one that is wrong for a night must not delete years of statistics, nor raise
// the bounds above for decades. Calls come once a day.
inline constexpr int64_t kLeapDays = 31;
inline constexpr int64_t kLeapTrustDays = 7;
base::Result<int64_t> trusted_day(sqlite::Database& database, int64_t today);

// Hourly rows of the days before `day`, then their totals and merged sketches.
base::Result<bool> drop_hours(sqlite::Database& database, int64_t day, int64_t rows_max);
base::Result<bool> drop_clients(sqlite::Database& database, int64_t day, int64_t rows_max);
// Paths without a row of `hourly`: then nothing else names them, as the hours of a day outlast all
// other rows of it. Looks at paths from `after` on, which moves; counts each deletion in `meta`,
// for those who remember numbers of paths.
base::Result<bool> drop_paths(sqlite::Database& database, int64_t& after, int64_t rows_max);
// How many were dropped so far. Numbers of paths that were learnt at another count may be wrong.
base::Result<int64_t> paths_dropped(sqlite::Database& database);
// Zones that hold no event any more.
base::Result<bool> drop_zones(sqlite::Database& database, int64_t rows_max);

// Merges sketches of hours of the days before `day` into one for each path and day. Requires that
// all events of these rows are written to them: else conflict. What is damaged is left out, and
// counted in `damaged`: the other rows must not wait for it, and the archive has it still.
base::Result<bool> merge_sketches(sqlite::Database& database, int64_t day, int64_t rows_max,
                                  uint64_t& damaged);

}  // namespace weir::stats
