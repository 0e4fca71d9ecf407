#pragma once
// The operating system's clocks. Every other module is given a base::Clock.

#include "base/clock.h"

namespace weir::os {

// Threading: any thread. Never blocks; no system call where the vDSO serves (about 20 ns a look).
class RealClock final : public base::Clock {
 public:
  base::Monotonic monotonic() const override;  // CLOCK_MONOTONIC.
  base::Wall wall() const override;            // CLOCK_REALTIME, cut to microseconds.
};

}  // namespace weir::os
