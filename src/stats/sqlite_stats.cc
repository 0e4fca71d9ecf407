#include "stats/sqlite_stats.h"

#include <algorithm>

#include "base/assert.h"
#include "stats/internal/rows.h"
#include "stats/internal/schema.h"
#include "stats/path_sums.h"

namespace weir::stats {
namespace {

using base::Error;
using base::ErrorCode;
using sqlite::Database;

// Errors after which the connection is worth opening again: the file may have been replaced.
bool wants_reopening(const Error& error) {
  return error.code == ErrorCode::corrupt || error.code == ErrorCode::conflict ||
         error.code == ErrorCode::unavailable;
}

std::string_view name_of(Heartbeat::State state) {
  switch (state) {
    case Heartbeat::State::active:
      return "active";
    case Heartbeat::State::inactive:
      return "inactive";
    case Heartbeat::State::error:
      return "error";
  }
  return "error";
}

}  // namespace

sqlite::Schema schema() {
  return {"stats", internal::migrations()};
}

SqliteStats::SqliteStats(Database& database, uint64_t hash_seed, Accumulator::Limits limits)
    : database_(database),
      path_numbers_(0, codec::SeededHash{hash_seed}),
      path_sums_(database),
      accumulator_(*this, limits) {
  for (Numbers& words : words_)
    words = Numbers(0, codec::SeededHash{hash_seed});
}

SqliteStats::~SqliteStats() = default;

base::Status SqliteStats::load() {
  if (must_reopen_ || !database_.is_open()) {
    const base::Status opened = database_.open();
    if (!opened.ok()) return stumbled(opened.error());
    must_reopen_ = false;
  }
  words_loaded_ = false;
  WEIR_TRY(ready());
  const base::Status started = start_deriving();
  if (!started.ok()) return stumbled(started.error());
  return {};
}

// Caches may hold what a rolled-back transaction made up: they start anew from the database.
Error SqliteStats::stumbled(Error error) {
  path_numbers_.clear();
  path_bytes_ = 0;
  words_loaded_ = false;
  must_reopen_ = must_reopen_ || wants_reopening(error);
  return error;
}

base::Status SqliteStats::ready() {
  if (words_loaded_) return {};
  const base::Status loaded = load_words();
  if (!loaded.ok()) return stumbled(loaded.error());
  words_loaded_ = true;
  return {};
}

base::Status SqliteStats::load_words() {
  for (Numbers& words : words_)
    words.clear();
  const Database::Borrowed query =
      WEIR_TRY(database_.cached("SELECT kind, word, word_id FROM words"));
  while (WEIR_TRY(query->step())) {
    const auto kind = static_cast<size_t>(query->column_int(0));
    if (kind >= words_.size()) continue;
    words_[kind].emplace(std::string{query->column_text(1)}, query->column_int(2));
  }
  return {};
}

base::Result<std::vector<Position>> SqliteStats::positions(
    std::span<const journal::Stream> streams) {
  const Database::Borrowed query = WEIR_TRY(database_.cached(
      "SELECT sequence, inserted, sampled_out, totals_only, dead, lost FROM positions"
      " WHERE node = 0 AND epoch = ?1 AND loop = ?2"));
  std::vector<Position> positions;
  for (const journal::Stream& stream : streams) {
    query->reset();
    query->bind(1, stream.epoch);
    query->bind(2, stream.loop);
    Position position{.stream = stream};
    if (WEIR_TRY(query->step())) {
      const auto column = [&query](int i) { return query->column_unsigned(i); };
      position.through = column(0);
      position.accounted = {column(1), column(2), column(3), column(4), column(5)};
    }
    positions.push_back(position);
  }
  return positions;
}

base::Result<std::vector<uint64_t>> SqliteStats::degraded_generations(
    std::span<const journal::Stream> streams) {
  const Database::Borrowed query =
      WEIR_TRY(database_.cached("SELECT generation FROM degraded_generations"
                                " WHERE node = 0 AND epoch = ?1 AND loop = ?2"));
  std::vector<uint64_t> generations;
  for (const journal::Stream& stream : streams) {
    query->reset();
    query->bind(1, stream.epoch);
    query->bind(2, stream.loop);
    const bool found = WEIR_TRY(query->step());
    generations.push_back(found ? query->column_unsigned(0) : 0);
  }
  return generations;
}

base::Result<uint64_t> SqliteStats::next_seq() {
  const Database::Borrowed query =
      WEIR_TRY(database_.cached("SELECT value FROM meta WHERE name = 'next_seq'"));
  if (!WEIR_TRY(query->step())) {
    return Error{ErrorCode::conflict, base::Origin::storage, base::Retry::with_backoff, 0,
                 "next_seq"};
  }
  return query->column_unsigned(0);
}

base::Status SqliteStats::paths_of_hour(
    int64_t hour, const std::function<void(std::string_view path, std::string_view route)>& each) {
  const Database::Borrowed query = WEIR_TRY(database_.cached(
      "SELECT p.path, CASE typeof(h.route) WHEN 'integer'"
      " THEN (SELECT w.word FROM words w WHERE w.word_id = h.route) ELSE h.route END"
      " FROM hourly h JOIN paths p ON p.path_id = h.path_id WHERE h.hour = ?1"));
  query->bind(1, hour);
  while (WEIR_TRY(query->step()))
    each(query->column_text(0), query->column_text(1));
  return {};
}

base::Status SqliteStats::recent_ids(size_t count,
                                     const std::function<void(const traffic::EventId&)>& each) {
  const Database::Borrowed query = WEIR_TRY(
      database_.cached("SELECT id, ts_ms FROM events WHERE seq >="
                       " (SELECT value FROM meta WHERE name = 'next_seq') - ?1 ORDER BY seq"));
  query->bind(1, static_cast<int64_t>(count));
  while (WEIR_TRY(query->step()))
    each(internal::id_of_row(*query, 0, query->column_int(1)));
  return {};
}

base::Result<std::vector<TopPath>> SqliteStats::top_paths(int64_t first_hour, size_t count) {
  std::vector<TopPath> top;
  const int64_t last_hour = first_hour + kTopHours - 1;
  TopSums sums{count};
  WEIR_TRY(
      path_sums_.for_each(first_hour, last_hour, [&sums](const PathSum& sum) { sums.offer(sum); }));
  for (const PathSum& sum : sums.take()) {
    TopPath path = WEIR_TRY(internal::sum_of_path(database_, sum.path_id, first_hour, last_hour));
    path.estimates = WEIR_TRY(estimates_of(sum.path_id, first_hour, path.newest_hour));
    top.push_back(std::move(path));
  }
  return top;
}

base::Result<std::optional<int64_t>> SqliteStats::read_ahead(int64_t first_hour) {
  return path_sums_.read_ahead(first_hour, first_hour + kTopHours - 1);
}

base::Status SqliteStats::beat(const Heartbeat& heartbeat) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database_));
  WEIR_TRY(write_heartbeat(heartbeat));
  return transaction.commit();
}

base::Status SqliteStats::write_heartbeat(const Heartbeat& heartbeat) {
  const Database::Borrowed upsert = WEIR_TRY(database_.cached(
      "INSERT INTO consumer_heartbeat VALUES('consumer', ?1, ?2, ?3, ?2, ?4, ?5, ?6)"
      " ON CONFLICT(consumer_id) DO UPDATE SET last_heartbeat = ?1, last_batch_size = ?2,"
      " last_batch_duration_ms = ?3, total_processed = total_processed + ?2,"
      " total_errors = total_errors + ?4, status = ?5, updated_at = ?6"));
  upsert->bind(1, base::unix_ms(heartbeat.at));
  upsert->bind_unsigned(2, heartbeat.batch_events);
  upsert->bind_unsigned(3, heartbeat.batch_ms);
  upsert->bind_unsigned(4, heartbeat.errors);
  upsert->bind_text(5, name_of(heartbeat.state));
  upsert->bind(6, base::unix_ms(heartbeat.at) / 1000);
  return upsert->run();
}

base::Status SqliteStats::maintain(bool idle) {
  if (!database_.is_open()) return {};
  const int64_t pages = database_.wal_pages();
  if (pages < checkpoint_at_pages_ / 2) checkpoint_at_pages_ = kCheckpointPages;
  if (pages == 0 || (!idle && pages < checkpoint_at_pages_)) return {};
  const base::Result<int64_t> left = database_.checkpoint_passive();
  if (!left.ok()) return stumbled(left.error());
  // Readers can keep the log from starting anew: the next copy then waits for as much again.
  checkpoint_at_pages_ = pages + kCheckpointPages;
  return {};
}

}  // namespace weir::stats
