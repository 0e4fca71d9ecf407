#include "stats/query.h"

#include <algorithm>
#include <array>
#include <vector>

#include <sqlite3.h>

namespace weir::stats {
namespace {

using base::Error;
using base::ErrorCode;
using sqlite::ColumnType;
using sqlite::Database;
using sqlite::Statement;

// Pragmas that only tell about the schema or the file.
constexpr std::array<std::string_view, 11> kPragmas{
    "table_info", "table_xinfo", "table_list", "index_list",     "index_info",    "index_xinfo",
    "page_count", "page_size",   "encoding",   "application_id", "freelist_count"};

constexpr std::string_view kOnlyReads = "only one statement that reads is allowed, such as SELECT";

// Notes what was refused, because SQLite only says "not authorized".
int authorize(void* refused, int action, const char* first, const char* second, const char*,
              const char*) {
  bool allowed = false;
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_RECURSIVE:
      allowed = true;
      break;
    case SQLITE_FUNCTION:
      allowed = second == nullptr || std::string_view{second} != "load_extension";
      break;
    case SQLITE_PRAGMA:
      allowed = std::find(kPragmas.begin(), kPragmas.end(), first) != kPragmas.end();
      break;
    case SQLITE_UPDATE:
      // Asked when a pragma is used as a table; SQLite refuses a real UPDATE of it by itself.
      allowed = std::string_view{first} == "sqlite_master";
      break;
    default:
      break;
  }
  if (!allowed) *static_cast<bool*>(refused) = true;
  return allowed ? SQLITE_OK : SQLITE_DENY;
}

QueryValue value_of(const Statement& row, int column) {
  QueryValue value{.type = row.column_type(column)};
  switch (value.type) {
    case ColumnType::integer:
      value.integer = row.column_int(column);
      break;
    case ColumnType::real:
      value.real = row.column_real(column);
      break;
    case ColumnType::text:
      value.bytes = row.column_text(column);
      break;
    case ColumnType::blob:
      value.bytes = row.column_blob(column);
      break;
    case ColumnType::null:
      break;
  }
  return value;
}

base::Status run(Database& reader, std::string_view sql, const QueryOptions& options,
                 const QueryEvents& events, QueryOutcome& outcome) {
  Statement statement = WEIR_TRY(reader.prepare(sql));
  const int columns = statement.column_count();
  std::vector<std::string_view> names;
  for (int i = 0; i < columns; ++i)
    names.push_back(statement.column_name(i));
  if (events.on_columns) events.on_columns(names);
  std::vector<QueryValue> row(static_cast<size_t>(columns));
  while (WEIR_TRY(statement.step())) {
    if (options.rows_max != 0 && outcome.rows == options.rows_max) {
      outcome.truncated = true;
      return {};
    }
    for (int i = 0; i < columns; ++i)
      row[static_cast<size_t>(i)] = value_of(statement, i);
    ++outcome.rows;
    if (events.on_row && !events.on_row(row)) {
      outcome.truncated = true;
      return {};
    }
  }
  return {};
}

}  // namespace

QueryOutcome run_query(Database& reader, const base::Clock& clock, std::string_view sql,
                       const QueryOptions& options, const QueryEvents& events) {
  QueryOutcome outcome;
  bool refused = false;
  reader.set_deadline(clock, clock.monotonic() + options.time_max, options.cancel);
  sqlite3_set_authorizer(reader.handle(), authorize, &refused);
  outcome.status = run(reader, sql, options, events, outcome);
  sqlite3_set_authorizer(reader.handle(), nullptr, nullptr);
  reader.clear_deadline();
  if (outcome.status.ok()) return outcome;
  outcome.message = reader.message();
  if (refused) {
    outcome.status = Error{ErrorCode::invalid_input, base::Origin::client, base::Retry::never, 0,
                           "SQL that does not only read"};
    outcome.message = kOnlyReads;
  } else if (outcome.status.error().code == ErrorCode::cancelled) {
    const bool asked = options.cancel != nullptr && options.cancel->load(std::memory_order_relaxed);
    outcome.message = asked ? "the query was cancelled" : "the query took longer than its limit";
  }
  return outcome;
}

}  // namespace weir::stats
