#include "jobs/timetable.h"

#include <gtest/gtest.h>

namespace weir::jobs {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr base::Wall kNoon{std::chrono::sys_days{std::chrono::year{2025} / 10 / 15} + hours{12}};

base::Wall until(const char* schedule, base::Wall now) {
  return kept_until(codec::Cron::parse(schedule).value(), now);
}

TEST(KeptUntilTest, ItIsAtLeastTwiceTheTimeBetweenTwoRuns) {
  EXPECT_EQ(until("*/10 * * * *", kNoon), kNoon + minutes{40});
  EXPECT_EQ(until("*/5 * * * *", kNoon), kNoon + minutes{20});
  EXPECT_EQ(until("0 * * * *", kNoon), kNoon + hours{4});
  for (minutes late{0}; late < minutes{20}; ++late) {
    const base::Wall now = kNoon + late;
    EXPECT_GE(until("*/10 * * * *", now), now + minutes{20}) << late.count();
  }
}

TEST(KeptUntilTest, ItOutlivesTheLongestPauseOfAnIrregularSchedule) {
  const char* const schedule = "0 9-11 * * *";
  for (hours at{0}; at < hours{24}; ++at) {
    const base::Wall now = kNoon + at;
    const base::Wall next = *codec::Cron::parse(schedule).value().next_after(now);
    EXPECT_GT(until(schedule, now), next) << at.count();
  }
}

}  // namespace
}  // namespace weir::jobs
