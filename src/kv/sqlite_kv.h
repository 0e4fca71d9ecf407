#pragma once
// The embedded Kv: a table in the statistics database's file.
//
// Only the consumer's connection writes there (see sqlite/database.h), so a SqliteKv over it
// belongs to the consumer's thread; other threads send it short commands. A SqliteKv over a
// query_only Database reads beside it, in the same process or in another, and refuses writes.

#include "base/clock.h"
#include "kv/kv.h"
#include "sqlite/database.h"

namespace weir::kv {

// Goes into the Options of the writing Database.
sqlite::Schema schema();

// Ownership: borrows the Database and the clock.
// Threading: the thread of its Database.
// Limits: those of Kv. Expired keys stay on disk until remove_expired().
class SqliteKv final : public Kv {
 public:
  SqliteKv(sqlite::Database& database, const base::Clock& clock)
      : database_(database), clock_(clock) {}

  base::Result<std::optional<Entry>> get(std::string_view key) override;
  base::Status write(std::span<const Change> changes) override;
  base::Result<Listing> list(std::string_view prefix, std::string_view after,
                             size_t keys_max) override;

  // Deletes up to `keys_max` expired keys and returns how many. Errors: as get().
  base::Result<size_t> remove_expired(size_t keys_max);

 private:
  sqlite::Database& database_;
  const base::Clock& clock_;
};

}  // namespace weir::kv
