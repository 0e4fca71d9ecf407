#include "app/rebuild_command.h"

#include <fmt/format.h>

#include "app/command_output.h"
#include "app/log.h"
#include "app/offline.h"
#include "codec/iso_time.h"
#include "os/clock.h"
#include "os/files.h"
#include "pipeline/rebuild.h"

namespace weir::app {
namespace {

using pipeline::Difference;
using pipeline::RebuildReport;

constexpr int kExitFailed = 2;

void print_report(const cli::CommandLine& line, const RebuildReport& report) {
  Json differences = Json::array();
  for (const Difference& each : report.differences) {
    differences.push_back({{"table", each.table},
                           {"when", each.when},
                           {"path", each.path.empty() ? Json() : Json(each.path)},
                           {"what", each.what}});
  }
  Json skipped = Json::array();
  for (const pipeline::SkippedDay& each : report.skipped)
    skipped.push_back({{"day", codec::iso_day(each.day)}, {"why", each.why}});
  if (line.json) {
    print_json({{"days", report.days},
                {"rows", report.rows},
                {"sketches", report.sketches},
                {"sketches_left", report.sketches_left},
                {"differing", report.differing},
                {"set", !line.check},
                {"differences", differences},
                {"skipped", skipped}});
    return;
  }
  if (!differences.empty()) print_rows(line, differences, {"table", "when", "path", "what"});
  for (const pipeline::SkippedDay& each : report.skipped)
    print(fmt::format("{}: skipped, {}\n", codec::iso_day(each.day), each.why));
  print(fmt::format("{} days, {} hourly rows and {} sketches compared, {} differ{}\n", report.days,
                    report.rows, report.sketches, report.differing,
                    report.differing > 0 && !line.check ? " and were set right" : ""));
  if (report.sketches_left > 0) {
    print(
        fmt::format("{} sketches hold sampled events that are not archived yet, or are not"
                    " written yet: left as they are\n",
                    report.sketches_left));
  }
}

int rebuild(const cli::CommandLine& line, const pipeline::RebuildOptions& options,
            sqlite::Database* writer) {
  os::RealFiles files;
  const os::RealClock clock;
  Reader reader{line.data_dir};
  if (!reader.open()) return kExitFailed;
  const auto store = open_objects(files, clock, line.data_dir);
  if (store == nullptr) return kExitFailed;
  const std::atomic<bool> never{false};
  pipeline::Rebuild rebuild{reader.database, writer, *store, clock, options};
  const base::Result<RebuildReport> report =
      rebuild.run({.cancelled = never, .progress = progress_on_terminal(clock, "rebuild", "days")});
  if (!report.ok()) {
    complain(fmt::format("the archive cannot be counted: {} {}", report.error().what.view(),
                         reader.database.message()));
    return kExitFailed;
  }
  print_report(line, report.value());
  const bool left = line.check && report.value().differing > 0;
  return left || !report.value().skipped.empty() ? 1 : 0;
}

}  // namespace

int run_stats_rebuild(const cli::CommandLine& line) {
  pipeline::RebuildOptions options;
  if (!days_asked(line, options.first_day, options.last_day)) return kExitFailed;
  if (line.check) {
    flush(line.data_dir);
    return rebuild(line, options, nullptr);
  }
  Offline offline{line.data_dir};
  if (!offline.open("only compare, with --check")) return kExitFailed;
  const int code = rebuild(line, options, &offline.database());
  static_cast<void>(offline.database().checkpoint_passive());  // Else the next start does it.
  return code;
}

}  // namespace weir::app
