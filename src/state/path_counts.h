#pragma once
// Requests per path in bounded memory, for lists of the largest. Paths may contain ids, so there is
// no end of them (defect 17.1 (21) of the founding system).
//
// Paths are counted exactly until the table is full. Then the smaller half goes into `other` and
// makes room. A path that comes back begins at 1, so from then on its figure is a lower bound; all
// figures together are always exactly what was counted.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace weir::state {

struct PathCount {
  std::string path;
  uint64_t requests = 0;
  bool operator==(const PathCount&) const = default;
};

// Threading: one thread at a time.
// Limits: kPathsMax paths, kBytesMax bytes of text; at the limit of either, down to half. A path
//   over kPathBytesMax is counted as other.
class PathCounts {
 public:
  static constexpr size_t kPathsMax = 2048;
  static constexpr size_t kBytesMax = size_t{256} * 1024;
  static constexpr size_t kPathBytesMax = 2048;

  // Takes time linear in the size once in so many new paths that it is constant on average.
  void add(std::string_view path);

  // The `count` largest, most requests first, then by name. Without `other`.
  std::vector<PathCount> top(size_t count) const;

  uint64_t other() const { return other_; }
  void clear() { *this = {}; }

  using Map = std::map<std::string, uint64_t, std::less<>>;
  const Map& paths() const { return paths_; }

  // For restoring an image: false when the limits forbid it, or the path is there already.
  bool restore(std::string_view path, uint64_t requests);
  void restore_other(uint64_t requests) { other_ = requests; }

 private:
  void make_room();

  Map paths_;  // A tree: clients choose the paths, and cannot make a tree slow.
  size_t bytes_ = 0;
  uint64_t other_ = 0;
};

}  // namespace weir::state
