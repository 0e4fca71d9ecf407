#pragma once
// Time, injected: no module asks the operating system what time it is, so every test can say.

#include <chrono>
#include <cstdint>

namespace weir::base {

// For durations and deadlines: never steps back. Its zero means nothing.
using Monotonic = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

// For stamps: Unix time, UTC. May step in either direction at any moment.
using Wall = std::chrono::sys_time<std::chrono::microseconds>;

inline int64_t unix_ms(Wall time) {
  return std::chrono::floor<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

// Implementations: os::RealClock, and ManualClock below.
// Threading: any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Monotonic monotonic() const = 0;
  virtual Wall wall() const = 0;
};

// A clock that stands still until a test moves it.
// Threading: one thread at a time.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Wall wall = Wall{std::chrono::sys_days{std::chrono::year{2025} / 10 / 15}})
      : wall_(wall) {}
  Monotonic monotonic() const override { return monotonic_; }
  Wall wall() const override { return wall_; }

  void advance(std::chrono::microseconds by) {
    monotonic_ += by;
    wall_ += by;
  }
  void set_wall(Wall wall) { wall_ = wall; }  // A step: the monotonic side does not move.

 private:
  Monotonic monotonic_{};
  Wall wall_;
};

}  // namespace weir::base
