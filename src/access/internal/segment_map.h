#pragma once
// Which of many segments a key is in, and that segment's value: a segment goes from its start to
// the next one's.
//
// A static B-tree in two arrays. An inner node is a whole number of cache lines and holds kFanOut
// keys; each level has every kFanOut-th key of the one below; a leaf has its values beside its
// keys. Within a node all keys are compared, without a branch, so that a look-up costs a cache line
// or two for each level (five levels for 200 000 starts of IPv4) and mispredicts nothing. A binary
// search would touch some 18 lines, on as many pages.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace weir::access::internal {

using V4Key = uint32_t;
__extension__ using V6Key = unsigned __int128;

// Threading: immutable after construction.
template <typename Key, size_t kFanOut>
class SegmentMap {
 public:
  SegmentMap() = default;

  // `starts` ascend strictly, and the first one is not above any key that will be looked for;
  // `highest` is not below any. `values` are theirs.
  SegmentMap(const std::vector<Key>& starts, const std::vector<uint32_t>& values,
             const Key& highest)
      : last_(starts.size() - 1) {
    WEIR_ASSERT(!starts.empty() && starts.size() == values.size());
    std::vector<Key> first_keys;  // Of the nodes of the level that is done.
    for (size_t at = 0; at < starts.size(); ++at) {
      if (at % kFanOut == 0) {
        leaves_.emplace_back().keys.fill(highest);
        first_keys.push_back(starts[at]);
      }
      leaves_.back().keys[at % kFanOut] = starts[at];
      leaves_.back().values[at % kFanOut] = values[at];
    }
    std::vector<std::vector<Node>> levels;  // From the lowest.
    while (first_keys.size() > 1) {
      std::vector<Key> above;
      std::vector<Node>& level = levels.emplace_back();
      for (size_t at = 0; at < first_keys.size(); ++at) {
        if (at % kFanOut == 0) {
          level.emplace_back().keys.fill(highest);
          above.push_back(first_keys[at]);
        }
        level.back().keys[at % kFanOut] = first_keys[at];
      }
      levels_.push_back({0, first_keys.size() - 1});
      first_keys = std::move(above);
    }
    std::reverse(levels_.begin(), levels_.end());
    for (size_t at = 0; at < levels_.size(); ++at) {
      const std::vector<Node>& level = levels[levels.size() - 1 - at];
      levels_[at].first_node = inner_.size();
      inner_.insert(inner_.end(), level.begin(), level.end());
    }
  }

  // Requires a map that was made of segments.
  uint32_t find(const Key& key) const {
    size_t at = 0;  // A node of the level below the one that was looked at last.
    for (const Level& level : levels_)
      at = step(inner_.data()[level.first_node + at].keys, at, key, level.last);
    const Leaf& leaf = leaves_.data()[at];
    return leaf.values[step(leaf.keys, at, key, last_) % kFanOut];
  }

  size_t bytes() const { return inner_.size() * sizeof(Node) + leaves_.size() * sizeof(Leaf); }

 private:
  struct alignas(64) Node {
    std::array<Key, kFanOut> keys{};
  };
  struct alignas(32) Leaf {
    std::array<Key, kFanOut> keys{};
    std::array<uint32_t, kFanOut> values{};
  };
  struct Level {
    size_t first_node;
    size_t last;  // Index of the last key.
  };

  // The index, on its level, of the last key of a node that is not above `key`. The node's first
  // key is not: it is the one that led here. What fills the level's last node up is not found: it
  // could only be for the highest key.
  static size_t step(const std::array<Key, kFanOut>& keys, size_t node, const Key& key,
                     size_t last) {
    return std::min(node * kFanOut + count(keys, key, std::make_index_sequence<kFanOut>{}) - 1,
                    last);
  }

  // How many are not above `key`. Written out, because a loop takes twice as long.
  template <size_t... kIndex>
  static size_t count(const std::array<Key, kFanOut>& keys, const Key& key,
                      std::index_sequence<kIndex...> /*all*/) {
    return (static_cast<size_t>(keys[kIndex] <= key) + ...);
  }

  std::vector<Node> inner_;
  std::vector<Level> levels_;  // From the top; the leaves are below.
  std::vector<Leaf> leaves_;
  size_t last_ = 0;  // Index of the last start.
};

}  // namespace weir::access::internal
