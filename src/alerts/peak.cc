#include "alerts/peak.h"

namespace weir::alerts {

bool SettledPeak::observe(uint64_t peak_rpm, int64_t now_ms) {
  const int64_t age_ms = now_ms - image_.next_since_ms;
  if (image_.next && age_ms >= 0) {
    if (age_ms < std::chrono::milliseconds{kAge}.count()) return false;
    image_.settled = image_.next;
  }
  // Also where the clock went back: what is in the future ages from here on.
  image_.next = peak_rpm;
  image_.next_since_ms = now_ms;
  return true;
}

}  // namespace weir::alerts
