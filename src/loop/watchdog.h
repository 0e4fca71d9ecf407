#pragma once
// Notices a loop that stalls: whose turn takes longer than a loop's turn may take, so that all its
// other connections wait. It says where the loop was, and counts.
//
// A turn is seen by nothing but the time at which it began (Loop::busy_since_ns), so a loop pays
// one store per turn. The next look is due when the running turn would be too long, so a stall is
// found at its threshold, and a quiet process is looked at once per threshold.
//
// A thread calls look(); app/watchdog_thread.h is that thread.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "loop/loop.h"

namespace weir::loop {

// Ownership: borrows clock, logger and the loops.
// Threading: watch() before the first look; look(): the watchdog's thread; set_threshold() and
//   stalls(): any thread.
// Limits: one line in the log per stall, at most one a second for each loop.
class Watchdog {
 public:
  using Nanoseconds = std::chrono::nanoseconds;

  struct Stalls {
    std::string name;
    uint64_t count = 0;
    Nanoseconds longest{0};  // As far as it was seen, to about a millisecond.
  };

  // Requires os::install_stack_handler().
  Watchdog(const base::Clock& clock, base::Logger& logger) : clock_(clock), logger_(logger) {}
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  void watch(std::string name, const Loop& loop);
  // 0: look at nothing.
  void set_threshold(std::chrono::milliseconds threshold) {
    threshold_ms_.store(threshold.count(), std::memory_order_relaxed);
  }

  // Looks at every loop once. Returns when to look again; kNever while the threshold is 0.
  // A stall is logged when it is over, or when it has gone on for kSayAfter.
  Nanoseconds look();
  static constexpr Nanoseconds kNever{-1};
  static constexpr std::chrono::milliseconds kSayAfter{1000};

  std::vector<Stalls> stalls() const;

 private:
  static constexpr std::chrono::milliseconds kStalledLook{1};
  static constexpr std::chrono::milliseconds kStackPatience{20};
  static constexpr std::chrono::seconds kLogEvery{1};

  // The atomics are relaxed: each is a number of its own, written by the watchdog's thread.
  struct Watched {
    std::string name;
    const Loop* loop = nullptr;
    std::atomic<uint64_t> count{0};
    std::atomic<int64_t> longest_ns{0};
    // Of the running stall.
    int64_t since_ns = 0;  // 0: none.
    Nanoseconds seen{0};
    bool said = false;
    std::vector<void*> stack;
    // Of the log.
    base::Monotonic quiet_until{};
    uint64_t unsaid = 0;
  };

  void begin(Watched& watched, int64_t since_ns);
  void say(Watched& watched, base::Monotonic now, bool over);

  const base::Clock& clock_;
  base::Logger& logger_;
  std::atomic<int64_t> threshold_ms_{0};
  std::vector<std::unique_ptr<Watched>> watched_;
};

}  // namespace weir::loop
