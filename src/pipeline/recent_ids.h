#pragma once
// Remembers the ids of the last events, to notice one that comes again at a new position.
//
// Positions alone decide what is new; an id that comes twice means that something before the
// journal went wrong, and the second event must not be counted in silence. A unique index over all
// ids would find every such case and cost more than all other writing together (39k instead of 500k
// events per second, see docs/formats/database.md), so only the recent past is looked at: at least
// kWindow and at most 2 * kWindow events. A repetition further apart is not noticed.

#include <cstdint>
#include <cstring>
#include <vector>

#include "traffic/event.h"

namespace weir::pipeline {

// Two tables of kWindow ids each: the current one is filled; when it is full, the older one is
// emptied and takes its place. Exact: it compares whole ids.
// Threading: one thread at a time.
// Limits: 2 * 2 * kWindow slots of 24 bytes (6 MiB), allocated at once.
class RecentIds {
 public:
  static constexpr size_t kWindow = 65'536;

  RecentIds() { forget(); }

  // False when the id is there already; then nothing changes.
  bool insert(const traffic::EventId& id) {
    const Slot slot = pack(id);
    if (find(older_, slot) != nullptr) return false;
    Slot* place = nullptr;
    if (find(current_, slot, &place) != nullptr) return false;
    *place = slot;
    if (++count_ == kWindow) {
      older_.swap(current_);
      current_.assign(kSlots, Slot{});
      count_ = 0;
    }
    return true;
  }

  void forget() {
    current_.assign(kSlots, Slot{});
    older_.assign(kSlots, Slot{});
    count_ = 0;
  }

 private:
  static constexpr size_t kSlots = 2 * kWindow;

  struct Slot {
    uint64_t unix_ms = 0;
    uint64_t tail_low = 0;
    uint16_t tail_high = 0;
    bool used = false;
    bool operator==(const Slot&) const = default;
  };

  static Slot pack(const traffic::EventId& id) {
    Slot slot{.unix_ms = id.unix_ms, .used = true};
    std::memcpy(&slot.tail_low, id.tail.data(), sizeof slot.tail_low);
    std::memcpy(&slot.tail_high, id.tail.data() + sizeof slot.tail_low, sizeof slot.tail_high);
    return slot;
  }

  // The slot that holds the id, or nothing; then `free` (if given) is where it belongs. A table is
  // never more than half full, so the search ends.
  static const Slot* find(std::vector<Slot>& table, const Slot& slot, Slot** free = nullptr) {
    uint64_t hash = (slot.unix_ms ^ slot.tail_low) * 0x9e3779b97f4a7c15U ^ slot.tail_high;
    hash = (hash ^ hash >> 29U) * 0xbf58476d1ce4e5b9U;
    for (size_t i = hash >> 40U;; ++i) {
      Slot& candidate = table[i & (kSlots - 1)];
      if (!candidate.used) {
        if (free != nullptr) *free = &candidate;
        return nullptr;
      }
      if (candidate == slot) return &candidate;
    }
  }

  std::vector<Slot> current_;
  std::vector<Slot> older_;
  size_t count_ = 0;  // Used slots of current_.
};

}  // namespace weir::pipeline
