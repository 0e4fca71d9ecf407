#pragma once
// Counts without detail rows on their way into the archive: the tables `adjustments`, which the
// consumer adds to, and `adjust_parts`, which says what is archived.
//
// A part is the rows of `adjustments` of one UTC day and one number. The ledger of the day says
// which number commits add to; beginning a part raises it, so that what a part holds never changes
// afterwards, and what comes late gets the next one.
//
//   (nothing) ──begin──► pending ──complete──► completed ──clean_adjust_slice()…──► cleaned
//                           └──fail──► failed: begun again as it is
//
// How many requests a part must hold is known from the ledger, which other code counts.
//
// Functions take the Database of their thread: those that write run on the writing one, as short
// commands (sqlite/writer.h). Errors of all: those of sqlite/database.h.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "codec/sha256.h"
#include "sqlite/database.h"
#include "stats/adjust_line.h"

namespace weir::stats {

struct AdjustPart {
  int64_t day = 0;  // Unix days.
  int64_t part = 1;
  std::string key;             // Of the object.
  uint64_t through = 0;        // The last seq when it was begun.
  uint64_t requests = 0;       // By the ledger.
  codec::Digest raw_sha256{};  // Of the lines; once it is completed.
  bool completed = false;
  bool cleaned = false;  // Its rows are deleted.
};

// What was written and read back.
struct AdjustObject {
  uint64_t rows = 0;
  uint64_t requests = 0;
  uint64_t raw_bytes = 0;
  uint64_t bytes = 0;
  codec::Digest raw_sha256{};
};

// `traffic-events/{date}.adjust.jsonl.gz`, then `.adjust.part2` and so on before `.jsonl.gz`.
std::string adjust_key(int64_t day, int64_t part);

// As begin_part() of archive_parts.h. On the writing thread.
base::Result<std::optional<AdjustPart>> begin_adjust_part(sqlite::Database& database,
                                                          base::Wall now, int64_t age_days);
base::Status complete_adjust_part(sqlite::Database& database, const AdjustPart& part,
                                  const AdjustObject& object, base::Wall now);
base::Status fail_adjust_part(sqlite::Database& database, const AdjustPart& part,
                              std::string_view error);

// All parts of a day, in order.
base::Result<std::vector<AdjustPart>> adjust_parts_of(sqlite::Database& database, int64_t day);
// Completed parts whose rows are not all deleted, oldest first.
base::Result<std::vector<AdjustPart>> adjust_parts_to_clean(sqlite::Database& database);

// Deletes up to `rows_max` rows of a completed part in one transaction; with the last of them the
// part is cleaned. True: it is. On the writing thread.
base::Result<bool> clean_adjust_slice(sqlite::Database& database, const AdjustPart& part,
                                      int64_t rows_max);

// Calls `each` for the rows of a part in the order of hour and path, each in a read transaction of
// its own page; then for each hour with folded events once without path. Sketches are those stored
// now. Requires that they hold all up to part.through: else conflict.
base::Status read_adjust_part(sqlite::Database& database, const AdjustPart& part,
                              const std::function<base::Status(const Adjustment&)>& each);

// The same for all rows of a day that are not in completed parts; without sketches.
base::Status read_live_adjustments(sqlite::Database& database, int64_t day,
                                   const std::function<base::Status(const Adjustment&)>& each);

}  // namespace weir::stats
