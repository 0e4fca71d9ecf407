#pragma once
// One read-only SQL query by a human or a script, on a connection of its own: `weir sql`, and later
// the admin API.
//
// The connection is query_only and an authorizer refuses everything but reading, so that a mistake
// gives a clear sentence instead of "attempt to write a readonly database". The time limit also
// keeps the read transaction short: while one lives, the write-ahead log cannot start anew.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "sqlite/database.h"

namespace weir::stats {

struct QueryValue {
  sqlite::ColumnType type = sqlite::ColumnType::null;
  int64_t integer = 0;
  double real = 0;
  std::string_view bytes;  // Of text and blobs; valid during the call of on_row.
};

struct QueryOptions {
  std::chrono::milliseconds time_max{30'000};
  uint64_t rows_max = 0;                      // 0: no limit.
  const std::atomic<bool>* cancel = nullptr;  // Borrowed; true ends the query.
};

struct QueryEvents {
  // Once, before the first row, also when there is none.
  std::function<void(std::span<const std::string_view> names)> on_columns;
  // False ends the query; it then counts as truncated.
  std::function<bool(std::span<const QueryValue> row)> on_row;
};

struct QueryOutcome {
  base::Status status;
  std::string message;  // One sentence for the user when `status` is not ok.
  uint64_t rows = 0;
  bool truncated = false;  // There were more rows than rows_max, or on_row said stop.
};

// Runs exactly one statement that only reads: SELECT, VALUES, WITH, EXPLAIN, or a PRAGMA that tells
// about the schema. Requires a query_only Database that is open.
// Blocks for at most about `time_max`.
// Errors: conflict (the SQL is wrong), invalid_input (it is no single read), cancelled (time or
// flag), and the store errors of sqlite/database.h.
QueryOutcome run_query(sqlite::Database& reader, const base::Clock& clock, std::string_view sql,
                       const QueryOptions& options, const QueryEvents& events);

}  // namespace weir::stats
