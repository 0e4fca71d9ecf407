// What SqliteStats derives from committed events: folding and writing. Beside sqlite_stats.cc to
// keep both short.

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/fault_point.h"
#include "stats/internal/rows.h"
#include "stats/sqlite_stats.h"

namespace weir::stats {
namespace {

using sqlite::Database;
using sqlite::Statement;

// Of one call, so that it takes a few tens of milliseconds.
constexpr size_t kSketchesPerSlice = 1000;
constexpr size_t kClientsPerSlice = 10'000;
constexpr int64_t kFactsPerPiece = 8192;
constexpr int64_t kSlimPerSlice = 20'000;

Fact fact_of(const Statement& row, const std::string& ip) {
  return {.seq = row.column_unsigned(0),
          .ts_ms = row.column_int(1),
          .path_id = row.column_int(2),
          .us = row.column_unsigned(4),
          .client = row.column_unsigned(5),
          .bytes_in = row.column_unsigned(8),
          .bytes_out = row.column_unsigned(9),
          .ip = ip,
          .geo = static_cast<traffic::GeoAction>(row.column_int(7)),
          .status = static_cast<uint16_t>(row.column_int(3))};
}

}  // namespace

// After load(): goes on with what is in memory if the database still stands where it stood, else
// begins anew from what it holds.
base::Status SqliteStats::start_deriving() {
  const Database::Borrowed query =
      WEIR_TRY(database_.cached("SELECT seq FROM derived WHERE name = 'folded'"));
  const uint64_t written = WEIR_TRY(query->step()) ? query->column_unsigned(0) : 0;
  const uint64_t next = WEIR_TRY(next_seq());
  slim_left_ = true;
  const bool known = derived_through_ == written && accumulator_.folded_through() < next;
  if (known && deriving_) return {};
  accumulator_.start(written, next);
  derived_through_ = written;
  deriving_ = true;
  return {};
}

// Cannot fail: what is not folded here is in the database, and derive() goes on there.
void SqliteStats::fold_committed(const Batch& batch) {
  if (batch.events.empty()) return;
  if (batch.events.front().seq != accumulator_.folded_through() + 1) return;
  for (const Batch::EventRow& stored : batch.events) {
    const traffic::Event& event = *stored.event;
    const base::Status folded = accumulator_.fold({.seq = stored.seq,
                                                   .ts_ms = internal::floor_ms(event.arrival_us),
                                                   .path_id = batch_paths_[stored.path],
                                                   .us = event.duration_us,
                                                   .client = event.client_hash,
                                                   .bytes_in = event.bytes_in,
                                                   .bytes_out = event.bytes_out,
                                                   .ip = event.client_ip,
                                                   .geo = event.geo,
                                                   .status = event.status});
    if (!folded.ok()) return;
  }
}

base::Result<bool> SqliteStats::derive(Flush flush) {
  base::Result<bool> done = derive_piece(flush);
  if (!done.ok()) return stumbled(done.error());
  return done;
}

base::Result<bool> SqliteStats::derive_piece(Flush flush) {
  if (!deriving_) return true;
  const bool behind = WEIR_TRY(fold_backlog());
  // Also when the rows hold everything already, as after a kill: then the position moves on alone.
  const bool due = flush == Flush::yes || accumulator_.wants_pass();
  if (due && accumulator_.folded_through() > derived_through_) accumulator_.begin_pass();
  if (accumulator_.passing()) WEIR_TRY(write_slice());
  const bool slim = !accumulator_.passing() && WEIR_TRY(delete_slim());
  return !behind && !accumulator_.passing() && !slim;
}

// True: more is waiting.
base::Result<bool> SqliteStats::fold_backlog() {
  const uint64_t last = WEIR_TRY(next_seq()) - 1;
  if (accumulator_.folded_through() >= last) return false;
  const Database::Borrowed query = WEIR_TRY(database_.cached(
      "SELECT seq, ts_ms, path_id, status, us, client, ip, geo, bytes_in, bytes_out FROM events"
      " WHERE seq > ?1 UNION ALL"
      " SELECT seq, ts_ms, path_id, status, us, client, ip, geo, bytes_in, bytes_out"
      " FROM slim_events WHERE seq > ?1 ORDER BY 1 LIMIT ?2"));
  query->bind_unsigned(1, accumulator_.folded_through());
  query->bind(2, kFactsPerPiece);
  int64_t rows = 0;
  while (WEIR_TRY(query->step())) {
    ++rows;
    const std::string ip = internal::address_of(*query, 6);
    WEIR_TRY(accumulator_.fold(fact_of(*query, ip)));
  }
  // The rest was deleted, and not before it was folded.
  if (rows < kFactsPerPiece) accumulator_.pass_over(last);
  return rows == kFactsPerPiece;
}

base::Status SqliteStats::write_slice() {
  const std::vector<Accumulator::Sketches*> sketches =
      accumulator_.next_sketches(kSketchesPerSlice);
  const std::vector<const ClientRow*> clients = accumulator_.next_clients(kClientsPerSlice);
  for (Accumulator::Sketches* const each : sketches)
    WEIR_TRY(accumulator_.complete(*each));
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database_));
  for (const Accumulator::Sketches* const each : sketches)
    WEIR_TRY(write_sketches(*each));
  for (const ClientRow* const each : clients)
    WEIR_TRY(write_client(*each));
  base::fault_point("derived.before_commit");
  WEIR_TRY(transaction.commit());
  base::fault_point("derived.after_commit");
  accumulator_.wrote_sketches(sketches.size());
  accumulator_.wrote_clients(clients.size());
  if (!accumulator_.pass_written()) return {};
  WEIR_TRY(write_position(accumulator_.pass_seq()));
  accumulator_.end_pass();
  return {};
}

// Apart from the rows: a position behind what they hold only makes a start read more.
base::Status SqliteStats::write_position(uint64_t seq) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database_));
  const Database::Borrowed update =
      WEIR_TRY(database_.cached("UPDATE derived SET seq = ?1 WHERE name = 'folded'"));
  update->bind_unsigned(1, seq);
  WEIR_TRY(update->run());
  WEIR_TRY(transaction.commit());
  derived_through_ = seq;
  slim_left_ = true;
  return {};
}

base::Status SqliteStats::write_sketches(const Accumulator::Sketches& sketches) {
  const Database::Borrowed upsert = WEIR_TRY(
      database_.cached("INSERT INTO sketches VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
                       " ON CONFLICT DO UPDATE SET through = ?3, unique_clients = ?4, p50_us = ?5,"
                       " p95_us = ?6, p99_us = ?7, latency = ?8, clients = ?9"));
  std::string latency;
  std::string clients;
  sketches.latency.encode(latency);
  sketches.clients.encode(clients);
  upsert->bind(1, sketches.key.hour);
  upsert->bind(2, sketches.key.path_id);
  upsert->bind_unsigned(3, sketches.through);
  upsert->bind_unsigned(4, sketches.clients.estimate());
  upsert->bind_unsigned(5, sketches.latency.quantile(0.50));
  upsert->bind_unsigned(6, sketches.latency.quantile(0.95));
  upsert->bind_unsigned(7, sketches.latency.quantile(0.99));
  upsert->bind_blob(8, latency);
  upsert->bind_blob(9, clients);
  return upsert->run();
}

// Added once: a row that holds these events already, by a commit that seemed to have failed, stays.
base::Status SqliteStats::write_client(const ClientRow& client) {
  const Database::Borrowed upsert = WEIR_TRY(database_.cached(
      "INSERT INTO client_daily VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
      " ON CONFLICT DO UPDATE SET through = ?3, requests = requests + ?4, errors = errors + ?5,"
      " blocked = blocked + ?6, throttled = throttled + ?7, bytes_in = bytes_in + ?8,"
      " bytes_out = bytes_out + ?9, first_ms = min(first_ms, ?10), last_ms = max(last_ms, ?11),"
      " ip = ifnull(ip, ?12) WHERE through < ?3"));
  upsert->bind(1, client.key.day);
  upsert->bind(2, static_cast<int64_t>(client.key.client));
  upsert->bind_unsigned(3, client.through);
  upsert->bind_unsigned(4, client.requests);
  upsert->bind_unsigned(5, client.errors);
  upsert->bind_unsigned(6, client.blocked);
  upsert->bind_unsigned(7, client.throttled);
  upsert->bind_unsigned(8, client.bytes_in);
  upsert->bind_unsigned(9, client.bytes_out);
  upsert->bind(10, client.first_ms);
  upsert->bind(11, client.last_ms);
  internal::bind_address(*upsert, 12, client.ip);
  return upsert->run();
}

// True: more is left.
base::Result<bool> SqliteStats::delete_slim() {
  if (!slim_left_) return false;
  const Database::Borrowed next =
      WEIR_TRY(database_.cached("SELECT min(seq) FROM slim_events WHERE seq <= ?1"));
  next->bind_unsigned(1, derived_through_);
  const bool some = WEIR_TRY(next->step()) && next->column_type(0) == sqlite::ColumnType::integer;
  if (!some) {
    slim_left_ = false;
    return false;
  }
  const int64_t first = next->column_int(0);
  next->reset();
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database_));
  const Database::Borrowed remove =
      WEIR_TRY(database_.cached("DELETE FROM slim_events WHERE seq <= min(?1, ?2)"));
  remove->bind_unsigned(1, derived_through_);
  remove->bind(2, first + kSlimPerSlice);
  WEIR_TRY(remove->run());
  WEIR_TRY(transaction.commit());
  return true;
}

// ---- DerivedSource ----

base::Result<std::optional<SketchRow>> SqliteStats::sketch_row(SketchKey key) {
  const Database::Borrowed query = WEIR_TRY(database_.cached(
      "SELECT through, latency, clients FROM sketches WHERE hour = ?1 AND path_id = ?2"));
  query->bind(1, key.hour);
  query->bind(2, key.path_id);
  if (!WEIR_TRY(query->step())) return std::optional<SketchRow>{};
  SketchRow row;
  row.through = query->column_unsigned(0);
  // Damaged bytes must not stop the counting for ever: the row begins anew, and says so.
  if (!internal::decode_sketches(*query, 1, row)) ++damaged_sketches_;
  return std::optional<SketchRow>{std::move(row)};
}

base::Result<uint64_t> SqliteStats::client_through(ClientKey key) {
  const Database::Borrowed query =
      WEIR_TRY(database_.cached("SELECT through FROM client_daily WHERE day = ?1 AND client = ?2"));
  query->bind(1, key.day);
  query->bind(2, static_cast<int64_t>(key.client));
  return WEIR_TRY(query->step()) ? query->column_unsigned(0) : uint64_t{0};
}

base::Status SqliteStats::clients_of(int64_t day, ClientSet& set) {
  const Database::Borrowed query =
      WEIR_TRY(database_.cached("SELECT client FROM client_daily WHERE day = ?1"));
  query->bind(1, day);
  while (WEIR_TRY(query->step())) {
    const uint64_t client = query->column_unsigned(0);
    if (client != kOtherClient) set.insert(client);
  }
  return {};
}

// ---- Estimates ----

// Days whose hours were merged count whole, as soon as one of their hours is asked for.
base::Status SqliteStats::add_merged_days(int64_t path_id, int64_t first_hour, int64_t last_hour,
                                          SketchRow& sum) {
  const Database::Borrowed query =
      WEIR_TRY(database_.cached("SELECT latency, clients FROM daily_sketches"
                                " WHERE day BETWEEN ?1 AND ?2 AND path_id = ?3"));
  query->bind(1, first_hour / 24);
  query->bind(2, last_hour / 24);
  query->bind(3, path_id);
  while (WEIR_TRY(query->step())) {
    SketchRow row;
    if (!internal::decode_sketches(*query, 0, row)) ++damaged_sketches_;
    sum.latency.merge(row.latency);
    sum.clients.merge(row.clients);
  }
  return {};
}

base::Result<std::optional<Estimates>> SqliteStats::estimates_of(int64_t path_id,
                                                                 int64_t first_hour,
                                                                 int64_t last_hour) {
  SketchRow sum;
  for (int64_t hour = first_hour; hour <= last_hour; ++hour) {
    const Accumulator::Sketches* const open = accumulator_.find({hour, path_id});
    if (open != nullptr) {
      sum.latency.merge(open->latency);
      sum.clients.merge(open->clients);
    }
    if (open != nullptr && open->complete) continue;
    const std::optional<SketchRow> row = WEIR_TRY(sketch_row({hour, path_id}));
    if (!row) continue;
    sum.latency.merge(row->latency);
    sum.clients.merge(row->clients);
  }
  WEIR_TRY(add_merged_days(path_id, first_hour, last_hour, sum));
  if (sum.latency.count() == 0) return std::optional<Estimates>{};
  return std::optional<Estimates>{Estimates{.p50_us = sum.latency.quantile(0.50),
                                            .p95_us = sum.latency.quantile(0.95),
                                            .p99_us = sum.latency.quantile(0.99),
                                            .unique_clients = sum.clients.estimate()}};
}

}  // namespace weir::stats
