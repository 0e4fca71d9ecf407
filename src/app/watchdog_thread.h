#pragma once
// The thread that looks after the data loops (loop/watchdog.h). It sleeps by the nanosecond: the
// wheel of a loop is too coarse for it.

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "app/data_plane.h"
#include "base/clock.h"
#include "base/logger.h"
#include "base/result.h"
#include "loop/watchdog.h"
#include "os/fd.h"

namespace weir::app {

// Ownership: owns its thread; borrows clock, logger and the data plane, which must outlive it.
// Threading: the control thread.
class WatchdogThread {
 public:
  // Errors: unavailable (out of descriptors).
  static base::Result<std::unique_ptr<WatchdogThread>> start(const DataPlane& data_plane,
                                                             std::chrono::milliseconds threshold,
                                                             const base::Clock& clock,
                                                             base::Logger& logger);
  ~WatchdogThread();

  void set_threshold(std::chrono::milliseconds threshold);
  std::vector<loop::Watchdog::Stalls> stalls() const { return watchdog_.stalls(); }

 private:
  WatchdogThread(os::Fd wake_up, const base::Clock& clock, base::Logger& logger)
      : wake_up_(std::move(wake_up)), watchdog_(clock, logger) {}
  void run();
  void wake();

  os::Fd wake_up_;
  std::atomic<bool> stopping_{false};  // Relaxed: wake() follows it, and the thread then reads it.
  loop::Watchdog watchdog_;
  std::thread thread_;
};

}  // namespace weir::app
