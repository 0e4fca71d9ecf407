#pragma once
// Makes event ids: unique without asking anyone, because each epoch and loop draws 40 bits of its
// own.

#include "base/clock.h"
#include "traffic/event.h"

namespace weir::traffic {

// Threading: home loop only.
// Limits: 2^40 ids before the counted part starts over (a year at 34 000 a second); the millisecond
// differs by then.
class EventIdSource {
 public:
  // `drawn`: 40 random bits (os::secure_random_u64()); higher bits are ignored.
  explicit EventIdSource(uint64_t drawn) {
    for (size_t i = 0; i < 5; ++i)
      drawn_[i] = static_cast<uint8_t>(drawn >> (8 * i));
  }

  EventId next(base::Wall arrival) {
    EventId id;
    id.unix_ms = static_cast<uint64_t>(base::unix_ms(arrival));
    const uint64_t counted = counted_++;
    for (size_t i = 0; i < 5; ++i) {
      id.tail[i] = drawn_[i];
      id.tail[5 + i] = static_cast<uint8_t>(counted >> (8 * (4 - i)));
    }
    return id;
  }

 private:
  std::array<uint8_t, 5> drawn_{};
  uint64_t counted_ = 0;
};

}  // namespace weir::traffic
