#include "gateway/snapshot.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <numeric>

namespace weir::gateway {

std::vector<uint16_t> make_schedule(const std::vector<uint32_t>& weights) {
  std::vector<uint16_t> schedule;
  // One turn each: of equals, and of so many that a round has no more turns to give.
  const bool are_equal =
      std::adjacent_find(weights.begin(), weights.end(), std::not_equal_to<>{}) == weights.end();
  if (are_equal || weights.size() >= kScheduleMax) {
    schedule.resize(std::min(weights.size(), size_t{UINT16_MAX} + 1));
    std::iota(schedule.begin(), schedule.end(), uint16_t{0});
    return schedule;
  }
  std::vector<uint64_t> scaled(weights.begin(), weights.end());
  uint64_t divisor = 0;
  for (const uint64_t weight : scaled)
    divisor = std::gcd(divisor, weight);
  for (uint64_t& weight : scaled)
    weight /= std::max<uint64_t>(divisor, 1);
  const uint64_t sum = std::accumulate(scaled.begin(), scaled.end(), uint64_t{0});
  if (sum > kScheduleMax) {
    for (uint64_t& weight : scaled) {
      weight = std::max<uint64_t>(1, weight * (kScheduleMax - scaled.size()) / sum);
    }
  }
  const auto turns =
      static_cast<int64_t>(std::accumulate(scaled.begin(), scaled.end(), uint64_t{0}));
  std::vector<int64_t> credit(scaled.size(), 0);
  for (int64_t turn = 0; turn < turns; ++turn) {
    for (size_t i = 0; i < scaled.size(); ++i)
      credit[i] += static_cast<int64_t>(scaled[i]);
    const auto best = std::max_element(credit.begin(), credit.end());
    *best -= turns;
    schedule.push_back(static_cast<uint16_t>(best - credit.begin()));
  }
  return schedule;
}

}  // namespace weir::gateway
