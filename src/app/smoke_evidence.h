#pragma once
// What `weir smoke` finds in the database of its own requests.

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "sqlite/database.h"

namespace weir::app {

// The published snapshot, as far as one path is concerned.
struct SmokeSnapshot {
  uint64_t version = 0;      // 0: there is none.
  int64_t timestamp_ms = 0;  // Unix.
  size_t paths = 0;
  uint64_t requests = 0;  // Of the path; 0: it is not in it.
  uint64_t least = 0;     // The fewest requests of a path in it.
};

// Ownership: borrows a query_only Database that is open.
// Threading: the thread of the Database.
// Errors of every function: those of sqlite/database.h.
class SmokeEvidence {
 public:
  SmokeEvidence(sqlite::Database& database, const base::Clock& clock, std::string user_agent)
      : database_(database), clock_(clock), user_agent_(std::move(user_agent)) {}

  // What is there before the first request.
  base::Status begin();

  // Looks for rows that came since the last look, and notes how old each is.
  base::Status look();

  // Of the rows found by look(): how many, and from the commit to the journal to being seen here.
  uint64_t rows() const { return latencies_.size(); }
  const std::vector<std::chrono::microseconds>& latencies() const { return latencies_; }

  // All rows once more, counted by SQL alone.
  struct Rows {
    uint64_t count = 0;
    uint64_t ids = 0;        // Distinct ones.
    uint64_t positions = 0;  // Distinct records of the journal, at or below what is consumed of it.
    uint64_t paths = 0;      // Distinct ones, as they are counted.
    std::string path;        // One of them.
    int64_t path_id = 0;
  };
  base::Result<Rows> count();

  // By how much the hourly rows of a path grew since begin().
  base::Result<uint64_t> hourly_growth(int64_t path_id);
  base::Result<uint64_t> last_batch_ms();
  base::Result<SmokeSnapshot> snapshot(const std::string& path);

 private:
  sqlite::Database& database_;
  const base::Clock& clock_;
  const std::string user_agent_;
  int64_t first_seq_ = 0;  // Greatest before our first row.
  int64_t seen_seq_ = 0;
  int64_t first_hour_ = 0;
  std::map<int64_t, uint64_t> requests_before_;  // Since first_hour_, by path.
  std::vector<std::chrono::microseconds> latencies_;
};

}  // namespace weir::app
