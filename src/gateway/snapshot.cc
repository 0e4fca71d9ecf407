#include "gateway/snapshot.h"

#include <algorithm>
#include <numeric>

namespace weir::gateway {

std::vector<uint16_t> make_schedule(const std::vector<uint32_t>& weights) {
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
  std::vector<uint16_t> schedule;
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
