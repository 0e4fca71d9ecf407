#pragma once
// The scheduler's pen: writes runs into the History and keeps what it could not write yet, because
// a store that fails must keep no job from running, nor make a job that ran look interrupted.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

#include "base/clock.h"
#include "base/logger.h"
#include "base/result.h"
#include "base/thread_annotations.h"
#include "jobs/history.h"

namespace weir::jobs {

// When something that failed is tried again.
// Threading: one thread at a time.
class Backoff {
 public:
  Backoff(std::chrono::milliseconds first, std::chrono::milliseconds max)
      : first_(first), max_(max) {}

  bool due(base::Monotonic now) const { return now >= retry_at_; }
  void failed(base::Monotonic now);  // Waits twice as long as the last time, up to the maximum.
  void succeeded() { delay_ = {}; }

 private:
  const std::chrono::milliseconds first_;
  const std::chrono::milliseconds max_;
  std::chrono::milliseconds delay_{0};
  base::Monotonic retry_at_{};
};

// Ownership: borrows everything it is given.
// Threading: the jobs thread.
// Limits: up to kWaitingMax runs wait to be written; beyond, the oldest is lost, which is counted
//   and logged.
class RunLog {
 public:
  static constexpr size_t kWaitingMax = 100;

  RunLog(History& history, const base::Clock& clock, base::Logger& logger, Backoff backoff)
      : history_(history), clock_(clock), logger_(logger), backoff_(backoff) {}

  // A run begins: sets its id, or leaves it 0 when that could not be stored.
  void begin(JobRun& run);
  // A run ended, or was skipped. What cannot be stored waits.
  void end(const JobRun& run);
  // Writes what waits, if it is time to try again.
  void write_waiting();

  size_t waiting() const { return waiting_.size(); }
  uint64_t lost() const { return lost_; }
  // Why the last writing failed; empty: it did not, and nothing waits.
  const std::string& alarm() const WEIR_LIFETIMEBOUND { return alarm_; }

 private:
  base::Status store(const JobRun& run);
  void failed(const base::Error& error);
  void succeeded();

  History& history_;
  const base::Clock& clock_;
  base::Logger& logger_;
  Backoff backoff_;
  std::deque<JobRun> waiting_;
  uint64_t lost_ = 0;
  std::string alarm_;
};

}  // namespace weir::jobs
