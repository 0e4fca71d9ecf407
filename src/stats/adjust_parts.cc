#include "stats/adjust_parts.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "codec/iso_time.h"
#include "stats/count_columns.h"
#include "stats/derived.h"
#include "stats/internal/rows.h"

namespace weir::stats {
namespace {

using base::Error;
using base::ErrorCode;
using sqlite::Database;
using sqlite::Statement;

constexpr int64_t kAdjustRowsPerPage = 1024;

using internal::kUnfolded;
constexpr Error kAdjustPartVanished{ErrorCode::conflict, base::Origin::storage,
                                    base::Retry::with_backoff, 0, "part of adjustments"};

constexpr std::string_view kAdjustPartColumns =
    "day, part, key, through_seq, requests, raw_sha256, state = 'completed', cleaned";

AdjustPart adjust_part_of(const Statement& row) {
  AdjustPart part;
  part.day = row.column_int(0);
  part.part = row.column_int(1);
  part.key = row.column_text(2);
  part.through = row.column_unsigned(3);
  part.requests = row.column_unsigned(4);
  const std::string_view sha256 = row.column_blob(5);
  std::copy_n(sha256.begin(), std::min(sha256.size(), part.raw_sha256.size()),
              part.raw_sha256.begin());
  part.completed = row.column_int(6) != 0;
  part.cleaned = row.column_int(7) != 0;
  return part;
}

base::Result<std::vector<AdjustPart>> parts_where(Database& database, std::string_view condition,
                                                  int64_t day) {
  Statement query = WEIR_TRY(database.prepare(fmt::format(
      "SELECT {} FROM adjust_parts WHERE {} ORDER BY day, part", kAdjustPartColumns, condition)));
  query.bind(1, day);
  std::vector<AdjustPart> parts;
  while (WEIR_TRY(query.step()))
    parts.push_back(adjust_part_of(query));
  return parts;
}

base::Result<std::optional<AdjustPart>> new_adjust_part(Database& database, int64_t today,
                                                        int64_t age_days) {
  Statement due = WEIR_TRY(database.prepare(
      "SELECT d.day, d.adjust_part, d.rest FROM (SELECT l.day, l.adjust_part, l.ingested_day,"
      " l.sampled_out + l.totals_only + l.degraded - l.unadjusted"
      " - (SELECT ifnull(sum(p.requests), 0) FROM adjust_parts p WHERE p.day = l.day) AS rest"
      " FROM day_ledger l) d"
      " WHERE d.rest > 0 AND (d.day <= ?1 - ?2 OR (d.day > ?1 AND d.ingested_day <= ?1 - ?2))"
      " ORDER BY d.day LIMIT 1"));
  due.bind(1, today);
  due.bind(2, age_days);
  if (!WEIR_TRY(due.step())) return std::optional<AdjustPart>{};
  AdjustPart part;
  part.day = due.column_int(0);
  part.part = due.column_int(1);
  part.requests = due.column_unsigned(2);
  part.key = adjust_key(part.day, part.part);
  part.through = static_cast<uint64_t>(
      WEIR_TRY(database.query_int("SELECT value - 1 FROM meta WHERE name = 'next_seq'")));
  return std::optional<AdjustPart>{part};
}

base::Status seal(Database& database, const AdjustPart& part, base::Wall now) {
  Statement insert = WEIR_TRY(
      database.prepare("INSERT INTO adjust_parts(day, part, key, through_seq, requests, begun_ms)"
                       " VALUES(?1, ?2, ?3, ?4, ?5, ?6)"));
  insert.bind(1, part.day);
  insert.bind(2, part.part);
  insert.bind_text(3, part.key);
  insert.bind_unsigned(4, part.through);
  insert.bind_unsigned(5, part.requests);
  insert.bind(6, base::unix_ms(now));
  WEIR_TRY(insert.run());
  Statement raise = WEIR_TRY(database.prepare(
      "UPDATE day_ledger SET adjust_part = ?2 + 1 WHERE day = ?1 AND adjust_part = ?2"));
  raise.bind(1, part.day);
  raise.bind(2, part.part);
  WEIR_TRY(raise.run());
  return database.changes() == 1 ? base::Status{} : base::Status{kAdjustPartVanished};
}

std::string rows_query(std::string_view condition) {
  std::string sql =
      "SELECT a.hour, a.path_id, (SELECT p.path FROM paths p WHERE p.path_id = a.path_id),"
      " CASE typeof(a.route) WHEN 'integer'"
      " THEN (SELECT w.word FROM words w WHERE w.word_id = a.route) ELSE a.route END,"
      " a.first_seq, a.partial, a.part";
  for (const std::string_view name : kCountNames)
    sql += fmt::format(", a.{}", name);
  return fmt::format("{} FROM adjustments a WHERE a.day = ?1 AND {} LIMIT {}", sql, condition,
                     kAdjustRowsPerPage);
}
constexpr int kFirstCount = 7;

Adjustment adjustment_of(const Statement& row) {
  Adjustment adjustment;
  adjustment.hour = row.column_int(0);
  adjustment.path = row.column_text(2);
  adjustment.route = row.column_text(3);
  adjustment.first_seq = row.column_unsigned(4);
  adjustment.partial = row.column_int(5) != 0;
  adjustment.counts = internal::read_counts(row, kFirstCount);
  return adjustment;
}

base::Result<std::optional<SketchBytes>> stored_sketch(Database& database, int64_t hour,
                                                       int64_t path_id) {
  const Database::Borrowed query = WEIR_TRY(database.cached(
      "SELECT through, latency, clients FROM sketches WHERE hour = ?1 AND path_id = ?2"));
  query->bind(1, hour);
  query->bind(2, path_id);
  if (!WEIR_TRY(query->step())) return std::optional<SketchBytes>{};
  return std::optional{SketchBytes{.through = query->column_unsigned(0),
                                   .latency = std::string{query->column_blob(1)},
                                   .clients = std::string{query->column_blob(2)}}};
}

}  // namespace

std::string adjust_key(int64_t day, int64_t part) {
  const std::string date = codec::iso_day(day);
  if (part == 1) return fmt::format("traffic-events/{}.adjust.jsonl.gz", date);
  return fmt::format("traffic-events/{}.adjust.part{}.jsonl.gz", date, part);
}

base::Result<std::optional<AdjustPart>> begin_adjust_part(Database& database, base::Wall now,
                                                          int64_t age_days) {
  const std::vector<AdjustPart> begun =
      WEIR_TRY(parts_where(database, "state <> 'completed' AND ?1 = 0", 0));
  if (!begun.empty()) return std::optional{begun.front()};
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  const std::optional<AdjustPart> part =
      WEIR_TRY(new_adjust_part(database, codec::unix_day_of_ms(base::unix_ms(now)), age_days));
  if (!part) return part;
  WEIR_TRY(seal(database, *part, now));
  WEIR_TRY(transaction.commit());
  return part;
}

base::Status complete_adjust_part(Database& database, const AdjustPart& part,
                                  const AdjustObject& object, base::Wall now) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  // In a block: no statement may be open when the transaction ends.
  {
    Statement update = WEIR_TRY(database.prepare(
        "UPDATE adjust_parts SET state = 'completed', error = NULL, rows = ?3, raw_bytes = ?4,"
        " object_bytes = ?5, raw_sha256 = ?6, completed_ms = ?7"
        " WHERE day = ?1 AND part = ?2 AND requests = ?8 AND state <> 'completed'"));
    update.bind(1, part.day);
    update.bind(2, part.part);
    update.bind_unsigned(3, object.rows);
    update.bind_unsigned(4, object.raw_bytes);
    update.bind_unsigned(5, object.bytes);
    const std::string_view sha256{reinterpret_cast<const char*>(object.raw_sha256.data()),
                                  object.raw_sha256.size()};
    update.bind_blob(6, sha256);
    update.bind(7, base::unix_ms(now));
    update.bind_unsigned(8, object.requests);
    WEIR_TRY(update.run());
    if (database.changes() != 1) return kAdjustPartVanished;
  }
  return transaction.commit();
}

base::Status fail_adjust_part(Database& database, const AdjustPart& part, std::string_view error) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  {
    Statement update =
        WEIR_TRY(database.prepare("UPDATE adjust_parts SET state = 'failed', error = ?3"
                                  " WHERE day = ?1 AND part = ?2 AND state <> 'completed'"));
    update.bind(1, part.day);
    update.bind(2, part.part);
    update.bind_text(3, error);
    WEIR_TRY(update.run());
    if (database.changes() != 1) return kAdjustPartVanished;
  }
  return transaction.commit();
}

base::Result<std::vector<AdjustPart>> adjust_parts_of(Database& database, int64_t day) {
  return parts_where(database, "day = ?1", day);
}

base::Result<std::vector<AdjustPart>> adjust_parts_to_clean(Database& database) {
  return parts_where(database, "state = 'completed' AND cleaned = ?1", 0);
}

base::Result<bool> clean_adjust_slice(Database& database, const AdjustPart& part,
                                      int64_t rows_max) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  bool last = false;
  {
    // The first rows of the part, up to the one that is left.
    Statement bound = WEIR_TRY(
        database.prepare("SELECT hour, path_id FROM adjustments WHERE day = ?1 AND part = ?2"
                         " ORDER BY hour, path_id LIMIT 1 OFFSET ?3"));
    bound.bind(1, part.day);
    bound.bind(2, part.part);
    bound.bind(3, rows_max);
    last = !WEIR_TRY(bound.step());
    Statement update = WEIR_TRY(database.prepare(
        "UPDATE adjust_parts SET cleaned = ?5, cleaned_requests = cleaned_requests + (SELECT"
        " ifnull(sum(requests), 0) FROM adjustments WHERE day = ?1 AND part = ?2"
        " AND (?5 OR (hour, path_id) < (?3, ?4)))"
        " WHERE day = ?1 AND part = ?2 AND state = 'completed' AND cleaned = 0"));
    Statement remove =
        WEIR_TRY(database.prepare("DELETE FROM adjustments WHERE day = ?1 AND part = ?2"
                                  " AND (?5 OR (hour, path_id) < (?3, ?4))"));
    for (Statement* const each : {&update, &remove}) {
      each->bind(1, part.day);
      each->bind(2, part.part);
      each->bind(3, last ? 0 : bound.column_int(0));
      each->bind(4, last ? 0 : bound.column_int(1));
      each->bind(5, last ? 1 : 0);
      WEIR_TRY(each->run());
      if (each == &update && database.changes() != 1) return kAdjustPartVanished;
    }
  }
  WEIR_TRY(transaction.commit());
  return last;
}

base::Status read_adjust_part(Database& database, const AdjustPart& part,
                              const std::function<base::Status(const Adjustment&)>& each) {
  const auto derived = static_cast<uint64_t>(
      WEIR_TRY(database.query_int("SELECT seq FROM derived WHERE name = 'folded'")));
  if (derived < part.through) return kUnfolded;
  Statement page = WEIR_TRY(database.prepare(
      rows_query("a.part = ?2 AND (a.hour, a.path_id) > (?3, ?4) ORDER BY a.hour, a.path_id")));
  std::vector<int64_t> folded_hours;
  int64_t hour = -1;
  int64_t path_id = -1;
  for (int64_t rows = kAdjustRowsPerPage; rows == kAdjustRowsPerPage;) {
    rows = 0;
    page.reset();
    page.bind(1, part.day);
    page.bind(2, part.part);
    page.bind(3, hour);
    page.bind(4, path_id);
    while (WEIR_TRY(page.step())) {
      ++rows;
      Adjustment adjustment = adjustment_of(page);
      hour = adjustment.hour;
      path_id = page.column_int(1);
      if (adjustment.folded()) {
        adjustment.sketch = WEIR_TRY(stored_sketch(database, hour, path_id));
        if (folded_hours.empty() || folded_hours.back() != hour) folded_hours.push_back(hour);
      }
      WEIR_TRY(each(adjustment));
    }
  }
  page.reset();
  for (const int64_t folded : folded_hours) {
    Adjustment all;
    all.hour = folded;
    all.sketch = WEIR_TRY(stored_sketch(database, folded, kAllPaths));
    WEIR_TRY(each(all));
  }
  return {};
}

base::Status read_live_adjustments(Database& database, int64_t day,
                                   const std::function<base::Status(const Adjustment&)>& each) {
  Statement page =
      WEIR_TRY(database.prepare(rows_query("(a.part, a.hour, a.path_id) > (?2, ?3, ?4)"
                                           " AND a.part NOT IN (SELECT p.part FROM adjust_parts p"
                                           " WHERE p.day = ?1 AND p.state = 'completed')"
                                           " ORDER BY a.part, a.hour, a.path_id")));
  int64_t last[3] = {0, 0, 0};
  for (int64_t rows = kAdjustRowsPerPage; rows == kAdjustRowsPerPage;) {
    rows = 0;
    page.reset();
    page.bind(1, day);
    for (int i = 0; i < 3; ++i)
      page.bind(2 + i, last[i]);
    while (WEIR_TRY(page.step())) {
      ++rows;
      last[0] = page.column_int(6);
      last[1] = page.column_int(0);
      last[2] = page.column_int(1);
      WEIR_TRY(each(adjustment_of(page)));
    }
  }
  return {};
}

}  // namespace weir::stats
