#include "state/rolling_minute.h"

#include <algorithm>

namespace weir::state {

uint64_t RollingMinute::sum(int64_t second) const {
  uint64_t sum = 0;
  for (int64_t each = second - kSeconds + 1; each <= second; ++each) {
    const Slot& slot = slots_[index(each)];
    if (slot.second == each) sum += slot.requests;
  }
  return sum;
}

uint64_t RollingMinute::add(int64_t second) {
  if (newest_ != INT64_MIN && second < newest_ - kSeconds) return 0;
  newest_ = std::max(newest_, second);
  Slot& own = slots_[index(second)];
  if (own.second != second) own = {.second = second, .requests = 0, .sum = sum(second)};
  ++own.requests;
  // Sums that end later hold this request too. A second without a slot had no request, so its sum
  // is not above the one before it.
  uint64_t largest = ++own.sum;
  const int64_t last = std::min(newest_, second + kSeconds - 1);
  for (int64_t each = second + 1; each <= last; ++each) {
    Slot& slot = slots_[index(each)];
    if (slot.second == each) largest = std::max(largest, ++slot.sum);
  }
  return largest;
}

}  // namespace weir::state
