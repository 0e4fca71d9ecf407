#include "sketch/space_saving.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "base/assert.h"
#include "sketch/internal/bytes.h"

namespace weir::sketch {
namespace {

constexpr char kVersion = 1;
constexpr size_t kEntryBytesMin = 3;  // Encoded: an empty key and two small numbers.

}  // namespace

SpaceSaving::SpaceSaving(uint32_t capacity) : capacity_(capacity) {
  WEIR_ASSERT(capacity >= 1 && capacity <= kCapacityMax);
}

void SpaceSaving::add(std::string_view key, uint64_t count) {
  if (count == 0) return;
  key = key.substr(0, kKeyBytesMax);
  total_ = saturating_sum(total_, count);
  const size_t place = place_of(key);
  if (place < by_key_.size() && entries_[by_key_[place]].key == key) {
    Entry& entry = entries_[by_key_[place]];
    entry.count = saturating_sum(entry.count, count);
    sink(entry.heap_at);
  } else if (entries_.size() < capacity_) {
    list(place, key, count);
  } else {
    replace_lowest(key, count);
  }
}

// A key that one side does not list may have been added there up to its unlisted_max() times. The
// bound on the overestimate survives because of this invariant, k being the smallest capacity that
// took part: the sum over the listed keys of (count - unlisted_max), plus k * unlisted_max, is at
// most total(). Adding, merging and dropping the lowest keep it, and it gives
// unlisted_max <= total() / k.
void SpaceSaving::merge(const SpaceSaving& other) {
  std::vector<Entry> merged;
  merged.reserve(entries_.size() + other.entries_.size());
  const auto take = [&merged](const Entry& entry, uint64_t count, uint64_t overestimate) {
    merged.push_back({.key = entry.key,
                      .count = saturating_sum(entry.count, count),
                      .overestimate = saturating_sum(entry.overestimate, overestimate)});
  };
  size_t i = 0;
  size_t j = 0;
  while (i < by_key_.size() || j < other.by_key_.size()) {
    const Entry* mine = i < by_key_.size() ? &entries_[by_key_[i]] : nullptr;
    const Entry* theirs = j < other.by_key_.size() ? &other.entries_[other.by_key_[j]] : nullptr;
    if (theirs == nullptr || (mine != nullptr && mine->key < theirs->key)) {
      take(*mine, other.unlisted_max_, other.unlisted_max_);
      ++i;
    } else if (mine == nullptr || theirs->key < mine->key) {
      take(*theirs, unlisted_max_, unlisted_max_);
      ++j;
    } else {
      take(*mine, theirs->count, theirs->overestimate);
      ++i, ++j;
    }
  }
  total_ = saturating_sum(total_, other.total_);
  unlisted_max_ = saturating_sum(unlisted_max_, other.unlisted_max_);
  if (merged.size() > capacity_) {
    std::sort(merged.begin(), merged.end(), ranks_higher);
    unlisted_max_ = std::max(unlisted_max_, merged[capacity_].count);
    merged.resize(capacity_);
    std::sort(merged.begin(), merged.end(),
              [](const Entry& a, const Entry& b) { return a.key < b.key; });
  }
  adopt(std::move(merged));
}

std::vector<SpaceSaving::Top> SpaceSaving::top(size_t k) const {
  std::vector<uint32_t> order = by_key_;
  k = std::min(k, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(),
                    [this](uint32_t a, uint32_t b) { return below(b, a); });
  std::vector<Top> top;
  top.reserve(k);
  for (size_t i = 0; i < k; ++i) {
    const Entry& entry = entries_[order[i]];
    top.push_back({entry.key, entry.count, entry.overestimate});
  }
  return top;
}

size_t SpaceSaving::memory_bytes() const {
  size_t bytes = sizeof(*this) + entries_.capacity() * sizeof(Entry) +
                 (by_key_.capacity() + heap_.capacity()) * sizeof(uint32_t);
  const size_t inside = std::string{}.capacity();  // Short strings need no memory of their own.
  for (const Entry& entry : entries_)
    bytes += entry.key.capacity() > inside ? entry.key.capacity() + 1 : 0;
  return bytes;
}

void SpaceSaving::encode(std::string& out) const {
  out.push_back(kVersion);
  append_varint(out, capacity_);
  append_varint(out, total_);
  append_varint(out, unlisted_max_);
  append_varint(out, entries_.size());
  for (const uint32_t index : by_key_) {
    const Entry& entry = entries_[index];
    append_varint(out, entry.key.size());
    out.append(entry.key);
    append_varint(out, entry.count);
    append_varint(out, entry.overestimate);
  }
}

base::Result<SpaceSaving> SpaceSaving::decode(std::string_view bytes) {
  if (!take_byte(bytes, kVersion)) return corrupt("Space-Saving version");
  uint64_t capacity = 0;
  uint64_t total = 0;
  uint64_t unlisted_max = 0;
  uint64_t size = 0;
  if (!codec::read_varint(bytes, capacity) || capacity < 1 || capacity > kCapacityMax ||
      !codec::read_varint(bytes, total) || !codec::read_varint(bytes, unlisted_max) ||
      unlisted_max > total || !codec::read_varint(bytes, size) || size > capacity ||
      size > bytes.size() / kEntryBytesMin) {
    return corrupt("Space-Saving head");
  }
  SpaceSaving sketch{static_cast<uint32_t>(capacity)};
  sketch.total_ = total;
  sketch.unlisted_max_ = unlisted_max;
  std::vector<Entry> entries(size);
  uint64_t certain = 0;  // What was counted for the listed keys at least.
  for (size_t i = 0; i < size; ++i) {
    Entry& entry = entries[i];
    uint64_t key_bytes = 0;
    if (!codec::read_varint(bytes, key_bytes) || key_bytes > kKeyBytesMax ||
        key_bytes > bytes.size()) {
      return corrupt("Space-Saving key");
    }
    entry.key = bytes.substr(0, key_bytes);
    bytes.remove_prefix(key_bytes);
    if (i > 0 && entry.key <= entries[i - 1].key) return corrupt("Space-Saving order of keys");
    if (!codec::read_varint(bytes, entry.count) || entry.count < 1 || entry.count < unlisted_max ||
        entry.count > total || !codec::read_varint(bytes, entry.overestimate) ||
        entry.overestimate > unlisted_max) {
      return corrupt("Space-Saving count");
    }
    certain = saturating_sum(certain, entry.count - entry.overestimate);
  }
  if (certain > total || !bytes.empty()) return corrupt("Space-Saving total");
  sketch.adopt(std::move(entries));
  return sketch;
}

bool SpaceSaving::operator==(const SpaceSaving& other) const {
  return capacity_ == other.capacity_ && total_ == other.total_ &&
         unlisted_max_ == other.unlisted_max_ &&
         std::equal(by_key_.begin(), by_key_.end(), other.by_key_.begin(), other.by_key_.end(),
                    [&](uint32_t mine, uint32_t theirs) {
                      const Entry& a = entries_[mine];
                      const Entry& b = other.entries_[theirs];
                      return a.key == b.key && a.count == b.count &&
                             a.overestimate == b.overestimate;
                    });
}

// A total order, because keys differ: every choice between entries is determined.
bool SpaceSaving::ranks_higher(const Entry& a, const Entry& b) {
  return a.count != b.count ? a.count > b.count : a.key < b.key;
}

// Where `key` is in by_key_, or belongs.
size_t SpaceSaving::place_of(std::string_view key) const {
  const auto place = std::lower_bound(
      by_key_.begin(), by_key_.end(), key,
      [this](uint32_t index, std::string_view wanted) { return entries_[index].key < wanted; });
  return static_cast<size_t>(place - by_key_.begin());
}

void SpaceSaving::list(size_t place, std::string_view key, uint64_t count) {
  const auto index = static_cast<uint32_t>(entries_.size());
  entries_.push_back({.key = std::string{key},
                      .count = saturating_sum(unlisted_max_, count),
                      .overestimate = unlisted_max_});
  by_key_.insert(by_key_.begin() + static_cast<std::ptrdiff_t>(place), index);
  heap_.push_back(index);
  rise(heap_.size() - 1);
}

void SpaceSaving::replace_lowest(std::string_view key, uint64_t count) {
  const uint32_t index = heap_.front();
  Entry& entry = entries_[index];
  by_key_.erase(by_key_.begin() + static_cast<std::ptrdiff_t>(place_of(entry.key)));
  by_key_.insert(by_key_.begin() + static_cast<std::ptrdiff_t>(place_of(key)), index);
  entry.key = key;
  unlisted_max_ = entry.count;
  entry.overestimate = entry.count;
  entry.count = saturating_sum(entry.count, count);
  sink(0);
}

void SpaceSaving::put(size_t at, uint32_t entry) {
  heap_[at] = entry;
  entries_[entry].heap_at = at;
}

// Restores the heap after the entry at `at` came to rank lower.
void SpaceSaving::rise(size_t at) {
  const uint32_t rising = heap_[at];
  while (at > 0 && below(rising, heap_[(at - 1) / 2])) {
    put(at, heap_[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  put(at, rising);
}

// Restores the heap after the entry at `at` came to rank higher.
void SpaceSaving::sink(size_t at) {
  const uint32_t sinking = heap_[at];
  for (size_t child = 2 * at + 1; child < heap_.size(); child = 2 * at + 1) {
    if (child + 1 < heap_.size() && below(heap_[child + 1], heap_[child])) ++child;
    if (!below(heap_[child], sinking)) break;
    put(at, heap_[child]);
    at = child;
  }
  put(at, sinking);
}

void SpaceSaving::adopt(std::vector<Entry> in_key_order) {
  entries_ = std::move(in_key_order);
  by_key_.resize(entries_.size());
  std::iota(by_key_.begin(), by_key_.end(), 0U);
  heap_ = by_key_;
  std::sort(heap_.begin(), heap_.end(), [this](uint32_t a, uint32_t b) { return below(a, b); });
  for (size_t at = 0; at < heap_.size(); ++at)
    put(at, heap_[at]);  // Sorted, so a heap already.
}

}  // namespace weir::sketch
