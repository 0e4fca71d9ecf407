#include "pipeline/testing/rig.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "base/assert.h"

namespace weir::pipeline::testing {
namespace {

// Each pair of sums must agree.
constexpr std::array<std::array<const char*, 3>, 16> kIdentities{{
    {"each position is accounted for",
     "SELECT count(*) FROM positions WHERE sequence <> inserted + sampled_out + totals_only + dead"
     " + lost",
     "SELECT 0"},
    {"inserted events have rows", "SELECT ifnull(sum(inserted), 0) FROM positions",
     "SELECT count(*) FROM events"},
    {"no position has two rows", "SELECT count(*) FROM events",
     "SELECT count(*) FROM (SELECT DISTINCT epoch, loop, sequence FROM events)"},
    {"no id has two rows", "SELECT count(*) FROM events",
     "SELECT count(DISTINCT id) FROM traffic_events"},
    {"dead letters are kept", "SELECT ifnull(sum(dead), 0) FROM positions",
     "SELECT count(*) FROM dead_letters"},
    {"each counted event has its seq",
     "SELECT ifnull(sum(inserted + sampled_out + totals_only), 0) FROM positions",
     "SELECT value - 1 FROM meta WHERE name = 'next_seq'"},
    {"all is derived", "SELECT seq FROM derived", "SELECT value - 1 FROM meta"},
    {"what is folded leaves nothing behind", "SELECT count(*) FROM slim_events", "SELECT 0"},
    {"client rows count every event", "SELECT ifnull(sum(requests), 0) FROM client_daily",
     "SELECT value - 1 FROM meta"},
    {"hourly rows count every event", "SELECT ifnull(sum(requests), 0) FROM hourly",
     "SELECT (SELECT ifnull(sum(inserted + sampled_out + totals_only), 0) FROM positions)"
     " + (SELECT ifnull(sum(requests), 0) FROM degraded_generations)"},
    {"totals are the sums of hourly rows",
     "SELECT count(*) FROM totals t JOIN (SELECT hour, sum(requests) r, sum(errors) e,"
     " sum(bytes_in) i, sum(bytes_out) o, sum(us_sum) s, sum(us_count) c, min(us_min) l,"
     " max(us_max) g, sum(status_5xx) x, sum(method_get) m, sum(cache_hit) h FROM hourly"
     " GROUP BY hour) s ON s.hour = t.hour AND r = t.requests AND e = t.errors AND i = t.bytes_in"
     " AND o = t.bytes_out AND s.s = t.us_sum AND c = t.us_count AND l IS t.us_min"
     " AND g IS t.us_max AND x = t.status_5xx AND m = t.method_get AND h = t.cache_hit",
     "SELECT count(*) FROM totals"},
    {"every hour has its total", "SELECT count(DISTINCT hour) FROM hourly",
     "SELECT count(*) FROM totals"},
    {"the ledger agrees with the positions",
     "SELECT ifnull(sum(inserted * 1 + sampled_out * 3 + totals_only * 5 + dead * 7 + lost * 11),"
     " 0) FROM day_ledger",
     "SELECT ifnull(sum(inserted * 1 + sampled_out * 3 + totals_only * 5 + dead * 7 + lost * 11),"
     " 0) FROM positions"},
    {"the ledger agrees with the degraded", "SELECT ifnull(sum(degraded), 0) FROM day_ledger",
     "SELECT ifnull(sum(requests), 0) FROM degraded_generations"},
    {"detail rows are never more than their hourly rows",
     "SELECT count(*) FROM (SELECT path_id, ts_ms / 3600000 AS hour, count(*) AS n FROM events"
     " GROUP BY 1, 2) e LEFT JOIN hourly h ON h.path_id = e.path_id AND h.hour = e.hour"
     " WHERE h.requests IS NULL OR h.requests < e.n",
     "SELECT 0"},
    {"the file is sound", "SELECT integrity_check = 'ok' FROM pragma_integrity_check LIMIT 1",
     "SELECT 1"},
}};

}  // namespace

size_t CapturingLogger::count(base::LogLevel level) const {
  return static_cast<size_t>(std::count_if(
      lines.begin(), lines.end(), [level](const Line& line) { return line.level == level; }));
}

bool CapturingLogger::has_marker(std::string_view marker) const {
  return std::any_of(lines.begin(), lines.end(),
                     [marker](const Line& line) { return line.marker == marker; });
}

Rig::Rig(ConsumerOptions given) : options(given) {
  start();
}

void Rig::start() {
  database = std::make_unique<sqlite::Database>(
      path(), sqlite::Options{.busy_timeout = {},
                              .schemas = {kv::schema(), stats::schema()},
                              .vfs = sqlite::testing::FaultVfs::kName});
  stats = std::make_unique<stats::SqliteStats>(*database, 1);
  kv = std::make_unique<kv::SqliteKv>(*database, clock);
  consumer = std::make_unique<Consumer>(journal, *stats, *kv, clock, logger, options);
  consumer->add_sink(sink);
}

void Rig::crash() {
  consumer.reset();
  kv.reset();
  stats.reset();
  database.reset();
}

traffic::Event Rig::event(std::string_view path) {
  traffic::Event event;
  event.arrival_us = clock.wall().time_since_epoch().count();
  event.id.unix_ms = static_cast<uint64_t>(event.arrival_us / 1000);
  const uint64_t id = ++ids_;
  for (size_t i = 0; i < sizeof id; ++i)
    event.id.tail[2 + i] = static_cast<uint8_t>(id >> 8 * i);
  event.path = path;
  event.method = "GET";
  event.user_agent = "curl/8";
  event.route_id = "kv";
  event.client_ip = "192.168.1.200";
  event.client_hash = 0x8899aabbccddeeffU;
  event.duration_us = 1500;
  event.upstream_us = 1000;
  event.bytes_in = 100;
  event.bytes_out = 2000;
  event.status = 200;
  event.attempts = 1;
  return event;
}

bool Rig::drain(int steps_max) {
  for (int i = 0; i < steps_max; ++i) {
    const Consumer::Step step = consumer->step(Consumer::Close::now);
    if (step.drained) return true;
    clock.advance(step.wait);
  }
  return false;
}

int64_t Rig::number(const std::string& sql) {
  const base::Result<int64_t> result = database->query_int(sql);
  if (!result.ok()) fmt::print(stderr, "{}: {}\n", sql, database->message());
  return result.ok() ? result.value() : -1;
}

std::string Rig::text(const std::string& sql) {
  base::Result<sqlite::Statement> prepared = database->prepare(sql);
  if (!prepared.ok()) return "error: " + database->message();
  sqlite::Statement statement = std::move(prepared).value();
  const base::Result<bool> row = statement.step();
  if (!row.ok() || !row.value()) return "no row";
  std::string line;
  for (int i = 0; i < statement.column_count(); ++i) {
    if (i > 0) line += '|';
    line +=
        statement.column_type(i) == sqlite::ColumnType::null ? "NULL" : statement.column_text(i);
  }
  return line;
}

std::string Rig::audit() {
  std::string broken;
  for (const auto& [name, left, right] : kIdentities) {
    const int64_t a = number(left);
    const int64_t b = number(right);
    if (a != b) broken += fmt::format("{}: {} and {}; ", name, a, b);
  }
  return broken;
}

}  // namespace weir::pipeline::testing
