#pragma once
// Saves what the rate limits have counted while the node runs, on a thread of its own: every
// `limits.rate_limit_save_interval`, and once more when everything else has ended.

#include <chrono>
#include <memory>
#include <string>

#include "app/limit_file.h"
#include "app/paced_thread.h"
#include "base/clock.h"
#include "base/logger.h"
#include "limit/limiter.h"
#include "os/files.h"

namespace weir::app {

// Ownership: owns its thread and the file; borrows files, clock and logger, and the limiter between
//   start() and stop().
// Threading: the control thread.
class LimitSaver {
 public:
  // `interval` 0: nothing is saved, and nothing was.
  LimitSaver(os::Files& files, base::Clock& clock, base::Logger& logger,
             const std::string& directory, std::chrono::milliseconds interval);

  // For the limiter that start() is given.
  uint64_t seed();
  // Puts back what was saved. Before any other thread uses the limiter. Blocks for the file.
  // Returns how many entries there were.
  size_t load(limit::Limiter& limiter);
  // Errors: unavailable (out of descriptors).
  base::Status start(limit::Limiter& limiter);
  // Saves a last time. When nobody uses the limiter any more. Idempotent.
  void stop();

  LimitFile::Counts counts() const { return file_.counts(); }
  // Why an operator should look: saving fails; empty: it does not.
  std::string alarm() const;

 private:
  std::chrono::milliseconds save(limit::Limiter& limiter);

  base::Clock& clock_;
  base::Logger& logger_;
  const std::chrono::milliseconds interval_;
  LimitFile file_;
  limit::Limiter* limiter_ = nullptr;
  std::unique_ptr<PacedThread> thread_;
  std::chrono::milliseconds retry_{0};  // Of the thread.
};

}  // namespace weir::app
