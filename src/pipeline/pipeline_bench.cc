// How fast the pipeline is, and what it needs: one measurement per start, one line of JSON each.
// `./dev bench --only pipeline` runs them all; docs/performance.md says what they mean.
//
// Usage: pipeline_bench MEASUREMENT DIRECTORY [EVENTS or PATHS]
//   consumer  EVENTS over 1 000 paths and 10 000 clients from a backlog, everything on
//   memory    EVENTS, each with a path of its own, of a million clients
//   keeping   EVENTS of one past day: archived, proven, deleted, and counted by path from there
//   queries   the snapshots and the top list over 24 hours, PATHS of which each hour has a row

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "codec/path_template.h"
#include "kv/sqlite_kv.h"
#include "objects/directory_store.h"
#include "os/clock.h"
#include "os/files.h"
#include "pipeline/archive_query.h"
#include "pipeline/archiver.h"
#include "pipeline/consumer.h"
#include "pipeline/dashboard.h"
#include "pipeline/geo_snapshot.h"
#include "pipeline/snapshot.h"
#include "pipeline/testing/traffic_journal.h"
#include "sqlite/writer.h"
#include "stats/sqlite_stats.h"

namespace weir::pipeline {
namespace {

using testing::TrafficJournal;
using testing::TrafficShape;
using Seconds = std::chrono::duration<double>;

constexpr int64_t kDayUs = 86'400'000'000;

[[noreturn]] void fail(std::string_view what) {
  fmt::print(stderr, "pipeline_bench: {}\n", what);
  std::exit(1);
}

template <typename T>
T need(base::Result<T> result, std::string_view what) {
  if (!result.ok()) fail(fmt::format("{}: {}", what, result.error().what.view()));
  return std::move(result).value();
}

void need(const base::Status& status, std::string_view what) {
  if (!status.ok()) fail(fmt::format("{}: {}", what, status.error().what.view()));
}

// A figure of /proc/self: `name` in `file`, its first number.
uint64_t own(const char* file, std::string_view name) {
  std::ifstream lines{fmt::format("/proc/self/{}", file)};
  for (std::string word; lines >> word;) {
    uint64_t value = 0;
    if (word == name && lines >> value) return value;
  }
  fail(fmt::format("no {} in {}", name, file));
}

uint64_t peak_bytes() {
  return own("status", "VmHWM:") * 1024;
}

// The peak counts anew from here.
void reset_peak() {
  std::ofstream{"/proc/self/clear_refs"} << 5;
}

struct Timer {
  std::chrono::steady_clock::time_point begun = std::chrono::steady_clock::now();
  double seconds() const { return Seconds{std::chrono::steady_clock::now() - begun}.count(); }
};

// A database, and the consumer that fills it.
struct Store {
  Store(const std::string& directory, journal::Journal& journal)
      : database(directory + "/weir.db", {.schemas = {kv::schema(), stats::schema()}}),
        stats(database, 1),
        kv(database, clock),
        consumer(
            journal, stats, kv, clock, logger,
            {.templates = need(codec::PathTemplates::create({}), "templates"), .hash_seed = 7}) {}

  void drain() {
    while (!consumer.step(Consumer::Close::now).drained) {
      if (!consumer.report().store_alarm.empty()) fail(consumer.report().store_alarm);
    }
  }

  os::RealClock clock;
  base::NullLogger logger;
  sqlite::Database database;
  stats::SqliteStats stats;
  kv::SqliteKv kv;
  Consumer consumer;
};

int64_t now_us() {
  return os::RealClock{}.wall().time_since_epoch().count();
}

void measure_consumer(const std::string& directory, uint64_t events) {
  TrafficJournal journal{{.events = events, .start_us = now_us(), .kept = true}};
  Store store{directory, journal};
  const uint64_t written = own("io", "wchar:");
  const std::clock_t cpu = std::clock();
  const Timer timer;
  store.drain();
  const double seconds = timer.seconds();
  const double cpu_seconds = static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC;
  const auto count = static_cast<double>(events);
  fmt::print(
      R"({{"events":{},"per_second":{:.0f},"per_cpu_second":{:.0f},"bytes_per_event":{:.1f}}})"
      "\n",
      events, count / seconds, count / cpu_seconds,
      static_cast<double>(own("io", "wchar:") - written) / count);
}

void measure_memory(const std::string& directory, uint64_t events) {
  TrafficJournal journal{{.events = events,
                          .paths = events,
                          .clients = 1'000'000,
                          .start_us = now_us() / 3'600'000'000 * 3'600'000'000,
                          .spacing_us = static_cast<int64_t>(3'599'000'000 / events),
                          .distinct = true}};
  Store store{directory, journal};
  const Timer timer;
  store.drain();
  const int64_t rows = need(store.database.query_int("SELECT count(*) FROM hourly"), "rows");
  const int64_t counted =
      need(store.database.query_int("SELECT sum(requests) FROM hourly"), "requests");
  if (counted != static_cast<int64_t>(events)) fail("not every event is counted");
  fmt::print(R"({{"events":{},"seconds":{:.1f},"hourly_rows":{},"peak_bytes":{}}})"
             "\n",
             events, timer.seconds(), rows, peak_bytes());
}

// Runs commands as the consumer's thread would, and notes how long the longest kept it.
class TimingWriter final : public sqlite::Writer {
 public:
  explicit TimingWriter(sqlite::Database& database) : database_(database) {}
  base::Status run(Command command) override {
    const Timer timer;
    base::Status status = command(database_);
    const double took = timer.seconds();
    longest = std::max(longest, took);
    total += took;
    // What the consumer does between two of its batches.
    if (database_.wal_pages() > stats::SqliteStats::kCheckpointPages) {
      need(database_.checkpoint_passive(), "checkpoint");
    }
    return status;
  }
  double longest = 0;  // Seconds.
  double total = 0;

 private:
  sqlite::Database& database_;
};

void measure_keeping(const std::string& directory, uint64_t events) {
  const int64_t day = now_us() / kDayUs - 5;
  TrafficJournal journal{{.events = events,
                          .start_us = day * kDayUs,
                          .spacing_us = (kDayUs - 1) / static_cast<int64_t>(events)}};
  Store store{directory, journal};
  store.drain();
  // The day ends its life three days after it was ingested; here it was, five days ago.
  need(store.database.execute("UPDATE day_ledger SET ingested_day = day"), "ledger");
  os::RealFiles files;
  const auto objects =
      need(objects::DirectoryStore::open(files, store.clock, {.directory = directory + "/objects"}),
           "object store");
  sqlite::Database reader{directory + "/weir.db",
                          {.access = sqlite::Access::query_only, .cache_bytes = 4 << 20}};
  need(reader.open(), "reader");
  TimingWriter writer{store.database};
  const std::atomic<bool> never{false};
  const Work work{never, [](uint64_t, uint64_t) {}};

  reset_peak();
  const uint64_t before = own("status", "VmRSS:") * 1024;
  const Timer archiving;
  Archiver archiver{writer, reader, *objects, store.clock, store.logger, {}};
  const ArchiveOutcome archived = need(archiver.run(work), "archive");
  const double archive_seconds = archiving.seconds();
  const uint64_t grown = peak_bytes() - std::min(peak_bytes(), before);
  if (archived.rows != events) fail(fmt::format("{} rows archived", archived.rows));

  writer.longest = 0;
  writer.total = 0;
  const Timer cleaning;
  const CleanOutcome cleaned =
      need(clean_archived(writer, reader, *objects, store.logger, work), "clean-up");
  const double clean_seconds = cleaning.seconds();
  if (cleaned.rows != events) fail(fmt::format("{} rows deleted", cleaned.rows));

  reset_peak();
  const uint64_t before_loading = own("status", "VmRSS:") * 1024;
  double loaded_seconds = 0;
  const Timer asking;
  const Work loading{never, [&](uint64_t done, uint64_t all) {
                       if (done == all) loaded_seconds = asking.seconds();
                     }};
  ArchiveQuery query{reader, *objects, store.clock, {}};
  const stats::QueryOutcome asked =
      query.run("SELECT path, count(*) FROM traffic_events GROUP BY path",
                {.time_max = std::chrono::minutes{10}}, {}, loading);
  const double asked_seconds = asking.seconds();
  need(asked.status, "query over the archive");
  const uint64_t load_grown = peak_bytes() - std::min(peak_bytes(), before_loading);
  fmt::print(R"({{"rows":{},"archive_seconds":{:.2f},"archive_grown_bytes":{},"object_bytes":{},)"
             R"("clean_seconds":{:.2f},"clean_per_second":{:.0f},"delete_per_second":{:.0f},)"
             R"("longest_command_ms":{:.1f},"load_seconds":{:.2f},"load_grown_bytes":{},)"
             R"("query_seconds":{:.2f}}})"
             "\n",
             events, archive_seconds, grown, archived.object_bytes, clean_seconds,
             static_cast<double>(events) / clean_seconds,
             static_cast<double>(events) / writer.total, writer.longest * 1000, loaded_seconds,
             load_grown, asked_seconds - loaded_seconds);
}

// A row for each of 24 hours and `paths` paths; those of the events have sketches, too.
void fill_hours(Store& store, uint64_t paths) {
  store.drain();
  const std::string sql = fmt::format(
      "BEGIN;"
      "INSERT INTO paths(path) WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
      " SELECT '/filler/' || i FROM n;"
      "CREATE TEMP TABLE hours AS WITH n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < "
      "23)"
      " SELECT (SELECT max(hour) FROM totals) - i AS hour FROM n;"
      "CREATE TEMP TABLE pattern AS SELECT * FROM hourly LIMIT 1;"
      "INSERT OR IGNORE INTO hourly SELECT h.hour, p.path_id, t.route, 10 + p.path_id % 90, 1, 0,"
      " 10, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1000, 1000, 50000, 10, 500, 9000, 0,"
      " t.created_ms, t.updated_ms FROM paths p, hours h, pattern t;"
      "INSERT OR IGNORE INTO totals SELECT hour, strftime('%Y-%m-%dT%H', hour * 3600, 'unixepoch'),"
      " 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, 0, 0, 0"
      " FROM hours;"
      "INSERT OR IGNORE INTO sketches SELECT h.hour, s.path_id, s.through, s.unique_clients,"
      " s.p50_us, s.p95_us, s.p99_us, s.latency, s.clients FROM sketches s, hours h;"
      "COMMIT;",
      paths);
  const base::Status filled = store.database.execute(sql);
  if (!filled.ok()) fail(store.database.message());
}

void measure_queries(const std::string& directory, uint64_t paths) {
  TrafficJournal journal{
      {.events = 200'000, .start_us = now_us() / 3'600'000'000 * 3'600'000'000, .spacing_us = 1}};
  Store store{directory, journal};
  fill_hours(store, paths);
  const int64_t rows = need(store.database.query_int("SELECT count(*) FROM hourly"), "rows");
  double read_ahead_ms = 0;  // The longest step before the first snapshot after a start.
  double read_ahead_sum_ms = 0;
  for (std::optional<int64_t> hour = first_snapshot_hour(store.clock.wall()); hour;) {
    const Timer reading;
    hour = need(store.stats.read_ahead(*hour), "read ahead");
    read_ahead_ms = std::max(read_ahead_ms, reading.seconds() * 1000);
    read_ahead_sum_ms += reading.seconds() * 1000;
  }
  double snapshot_ms = 0;
  double top_ms = 0;
  for (int round = 0; round < 5; ++round) {  // The slowest counts.
    const Timer publishing;
    need(publish_snapshot(store.stats, store.kv, store.clock.wall()), "snapshot");
    snapshot_ms = std::max(snapshot_ms, publishing.seconds() * 1000);
    stats::SqliteStats other{store.database,
                             1};  // As that of `weir stats top`: it remembers nothing.
    const Timer listing;
    need(other.top_paths(now_us() / 3'600'000'000 - 23, 20), "top");
    top_ms = std::max(top_ms, listing.seconds() * 1000);
  }
  need(store.database.execute("UPDATE events SET colo = 'node'"), "colo");
  sqlite::Database reader{directory + "/weir.db", {.access = sqlite::Access::query_only}};
  need(reader.open(), "reader");
  const std::atomic<bool> never{false};
  double dashboard_ms = 0;
  double geo_ms = 0;
  size_t zones = 0;
  for (int round = 0; round < 5; ++round) {
    const Timer overview;
    if (!need(make_dashboard(reader, store.clock, {.rates = {{1, 1}}}, never), "dashboard")
             .errors.empty()) {
      fail("the dashboard is degraded");
    }
    dashboard_ms = std::max(dashboard_ms, overview.seconds() * 1000);
    const Timer edges;
    // The events lie within the hour.
    zones = need(geo_traffic(reader, store.clock.wall(), never, {.window = std::chrono::hours{1}}),
                 "geo")
                .zones;
    geo_ms = std::max(geo_ms, edges.seconds() * 1000);
  }
  fmt::print(
      R"({{"hourly_rows":{},"read_ahead_ms":{:.1f},"read_ahead_sum_ms":{:.1f},"snapshot_ms":{:.1f},"top_ms":{:.1f},"dashboard_ms":{:.1f},)"
      R"("geo_zones":{},"geo_ms":{:.1f}}})"
      "\n",
      rows, read_ahead_ms, read_ahead_sum_ms, snapshot_ms, top_ms, dashboard_ms, zones, geo_ms);
}

}  // namespace
}  // namespace weir::pipeline

int main(int count, char** arguments) {
  using namespace weir::pipeline;  // NOLINT(google-build-using-namespace): the bench's own.
  if (count < 3) fail("usage: pipeline_bench consumer|memory|keeping|queries DIRECTORY [EVENTS]");
  const std::string_view what = arguments[1];
  const std::string directory = arguments[2];
  const auto events = static_cast<uint64_t>(count > 3 ? std::atoll(arguments[3]) : 1'000'000);
  std::filesystem::create_directories(directory);
  if (what == "consumer") {
    measure_consumer(directory, events);
  } else if (what == "memory") {
    measure_memory(directory, events);
  } else if (what == "keeping") {
    measure_keeping(directory, events);
  } else if (what == "queries") {
    measure_queries(directory, events);
  } else {
    fail("no such measurement");
  }
  return 0;
}
