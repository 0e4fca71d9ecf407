#include "app/compact_command.h"

#include <fmt/format.h>

#include "app/command_output.h"
#include "app/housekeeping.h"
#include "app/log.h"
#include "app/offline.h"
#include "codec/iso_time.h"
#include "objects/directory_store.h"
#include "os/clock.h"
#include "os/files.h"
#include "pipeline/compaction.h"

namespace weir::app {

int run_objects_compact(const cli::CommandLine& line) {
  const base::Result<int64_t> day = codec::parse_iso_day(line.key);
  if (!day.ok()) {
    complain(fmt::format("{}: not a date such as 2026-11-23", line.key));
    return 1;
  }
  Offline offline{line.data_dir};
  if (!offline.open("let it do so, with weir jobs run compact")) return 1;
  Reader reader{line.data_dir};
  if (!reader.open()) return 1;
  os::RealFiles files;
  const os::RealClock clock;
  auto store =
      objects::DirectoryStore::open(files, clock, {.directory = objects_path(line.data_dir)});
  if (!store.ok()) {
    complain(fmt::format("{}: no object store that can be written: {}", objects_path(line.data_dir),
                         store.error().what.view()));
    return 1;
  }
  const auto logger = make_logger(clock, config::LogFormat::text);
  sqlite::DirectWriter writer{offline.database()};
  const std::atomic<bool> never{false};
  pipeline::Compaction compaction{writer, reader.database, *store.value(), clock, *logger};
  const auto outcome = compaction.run_day(day.value(), {.cancelled = never, .progress = {}});
  if (!outcome.ok()) {
    complain(fmt::format("{}: {}", line.key, outcome.error().what.view()));
    return 1;
  }
  static_cast<void>(offline.database().checkpoint_passive());  // Else the next start does it.
  const pipeline::CompactOutcome& done = outcome.value();
  if (line.json) {
    print_json({{"date", line.key}, {"parts", done.parts}, {"rows", done.rows}});
  } else if (done.days == 0) {
    print(fmt::format("{}: not several parts that are all cleaned; nothing is done\n", line.key));
  } else {
    print(fmt::format("{}: {} parts, {} rows in one object\n", line.key, done.parts, done.rows));
  }
  return 0;
}

}  // namespace weir::app
