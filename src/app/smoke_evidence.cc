#include "app/smoke_evidence.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "codec/iso_time.h"
#include "kv/sqlite_kv.h"

namespace weir::app {

using sqlite::Database;
using Json = nlohmann::ordered_json;

base::Status SmokeEvidence::begin() {
  first_hour_ = codec::unix_hour_of_ms(base::unix_ms(clock_.wall()));
  // One statement, so that rows and sums are of one moment.
  const Database::Borrowed query = WEIR_TRY(database_.cached(
      "SELECT 0, (SELECT value FROM meta WHERE name = 'next_seq') - 1 UNION ALL"
      " SELECT path_id, sum(requests) FROM hourly WHERE hour >= ?1 GROUP BY path_id"));
  query->bind(1, first_hour_);
  while (WEIR_TRY(query->step())) {
    if (query->column_int(0) == 0) {
      first_seq_ = seen_seq_ = query->column_int(1);
    } else {
      requests_before_[query->column_int(0)] = query->column_unsigned(1);
    }
  }
  return {};
}

base::Status SmokeEvidence::look() {
  const Database::Borrowed query = WEIR_TRY(database_.cached(
      "SELECT seq, ts_ms * 1000 + us, ifnull(ua IN (?2, (SELECT word_id FROM words WHERE kind = 1"
      " AND word = ?2)), 0) FROM events WHERE seq > ?1 ORDER BY seq"));
  query->bind(1, seen_seq_);
  query->bind_text(2, user_agent_);
  while (WEIR_TRY(query->step())) {
    seen_seq_ = query->column_int(0);
    if (query->column_int(2) == 0) continue;
    const int64_t now_us = clock_.wall().time_since_epoch().count();
    latencies_.emplace_back(std::max<int64_t>(0, now_us - query->column_int(1)));
  }
  return {};
}

base::Result<SmokeEvidence::Rows> SmokeEvidence::count() {
  const Database::Borrowed query = WEIR_TRY(database_.cached(
      "SELECT rows, ids, records, path_ids, path_id,"
      " (SELECT p.path FROM paths p WHERE p.path_id = found.path_id)"
      " FROM (SELECT count(*) AS rows, count(DISTINCT e.ts_ms || hex(e.id)) AS ids,"
      "   count(DISTINCT CASE WHEN e.sequence <= p.sequence"
      "     THEN e.epoch || '/' || e.loop || '/' || e.sequence END) AS records,"
      "   count(DISTINCT e.path_id) AS path_ids, min(e.path_id) AS path_id"
      "   FROM events e LEFT JOIN positions p"
      "     ON p.node = 0 AND p.epoch = e.epoch AND p.loop = e.loop"
      "   WHERE e.seq > ?1 AND e.ua IN (?2, (SELECT word_id FROM words WHERE kind = 1"
      "     AND word = ?2))) found"));
  query->bind(1, first_seq_);
  query->bind_text(2, user_agent_);
  Rows rows;
  if (!WEIR_TRY(query->step())) return rows;
  const auto number = [&query](int i) { return query->column_unsigned(i); };
  rows = {.count = number(0),
          .ids = number(1),
          .positions = number(2),
          .paths = number(3),
          .path = std::string{query->column_text(5)},
          .path_id = query->column_int(4)};
  return rows;
}

base::Result<uint64_t> SmokeEvidence::hourly_growth(int64_t path_id) {
  const Database::Borrowed query = WEIR_TRY(database_.cached(
      "SELECT ifnull(sum(requests), 0) FROM hourly WHERE path_id = ?1 AND hour >= ?2"));
  query->bind(1, path_id);
  query->bind(2, first_hour_);
  if (!WEIR_TRY(query->step())) return uint64_t{0};
  return query->column_unsigned(0) - requests_before_[path_id];
}

base::Result<uint64_t> SmokeEvidence::last_batch_ms() {
  const Database::Borrowed query =
      WEIR_TRY(database_.cached("SELECT last_batch_duration_ms FROM consumer_heartbeat"));
  return WEIR_TRY(query->step()) ? query->column_unsigned(0) : uint64_t{0};
}

base::Result<SmokeSnapshot> SmokeEvidence::snapshot(const std::string& path) {
  kv::SqliteKv kv{database_, clock_};
  SmokeSnapshot snapshot;
  const auto config = WEIR_TRY(kv.get("snapshot:config"));
  const auto latest = WEIR_TRY(kv.get("snapshot:latest"));
  if (!config || !latest) return snapshot;
  const Json about = Json::parse(config->value, nullptr, false);
  const Json items = Json::parse(latest->value, nullptr, false);
  if (!about.is_object() || !items.is_array()) return snapshot;
  snapshot.version = about.value("version", uint64_t{0});
  snapshot.timestamp_ms = about.value("timestamp", int64_t{0});
  snapshot.paths = items.size();
  for (const Json& item : items) {
    const uint64_t requests = item.value("requests", uint64_t{0});
    if (item.value("path", std::string{}) == path) snapshot.requests = requests;
    snapshot.least = snapshot.least == 0 ? requests : std::min(snapshot.least, requests);
  }
  return snapshot;
}

}  // namespace weir::app
