#include "state/rolling_minute.h"

#include <cstdlib>
#include <map>

#include <gtest/gtest.h>

#include "base/random.h"
#include "state/testing/seed.h"

namespace weir::state {
namespace {

constexpr int64_t kStart = 1'760'536'980;

TEST(RollingMinuteTest, CountsTheSecondsOfAMinuteAndNoMore) {
  RollingMinute minute;
  EXPECT_EQ(minute.sum(kStart), 0U);
  EXPECT_EQ(minute.add(kStart), 1U);
  EXPECT_EQ(minute.add(kStart), 2U);
  EXPECT_EQ(minute.sum(kStart), 2U);
  EXPECT_EQ(minute.sum(kStart + 59), 2U);
  EXPECT_EQ(minute.sum(kStart + 60), 0U);
  EXPECT_EQ(minute.sum(kStart - 1), 0U);
  EXPECT_EQ(minute.add(kStart + 59), 3U);
  EXPECT_EQ(minute.add(kStart + 60), 2U);
}

TEST(RollingMinuteTest, AForgottenMinuteIsEmpty) {
  RollingMinute minute;
  minute.add(kStart);
  minute.clear();
  EXPECT_EQ(minute.sum(kStart), 0U);
  EXPECT_EQ(minute.add(kStart - 1000), 1U);
}

TEST(RollingMinuteTest, TakesARequestThatIsAMinuteLateAndNoOlderOne) {
  RollingMinute minute;
  minute.add(kStart);
  EXPECT_EQ(minute.add(kStart - 60), 1U);
  EXPECT_EQ(minute.add(kStart - 61), 0U);
  EXPECT_EQ(minute.sum(kStart - 60), 1U);
  EXPECT_EQ(minute.sum(kStart - 1), 1U);
}

// Goal: the rolling sums and the peak are exact, in whatever order requests come within a minute.
// Method: random walks through time, with jumps, pauses and late requests, against a map of all
// seconds that is summed up naively.
TEST(RollingMinuteTest, AgreesWithSummingUpEverySecond) {
  const uint64_t seed = testing::seed_or(std::getenv("WEIR_SEED"), 20251018);
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed));
  base::Random random{seed};
  for (int round = 0; round < 20; ++round) {
    RollingMinute minute;
    std::map<int64_t, uint64_t> model;
    const auto model_sum = [&](int64_t second) {
      uint64_t sum = 0;
      for (auto each = model.upper_bound(second - 60); each != model.end(); ++each) {
        if (each->first <= second) sum += each->second;
      }
      return sum;
    };
    int64_t newest = kStart - 500 * round;
    uint64_t peak = 0;
    const uint64_t late_one_in = 1 + random.below(10);
    for (int step = 0; step < 2000; ++step) {
      if (random.below(3) == 0) newest += static_cast<int64_t>(random.below(4));
      if (random.below(200) == 0) newest += static_cast<int64_t>(random.below(300));
      int64_t second = newest;
      if (random.below(late_one_in) == 0) second -= static_cast<int64_t>(random.below(61));
      if (!model.empty() && second < model.rbegin()->first - 60) continue;
      ++model[second];
      peak = std::max(peak, minute.add(second));
      ASSERT_EQ(minute.sum(newest), model_sum(newest)) << "step " << step;
    }
    uint64_t model_peak = 0;
    for (const auto& [second, requests] : model)
      model_peak = std::max(model_peak, model_sum(second));
    EXPECT_EQ(peak, model_peak);
  }
}

}  // namespace
}  // namespace weir::state
