#include "sqlite/migrations.h"

#include <string>
#include <utility>

#include "sqlite/database.h"

namespace weir::sqlite {
namespace {

base::Error refusal(base::StaticText what) {
  return {base::ErrorCode::conflict, base::Origin::storage, base::Retry::never, 0, what};
}

base::Status claim(Database& database) {
  const int64_t application = WEIR_TRY(database.query_int("PRAGMA application_id"));
  if (application == kApplicationId) return {};
  const int64_t objects = WEIR_TRY(database.query_int("SELECT count(*) FROM sqlite_schema"));
  if (application != 0 || objects != 0) return refusal("database of another program");
  Transaction transaction = WEIR_TRY(Transaction::begin(database));
  WEIR_TRY(database.execute(
      "CREATE TABLE migrations(component TEXT PRIMARY KEY, version INTEGER NOT NULL,"
      " applied_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
      "PRAGMA application_id = " +
      std::to_string(kApplicationId)));
  return transaction.commit();
}

base::Result<int64_t> version_of(Database& database, std::string_view component) {
  Statement query =
      WEIR_TRY(database.prepare("SELECT version FROM migrations WHERE component = ?1"));
  query.bind_text(1, component);
  if (!WEIR_TRY(query.step())) return int64_t{0};
  return query.column_int(0);
}

}  // namespace

base::Status migrate(Database& database, const Schema& schema) {
  WEIR_TRY(claim(database));
  int64_t version = WEIR_TRY(version_of(database, schema.component));
  const auto newest = static_cast<int64_t>(schema.scripts.size());
  if (version > newest) return refusal("database of a newer version of this program");
  for (; version < newest; ++version) {
    Transaction transaction = WEIR_TRY(Transaction::begin(database));
    WEIR_TRY(database.execute(std::string{schema.scripts[static_cast<size_t>(version)]}));
    {
      Statement record =
          WEIR_TRY(database.prepare("INSERT INTO migrations VALUES(?1, ?2, unixepoch()) ON CONFLICT"
                                    " DO UPDATE SET version = ?2, applied_at = unixepoch()"));
      record.bind_text(1, schema.component);
      record.bind(2, version + 1);
      WEIR_TRY(record.run());
    }
    WEIR_TRY(transaction.commit());
  }
  return {};
}

}  // namespace weir::sqlite
