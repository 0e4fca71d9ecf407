#pragma once
// The most frequent keys of a stream, with their counts, in memory that does not grow with the
// number of distinct keys: Space-Saving.
//
// It lists at most `capacity` keys. While no more have come, every count is exact. After that, a
// key that is not listed takes the place of the one with the smallest count, and inherits that
// count as its possible overestimate. So a listed count is never too small, and too large by at
// most `overestimate_max`, which is at most total() / capacity; and a key with more than total() /
// capacity is always listed. Both bounds survive merging (with the smaller capacity, where they
// differ).
//
// Unlike the other sketches, what is listed depends on the order of adds and merges once keys have
// been dropped; the bounds do not. Nothing but the stored content decides what happens next (ties
// are broken by the keys themselves), so a sketch that was written and read back goes on exactly
// like one that never left memory.
//
// Source: Metwally, Agrawal, El Abbadi, "Efficient computation of frequent and top-k elements in
// data streams" (2005); merging after Agarwal et al., "Mergeable summaries" (2012).

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/thread_annotations.h"

namespace weir::sketch {

// Ownership: copies the keys; a value that can be copied and compared.
// Threading: one thread at a time.
// Limits: `capacity` keys (1 to kCapacityMax) of at most kKeyBytesMax bytes; longer ones are cut
//   there and counted as what is left. Counts stop at 2^64 - 1. An add takes a binary search over
//   the keys and O(log capacity) steps in a heap: nothing a client could make slow by his choice of
//   keys.
class SpaceSaving {
 public:
  static constexpr uint32_t kCapacityMax = 1U << 14U;
  static constexpr size_t kKeyBytesMax = 2048;

  // count - overestimate_max <= true count <= count.
  struct Top {
    std::string_view key;
    uint64_t count;
    uint64_t overestimate_max;
    bool operator==(const Top&) const = default;
  };

  // Requires 1 <= capacity <= kCapacityMax.
  explicit SpaceSaving(uint32_t capacity);

  // Counts `key` `count` times; a count of 0 leaves no trace.
  void add(std::string_view key, uint64_t count = 1);

  // Afterwards the bounds hold for everything added to either. Keeps its own capacity.
  void merge(const SpaceSaving& other);

  // The `k` listed keys with the largest counts (all, when fewer are listed), largest first, equal
  // counts by key. The keys are valid until the next call of a function that is not const.
  std::vector<Top> top(size_t k) const WEIR_LIFETIMEBOUND;

  uint32_t capacity() const { return capacity_; }
  size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }

  // The sum of all counts added.
  uint64_t total() const { return total_; }

  // No key that is not listed was added more often than this; 0 while all counts are exact.
  uint64_t unlisted_max() const { return unlisted_max_; }

  // This object and the heap memory behind it, without the allocator's own overhead.
  size_t memory_bytes() const;

  // Appends the canonical bytes, docs/formats/sketches.md.
  void encode(std::string& out) const;

  // Errors: corrupt (Origin::storage): `bytes` are not what encode() writes.
  static base::Result<SpaceSaving> decode(std::string_view bytes);

  // Whether both hold the same; then, and only then, their encodings are equal.
  bool operator==(const SpaceSaving& other) const;

 private:
  struct Entry {
    std::string key;
    uint64_t count = 0;
    uint64_t overestimate = 0;
    size_t heap_at = 0;
  };

  static bool ranks_higher(const Entry& a, const Entry& b);
  bool below(uint32_t a, uint32_t b) const { return ranks_higher(entries_[b], entries_[a]); }
  size_t place_of(std::string_view key) const;
  void list(size_t place, std::string_view key, uint64_t count);
  void replace_lowest(std::string_view key, uint64_t count);
  void put(size_t at, uint32_t entry);
  void rise(size_t at);
  void sink(size_t at);
  void adopt(std::vector<Entry> in_key_order);

  uint32_t capacity_;
  uint64_t total_ = 0;
  uint64_t unlisted_max_ = 0;
  std::vector<Entry> entries_;    // In no order; the two below refer to them by index.
  std::vector<uint32_t> by_key_;  // In ascending order of keys.
  std::vector<uint32_t> heap_;    // A binary heap, the lowest ranked in front.
};

}  // namespace weir::sketch
