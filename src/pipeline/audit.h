#pragma once
// The audit (P8): sums that different code wrote must agree with each other.
//
// Each identity compares two numbers, both read from the database in one statement, so that a node
// may run meanwhile. The audit shares nothing with what it checks: it reads tables, and no counter
// or cache of the program. What every number means: docs/formats/database.md.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "sqlite/database.h"

namespace weir::pipeline {

enum class Verdict : uint8_t {
  agrees,
  differs,
  skipped,  // Cannot be told now: `note` says why.
};

struct Finding {
  std::string_view identity;  // One sentence; lives as long as the program.
  Verdict verdict = Verdict::agrees;
  int64_t left = 0;   // What one side says,
  int64_t right = 0;  // and what the other says.
  std::string note;
};

struct AuditReport {
  std::vector<Finding> findings;  // In a fixed order.
  size_t count(Verdict verdict) const;
  bool balanced() const { return count(Verdict::differs) == 0; }
};

struct AuditOptions {
  // Of each identity; those that take longer are skipped. The write-ahead log cannot start anew
  // while one is read.
  std::chrono::milliseconds time_max{30'000};
  const std::atomic<bool>* cancel = nullptr;  // Borrowed.
};

// Requires a query_only Database that is open. Blocks. Errors: cancelled (by the flag); store
// errors of sqlite/database.h.
base::Result<AuditReport> audit(sqlite::Database& reader, const base::Clock& clock,
                                const AuditOptions& options);

}  // namespace weir::pipeline
