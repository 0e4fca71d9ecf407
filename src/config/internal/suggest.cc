#include "config/internal/suggest.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace weir::config::internal {
namespace {

constexpr size_t kNameBytesMax = 40;  // Longer names get no suggestion.

// Optimal string alignment distance.
size_t distance(std::string_view a, std::string_view b) {
  std::array<std::array<uint8_t, kNameBytesMax + 1>, kNameBytesMax + 1> cost{};
  for (size_t i = 0; i <= a.size(); ++i)
    cost[i][0] = static_cast<uint8_t>(i);
  for (size_t j = 0; j <= b.size(); ++j)
    cost[0][j] = static_cast<uint8_t>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      int least = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1,
                            cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        least = std::min(least, cost[i - 2][j - 2] + 1);
      }
      cost[i][j] = static_cast<uint8_t>(least);
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
    if (candidate.size() >= name.size() + best_distance) continue;
    if (name.size() >= candidate.size() + best_distance) continue;
    const size_t candidate_distance = distance(name, candidate);
    if (candidate_distance < best_distance) {
      best_distance = candidate_distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace weir::config::internal
