#include "app/rebuild_command.h"

#include <cstdio>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "app/command_output.h"
#include "app/housekeeping.h"
#include "app/log.h"
#include "app/offline.h"
#include "codec/iso_time.h"
#include "objects/directory_store.h"
#include "os/clock.h"
#include "os/files.h"
#include "pipeline/rebuild.h"

namespace weir::app {
namespace {

using pipeline::Difference;
using pipeline::RebuildReport;

constexpr int kExitFailed = 2;

// The days asked for; says what is no date.
std::optional<pipeline::RebuildOptions> options_of(const cli::CommandLine& line) {
  pipeline::RebuildOptions options;
  for (const auto& [text, day] : {std::pair{&line.from_date, &options.first_day},
                                  std::pair{&line.to_date, &options.last_day}}) {
    if (text->empty()) continue;
    const base::Result<int64_t> parsed = codec::parse_iso_day(*text);
    if (!parsed.ok()) {
      complain(fmt::format("{}: not a date such as 2026-11-23", *text));
      return std::nullopt;
    }
    *day = parsed.value();
  }
  return options;
}

pipeline::Work work_on(const std::atomic<bool>& cancelled) {
  pipeline::Work work{.cancelled = cancelled, .progress = {}};
  if (::isatty(STDERR_FILENO) == 0) return work;
  work.progress = [](uint64_t done, uint64_t total) {
    if (total == 0) return;
    fmt::print(stderr, "\rrebuild: {} of {} days{}", done, total, done == total ? "\n" : " ");
    std::fflush(stderr);
  };
  return work;
}

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
  auto store = objects::DirectoryStore::open(
      files, clock,
      {.directory = objects_path(line.data_dir), .access = objects::Access::read_only});
  if (!store.ok()) {
    complain(fmt::format("{}: no object store that can be read: {}", objects_path(line.data_dir),
                         store.error().what.view()));
    return kExitFailed;
  }
  const std::atomic<bool> never{false};
  pipeline::Rebuild rebuild{reader.database, writer, *store.value(), clock, options};
  const base::Result<RebuildReport> report = rebuild.run(work_on(never));
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
  const std::optional<pipeline::RebuildOptions> options = options_of(line);
  if (!options) return kExitFailed;
  if (line.check) {
    flush(line.data_dir);
    return rebuild(line, *options, nullptr);
  }
  Offline offline{line.data_dir};
  if (!offline.open("only compare, with --check")) return kExitFailed;
  const int code = rebuild(line, *options, &offline.database());
  static_cast<void>(offline.database().checkpoint_passive());  // Else the next start does it.
  return code;
}

}  // namespace weir::app
