#include "stats/rebuilt_rows.h"

#include <utility>

#include <fmt/format.h>

#include "codec/iso_time.h"
#include "stats/count_columns.h"
#include "stats/internal/rows.h"

namespace weir::stats {
namespace {

using sqlite::Database;
using sqlite::Statement;

constexpr int64_t kRouteKind = 2;  // Of `words`.

std::string count_list() {
  std::string list;
  for (const std::string_view name : kCountNames)
    list += fmt::format("{}, ", name);
  return list;
}

// Parameters 1 to 25 are the counts, 26 `partial`, 27 the time.
std::string set_counts() {
  std::string values;
  std::string updates;
  for (size_t i = 0; i < kCountNames.size(); ++i) {
    values += fmt::format("?{}, ", i + 1);
    updates += fmt::format("{0} = excluded.{0}, ", kCountNames[i]);
  }
  return fmt::format("{}?26, ?27, ?27) ON CONFLICT DO UPDATE SET {}partial = ?26, updated_ms = ?27",
                     values, updates);
}

constexpr std::string_view table_of(Span span) {
  return span == Span::hour ? "sketches" : "daily_sketches";
}
constexpr std::string_view key_of(Span span) {
  return span == Span::hour ? "hour" : "day";
}

}  // namespace

base::Status read_hour(Database& database, int64_t hour,
                       const std::function<base::Status(const CountedRow&)>& each) {
  Statement query = WEIR_TRY(database.prepare(fmt::format(
      "SELECT p.path, CASE typeof(h.route) WHEN 'integer'"
      " THEN (SELECT w.word FROM words w WHERE w.word_id = h.route) ELSE h.route END,"
      " {} partial FROM hourly h JOIN paths p ON p.path_id = h.path_id WHERE h.hour = ?1",
      count_list())));
  query.bind(1, hour);
  while (WEIR_TRY(query.step())) {
    WEIR_TRY(each({.path = std::string{query.column_text(0)},
                   .route = std::string{query.column_text(1)},
                   .partial = query.column_int(2 + internal::kCountParameters) != 0,
                   .counts = internal::read_counts(query, 2)}));
  }
  return {};
}

base::Result<std::optional<CountedRow>> read_total(Database& database, int64_t hour) {
  Statement query = WEIR_TRY(
      database.prepare(fmt::format("SELECT {} partial FROM totals WHERE hour = ?1", count_list())));
  query.bind(1, hour);
  if (!WEIR_TRY(query.step())) return std::optional<CountedRow>{};
  CountedRow row;
  row.counts = internal::read_counts(query, 0);
  row.partial = query.column_int(internal::kCountParameters) != 0;
  return std::optional{std::move(row)};
}

base::Status read_sketches(
    Database& database, Span span, int64_t at,
    const std::function<base::Status(std::string_view path, const SketchRow&)>& each) {
  Statement query = WEIR_TRY(database.prepare(fmt::format(
      "SELECT (SELECT p.path FROM paths p WHERE p.path_id = s.path_id), s.through, s.latency,"
      " s.clients FROM {} s WHERE s.{} = ?1",
      table_of(span), key_of(span))));
  query.bind(1, at);
  while (WEIR_TRY(query.step())) {
    SketchRow row;
    row.through = query.column_unsigned(1);
    // What is damaged counts as empty, and differs.
    static_cast<void>(internal::decode_sketches(query, 2, row));
    WEIR_TRY(each(query.column_text(0), row));
  }
  return {};
}

base::Status set_sketch_row(Database& database, Span span, SketchPlace place,
                            const SketchRow& row) {
  Statement upsert = WEIR_TRY(database.prepare(fmt::format(
      "INSERT OR REPLACE INTO {} VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)", table_of(span))));
  std::string latency;
  std::string clients;
  row.latency.encode(latency);
  row.clients.encode(clients);
  upsert.bind(1, place.at);
  upsert.bind(2, place.path_id);
  upsert.bind_unsigned(3, row.through);
  upsert.bind_unsigned(4, row.clients.estimate());
  upsert.bind_unsigned(5, row.latency.quantile(0.50));
  upsert.bind_unsigned(6, row.latency.quantile(0.95));
  upsert.bind_unsigned(7, row.latency.quantile(0.99));
  upsert.bind_blob(8, latency);
  upsert.bind_blob(9, clients);
  return upsert.run();
}

base::Result<int64_t> RowSetter::path_id(std::string_view path) {
  if (path.empty()) return kAllPaths;
  const Database::Borrowed insert =
      WEIR_TRY(database_.cached("INSERT OR IGNORE INTO paths(path) VALUES(?1)"));
  insert->bind_text(1, path);
  WEIR_TRY(insert->run());
  const Database::Borrowed find =
      WEIR_TRY(database_.cached("SELECT path_id FROM paths WHERE path = ?1"));
  find->bind_text(1, path);
  return WEIR_TRY(find->step()) ? find->column_int(0) : kAllPaths;
}

// Tells those who remember rows (path_sums.h).
base::Status RowSetter::note_change() {
  const Database::Borrowed note =
      WEIR_TRY(database_.cached("INSERT INTO meta VALUES('hourly_rows_set', 1)"
                                " ON CONFLICT DO UPDATE SET value = value + 1"));
  return note->run();
}

base::Status RowSetter::set_hour(int64_t hour, const CountedRow& row) {
  WEIR_TRY(note_change());
  const int64_t id = WEIR_TRY(path_id(row.path));
  Statement upsert = WEIR_TRY(database_.prepare(
      "INSERT INTO hourly VALUES(?28, ?29, ifnull((SELECT word_id FROM words WHERE kind = ?31 AND"
      " word = ?30), ?30), " +
      set_counts() + ", route = excluded.route"));
  internal::bind_counts(upsert, row.counts);
  upsert.bind(26, row.partial ? 1 : 0);
  upsert.bind(27, base::unix_ms(now_));
  upsert.bind(28, hour);
  upsert.bind(29, id);
  if (row.route.empty()) {
    upsert.bind_null(30);
  } else {
    upsert.bind_text(30, row.route);
  }
  upsert.bind(31, kRouteKind);
  return upsert.run();
}

base::Status RowSetter::set_total(int64_t hour, const CountedRow& row) {
  Statement upsert =
      WEIR_TRY(database_.prepare("INSERT INTO totals VALUES(?28, ?29, " + set_counts()));
  internal::bind_counts(upsert, row.counts);
  upsert.bind(26, row.partial ? 1 : 0);
  upsert.bind(27, base::unix_ms(now_));
  upsert.bind(28, hour);
  const std::string bucket = codec::hour_bucket(hour);
  upsert.bind_text(29, bucket);
  return upsert.run();
}

base::Status RowSetter::set_sketches(Span span, int64_t at, std::string_view path,
                                     const SketchRow& row) {
  return set_sketch_row(database_, span, {at, WEIR_TRY(path_id(path))}, row);
}

base::Status RowSetter::remove_hour(int64_t hour, std::string_view path) {
  WEIR_TRY(note_change());
  const int64_t id = WEIR_TRY(path_id(path));
  const Database::Borrowed remove =
      WEIR_TRY(database_.cached("DELETE FROM hourly WHERE hour = ?1 AND path_id = ?2"));
  remove->bind(1, hour);
  remove->bind(2, id);
  return remove->run();
}

base::Status RowSetter::remove_total(int64_t hour) {
  const Database::Borrowed remove =
      WEIR_TRY(database_.cached("DELETE FROM totals WHERE hour = ?1"));
  remove->bind(1, hour);
  return remove->run();
}

base::Status RowSetter::remove_sketches(Span span, int64_t at, std::string_view path) {
  const int64_t id = WEIR_TRY(path_id(path));
  Statement remove = WEIR_TRY(database_.prepare(
      fmt::format("DELETE FROM {} WHERE {} = ?1 AND path_id = ?2", table_of(span), key_of(span))));
  remove.bind(1, at);
  remove.bind(2, id);
  return remove.run();
}

}  // namespace weir::stats
