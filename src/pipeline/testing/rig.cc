#include "pipeline/testing/rig.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "pipeline/audit.h"

namespace weir::pipeline::testing {

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
  sqlite::Database reader{path(), {.access = sqlite::Access::query_only}};
  const base::Status opened = reader.open();
  if (!opened.ok()) return "cannot be opened";
  const base::Result<AuditReport> report = pipeline::audit(reader, clock, {});
  if (!report.ok()) return fmt::format("{}: {}", report.error().what.view(), reader.message());
  std::string broken;
  for (const Finding& finding : report.value().findings) {
    if (finding.verdict == Verdict::agrees) continue;
    broken += fmt::format("{}: {} and {} {}; ", finding.identity, finding.left, finding.right,
                          finding.note);
  }
  return broken;
}

}  // namespace weir::pipeline::testing
