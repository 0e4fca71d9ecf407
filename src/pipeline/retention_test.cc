#include "pipeline/retention.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "objects/directory_store.h"
#include "os/testing/fake_files.h"
#include "pipeline/testing/shelf.h"
#include "stats/client_lists.h"

namespace weir::pipeline {
namespace {

using base::ErrorCode;
using sqlite::testing::Fault;
using sqlite::testing::Spell;
using testing::kDay;
using traffic::EventFlag;

// Two days of two hours each and an event on the third, with objects in files of its own.
struct Shelf : testing::Shelf {
  Shelf() {
    EXPECT_TRUE(files.create_directory("/data").ok());
    disk = objects::DirectoryStore::open(files, rig.clock, {.directory = "/data/objects"}).value();
    store = disk.get();
    // At midnight, so that the days are what they seem.
    rig.clock.advance(kDay - rig.clock.wall().time_since_epoch() % kDay);
    first_day = base::unix_ms(rig.clock.wall()) / 86'400'000;
    for (const int pause : {1, 23, 1, 23}) {
      for (const char* const path : {"/a", "/b", "/a"})
        timed_event(path);
      event("/s", EventFlag::kSampledOut);
      EXPECT_TRUE(settle());
      rig.clock.advance(std::chrono::hours{first_day * 24 + hours_ + pause} -
                        rig.clock.wall().time_since_epoch());
      hours_ += pause;
    }
    event("/end");
    EXPECT_TRUE(settle());
  }

  // At `days` after the first one, at midnight.
  void go_to(int64_t days) {
    rig.clock.advance((first_day + days) * kDay - rig.clock.wall().time_since_epoch());
  }

  void keep() {
    go_to(6);
    ASSERT_TRUE(archive().ok());
    ASSERT_TRUE(clean().ok());
  }

  base::Result<RetentionOutcome> retain() {
    sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
    WEIR_TRY(reader.open());
    sqlite::DirectWriter writer{*rig.database};
    const std::atomic<bool> never{false};
    return pipeline::retain(writer, reader, rig.clock, {}, {never, {}});
  }

  base::Result<stats::ListOutcome> list_clients() {
    sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
    WEIR_TRY(reader.open());
    sqlite::DirectWriter writer{*rig.database};
    return stats::list_clients(writer, reader, rig.clock.wall(), std::atomic<bool>{false});
  }

  // Requests, percentiles and clients of every path, since the first hour.
  std::string top() {
    std::string text;
    const auto paths = rig.stats->top_paths(first_day * 24, 10).value();
    for (const stats::TopPath& each : paths) {
      const stats::Estimates estimates = each.estimates.value_or(stats::Estimates{});
      text += fmt::format("{} {} {} {} {} {}\n", each.path, each.counts.requests, estimates.p50_us,
                          estimates.p95_us, estimates.p99_us, estimates.unique_clients);
    }
    return text;
  }

  os::testing::FakeFiles files{3};
  std::unique_ptr<objects::DirectoryStore> disk;
  int64_t first_day = 0;

 private:
  void timed_event(std::string_view path) {
    traffic::Event event = rig.event(path);
    event.duration_us = 1000 + 777 * ++events_;
    event.client_hash = events_ * 0x9e3779b97f4a7c15U;
    rig.journal.append(testing::kStream, event);
  }

  uint64_t events_ = 0;
  int64_t hours_ = 0;
};

TEST(RetentionTest, SketchesOfHoursAreMergedAfter35DaysAndAnswerTheSame) {
  Shelf shelf;
  shelf.keep();
  const std::string before = shelf.top();
  shelf.go_to(35);
  ASSERT_TRUE(shelf.retain().ok());
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM daily_sketches"), 0);
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM sketches"), 18);

  shelf.go_to(36);
  ASSERT_TRUE(shelf.retain().ok());
  EXPECT_EQ(shelf.rig.text("SELECT count(*), count(DISTINCT day) FROM daily_sketches"), "4|1");
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM sketches"), 10);
  EXPECT_EQ(shelf.top(), before);
  shelf.go_to(37);
  ASSERT_TRUE(shelf.retain().ok());
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM sketches"), 2);
  EXPECT_EQ(shelf.top(), before);
  EXPECT_EQ(shelf.rig.audit(), "");
}

TEST(RetentionTest, MergedSketchesAreWhatTheArchiveSays) {
  Shelf shelf;
  shelf.keep();
  shelf.go_to(40);
  ASSERT_TRUE(shelf.retain().ok());
  const RebuildReport report = shelf.check().value();
  EXPECT_EQ(report.differing, 0U);
  EXPECT_EQ(report.sketches, 10U);
  const std::string right = shelf.books();
  ASSERT_TRUE(shelf.rig.database->execute("UPDATE daily_sketches SET latency = x'00'").ok());
  EXPECT_EQ(shelf.check().value().differing, 8U);
  ASSERT_TRUE(shelf.rebuild().ok());
  EXPECT_TRUE(shelf.books() == right);
}

TEST(RetentionTest, RowsAreKept400DaysAndNotOneMore) {
  Shelf shelf;
  shelf.go_to(6);
  ASSERT_EQ(shelf.list_clients().value().days, 3U);
  shelf.keep();
  shelf.go_to(400);
  ASSERT_TRUE(shelf.retain().ok());
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM hourly"), 13);
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM totals"), 5);
  EXPECT_EQ(shelf.rig.number("SELECT count(DISTINCT day) FROM client_daily"), 3);
  EXPECT_EQ(shelf.rig.number("SELECT count(DISTINCT day) FROM client_lists"), 3);
  shelf.go_to(401);
  ASSERT_TRUE(shelf.retain().ok());
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM hourly"), 7);
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM totals"), 3);
  EXPECT_EQ(shelf.rig.number("SELECT count(DISTINCT day) FROM client_daily"), 2);
  EXPECT_EQ(shelf.rig.number("SELECT count(DISTINCT day) FROM client_lists"), 2);
  EXPECT_EQ(shelf.rig.number("SELECT count(DISTINCT day) FROM client_paths"), 2);
  EXPECT_EQ(shelf.rig.number("SELECT count(DISTINCT day) FROM daily_sketches"), 1);
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM day_ledger"), 3) << "it stays for good";
  EXPECT_EQ(shelf.rig.audit(), "");
  EXPECT_EQ(shelf.check().value().days, 2U);
}

TEST(RetentionTest, APathGoesWithItsLastHourAndComesBackUnderAnotherNumber) {
  Shelf shelf;
  shelf.keep();
  const std::string names =
      "SELECT group_concat(path, ' ') FROM (SELECT path FROM paths ORDER BY 1)";
  EXPECT_EQ(shelf.rig.text(names), "/a /b /end /s");
  shelf.go_to(1000);
  shelf.event("/a");  // The consumer knows the numbers of /a and /b by heart.
  ASSERT_TRUE(shelf.settle());
  const int64_t number_of_a = shelf.rig.number("SELECT path_id FROM paths WHERE path = '/a'");
  ASSERT_TRUE(shelf.retain().ok());
  EXPECT_EQ(shelf.rig.text(names), "/a");
  EXPECT_EQ(shelf.rig.number("SELECT value FROM meta WHERE name = 'paths_dropped'"), 3);

  shelf.event("/b");
  shelf.event("/a");
  ASSERT_TRUE(shelf.settle());
  EXPECT_EQ(shelf.rig.text(names), "/a /b");
  EXPECT_EQ(shelf.rig.number("SELECT path_id FROM paths WHERE path = '/a'"), number_of_a);
  EXPECT_EQ(shelf.rig.text("SELECT group_concat(path || total_requests, ' ') FROM (SELECT path,"
                           " sum(requests) AS total_requests FROM path_stats_hourly"
                           " GROUP BY path ORDER BY path)"),
            "/a2 /b1");
  EXPECT_EQ(shelf.rig.audit(), "");
}

TEST(RetentionTest, NothingGoesOfADayThatIsNotArchivedProvenAndCleaned) {
  for (const bool archived : {false, true}) {
    Shelf shelf;
    shelf.go_to(1000);
    if (archived) {
      ASSERT_TRUE(shelf.archive().ok());
    }
    const std::string before = shelf.books();
    ASSERT_TRUE(shelf.retain().ok());
    EXPECT_TRUE(shelf.books() == before);
    ASSERT_TRUE(shelf.archive().ok());
    ASSERT_TRUE(shelf.clean().ok());
    ASSERT_TRUE(shelf.retain().ok());
    EXPECT_EQ(shelf.rig.text("SELECT (SELECT count(*) FROM hourly), (SELECT count(*) FROM totals),"
                             " (SELECT count(*) FROM daily_sketches)"),
              "0|0|0");
    EXPECT_EQ(shelf.rig.audit(), "");
  }
}

TEST(RetentionTest, AClockThatLeaptAMonthAheadIsBelievedAfterAWeekAndNotADayEarlier) {
  Shelf shelf;
  shelf.keep();
  ASSERT_TRUE(shelf.retain().ok());
  const std::string before = shelf.books();
  for (const int64_t days : {6 + 31 + 500, 6 + 31 + 506, 8, 6 + 31 + 600, 6 + 31 + 606}) {
    shelf.rig.clock.set_wall(base::Wall{(shelf.first_day + days) * kDay});
    ASSERT_TRUE(shelf.archive().ok());
    ASSERT_TRUE(shelf.clean().ok());
    ASSERT_TRUE(shelf.retain().ok());
    EXPECT_TRUE(shelf.books() == before) << days;
    EXPECT_LT(shelf.rig.number("SELECT value FROM meta WHERE name = 'hourly_from_day'"),
              shelf.first_day)
        << days;
  }
  shelf.go_to(6 + 31 + 607);
  ASSERT_TRUE(shelf.retain().ok());
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM hourly"), 0);
  EXPECT_EQ(shelf.rig.audit(), "");
}

TEST(RetentionTest, ADayWhoseAdjustmentsWaitStaysWithAllDaysAfterIt) {
  Shelf shelf;
  shelf.keep();
  shelf.go_to(1000);
  ASSERT_TRUE(shelf.rig.database
                  ->execute("UPDATE adjust_parts SET cleaned = 0 WHERE day ="
                            " (SELECT min(day) FROM adjust_parts)")
                  .ok());
  ASSERT_TRUE(shelf.retain().ok());
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM totals"), 5);
}

TEST(RetentionTest, SketchesThatAreNotWrittenYetAreNotMerged) {
  Shelf shelf;
  shelf.keep();
  shelf.go_to(100);
  ASSERT_TRUE(shelf.rig.database->execute("UPDATE derived SET seq = 1").ok());
  EXPECT_EQ(shelf.retain().error().code, ErrorCode::conflict);
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM sketches"), 18);
}

// Goal: wherever it ends, doing it again ends in the same rows. Method: fail operation 0, 1, 2 … of
// the database for ever, which is a kill; then again.
TEST(RetentionTest, AKillAtEveryOperationChangesNothingOfTheEnd) {
  std::string right;
  int64_t nth = -1;
  for (bool struck = true; struck; ++nth) {
    SCOPED_TRACE(fmt::format("operation {}", nth));
    Shelf shelf;
    shelf.keep();
    shelf.go_to(401);
    if (nth >= 0) shelf.rig.vfs.fail_at(nth, Fault::io_error, Spell::for_ever);
    static_cast<void>(shelf.retain());
    struck = nth < 0 || shelf.rig.vfs.struck();
    shelf.rig.crash();
    shelf.rig.vfs.heal();
    shelf.rig.start();
    ASSERT_TRUE(shelf.settle());
    ASSERT_TRUE(shelf.retain().ok());
    if (nth < 0) right = shelf.books();
    ASSERT_TRUE(shelf.books() == right);
    ASSERT_EQ(shelf.rig.audit(), "");
  }
  EXPECT_GT(nth, 4) << "the walk must have failed many operations";
}

}  // namespace
}  // namespace weir::pipeline
