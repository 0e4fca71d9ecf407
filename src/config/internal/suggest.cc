#include "config/internal/suggest.h"

#include <algorithm>
#include <array>

namespace weir::config::internal {
namespace {

constexpr size_t kNameBytesMax = 40;  // Longer names get no suggestion.

// Optimal string alignment distance.
size_t distance(std::string_view a, std::string_view b) {
  std::array<std::array<size_t, kNameBytesMax + 1>, kNameBytesMax + 1> cost{};
  for (size_t i = 0; i <= a.size(); ++i)
    cost[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j)
    cost[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

std::string_view closest(std::string_view name, const std::vector<std::string_view>& candidates) {
  if (name.empty() || name.size() > kNameBytesMax) return {};
  size_t best_distance = std::min<size_t>(2, std::max<size_t>(1, name.size() / 3)) + 1;
  std::string_view best;
  for (const std::string_view candidate : candidates) {
    if (candidate.size() > kNameBytesMax) continue;
    const size_t candidate_distance = distance(name, candidate);
    if (candidate_distance < best_distance) {
      best_distance = candidate_distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace weir::config::internal
