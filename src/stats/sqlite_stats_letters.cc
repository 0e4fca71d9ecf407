// Dead letters in the database: reading, deleting, and counting them after all.

#include "stats/sqlite_stats.h"

namespace weir::stats {
namespace {

using base::Error;
using base::ErrorCode;
using sqlite::Database;

Error gone(base::StaticText what) {
  return {ErrorCode::conflict, base::Origin::storage, base::Retry::with_backoff, 0, what};
}

}  // namespace

base::Result<std::vector<StoredLetter>> SqliteStats::dead_letters(int64_t after, size_t count) {
  const Database::Borrowed query = WEIR_TRY(
      database_.cached("SELECT letter_id, epoch, loop, sequence, reason, payload, created_ms"
                       " FROM dead_letters WHERE letter_id > ?1 ORDER BY letter_id LIMIT ?2"));
  query->bind(1, after);
  query->bind(2, static_cast<int64_t>(count));
  std::vector<StoredLetter> letters;
  while (WEIR_TRY(query->step())) {
    StoredLetter& letter = letters.emplace_back();
    letter.letter_id = query->column_int(0);
    letter.stream = {static_cast<uint32_t>(query->column_int(1)),
                     static_cast<uint16_t>(query->column_int(2))};
    letter.sequence = query->column_unsigned(3);
    letter.reason = query->column_text(4);
    letter.payload = query->column_blob(5);
    letter.died = base::Wall{std::chrono::milliseconds{query->column_int(6)}};
  }
  return letters;
}

base::Result<uint64_t> SqliteStats::dead_letter_count() {
  const int64_t count = WEIR_TRY(database_.query_int("SELECT count(*) FROM dead_letters"));
  return static_cast<uint64_t>(count);
}

// The count of purged letters keeps the identity "dead = letters + purged" for the audit.
base::Result<uint64_t> SqliteStats::purge_letters(std::span<const int64_t> letter_ids) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database_));
  const Database::Borrowed remove =
      WEIR_TRY(database_.cached("DELETE FROM dead_letters WHERE letter_id = ?1"));
  uint64_t purged = 0;
  for (const int64_t letter_id : letter_ids) {
    remove->bind(1, letter_id);
    WEIR_TRY(remove->run());
    purged += static_cast<uint64_t>(database_.changes());
  }
  const Database::Borrowed count =
      WEIR_TRY(database_.cached("INSERT INTO meta VALUES('purged_letters', ?1)"
                                " ON CONFLICT DO UPDATE SET value = value + ?1"));
  count->bind_unsigned(1, purged);
  WEIR_TRY(count->run());
  WEIR_TRY(transaction.commit());
  return purged;
}

base::Status SqliteStats::replay(const Batch& batch) {
  for (const Batch::Replay& letter : batch.replays)
    WEIR_TRY(replay_letter(letter));
  return {};
}

// A letter leaves with the commit that counts it, so it is counted once.
base::Status SqliteStats::replay_letter(const Batch::Replay& replay) {
  const Database::Borrowed remove =
      WEIR_TRY(database_.cached("DELETE FROM dead_letters WHERE letter_id = ?1 AND node = 0"
                                " AND epoch = ?2 AND loop = ?3 AND sequence = ?4"));
  remove->bind(1, replay.letter_id);
  remove->bind(2, replay.stream.epoch);
  remove->bind(3, replay.stream.loop);
  remove->bind_unsigned(4, replay.sequence);
  WEIR_TRY(remove->run());
  if (database_.changes() != 1) return gone("dead letter");

  const Database::Borrowed position = WEIR_TRY(database_.cached(
      "UPDATE positions SET dead = dead - 1, inserted = inserted + ?3,"
      " sampled_out = sampled_out + ?4, totals_only = totals_only + ?5"
      " WHERE node = 0 AND epoch = ?1 AND loop = ?2 AND dead > 0 AND sequence >= ?6"));
  position->bind(1, replay.stream.epoch);
  position->bind(2, replay.stream.loop);
  position->bind_unsigned(3, replay.accounted.inserted);
  position->bind_unsigned(4, replay.accounted.sampled_out);
  position->bind_unsigned(5, replay.accounted.totals_only);
  position->bind_unsigned(6, replay.sequence);
  WEIR_TRY(position->run());
  if (database_.changes() != 1) return gone("position of a dead letter");

  const Database::Borrowed day = WEIR_TRY(
      database_.cached("UPDATE day_ledger SET dead = dead - 1 WHERE day = ?1 AND dead > 0"));
  day->bind(1, replay.dead_day);
  WEIR_TRY(day->run());
  return database_.changes() == 1 ? base::Status{} : gone("day of a dead letter");
}

}  // namespace weir::stats
