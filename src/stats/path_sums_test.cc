#include "stats/path_sums.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "sqlite/testing/temp_directory.h"
#include "stats/rebuilt_rows.h"
#include "stats/sqlite_stats.h"

namespace weir::stats {
namespace {

constexpr int64_t kLastHour = 490'000;
constexpr int64_t kHours = 24;
constexpr int64_t kFirstHour = kLastHour - kHours + 1;

using Sums = std::vector<std::string>;

struct PathSumsTest : ::testing::Test {
  void SetUp() override { ASSERT_TRUE(database.open().ok()); }

  void execute(const std::string& sql) {
    ASSERT_TRUE(database.execute(sql).ok()) << sql << ": " << database.message();
  }

  // As the consumer does it: a row of a path and that of all paths, in one transaction.
  void count(int64_t hour, int64_t path_id, uint64_t requests, uint64_t errors) {
    constexpr const char* kRow =
        " {0}, {1}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, NULL, 0, "
        "0,"
        " 0) ON CONFLICT DO UPDATE SET requests = requests + {0}, errors = errors + {1};";
    execute(fmt::format("BEGIN; INSERT INTO hourly VALUES({}, {}, NULL,", hour, path_id) +
            fmt::format(fmt::runtime(kRow), requests, errors) +
            fmt::format("INSERT INTO totals VALUES({0}, '{0}',", hour) +
            fmt::format(fmt::runtime(kRow), requests, errors) + "COMMIT");
  }

  static Sums read(PathSums& sums, int64_t first_hour = kFirstHour) {
    Sums lines;
    const base::Status status =
        sums.for_each(first_hour, first_hour + kHours - 1, [&lines](const PathSum& sum) {
          lines.push_back(fmt::format("{} {} {}", sum.path_id, sum.requests, sum.errors));
        });
    EXPECT_TRUE(status.ok());
    return lines;
  }

  Sums expected(int64_t first_hour = kFirstHour) {
    Sums lines;
    sqlite::Statement query =
        database
            .prepare(fmt::format("SELECT path_id || ' ' || sum(requests) || ' ' || sum(errors) "
                                 "FROM hourly WHERE hour"
                                 " BETWEEN {} AND {} GROUP BY path_id ORDER BY path_id",
                                 first_hour, first_hour + kHours - 1))
            .value();
    while (query.step().value())
      lines.emplace_back(query.column_text(0));
    return lines;
  }

  sqlite::testing::TempDirectory directory;
  sqlite::Database database{directory.file("weir.db"), {.schemas = {schema()}}};
};

TEST_F(PathSumsTest, SumsAreThoseOfTheRowsWhateverChangesBetweenTwoReadings) {
  base::Random random{20261126};
  PathSums remembering{database};
  PathSums crowded{database, {.bytes_max = 300}};
  PathSums forgetful{database, {.bytes_max = 0}};
  PathSums ahead{database};
  int64_t first_hour = kFirstHour;
  for (int round = 0; round < 60; ++round) {
    for (uint64_t n = random.below(40); n > 0; --n) {
      count(first_hour + static_cast<int64_t>(random.below(kHours + 2)) - 1,
            1 + static_cast<int64_t>(random.below(random.below(2) == 0 ? 20 : 1'000'000)),
            1 + random.below(random.below(2) == 0 ? 10 : 1'000'000'000'000), random.below(3));
    }
    if (random.below(5) == 0) ++first_hour;
    const Sums sums = expected(first_hour);
    EXPECT_EQ(read(remembering, first_hour), sums) << "round " << round;
    ASSERT_TRUE(ahead.read_ahead(first_hour, first_hour + kHours - 1).ok());
    EXPECT_EQ(read(ahead, first_hour), sums) << "round " << round;
    EXPECT_EQ(read(crowded, first_hour), sums) << "round " << round;
    EXPECT_EQ(read(forgetful, first_hour), sums) << "round " << round;
    EXPECT_LE(crowded.bytes(), 300U);
  }
  EXPECT_GT(remembering.bytes(), 300U);
  EXPECT_EQ(forgetful.bytes(), 0U);
}

TEST_F(PathSumsTest, HoursThatAreOverAreReadOnceAndTheLastOneEachTime) {
  count(kFirstHour, 1, 10, 0);
  count(kLastHour, 1, 5, 1);
  PathSums sums{database};
  EXPECT_EQ(read(sums), Sums{"1 15 1"});
  // Behind the back of the totals: what nothing but damage does, and shows what is read again.
  execute("UPDATE hourly SET requests = requests + 100");
  EXPECT_EQ(read(sums), Sums{"1 115 1"});
}

TEST_F(PathSumsTest, WhatIsReadAheadHourByHourIsNotReadAgain) {
  count(kFirstHour, 1, 10, 0);
  count(kFirstHour + 3, 1, 20, 0);
  PathSums sums{database};
  EXPECT_EQ(sums.read_ahead(kFirstHour, kLastHour).value(), kFirstHour + 1);
  EXPECT_EQ(sums.read_ahead(kFirstHour + 1, kLastHour).value(), kFirstHour + 4);
  EXPECT_EQ(sums.read_ahead(kFirstHour + 4, kLastHour).value(), std::nullopt);
  execute("UPDATE hourly SET requests = requests + 100");  // Behind the back of the totals.
  EXPECT_EQ(read(sums), Sums{"1 30 0"});
}

TEST_F(PathSumsTest, AnHourIsReadAgainAfterARebuildSetOrRemovedARow) {
  execute("INSERT INTO paths VALUES(1, '/a'), (2, '/b')");
  count(kFirstHour, 1, 10, 0);
  count(kFirstHour, 2, 5, 0);
  PathSums sums{database};
  EXPECT_EQ(read(sums), (Sums{"1 10 0", "2 5 0"}));
  RowSetter setter{database, base::Wall{}};
  CountedRow row{.path = "/a"};
  row.counts.requests = 7;
  ASSERT_TRUE(setter.set_hour(kFirstHour, row).ok());
  EXPECT_EQ(read(sums), (Sums{"1 7 0", "2 5 0"}));
  ASSERT_TRUE(setter.remove_hour(kFirstHour, "/b").ok());
  EXPECT_EQ(read(sums), (Sums{"1 7 0"}));
}

TEST_F(PathSumsTest, HoursOutsideTheRangeAreForgotten) {
  for (int64_t path = 1; path <= 100; ++path)
    count(kFirstHour, path, 1, 0);
  PathSums sums{database};
  EXPECT_EQ(read(sums).size(), 100U);
  EXPECT_GE(sums.bytes(), 300U);
  EXPECT_EQ(read(sums, kFirstHour + 1), Sums{});
  EXPECT_EQ(sums.bytes(), 0U);
}

TEST(TopSumsTest, MostRequestsComeFirstAndThenTheOldestPath) {
  TopSums top{2};
  for (const PathSum& sum :
       {PathSum{1, 5, 0}, PathSum{2, 9, 0}, PathSum{3, 5, 0}, PathSum{4, 0, 0}})
    top.offer(sum);
  const std::vector<PathSum> sums = top.take();
  ASSERT_EQ(sums.size(), 2U);
  EXPECT_EQ(sums[0].path_id, 2);
  EXPECT_EQ(sums[1].path_id, 1);
}

}  // namespace
}  // namespace weir::stats
