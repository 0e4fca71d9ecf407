#pragma once
// Rows of `hourly`, `totals` and the sketches, read to be compared with what an archive says they
// should be, and set to it. Nothing here adds to a row: that is what the consumer does.
//
// Errors of all: those of sqlite/database.h. Threading: the thread of the Database.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "sqlite/database.h"
#include "stats/adjust_line.h"
#include "stats/derived.h"
#include "stats/stats.h"

namespace weir::stats {

// A row of `hourly`, or of `totals`: then without path and route.
struct CountedRow {
  std::string path;
  std::string route;
  bool partial = false;
  Counts counts;
};

base::Status read_hour(sqlite::Database& database, int64_t hour,
                       const std::function<base::Status(const CountedRow&)>& each);
base::Result<std::optional<CountedRow>> read_total(sqlite::Database& database, int64_t hour);

// How long a sketch row lasts: the tables `sketches` and `daily_sketches`.
enum class Span : uint8_t { hour, day };

// `path` empty: all paths together. Rows that cannot be decoded come with empty sketches.
base::Status read_sketches(
    sqlite::Database& database, Span span, int64_t at,
    const std::function<base::Status(std::string_view path, const SketchRow&)>& each);

// The row of one path, by its number; `at` is an hour or a day. In the caller's transaction.
struct SketchPlace {
  int64_t at = 0;
  int64_t path_id = 0;
};
base::Status set_sketch_row(sqlite::Database& database, Span span, SketchPlace place,
                            const SketchRow& row);

// Sets rows to what they should be, whatever they are.
// Ownership: borrows a Database that writes. Transactions are the caller's.
// Threading: the thread of its Database.
class RowSetter {
 public:
  RowSetter(sqlite::Database& database, base::Wall now) : database_(database), now_(now) {}

  base::Status set_hour(int64_t hour, const CountedRow& row);
  base::Status set_total(int64_t hour, const CountedRow& row);
  base::Status set_sketches(Span span, int64_t at, std::string_view path, const SketchRow& row);
  base::Status remove_hour(int64_t hour, std::string_view path);
  base::Status remove_total(int64_t hour);
  base::Status remove_sketches(Span span, int64_t at, std::string_view path);

 private:
  base::Result<int64_t> path_id(std::string_view path);
  base::Status note_change();

  sqlite::Database& database_;
  const base::Wall now_;
};

}  // namespace weir::stats
