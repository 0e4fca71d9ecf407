#include "app/stats_commands.h"

#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "app/command_output.h"
#include "app/log.h"
#include "codec/iso_time.h"
#include "os/clock.h"
#include "stats/sqlite_stats.h"

namespace weir::app {
namespace {

constexpr size_t kNamesShown = 5;

double ms(uint64_t us) {
  return static_cast<double>(us) / 1000.0;
}

// `name` says what the row is: {"path": "/kv"}, {"hour": "2025-10-15T14"}.
Json json_of(Json name, const stats::TopPath& path) {
  const stats::Counts& counts = path.counts;
  const bool timed = counts.us_count > 0;
  Json json{{"requests", counts.requests}, {"errors", counts.errors}};
  json["avg_ms"] = timed ? Json(ms(counts.us_sum) / static_cast<double>(counts.us_count)) : Json();
  const auto& estimates = path.estimates;
  json["p50_ms"] = estimates ? Json(ms(estimates->p50_us)) : Json();
  json["p95_ms"] = estimates ? Json(ms(estimates->p95_us)) : Json();
  json["p99_ms"] = estimates ? Json(ms(estimates->p99_us)) : Json();
  json["max_ms"] = counts.us_max ? Json(ms(*counts.us_max)) : Json();
  json["unique_clients"] = estimates ? Json(estimates->unique_clients) : Json();
  name.update(json);
  return name;
}

std::vector<std::string> columns(const char* first) {
  return {first,    "requests", "errors", "avg_ms",        "p50_ms",
          "p95_ms", "p99_ms",   "max_ms", "unique_clients"};
}

// The hour that runs is the last of them.
int64_t first_hour(const cli::CommandLine& line) {
  const os::RealClock clock;
  const int64_t hour = codec::unix_hour_of_ms(base::unix_ms(clock.wall()));
  return hour - static_cast<int64_t>(line.hours) + 1;
}

int cannot_read(const stats::SqliteStats& stats) {
  complain(fmt::format("the statistics cannot be read: {}", stats.last_error()));
  return 1;
}

// Nothing was counted under that path: says so, and what may have been meant.
int refuse_path(const cli::CommandLine& line, stats::SqliteStats& stats) {
  const auto similar = stats.similar_paths(line.path, kNamesShown);
  if (!similar.ok()) return cannot_read(stats);
  std::string text = fmt::format("{}: no requests in the last {} hours", line.path, line.hours);
  std::string names;
  for (const std::string& name : similar.value()) {
    if (name != line.path) names += "\n  " + name;
  }
  if (!names.empty()) text += "; paths like it:" + names;
  complain(text);
  return 1;
}

}  // namespace

int run_stats_top(const cli::CommandLine& line) {
  flush(line.data_dir);
  Reader reader{line.data_dir};
  if (!reader.open()) return 1;
  stats::SqliteStats stats{reader.database, 0};
  const auto top = stats.top_paths(first_hour(line), line.limit);
  if (!top.ok()) return cannot_read(stats);
  Json rows = Json::array();
  for (const stats::TopPath& path : top.value())
    rows.push_back(json_of({{"path", path.path}}, path));
  print_rows(line, rows, columns("path"));
  return 0;
}

int run_stats_path(const cli::CommandLine& line) {
  flush(line.data_dir);
  Reader reader{line.data_dir};
  if (!reader.open()) return 1;
  stats::SqliteStats stats{reader.database, 0};
  const auto found = stats.path_hours(line.path, first_hour(line));
  if (!found.ok()) return cannot_read(stats);
  if (found.value().hours.empty()) return refuse_path(line, stats);
  Json rows = Json::array();
  for (const stats::TopPath& hour : found.value().hours)
    rows.push_back(json_of({{"hour", codec::hour_bucket(hour.newest_hour)}}, hour));
  if (line.json) {
    print_json({{"path", line.path},
                {"hours", rows},
                {"sum", json_of(Json::object(), found.value().sum)}});
    return 0;
  }
  rows.push_back(json_of({{"hour", "sum"}}, found.value().sum));
  print_rows(line, rows, columns("hour"));
  return 0;
}

}  // namespace weir::app
