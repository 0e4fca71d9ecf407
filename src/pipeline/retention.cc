#include "pipeline/retention.h"

#include <algorithm>
#include <functional>

#include "codec/iso_time.h"
#include "stats/retention.h"

namespace weir::pipeline {
namespace {

// Of one command, so that it takes some 20 ms.
constexpr int64_t kRowsPerSlice = 5000;
constexpr int64_t kSketchesPerSlice = 200;

using Piece = std::function<base::Result<bool>(sqlite::Database&)>;

// Sends `piece` until it finds nothing more to do.
base::Status run_all(sqlite::Writer& writer, const Work& work, const Piece& piece) {
  for (bool done = false; !done;) {
    if (work.cancelled.load(std::memory_order_relaxed)) return base::cancelled("retention");
    const auto command = [&](sqlite::Database& database) -> base::Status {
      done = WEIR_TRY(piece(database));
      return {};
    };
    WEIR_TRY(writer.run(command));
  }
  return {};
}

base::Status raise(sqlite::Writer& writer, stats::Bound bound, int64_t day) {
  return writer.run(
      [&](sqlite::Database& database) { return stats::raise_bound(database, bound, day); });
}

}  // namespace

base::Result<RetentionOutcome> retain(sqlite::Writer& writer, sqlite::Database& reader,
                                      const base::Clock& clock, const RetentionOptions& options,
                                      const Work& work) {
  int64_t today = codec::unix_day_of_ms(base::unix_ms(clock.wall()));
  const auto look = [&](sqlite::Database& database) -> base::Status {
    today = WEIR_TRY(stats::trusted_day(database, today));
    return {};
  };
  WEIR_TRY(writer.run(look));
  const int64_t proven = WEIR_TRY(stats::first_unproven_day(reader));
  // The newest hour may be open in the consumer's memory, however old it is.
  const int64_t newest = WEIR_TRY(
      reader.query_int("SELECT ifnull(max(hour) / 24, 9223372036854775807) FROM sketches"));
  RetentionOutcome outcome{
      .hourly_from = std::min(today - options.hourly_days, proven),
      .sketches_from = std::min({today - options.sketch_hours_days, proven, newest})};

  WEIR_TRY(raise(writer, stats::Bound::sketches, outcome.sketches_from));
  WEIR_TRY(run_all(writer, work, [&](sqlite::Database& database) {
    return stats::merge_sketches(database, outcome.sketches_from, kSketchesPerSlice,
                                 outcome.damaged_sketches);
  }));
  WEIR_TRY(raise(writer, stats::Bound::hourly, outcome.hourly_from));
  bool hours_dropped = false;
  const Piece drop_hours = [&](sqlite::Database& database) -> base::Result<bool> {
    const bool none_left =
        WEIR_TRY(stats::drop_hours(database, outcome.hourly_from, kRowsPerSlice));
    hours_dropped = hours_dropped || !none_left;
    return none_left;
  };
  WEIR_TRY(run_all(writer, work, drop_hours));
  if (hours_dropped) {  // Only that leaves paths without an hour.
    int64_t path = 0;
    WEIR_TRY(run_all(writer, work, [&](sqlite::Database& database) {
      return stats::drop_paths(database, path, kRowsPerSlice);
    }));
  }
  WEIR_TRY(raise(writer, stats::Bound::clients, outcome.hourly_from));
  WEIR_TRY(run_all(writer, work, [&](sqlite::Database& database) {
    return stats::drop_clients(database, outcome.hourly_from, kRowsPerSlice);
  }));
  WEIR_TRY(run_all(writer, work, [&](sqlite::Database& database) {
    return stats::drop_zones(database, kRowsPerSlice);
  }));
  return outcome;
}

}  // namespace weir::pipeline
