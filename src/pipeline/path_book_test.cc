#include "pipeline/path_book.h"

#include <gtest/gtest.h>

#include "pipeline/testing/rig.h"

namespace weir::pipeline {
namespace {

using testing::kStream;
using testing::Rig;

constexpr int64_t kHour = 489'000;

// Of paths "/{prefix}0", "/{prefix}1", ...: how many are admitted.
int admitted(PathBook& book, const std::string& prefix, int count, std::string_view route,
             int64_t hour = kHour) {
  int sum = 0;
  for (int i = 0; i < count; ++i) {
    const auto answer = book.admit(hour, "/" + prefix + std::to_string(i), route);
    EXPECT_TRUE(answer.ok());
    if (answer.ok() && answer.value()) ++sum;
  }
  return sum;
}

TEST(PathBookTest, ARouteStartsAsManyPathsAsItMayAndNotOneMore) {
  Rig rig;
  ASSERT_TRUE(rig.drain());
  PathBook book{*rig.stats, {.per_route = 10, .in_all = 100}, 7};
  EXPECT_EQ(admitted(book, "a", 11, "one"), 10);
  EXPECT_EQ(admitted(book, "a", 10, "one"), 10) << "what has a row keeps it";
  EXPECT_EQ(admitted(book, "b", 11, "two"), 10) << "each route has its own";
  EXPECT_EQ(admitted(book, "a", 10, "two"), 10) << "a row is for whoever comes";
  EXPECT_EQ(admitted(book, "a", 11, "one", kHour + 1), 10) << "each hour has its own";
}

TEST(PathBookTest, AllRoutesTogetherStartAsManyPathsAsTheyMayAndNotOneMore) {
  Rig rig;
  ASSERT_TRUE(rig.drain());
  PathBook book{*rig.stats, {.per_route = 10, .in_all = 25}, 7};
  EXPECT_EQ(admitted(book, "a", 10, "one"), 10);
  EXPECT_EQ(admitted(book, "b", 10, "two"), 10);
  EXPECT_EQ(admitted(book, "c", 6, "three"), 5);
  EXPECT_TRUE(book.admit(kHour, stats::kOtherPath, "three").value());
  EXPECT_TRUE(book.admit(kHour, stats::kUnroutedPath, "").value());
}

TEST(PathBookTest, AScanOfUnroutedPathsTakesNothingFromRoutes) {
  Rig rig;
  ASSERT_TRUE(rig.drain());
  PathBook book{*rig.stats, {.per_route = 10, .in_all = 25}, 7};
  EXPECT_EQ(admitted(book, "scan", 1000, ""), 10);
  EXPECT_EQ(admitted(book, "a", 10, "one"), 10);
  EXPECT_EQ(admitted(book, "b", 10, "two"), 10);
  EXPECT_EQ(admitted(book, "c", 10, "three"), 5) << "the routes have all that is theirs";
}

TEST(PathBookTest, UnroutedPathsStartNothingWhereRoutesHaveAll) {
  Rig rig;
  ASSERT_TRUE(rig.drain());
  PathBook book{*rig.stats, {.per_route = 10, .in_all = 10}, 7};
  EXPECT_EQ(admitted(book, "a", 10, "one"), 10);
  EXPECT_EQ(admitted(book, "scan", 10, ""), 0);
}

TEST(PathBookTest, NewLimitsHoldAtOnceAndTakeNothingAway) {
  Rig rig;
  ASSERT_TRUE(rig.drain());
  PathBook book{*rig.stats, {.per_route = 10, .in_all = 100}, 7};
  EXPECT_EQ(admitted(book, "a", 11, "one"), 10);
  book.set_limits({.per_route = 5, .in_all = 100});
  EXPECT_EQ(admitted(book, "a", 11, "one"), 10);
  EXPECT_EQ(admitted(book, "b", 6, "two"), 5);
  book.set_limits({.per_route = 12, .in_all = 100});
  EXPECT_EQ(admitted(book, "a", 13, "one"), 12);
}

TEST(PathBookTest, AnHourIsReadAgainFromTheStore) {
  Rig rig;
  for (int i = 0; i < 4; ++i)
    rig.journal.append(kStream, rig.event(i < 3 ? "/kv/" + std::to_string(i) : "/x"));
  ASSERT_TRUE(rig.drain());
  PathBook book{*rig.stats, {.per_route = 5, .in_all = 100}, 7};
  const int64_t hour = base::unix_ms(rig.clock.wall()) / 3'600'000;
  EXPECT_EQ(admitted(book, "b", 2, "kv", hour), 1);
  for (int64_t other = 1; other <= static_cast<int64_t>(PathBook::kHoursMax); ++other)
    EXPECT_EQ(admitted(book, "b", 6, "kv", hour + other), 5);
  // Forgotten, and what was admitted above was never stored.
  EXPECT_EQ(admitted(book, "c", 2, "kv", hour), 1);
}

}  // namespace
}  // namespace weir::pipeline
