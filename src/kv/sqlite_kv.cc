#include "kv/sqlite_kv.h"

#include <algorithm>
#include <array>
#include <limits>

namespace weir::kv {
namespace {

using base::Error;
using base::ErrorCode;
using base::Origin;
using base::Retry;
using sqlite::Database;

constexpr std::array<std::string_view, 1> kMigrations{
    "CREATE TABLE kv("
    "  key TEXT PRIMARY KEY,"
    "  value BLOB NOT NULL,"
    "  metadata TEXT,"
    "  expires_us INTEGER"  // Unix microseconds; NULL: never.
    ") STRICT;"
    "CREATE INDEX kv_expires ON kv(expires_us) WHERE expires_us IS NOT NULL;",
};

int64_t stamp(base::Wall time) {
  return time.time_since_epoch().count();
}

std::optional<base::Wall> expiry(const sqlite::Statement& row, int column) {
  if (row.column_type(column) == sqlite::ColumnType::null) return std::nullopt;
  return base::Wall{std::chrono::microseconds{row.column_int(column)}};
}

Error over_limit(base::StaticText what) {
  return {ErrorCode::limit_exceeded, Origin::self, Retry::never, 0, what};
}

base::Status check(const Change& change) {
  if (change.key.empty() || change.key.size() > Kv::kKeyBytesMax) return over_limit("key length");
  if (!change.value) return {};
  if (change.value->size() > Kv::kValueBytesMax) return over_limit("value length");
  if (change.metadata.size() > Kv::kMetadataBytesMax) return over_limit("metadata length");
  return {};
}

base::Status apply(const Change& change, sqlite::Statement& put, sqlite::Statement& remove) {
  if (!change.value) {
    remove.clear();
    remove.bind_text(1, change.key);
    return remove.run();
  }
  put.clear();
  put.bind_text(1, change.key);
  put.bind_blob(2, *change.value);
  if (!change.metadata.empty()) put.bind_text(3, change.metadata);
  if (change.expires) put.bind(4, stamp(*change.expires));
  return put.run();
}

// The smallest string greater than every string that begins with `prefix`; empty: there is none.
std::string prefix_end(std::string_view prefix) {
  std::string end{prefix};
  while (!end.empty() && end.back() == '\xff')
    end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(end.back() + 1);
  return end;
}

}  // namespace

sqlite::Schema schema() {
  return {"kv", kMigrations};
}

base::Result<std::optional<Entry>> SqliteKv::get(std::string_view key) {
  const Database::Borrowed query =
      WEIR_TRY(database_.cached("SELECT value, metadata, expires_us FROM kv WHERE key = ?1"
                                " AND (expires_us IS NULL OR expires_us > ?2)"));
  query->bind_text(1, key);
  query->bind(2, stamp(clock_.wall()));
  if (!WEIR_TRY(query->step())) return std::optional<Entry>{};
  return std::optional<Entry>{Entry{std::string{query->column_blob(0)},
                                    std::string{query->column_text(1)}, expiry(*query, 2)}};
}

base::Status SqliteKv::write(std::span<const Change> changes) {
  for (const Change& change : changes)
    WEIR_TRY(check(change));
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database_));
  {
    const Database::Borrowed put = WEIR_TRY(
        database_.cached("INSERT INTO kv VALUES(?1, ?2, ?3, ?4) ON CONFLICT(key) DO UPDATE SET"
                         " value = excluded.value, metadata = excluded.metadata,"
                         " expires_us = excluded.expires_us"));
    const Database::Borrowed remove = WEIR_TRY(database_.cached("DELETE FROM kv WHERE key = ?1"));
    for (const Change& change : changes)
      WEIR_TRY(apply(change, *put, *remove));
  }
  return transaction.commit();
}

base::Result<Listing> SqliteKv::list(std::string_view prefix, std::string_view after,
                                     size_t keys_max) {
  const Database::Borrowed query = WEIR_TRY(
      database_.cached("SELECT key, metadata, expires_us FROM kv WHERE key >= ?1 AND key > ?2"
                       " AND (?3 IS NULL OR key < ?3) AND (expires_us IS NULL OR expires_us > ?4)"
                       " ORDER BY key LIMIT ?5"));
  const std::string end = prefix_end(prefix);
  query->bind_text(1, prefix);
  query->bind_text(2, after);
  if (!end.empty()) query->bind_text(3, end);
  query->bind(4, stamp(clock_.wall()));
  const size_t limit = std::min<size_t>(keys_max, std::numeric_limits<int32_t>::max());
  query->bind(5, static_cast<int64_t>(limit) + 1);  // One more tells whether that was all.
  Listing listing;
  while (WEIR_TRY(query->step())) {
    if (listing.keys.size() == limit) {
      listing.complete = false;
      break;
    }
    listing.keys.push_back({std::string{query->column_text(0)}, std::string{query->column_text(1)},
                            expiry(*query, 2)});
  }
  return listing;
}

base::Result<size_t> SqliteKv::remove_expired(size_t keys_max) {
  const Database::Borrowed remove = WEIR_TRY(database_.cached(
      "DELETE FROM kv WHERE rowid IN (SELECT rowid FROM kv WHERE expires_us <= ?1 LIMIT ?2)"));
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database_));
  remove->bind(1, stamp(clock_.wall()));
  remove->bind(2, static_cast<int64_t>(keys_max));
  WEIR_TRY(remove->run());
  const auto removed = static_cast<size_t>(database_.changes());
  WEIR_TRY(transaction.commit());
  return removed;
}

}  // namespace weir::kv
