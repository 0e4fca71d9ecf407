#pragma once
// The one kind of mutable state that data loops share: a table of fixed memory, cut into stripes
// with a lock each (design 3).
//
//   key.group ─► stripe: a lock, buckets, an Extra of the user's ─► key.member ─► two buckets of 16
//
// Two candidates for each key, the emptier one taken, fill 9 places of 10 before anything finds
// both full (Azar, Broder, Karlin, Upfal 1999). Whoever shares a group shares a stripe: a group can
// fill its own stripe and no other.

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <new>
#include <span>
#include <type_traits>

#include <sched.h>

#include "base/assert.h"
#include "base/thread_annotations.h"

namespace weir::base {

// Hashes of what an entry stands for, with a seed that clients do not know. Equal keys are one
// entry, so both halves must be well mixed.
struct TableKey {
  uint64_t group = 0;
  uint64_t member = 0;
  bool operator==(const TableKey&) const = default;
};

// For sections of a few hundred instructions without system calls. Spins, then yields the core: it
// never sleeps in the kernel, so it costs no system call unless its holder was interrupted.
// Threading: any thread.
class WEIR_ATTRIBUTE(capability("mutex")) SpinLock {
 public:
  void lock() WEIR_ATTRIBUTE(acquire_capability()) {
    for (int spins = 0; held_.exchange(true, std::memory_order_acquire);) {
      while (held_.load(std::memory_order_relaxed)) {
        if (++spins % kSpins == 0) ::sched_yield();
      }
    }
  }
  void unlock() WEIR_ATTRIBUTE(release_capability()) {
    held_.store(false, std::memory_order_release);
  }

 private:
  static constexpr int kSpins = 256;
  std::atomic<bool> held_{false};  // Acquire and release: what the lock guards is seen by the next.
};

// Zeroed memory that takes no page until it is written.
// Threading: one thread at a time.
template <typename T>
class ZeroedArray {
 public:
  static_assert(std::is_trivially_copyable_v<T>);
  explicit ZeroedArray(size_t count) : memory_(std::calloc(count, sizeof(T))), count_(count) {
    WEIR_ASSERT(memory_ != nullptr || count == 0);
  }
  T& operator[](size_t index) {
    WEIR_ASSERT(index < count_);
    return static_cast<T*>(memory_.get())[index];
  }
  const T& operator[](size_t index) const {
    WEIR_ASSERT(index < count_);
    return static_cast<const T*>(memory_.get())[index];
  }
  size_t size() const { return count_; }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
  size_t count_ = 0;
};

// A Value whose bytes are all zero is empty. An Extra is made with the arguments that follow the
// number of places, once for each stripe.
// Threading: any thread, for as long as it holds a stripe's lock, with Held.
// Limits: `places` entries in all (rounded up), 32 looked at for a key.
template <typename Value, typename Extra>
class StripedTable {
 public:
  static constexpr size_t kStripes = 256;
  static constexpr size_t kWays = 16;

  // Threading: whoever holds its lock.
  class Stripe {
   public:
    template <typename... Arguments>
    explicit Stripe(size_t buckets, const Arguments&... arguments)
        : extra(arguments...),
          tags_(buckets),
          places_(buckets * kWays),
          marks_((buckets + 63) / 64) {}

    // The entry of this key, or nullptr.
    Value* find(const TableKey& key) {
      for (const size_t bucket : buckets_of(key)) {
        for (size_t way = 0; way < kWays; ++way) {
          if (tags_[bucket][way] != tag_of(key)) continue;
          Place& place = places_[bucket * kWays + way];
          if (place.key == key) return &place.value;
        }
      }
      return nullptr;
    }

    // A new entry, all zero, for a key that find() does not find. When both buckets are full, takes
    // the place of the first entry for which `evict(value)` is true. nullptr: there is none.
    template <typename Evict>
    Value* insert(const TableKey& key, Evict evict) {
      const std::array<size_t, 2> buckets = buckets_of(key);
      const bool second = taken(buckets[1]) < taken(buckets[0]);
      const size_t bucket = buckets[second ? 1 : 0];
      for (size_t way = 0; way < kWays; ++way) {
        if (tags_[bucket][way] != 0) continue;
        ++used_;
        return &put(bucket, way, key);
      }
      for (const size_t full : buckets) {
        for (size_t way = 0; way < kWays; ++way) {
          if (evict(places_[full * kWays + way].value)) return &put(full, way, key);
        }
      }
      return nullptr;
    }

    size_t used() const { return used_; }

    // Marks: what was changed since somebody looked, by buckets, so that looking for a few among a
    // million costs little. Requires a value of this stripe.
    void mark(const Value& value) {
      const size_t bucket = bucket_of(value);
      marks_[bucket / 64] |= uint64_t{1} << bucket % 64;
    }
    void clear_mark(size_t bucket) { marks_[bucket / 64] &= ~(uint64_t{1} << bucket % 64); }
    // The next bucket from `bucket` on that is marked, or buckets().
    size_t next_mark(size_t bucket) const {
      for (; bucket < buckets(); bucket = (bucket / 64 + 1) * 64) {
        const uint64_t word = marks_[bucket / 64] >> bucket % 64;
        if (word != 0) return bucket + static_cast<size_t>(std::countr_zero(word));
      }
      return buckets();
    }
    size_t buckets() const { return tags_.size(); }

    // Calls visit(key, value) for every entry of a bucket.
    template <typename Visit>
    void each(size_t bucket, Visit visit) {
      for (size_t way = 0; way < kWays; ++way) {
        if (tags_[bucket][way] == 0) continue;
        Place& place = places_[bucket * kWays + way];
        visit(place.key, place.value);
      }
    }

    Extra extra;

   private:
    friend class StripedTable;
    using Tags = std::array<uint16_t, kWays>;  // 0: free.
    struct Place {
      TableKey key;
      Value value;
    };

    static uint16_t tag_of(const TableKey& key) {
      return static_cast<uint16_t>(((key.group ^ key.member) & 0xffffU) | 1U);
    }
    std::array<size_t, 2> buckets_of(const TableKey& key) const {
      const auto nth = [this](uint64_t hash) {
        return static_cast<size_t>(((hash & 0xffffffffU) * tags_.size()) >> 32U);
      };
      return {nth(key.member), nth(key.member >> 32U)};
    }
    size_t bucket_of(const Value& value) const {
      const auto* const at = reinterpret_cast<const char*>(&value);
      const auto* const begin = reinterpret_cast<const char*>(&places_[0]);
      return static_cast<size_t>(at - begin) / (sizeof(Place) * kWays);
    }
    size_t taken(size_t bucket) const {
      size_t count = 0;
      for (const uint16_t tag : tags_[bucket])
        count += tag != 0 ? 1 : 0;
      return count;
    }
    Value& put(size_t bucket, size_t way, const TableKey& key) {
      tags_[bucket][way] = tag_of(key);
      Place& place = places_[bucket * kWays + way];
      place.key = key;
      place.value = Value{};
      return place.value;
    }

    SpinLock lock_;
    size_t used_ = 0;
    ZeroedArray<Tags> tags_;
    ZeroedArray<Place> places_;
    ZeroedArray<uint64_t> marks_;  // A bit for each bucket.
  };

  // The locks of the stripes of up to kKeysMax keys, taken in the order of the stripes, so that no
  // two holders wait for each other.
  // Threading: one thread; holds while it lives.
  class Held {
   public:
    static constexpr size_t kKeysMax = 8;

    Held(StripedTable& table, std::span<const TableKey> keys)
        : Held(table, keys, std::identity{}) {}
    // Of items that have a key each: `key_of` says which.
    template <typename Item, typename KeyOf>
    Held(StripedTable& table, std::span<const Item> items, KeyOf key_of)
        WEIR_ATTRIBUTE(no_thread_safety_analysis)
        : table_(table) {
      WEIR_ASSERT(items.size() <= kKeysMax);
      for (const Item& item : items)
        add(stripe_index(std::invoke(key_of, item)));
      for (size_t nth = 0; nth < count_; ++nth)
        table_.stripes_[indexes_[nth]]->lock_.lock();
    }
    ~Held() WEIR_ATTRIBUTE(no_thread_safety_analysis) {
      for (size_t nth = 0; nth < count_; ++nth)
        table_.stripes_[indexes_[nth]]->lock_.unlock();
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

    // Requires a key that was named to the constructor, or one of its group.
    Stripe& stripe(const TableKey& key) { return *table_.stripes_[stripe_index(key)]; }

   private:
    void add(size_t index) {  // Ascending, each once.
      size_t at = 0;
      while (at < count_ && indexes_[at] < index)
        ++at;
      if (at < count_ && indexes_[at] == index) return;
      for (size_t nth = count_; nth > at; --nth)
        indexes_[nth] = indexes_[nth - 1];
      indexes_[at] = index;
      ++count_;
    }

    StripedTable& table_;
    std::array<size_t, kKeysMax> indexes_;  // The first count_ of them.
    size_t count_ = 0;
  };

  template <typename... Arguments>
  explicit StripedTable(size_t places, const Arguments&... arguments) {
    const size_t buckets = (places + kStripes * kWays - 1) / (kStripes * kWays);
    for (auto& stripe : stripes_)
      stripe = std::make_unique<Stripe>(buckets == 0 ? 1 : buckets, arguments...);
  }

  static size_t stripe_index(const TableKey& key) { return key.group >> 56U; }
  // A key of the stripe, for whoever looks at all of them.
  static TableKey key_in(size_t stripe) {
    return {.group = static_cast<uint64_t>(stripe) << 56U, .member = 0};
  }

 private:
  std::array<std::unique_ptr<Stripe>, kStripes> stripes_;
};

}  // namespace weir::base
