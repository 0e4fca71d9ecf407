#pragma once
// The hourly rows, totals and sketches as they follow from the archive and the events that are
// still in the database: to compare them with what the consumer wrote, or to write them again.
//
//   adjustments: archived parts, then rows ─┐
//   events: archived parts as far as they   ├─► hours of a day ─► compare ─► differences
//   are cleaned, then rows                 ─┘                        └─► set the rows
//
// It adds up events anew and reads none of the rows that it checks, with one exception: sketches of
// what sampling left out cannot be made again from anything; the archive keeps those sketches as
// they stood, and where it does not have them yet, such a sketch is left alone and counted.
//
// What it cannot tell it says, and skips: days that are being counted while it reads; counts of an
// earlier version that kept no adjustments.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "objects/objects.h"
#include "pipeline/archiver.h"
#include "sqlite/database.h"

namespace weir::pipeline {

struct RebuildOptions {
  int64_t first_day = 0;  // Unix days, both included.
  int64_t last_day = INT64_MAX;
  // Rows of an hour and path that are held at a time, as the database counts them; one hour is held
  // in any case, and a whole day where its sketches are merged.
  uint64_t rows_max = 20'000;
  size_t differences_max = 1000;  // More are counted, and not described.
};

// One row that is not what it should be.
struct Difference {
  std::string table;  // `hourly`, `totals`, `sketches`, `daily_sketches`.
  std::string when;   // `2025-10-15T14`, or a date.
  std::string path;   // Empty: all paths together.
  std::string what;   // The first column that differs, with both values; `missing`; `too much`.
};

struct SkippedDay {
  int64_t day = 0;
  std::string why;
};

struct RebuildReport {
  uint64_t days = 0;
  uint64_t rows = 0;           // Of hourly, compared.
  uint64_t sketches = 0;       // Compared.
  uint64_t sketches_left = 0;  // Not to be told from the archive yet.
  uint64_t differing = 0;
  std::vector<Difference> differences;
  std::vector<SkippedDay> skipped;
};

// Ownership: borrows all it is given.
// Threading: one thread at a time, which is the thread of its Databases.
// Limits: memory of RebuildOptions::rows_max rows with their sketches.
class Rebuild {
 public:
  // `writer` null: only compares; `reader` may then be of a running node. Else a connection of its
  // own, and no other one writes.
  Rebuild(sqlite::Database& reader, sqlite::Database* writer, objects::Store& store,
          const base::Clock& clock, RebuildOptions options)
      : reader_(reader), writer_(writer), store_(store), clock_(clock), options_(options) {}

  // Blocks. Progress is in days. Rows are set in transactions of their own, each right by itself:
  // after a kill it is done again. Errors: cancelled; corrupt: an archive is damaged; not_found:
  // one is missing; those of the stores.
  base::Result<RebuildReport> run(const Work& work);

 private:
  class Day;

  base::Result<std::vector<int64_t>> days();
  base::Status run_day(int64_t day, const Work& work, RebuildReport& report);

  sqlite::Database& reader_;
  sqlite::Database* const writer_;
  objects::Store& store_;
  const base::Clock& clock_;
  const RebuildOptions options_;
};

}  // namespace weir::pipeline
