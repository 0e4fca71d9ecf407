// SqliteStats::commit() and its parts. Beside sqlite_stats.cc to keep both short.

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <string>

#include "base/fault_point.h"
#include "codec/iso_time.h"
#include "stats/internal/rows.h"
#include "stats/internal/schema.h"
#include "stats/retention.h"
#include "stats/sqlite_stats.h"
#include "stats/stored_event.h"

namespace weir::stats {
namespace {

using base::Error;
using base::ErrorCode;
using sqlite::Database;
using sqlite::Statement;

template <size_t kLeft, size_t kRight>
constexpr auto joined(const char (&left)[kLeft], const char (&right)[kRight]) {
  std::array<char, kLeft + kRight - 1> text{};
  for (size_t i = 0; i < kLeft - 1; ++i)
    text[i] = left[i];
  for (size_t i = 0; i < kRight; ++i)
    text[kLeft - 1 + i] = right[i];
  return text;
}

// Parameters 1 to 25 are the counts, 26 is `partial`, 27 the time, 28 the hour.
constexpr char kAddCounts[] =
    "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,"
    " ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?27) ON CONFLICT DO UPDATE SET"
    " requests = requests + ?1, errors = errors + ?2,"
    " status_1xx = status_1xx + ?3, status_2xx = status_2xx + ?4, status_3xx = status_3xx + ?5,"
    " status_4xx = status_4xx + ?6, status_5xx = status_5xx + ?7,"
    " method_get = method_get + ?8, method_head = method_head + ?9,"
    " method_post = method_post + ?10, method_put = method_put + ?11,"
    " method_patch = method_patch + ?12, method_delete = method_delete + ?13,"
    " method_options = method_options + ?14, method_other = method_other + ?15,"
    " cache_hit = cache_hit + ?16, cache_miss = cache_miss + ?17,"
    " cache_stale = cache_stale + ?18, cache_bypass = cache_bypass + ?19,"
    " bytes_in = bytes_in + ?20, bytes_out = bytes_out + ?21,"
    " us_sum = us_sum + ?22, us_count = us_count + ?23,"
    " us_min = min(ifnull(us_min, ?24), ifnull(?24, us_min)),"
    " us_max = max(ifnull(us_max, ?25), ifnull(?25, us_max)),"
    " partial = max(partial, ?26), updated_ms = ?27";
constexpr int kPartial = 26;
constexpr int kNow = 27;
constexpr int kHour = 28;

constexpr auto kAddHour = joined("INSERT INTO hourly VALUES(?28, ?29, ?30, ", kAddCounts);
constexpr int kHourPath = 29;
constexpr int kHourRoute = 30;

constexpr auto kAddTotal = joined("INSERT INTO totals VALUES(?28, ?29, ", kAddCounts);
constexpr int kTotalBucket = 29;

Error conflict(base::StaticText what) {
  return {ErrorCode::conflict, base::Origin::storage, base::Retry::with_backoff, 0, what};
}

// The row as it is stored, from the batch: nothing is read back from the database here.
StoredEvent stored_event_of(const Batch& batch, const Batch::EventRow& stored, int64_t now_s) {
  const traffic::Event& event = *stored.event;
  const journal::Stream& stream = stored.stream;
  const std::string_view path = batch.paths[stored.path];
  return {.seq = stored.seq,
          .epoch = stream.epoch,
          .loop = stream.loop,
          .sequence = stored.sequence,
          .id = event.id,
          .ts_ms = internal::floor_ms(event.arrival_us),
          .created_s = now_s,
          .path = path,
          .raw_path = path == event.path ? std::string_view{} : event.path,
          .method = event.method,
          .user_agent = event.user_agent,
          .country = event.country,
          .city = event.city,
          .colo = event.colo,
          .route = event.route_id,
          .ip = event.client_ip,
          .client = event.client_hash,
          .us = event.duration_us,
          .upstream_us = event.upstream_us,
          .bytes_in = event.bytes_in,
          .bytes_out = event.bytes_out,
          .status = event.status,
          .flags = event.flags,
          .outcome = static_cast<uint8_t>(event.outcome),
          .cache = static_cast<uint8_t>(event.cache),
          .geo = static_cast<uint8_t>(event.geo),
          .attempts = event.attempts};
}

}  // namespace

base::Status SqliteStats::commit(const Batch& batch, const Heartbeat& heartbeat) {
  base::Status status = ready();
  if (status.ok()) status = store(batch, heartbeat);
  if (!status.ok()) return stumbled(status.error());
  fold_committed(batch);
  return {};
}

base::Status SqliteStats::store(const Batch& batch, const Heartbeat& heartbeat) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database_));
  WEIR_TRY(advance(batch.advances));
  WEIR_TRY(resolve_paths(batch.paths));
  WEIR_TRY(insert_events(batch));
  WEIR_TRY(add_hours(batch));
  WEIR_TRY(add_totals(batch));
  WEIR_TRY(add_dead_letters(batch));
  WEIR_TRY(replay(batch));
  WEIR_TRY(add_degraded(batch));
  WEIR_TRY(add_days(batch));
  WEIR_TRY(add_digests(batch));
  WEIR_TRY(add_adjustments(batch));
  WEIR_TRY(write_heartbeat(heartbeat));
  base::fault_point("consumer.before_commit");
  WEIR_TRY(transaction.commit());
  base::fault_point("consumer.after_commit");
  return {};
}

// A position that is not where the caller believes it to be means that somebody else consumed, or
// that the database was restored: nothing may be added to it.
base::Status SqliteStats::advance(std::span<const Batch::Advance> advances) {
  const Database::Borrowed first = WEIR_TRY(
      database_.cached("INSERT OR IGNORE INTO positions VALUES(0, ?1, ?2, 0, 0, 0, 0, 0, 0)"));
  const Database::Borrowed update = WEIR_TRY(database_.cached(
      "UPDATE positions SET sequence = ?3, inserted = inserted + ?4,"
      " sampled_out = sampled_out + ?5, totals_only = totals_only + ?6, dead = dead + ?7,"
      " lost = lost + ?8 WHERE node = 0 AND epoch = ?1 AND loop = ?2 AND sequence = ?9"));
  for (const Batch::Advance& advance : advances) {
    WEIR_ASSERT(advance.through - advance.from == advance.accounted.sum());
    if (advance.from == 0) {
      first->bind(1, advance.stream.epoch);
      first->bind(2, advance.stream.loop);
      WEIR_TRY(first->run());
    }
    update->bind(1, advance.stream.epoch);
    update->bind(2, advance.stream.loop);
    update->bind_unsigned(3, advance.through);
    update->bind_unsigned(4, advance.accounted.inserted);
    update->bind_unsigned(5, advance.accounted.sampled_out);
    update->bind_unsigned(6, advance.accounted.totals_only);
    update->bind_unsigned(7, advance.accounted.dead);
    update->bind_unsigned(8, advance.accounted.lost);
    update->bind_unsigned(9, advance.from);
    WEIR_TRY(update->run());
    if (database_.changes() != 1) return conflict("position");
  }
  return {};
}

base::Status SqliteStats::resolve_paths(std::span<const std::string_view> paths) {
  batch_paths_.clear();
  if (const int64_t dropped = WEIR_TRY(paths_dropped(database_)); dropped != paths_dropped_) {
    path_numbers_.clear();
    path_bytes_ = 0;
    paths_dropped_ = dropped;
  }
  for (const std::string_view path : paths) {
    const auto known = path_numbers_.find(path);
    batch_paths_.push_back(known != path_numbers_.end() ? known->second
                                                        : WEIR_TRY(path_number(path)));
  }
  return {};
}

base::Result<int64_t> SqliteStats::path_number(std::string_view path) {
  if (path_numbers_.size() >= kCachedPathsMax || path_bytes_ + path.size() > kCachedPathBytesMax) {
    path_numbers_.clear();
    path_bytes_ = 0;
  }
  int64_t number = 0;
  const Database::Borrowed find =
      WEIR_TRY(database_.cached("SELECT path_id FROM paths WHERE path = ?1"));
  find->bind_text(1, path);
  if (WEIR_TRY(find->step())) {
    number = find->column_int(0);
  } else {
    const Database::Borrowed insert =
        WEIR_TRY(database_.cached("INSERT INTO paths(path) VALUES(?1)"));
    insert->bind_text(1, path);
    WEIR_TRY(insert->run());
    number = database_.last_insert_id();
  }
  path_numbers_.emplace(std::string{path}, number);
  path_bytes_ += path.size();
  return number;
}

base::Status SqliteStats::bind_word(Statement& row, int parameter, size_t kind,
                                    std::string_view word) {
  if (word.empty()) {
    row.bind_null(parameter);
    return {};
  }
  Numbers& known = words_[kind];
  const auto found = known.find(word);
  if (found != known.end()) {
    row.bind(parameter, found->second);
    return {};
  }
  if (known.size() >= kWordsMax[kind]) {
    row.bind_text(parameter, word);
    return {};
  }
  const Database::Borrowed insert =
      WEIR_TRY(database_.cached("INSERT INTO words(kind, word) VALUES(?1, ?2)"));
  insert->bind(1, static_cast<int64_t>(kind));
  insert->bind_text(2, word);
  WEIR_TRY(insert->run());
  const int64_t number = database_.last_insert_id();
  known.emplace(std::string{word}, number);
  row.bind(parameter, number);
  return {};
}

base::Status SqliteStats::insert_events(const Batch& batch) {
  if (batch.events.empty()) return {};
  const uint64_t first = batch.events.front().seq;
  const Database::Borrowed seq = WEIR_TRY(
      database_.cached("UPDATE meta SET value = ?1 WHERE name = 'next_seq' AND value = ?2"));
  seq->bind_unsigned(1, first + batch.events.size());
  seq->bind_unsigned(2, first);
  WEIR_TRY(seq->run());
  if (database_.changes() != 1) return conflict("next_seq");

  const Database::Borrowed insert = WEIR_TRY(database_.cached(
      "INSERT INTO events VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,"
      " ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27)"));
  const int64_t now_s = base::unix_ms(batch.now) / 1000;
  const Database::Borrowed insert_slim = WEIR_TRY(
      database_.cached("INSERT INTO slim_events VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"));
  for (const Batch::EventRow& event : batch.events) {
    WEIR_TRY(event.detail ? insert_event(*insert, batch, event, now_s)
                          : insert_slim_event(*insert_slim, event));
  }
  return add_zones(batch);
}

// What derive() needs of an event, for as long as it needs it.
base::Status SqliteStats::insert_slim_event(Statement& row, const Batch::EventRow& stored) {
  const traffic::Event& event = *stored.event;
  row.bind_unsigned(1, stored.seq);
  row.bind(2, internal::floor_ms(event.arrival_us));
  row.bind(3, batch_paths_[stored.path]);
  row.bind(4, event.status);
  row.bind_unsigned(5, event.duration_us);
  row.bind(6, static_cast<int64_t>(event.client_hash));
  internal::bind_address(row, 7, event.client_ip);
  row.bind(8, static_cast<int64_t>(event.geo));
  row.bind_unsigned(9, event.bytes_in);
  row.bind_unsigned(10, event.bytes_out);
  return row.run();
}

base::Status SqliteStats::add_zones(const Batch& batch) {
  const Database::Borrowed upsert = WEIR_TRY(
      database_.cached("INSERT INTO event_zones VALUES(?1, ?2, ?3) ON CONFLICT DO UPDATE SET"
                       " ts_min = min(ts_min, ?2), ts_max = max(ts_max, ?3)"));
  const std::span<const Batch::EventRow> events = batch.events;
  for (size_t at = 0; at < events.size();) {
    const uint64_t zone = events[at].seq / kZoneSeqs;
    int64_t least = std::numeric_limits<int64_t>::max();
    int64_t greatest = std::numeric_limits<int64_t>::min();
    for (; at < events.size() && events[at].seq / kZoneSeqs == zone; ++at) {
      const int64_t ts_ms = internal::floor_ms(events[at].event->arrival_us);
      least = std::min(least, ts_ms);
      greatest = std::max(greatest, ts_ms);
    }
    upsert->bind_unsigned(1, zone);
    upsert->bind(2, least);
    upsert->bind(3, greatest);
    WEIR_TRY(upsert->run());
  }
  return {};
}

// What an archive of these events will have to hold, by day: added up here, where they are stored,
// and compared there, where they are read back.
base::Status SqliteStats::add_digests(const Batch& batch) {
  struct Sum {
    uint64_t rows = 0;
    RowsDigest digest;
  };
  std::map<int64_t, Sum> days;
  const int64_t now_s = base::unix_ms(batch.now) / 1000;
  std::string scratch;
  for (const Batch::EventRow& stored : batch.events) {
    if (!stored.detail) continue;
    const StoredEvent event = stored_event_of(batch, stored, now_s);
    Sum& sum = days[codec::unix_day_of_ms(event.ts_ms)];
    ++sum.rows;
    sum.digest += digest_of(event, scratch);
  }
  const Database::Borrowed select =
      WEIR_TRY(database_.cached("SELECT digest_high, digest_low FROM day_ledger WHERE day = ?1"));
  const Database::Borrowed update = WEIR_TRY(database_.cached(
      "UPDATE day_ledger SET digest_rows = digest_rows + ?2, digest_high = ?3, digest_low = ?4,"
      " ingested_day = max(ingested_day, ?5) WHERE day = ?1"));
  for (auto& [day, sum] : days) {
    select->bind(1, day);
    if (!WEIR_TRY(select->step())) return conflict("day ledger");
    sum.digest += {select->column_unsigned(0), select->column_unsigned(1)};
    select->reset();
    update->bind(1, day);
    update->bind_unsigned(2, sum.rows);
    update->bind(3, static_cast<int64_t>(sum.digest.high));
    update->bind(4, static_cast<int64_t>(sum.digest.low));
    update->bind(5, codec::unix_day_of_ms(base::unix_ms(batch.now)));
    WEIR_TRY(update->run());
  }
  return {};
}

base::Status SqliteStats::insert_event(Statement& row, const Batch& batch,
                                       const Batch::EventRow& stored, int64_t now_s) {
  using Column = internal::EventColumn;
  const traffic::Event& event = *stored.event;
  const journal::Stream& stream = stored.stream;
  const int64_t ts_ms = internal::floor_ms(event.arrival_us);
  std::string id;
  row.bind_unsigned(Column::seq, stored.seq);
  row.bind(Column::epoch, stream.epoch);
  row.bind(Column::loop, stream.loop);
  row.bind_unsigned(Column::sequence, stored.sequence);
  internal::bind_id(row, Column::id, event.id, ts_ms, id);
  row.bind(Column::ts_ms, ts_ms);
  row.bind(Column::lag_s, now_s - ts_ms / 1000);
  row.bind(Column::path_id, batch_paths_[stored.path]);
  if (batch.paths[stored.path] == event.path) {
    row.bind_null(Column::raw_path);
  } else {
    row.bind_text(Column::raw_path, event.path);
  }
  row.bind(Column::status, event.status);
  row.bind_unsigned(Column::us, event.duration_us);
  // The hash is 64 bits, not a quantity.
  row.bind(Column::client, static_cast<int64_t>(event.client_hash));
  internal::bind_address(row, Column::ip, event.client_ip);
  row.bind(Column::geo, static_cast<int64_t>(event.geo));
  row.bind(Column::cache, static_cast<int64_t>(event.cache));
  row.bind(Column::outcome, static_cast<int64_t>(event.outcome));
  row.bind(Column::attempts, event.attempts);
  row.bind(Column::flags, event.flags);
  row.bind_unsigned(Column::upstream_us, event.upstream_us);
  row.bind_unsigned(Column::bytes_in, event.bytes_in);
  row.bind_unsigned(Column::bytes_out, event.bytes_out);
  WEIR_TRY(bind_word(row, Column::method, kMethodWord, event.method));
  WEIR_TRY(bind_word(row, Column::ua, kUserAgentWord, event.user_agent));
  WEIR_TRY(bind_word(row, Column::route, kRouteWord, event.route_id));
  WEIR_TRY(bind_word(row, Column::country, kCountryWord, event.country));
  WEIR_TRY(bind_word(row, Column::city, kCityWord, event.city));
  WEIR_TRY(bind_word(row, Column::colo, kColoWord, event.colo));
  return row.run();
}

base::Status SqliteStats::add_hours(const Batch& batch) {
  const Database::Borrowed upsert = WEIR_TRY(database_.cached(base::StaticText{kAddHour.data()}));
  const int64_t now_ms = base::unix_ms(batch.now);
  for (const Batch::HourRow& hour : batch.hours) {
#if defined(WEIR_SKIP_HOURLY_UPDATES)
    // The broken build that the audit must find out.
    static uint64_t updates = 0;
    if (++updates % 10'000 == 0) continue;
#endif
    internal::bind_counts(*upsert, hour.counts);
    upsert->bind(kPartial, hour.partial ? 1 : 0);
    upsert->bind(kNow, now_ms);
    upsert->bind(kHour, hour.hour);
    upsert->bind(kHourPath, batch_paths_[hour.path]);
    WEIR_TRY(bind_word(*upsert, kHourRoute, kRouteWord, hour.route));
    WEIR_TRY(upsert->run());
  }
  return {};
}

base::Status SqliteStats::add_totals(const Batch& batch) {
  struct Total {
    Counts counts;
    bool partial = false;
  };
  std::map<int64_t, Total> totals;
  for (const Batch::HourRow& hour : batch.hours) {
    Total& total = totals[hour.hour];
    if (!total.counts.add(hour.counts)) {
      return Error{ErrorCode::invalid_input, base::Origin::storage, base::Retry::never, 0,
                   "integer overflow"};
    }
    total.partial = total.partial || hour.partial;
  }
  const Database::Borrowed upsert = WEIR_TRY(database_.cached(base::StaticText{kAddTotal.data()}));
  for (const auto& [hour, total] : totals) {
    internal::bind_counts(*upsert, total.counts);
    upsert->bind(kPartial, total.partial ? 1 : 0);
    upsert->bind(kNow, base::unix_ms(batch.now));
    upsert->bind(kHour, hour);
    const std::string bucket = codec::hour_bucket(hour);
    upsert->bind_text(kTotalBucket, bucket);
    WEIR_TRY(upsert->run());
  }
  return {};
}

base::Status SqliteStats::add_dead_letters(const Batch& batch) {
  const Database::Borrowed letter = WEIR_TRY(database_.cached(
      "INSERT INTO dead_letters(node, epoch, loop, sequence, reason, payload, created_ms)"
      " VALUES(0, ?1, ?2, ?3, ?4, ?5, ?6)"));
  for (const Batch::DeadLetter& dead : batch.dead_letters) {
    letter->bind(1, dead.stream.epoch);
    letter->bind(2, dead.stream.loop);
    letter->bind_unsigned(3, dead.sequence);
    letter->bind_text(4, dead.reason);
    letter->bind_blob(5, dead.payload.substr(0, kDeadPayloadBytesMax));
    letter->bind(6, base::unix_ms(batch.now));
    WEIR_TRY(letter->run());
  }
  return {};
}

// Only a generation above the stored one is new; a side seen twice would be counted twice.
base::Status SqliteStats::add_degraded(const Batch& batch) {
  const Database::Borrowed upsert = WEIR_TRY(database_.cached(
      "INSERT INTO degraded_generations VALUES(0, ?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET"
      " generation = ?3, requests = requests + ?4 WHERE generation < ?3"));
  for (const Batch::DegradedMerge& merge : batch.degraded) {
    upsert->bind(1, merge.stream.epoch);
    upsert->bind(2, merge.stream.loop);
    upsert->bind_unsigned(3, merge.generation);
    upsert->bind_unsigned(4, merge.requests);
    WEIR_TRY(upsert->run());
    if (database_.changes() != 1) return conflict("degraded generation");
  }
  return {};
}

base::Status SqliteStats::add_days(const Batch& batch) {
  const Database::Borrowed upsert = WEIR_TRY(database_.cached(
      "INSERT INTO day_ledger(day, inserted, sampled_out, totals_only, dead, lost, degraded)"
      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET"
      " inserted = inserted + ?2, sampled_out = sampled_out + ?3,"
      " totals_only = totals_only + ?4, dead = dead + ?5, lost = lost + ?6,"
      " degraded = degraded + ?7"));
  for (const Batch::DayRow& day : batch.days) {
    upsert->bind(1, day.day);
    upsert->bind_unsigned(2, day.accounted.inserted);
    upsert->bind_unsigned(3, day.accounted.sampled_out);
    upsert->bind_unsigned(4, day.accounted.totals_only);
    upsert->bind_unsigned(5, day.accounted.dead);
    upsert->bind_unsigned(6, day.accounted.lost);
    upsert->bind_unsigned(7, day.degraded);
    WEIR_TRY(upsert->run());
  }
  return {};
}

}  // namespace weir::stats
