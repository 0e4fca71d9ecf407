#pragma once
// How many requests arrived in the last 60 seconds, and the most that ever arrived in any 60.
//
// Counted per second of arrival and never extrapolated: 34 requests in the first 0.7 s are 34 so
// far. The founding system divided by the age of its window, made 3027 of them, and kept that as
// its peak for ever.

#include <array>
#include <cstddef>
#include <cstdint>

namespace weir::state {

// Threading: one thread at a time.
// Limits: a fixed 3 KiB. Requests over kSeconds older than the newest one are not counted.
class RollingMinute {
 public:
  static constexpr int64_t kSeconds = 60;

  // Counts one request of `second` (Unix seconds of its arrival) and returns the largest sum over
  // 60 seconds that it is part of; 0 if it is too old. The largest of all returned values is the
  // exact peak over whatever was counted, in whichever order it came.
  uint64_t add(int64_t second);

  // Requests of the 60 seconds that end with `second`, which is part of them.
  uint64_t sum(int64_t second) const;

  void clear() { *this = {}; }

 private:
  // For reading back from 60 s late: 119 seconds before the newest, and the newest.
  static constexpr int64_t kSlots = 128;
  struct Slot {
    int64_t second = INT64_MIN;
    uint64_t requests = 0;
    uint64_t sum = 0;  // Of the 60 seconds that end with this one.
  };
  static size_t index(int64_t second) {
    return static_cast<size_t>(static_cast<uint64_t>(second) % static_cast<uint64_t>(kSlots));
  }

  std::array<Slot, kSlots> slots_;
  int64_t newest_ = INT64_MIN;
};

}  // namespace weir::state
