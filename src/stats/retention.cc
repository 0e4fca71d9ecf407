#include "stats/retention.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "stats/derived.h"
#include "stats/internal/rows.h"
#include "stats/rebuilt_rows.h"

namespace weir::stats {
namespace {

using sqlite::Database;
using sqlite::Statement;

constexpr int64_t kHoursOfDay = 24;

using internal::kUnfolded;

std::string_view name_of(Bound bound) {
  switch (bound) {
    case Bound::hourly:
      return "hourly_from_day";
    case Bound::clients:
      return "clients_from_day";
    case Bound::sketches:
      return "sketches_from_day";
  }
  return "";
}

// Runs a deletion with up to two parameters in a transaction of its own. True: it found nothing.
base::Result<bool> remove(Database& database, base::StaticText sql, int64_t first,
                          std::optional<int64_t> second = {}) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  int64_t rows = 0;
  {
    const Database::Borrowed statement = WEIR_TRY(database.cached(sql));
    statement->bind(1, first);
    if (second) statement->bind(2, *second);
    WEIR_TRY(statement->run());
    rows = database.changes();
  }
  WEIR_TRY(transaction.commit());
  return rows == 0;
}

struct HourSketches {
  int64_t rowid = 0;
  int64_t day = 0;
  int64_t path_id = 0;
  SketchRow row;
};

SketchRow read_row(const Statement& query, int through, uint64_t& damaged) {
  SketchRow row;
  row.through = query.column_unsigned(through);
  if (!internal::decode_sketches(query, through + 1, row)) ++damaged;
  return row;
}

base::Result<std::vector<HourSketches>> oldest_sketches(Database& database, int64_t day,
                                                        int64_t rows_max, uint64_t& damaged) {
  const Database::Borrowed query = WEIR_TRY(database.cached(
      "SELECT rowid, hour, path_id, through, latency, clients FROM sketches WHERE hour < ?1"
      " ORDER BY hour, path_id LIMIT ?2"));
  query->bind(1, day * kHoursOfDay);
  query->bind(2, rows_max);
  std::vector<HourSketches> rows;
  while (WEIR_TRY(query->step())) {
    rows.push_back({.rowid = query->column_int(0),
                    .day = query->column_int(1) / kHoursOfDay,
                    .path_id = query->column_int(2),
                    .row = read_row(*query, 3, damaged)});
  }
  return rows;
}

base::Status merge_into_day(Database& database, const HourSketches& hour, uint64_t& damaged) {
  SketchRow sum = hour.row;
  {
    const Database::Borrowed query = WEIR_TRY(database.cached(
        "SELECT through, latency, clients FROM daily_sketches WHERE day = ?1 AND path_id = ?2"));
    query->bind(1, hour.day);
    query->bind(2, hour.path_id);
    if (WEIR_TRY(query->step())) {
      const SketchRow day = read_row(*query, 0, damaged);
      sum.through = std::max(sum.through, day.through);
      sum.latency.merge(day.latency);
      sum.clients.merge(day.clients);
    }
  }
  WEIR_TRY(set_sketch_row(database, Span::day, {hour.day, hour.path_id}, sum));
  const Database::Borrowed gone =
      WEIR_TRY(database.cached("DELETE FROM sketches WHERE rowid = ?1"));
  gone->bind(1, hour.rowid);
  return gone->run();
}

}  // namespace

base::Result<int64_t> first_unproven_day(Database& database) {
  return database.query_int(
      "SELECT ifnull(min(day), 9223372036854775807) FROM day_ledger l WHERE"
      " inserted > (SELECT ifnull(sum(p.rows), 0) FROM archive_parts p WHERE p.day = l.day"
      "  AND p.state = 'completed' AND p.cleaned_rows = p.rows AND p.cleaned_through ="
      "  p.through_seq)"
      " OR sampled_out + totals_only + degraded - unadjusted > (SELECT ifnull(sum(a.requests), 0)"
      "  FROM adjust_parts a WHERE a.day = l.day AND a.state = 'completed' AND a.cleaned = 1)");
}

base::Result<int64_t> trusted_day(Database& database, int64_t today) {
  const int64_t last = WEIR_TRY(
      database.query_int("SELECT ifnull(max(value), -1) FROM meta WHERE name = 'retention_day'"));
  const int64_t leapt = WEIR_TRY(database.query_int(
      "SELECT ifnull(max(value), -1) FROM meta WHERE name = 'retention_leap_day'"));
  const bool leap = last >= 0 && today > last + kLeapDays;
  const bool known = leapt >= 0 && leapt <= today;
  const bool trusted = !leap || (known && today >= leapt + kLeapTrustDays);
  if (!trusted && known) return last;
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  WEIR_TRY(database.execute("DELETE FROM meta WHERE name = 'retention_leap_day'"));
  {
    const Database::Borrowed note =
        WEIR_TRY(database.cached("INSERT OR REPLACE INTO meta VALUES(?1, ?2)"));
    note->bind_text(1, trusted ? "retention_day" : "retention_leap_day");
    note->bind(2, today);
    WEIR_TRY(note->run());
  }
  WEIR_TRY(transaction.commit());
  return trusted ? today : last;
}

base::Status raise_bound(Database& database, Bound bound, int64_t day) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  {
    const Database::Borrowed upsert = WEIR_TRY(database.cached(
        "INSERT INTO meta VALUES(?1, ?2) ON CONFLICT DO UPDATE SET value = max(value, ?2)"));
    upsert->bind_text(1, name_of(bound));
    upsert->bind(2, day);
    WEIR_TRY(upsert->run());
  }
  return transaction.commit();
}

base::Result<bool> drop_hours(Database& database, int64_t day, int64_t rows_max) {
  const int64_t hour = day * kHoursOfDay;
  // Of the oldest hour, so that the key finds them.
  const bool no_rows = WEIR_TRY(
      remove(database,
             "DELETE FROM hourly WHERE hour < ?1 AND hour = (SELECT min(hour) FROM hourly)"
             " AND path_id <= (SELECT max(path_id) FROM (SELECT path_id FROM hourly WHERE hour ="
             " (SELECT min(hour) FROM hourly) ORDER BY path_id LIMIT ?2))",
             hour, rows_max));
  if (!no_rows) return false;
  const bool no_sketches =
      WEIR_TRY(remove(database,
                      "DELETE FROM daily_sketches WHERE rowid IN (SELECT rowid FROM daily_sketches"
                      " WHERE day < ?1 ORDER BY day LIMIT ?2)",
                      day, rows_max));
  if (!no_sketches) return false;
  return remove(database,
                "DELETE FROM totals WHERE hour IN (SELECT hour FROM totals WHERE hour < ?1"
                " ORDER BY hour LIMIT ?2)",
                hour, rows_max);
}

base::Result<bool> drop_paths(Database& database, int64_t& after, int64_t rows_max) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  int64_t last = after;
  {
    const Database::Borrowed page = WEIR_TRY(
        database.cached("SELECT ifnull(max(path_id), ?1) FROM (SELECT path_id FROM paths WHERE"
                        " path_id > ?1 ORDER BY path_id LIMIT ?2)"));
    page->bind(1, after);
    page->bind(2, rows_max);
    if (WEIR_TRY(page->step())) last = page->column_int(0);
  }
  {
    const Database::Borrowed unused = WEIR_TRY(
        database.cached("DELETE FROM paths WHERE path_id > ?1 AND path_id <= ?2 AND NOT EXISTS"
                        " (SELECT 1 FROM hourly h WHERE h.path_id = paths.path_id)"));
    unused->bind(1, after);
    unused->bind(2, last);
    WEIR_TRY(unused->run());
  }
  if (const int64_t dropped = database.changes(); dropped > 0) {
    const Database::Borrowed note =
        WEIR_TRY(database.cached("INSERT INTO meta VALUES('paths_dropped', ?1)"
                                 " ON CONFLICT DO UPDATE SET value = value + ?1"));
    note->bind(1, dropped);
    WEIR_TRY(note->run());
  }
  WEIR_TRY(transaction.commit());
  const bool end = last == after;
  after = last;
  return end;
}

base::Result<int64_t> paths_dropped(Database& database) {
  const Database::Borrowed query = WEIR_TRY(
      database.cached("SELECT ifnull(max(value), 0) FROM meta WHERE name = 'paths_dropped'"));
  return WEIR_TRY(query->step()) ? query->column_int(0) : int64_t{0};
}

base::Result<bool> drop_clients(Database& database, int64_t day, int64_t rows_max) {
  // Lists first: they must never say more than the rows that they belong to.
  const bool paths_gone = WEIR_TRY(
      remove(database,
             "DELETE FROM client_paths WHERE (day, client, path_id) IN (SELECT day, client, path_id"
             " FROM client_paths WHERE day < ?1 ORDER BY day, client, path_id LIMIT ?2)",
             day, rows_max));
  if (!paths_gone) return false;
  const bool lists_gone =
      WEIR_TRY(remove(database,
                      "DELETE FROM client_lists WHERE (day, client) IN (SELECT day, client"
                      " FROM client_lists WHERE day < ?1 ORDER BY day, client LIMIT ?2)",
                      day, rows_max));
  if (!lists_gone) return false;
  return remove(database,
                "DELETE FROM client_daily WHERE day < ?1 AND day = (SELECT min(day) FROM"
                " client_daily) AND client <= (SELECT max(client) FROM (SELECT client FROM"
                " client_daily WHERE day = (SELECT min(day) FROM client_daily)"
                " ORDER BY client LIMIT ?2))",
                day, rows_max);
}

base::Result<bool> drop_zones(Database& database, int64_t rows_max) {
  return remove(database,
                "DELETE FROM event_zones WHERE zone IN (SELECT zone FROM event_zones WHERE zone <"
                " ifnull((SELECT min(seq) FROM events), (SELECT value FROM meta WHERE name ="
                " 'next_seq')) / 8192 ORDER BY zone LIMIT ?1)",
                rows_max);
}

base::Result<bool> merge_sketches(Database& database, int64_t day, int64_t rows_max,
                                  uint64_t& damaged) {
  const auto derived = static_cast<uint64_t>(
      WEIR_TRY(database.query_int("SELECT seq FROM derived WHERE name = 'folded'")));
  uint64_t found = 0;
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  const std::vector<HourSketches> hours = WEIR_TRY(oldest_sketches(database, day, rows_max, found));
  for (const HourSketches& hour : hours) {
    if (hour.row.through > derived) return kUnfolded;
    WEIR_TRY(merge_into_day(database, hour, found));
  }
  WEIR_TRY(transaction.commit());
  damaged += found;
  return hours.empty();
}

}  // namespace weir::stats
