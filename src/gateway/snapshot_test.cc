#include "gateway/snapshot.h"

#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>

namespace weir::gateway {
namespace {

std::vector<size_t> turns(const std::vector<uint16_t>& schedule, size_t endpoints) {
  std::vector<size_t> counts(endpoints, 0);
  for (const uint16_t endpoint : schedule)
    ++counts[endpoint];
  return counts;
}

TEST(ScheduleTest, EqualsHaveOneTurnEach) {
  EXPECT_EQ(make_schedule({}), std::vector<uint16_t>{});
  EXPECT_EQ(make_schedule({7}), std::vector<uint16_t>{0});
  EXPECT_EQ(make_schedule({5, 5, 5}), (std::vector<uint16_t>{0, 1, 2}));
}

TEST(ScheduleTest, TurnsAreAsTheWeightsAndNotInARow) {
  EXPECT_EQ(make_schedule({5, 1, 1}), (std::vector<uint16_t>{0, 0, 1, 0, 2, 0, 0}));
  EXPECT_EQ(turns(make_schedule({300, 200}), 2), (std::vector<size_t>{3, 2}));
}

TEST(ScheduleTest, ARoundIsBoundedAndLeavesNobodyOut) {
  const auto counts = turns(make_schedule({1'000'000, 1, 999}), 3);
  EXPECT_LE(std::accumulate(counts.begin(), counts.end(), size_t{0}), kScheduleMax);
  EXPECT_GE(*std::min_element(counts.begin(), counts.end()), 1U);
  EXPECT_GT(counts[0], 4000U);
}

// 256 upstreams whose names have 64 addresses each.
TEST(ScheduleTest, MoreEndpointsThanARoundHasTurnsHaveOneEach) {
  constexpr size_t kEndpoints = 16'384;
  std::vector<uint32_t> weights(kEndpoints, 1);
  const std::vector<size_t> once(kEndpoints, 1);
  EXPECT_EQ(turns(make_schedule(weights), kEndpoints), once);
  weights[3] = 100;
  EXPECT_EQ(turns(make_schedule(weights), kEndpoints), once);
  weights.assign(kScheduleMax, 1);
  weights[3] = 100;
  EXPECT_EQ(make_schedule(weights).size(), kScheduleMax);
  weights.resize(kScheduleMax - 1);
  EXPECT_GE(make_schedule(weights).size(), kScheduleMax - 1);
}

}  // namespace
}  // namespace weir::gateway
