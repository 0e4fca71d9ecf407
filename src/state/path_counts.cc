#include "state/path_counts.h"

#include <algorithm>

namespace weir::state {

void PathCounts::add(std::string_view path) {
  if (const auto found = paths_.find(path); found != paths_.end()) {
    ++found->second;
    return;
  }
  if (path.size() > kPathBytesMax) {
    ++other_;
    return;
  }
  if (paths_.size() == kPathsMax || bytes_ + path.size() > kBytesMax) make_room();
  paths_.emplace(path, 1);
  bytes_ += path.size();
}

void PathCounts::make_room() {
  std::vector<Map::iterator> order;
  order.reserve(paths_.size());
  for (auto each = paths_.begin(); each != paths_.end(); ++each)
    order.push_back(each);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a->second < b->second; });
  for (const Map::iterator each : order) {
    if (paths_.size() <= kPathsMax / 2 && bytes_ <= kBytesMax / 2) break;
    other_ += each->second;
    bytes_ -= each->first.size();
    paths_.erase(each);
  }
}

std::vector<PathCount> PathCounts::top(size_t count) const {
  std::vector<Map::const_iterator> order;
  order.reserve(paths_.size());
  for (auto each = paths_.begin(); each != paths_.end(); ++each)
    order.push_back(each);
  const size_t kept = std::min(count, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(kept), order.end(),
                    [](const auto& a, const auto& b) {
                      return a->second != b->second ? a->second > b->second : a->first < b->first;
                    });
  std::vector<PathCount> top;
  for (size_t at = 0; at < kept; ++at)
    top.push_back({order[at]->first, order[at]->second});
  return top;
}

bool PathCounts::restore(std::string_view path, uint64_t requests) {
  if (path.size() > kPathBytesMax || paths_.size() == kPathsMax ||
      bytes_ + path.size() > kBytesMax || !paths_.emplace(path, requests).second) {
    return false;
  }
  bytes_ += path.size();
  return true;
}

}  // namespace weir::state
