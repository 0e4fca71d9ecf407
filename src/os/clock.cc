#include "os/clock.h"

#include <ctime>

namespace weir::os {
namespace {

std::chrono::nanoseconds now(clockid_t clock) {
  timespec time{};
  // Cannot fail for these two clocks (EINVAL and EFAULT alone are possible).
  static_cast<void>(::clock_gettime(clock, &time));
  return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

}  // namespace

base::Monotonic RealClock::monotonic() const {
  return base::Monotonic{now(CLOCK_MONOTONIC)};
}

base::Wall RealClock::wall() const {
  return base::Wall{std::chrono::floor<std::chrono::microseconds>(now(CLOCK_REALTIME))};
}

}  // namespace weir::os
