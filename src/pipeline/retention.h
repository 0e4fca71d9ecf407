#pragma once
// The job that lets statistics go when they are old enough (stats/retention.h says which may).
//
//   hourly rows, totals, merged sketches   after RetentionOptions::hourly_days
//   rows of clients                        after the same time
//   sketches of hours                      after 35 days: merged to one for each path and day;
//                                          those of the newest day with traffic stay
//
// Days are counted from the clock's, but not from one that just went ahead by more than a month
// (stats::trusted_day()).
//
// Events and adjustments are not its business: clean-up deletes them, with proofs. The ledger of
// days, dead letters and the history of jobs stay.

#include <cstdint>

#include "base/clock.h"
#include "base/result.h"
#include "pipeline/archiver.h"
#include "sqlite/database.h"
#include "sqlite/writer.h"

namespace weir::pipeline {

struct RetentionOptions {
  int64_t hourly_days = 400;
  int64_t sketch_hours_days = 35;
};

struct RetentionOutcome {
  int64_t hourly_from = 0;  // Unix days: all rows from here on are kept.
  int64_t sketches_from = 0;
  // Left out of the days that they were merged into; `weir stats rebuild` brings them back.
  uint64_t damaged_sketches = 0;
};

// May be stopped and begun again at any moment. Threading: not the writing Database's thread.
// Errors: cancelled; conflict: sketches are not written yet; those of the database.
base::Result<RetentionOutcome> retain(sqlite::Writer& writer, sqlite::Database& reader,
                                      const base::Clock& clock, const RetentionOptions& options,
                                      const Work& work);

}  // namespace weir::pipeline
