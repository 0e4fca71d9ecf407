#pragma once
// Tells when somebody set the wall clock: it is compared with the monotonic one, which nobody sets.

#include <chrono>
#include <optional>

#include "base/clock.h"

namespace weir::state {

// Threading: one thread at a time.
class ClockSteps {
 public:
  // How far the wall clock was set since the look before; below zero: back. Nothing at the first
  // look. Slewing and the time between two readings make small differences, so callers ask for more
  // than a second. A machine that slept looks like a clock that was set ahead.
  std::optional<std::chrono::microseconds> look(base::Monotonic monotonic, base::Wall wall) {
    const auto ahead = wall.time_since_epoch() -
                       std::chrono::floor<std::chrono::microseconds>(monotonic.time_since_epoch());
    const std::optional<std::chrono::microseconds> before = ahead_;
    ahead_ = ahead;
    if (!before) return std::nullopt;
    return ahead - *before;
  }

 private:
  std::optional<std::chrono::microseconds> ahead_;
};

}  // namespace weir::state
