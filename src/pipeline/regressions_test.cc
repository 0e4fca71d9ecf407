// Mistakes that were made before, by others, on the way from events to statistics and into the
// archive, and that no other test would notice. docs/regressions.md has all of them.

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "objects/directory_store.h"
#include "os/testing/fake_files.h"
#include "pipeline/archive_lines.h"
#include "pipeline/testing/shelf.h"

namespace weir::pipeline {
namespace {

using testing::kDay;
using testing::kStream;
using testing::Rig;
using traffic::Event;

constexpr std::chrono::hours kHour{1};

// With objects in files of its own.
struct Shelf : testing::Shelf {
  Shelf() {
    EXPECT_TRUE(files.create_directory("/data").ok());
    disk = objects::DirectoryStore::open(files, rig.clock, {.directory = "/data/objects"}).value();
    store = disk.get();
  }
  os::testing::FakeFiles files{3};
  std::unique_ptr<objects::DirectoryStore> disk;
};

// Drains, publishes, and returns these of the first path.
std::string published(Rig& rig, const std::string& names) {
  const uint64_t before = rig.consumer->report().snapshots;
  rig.consumer->request_snapshot();
  for (int i = 0; i < 100 && rig.consumer->report().snapshots == before; ++i) {
    rig.drain();
    rig.clock.advance(std::chrono::seconds{1});
  }
  std::string columns;
  for (size_t from = 0; from <= names.size();) {
    const size_t to = std::min(names.find(' ', from), names.size());
    columns += fmt::format("{}json_extract(v, '$[0].{}')", columns.empty() ? "" : ", ",
                           names.substr(from, to - from));
    from = to + 1;
  }
  return rig.text("SELECT " + columns +
                  " FROM (SELECT CAST(value AS TEXT) AS v FROM kv WHERE key = 'snapshot:latest')");
}

// 900 clients are slow in one hour; 700 of these and 400 others are fast in the next.
void two_hours(Rig& rig) {
  rig.clock.advance(10 * kHour);
  for (const bool slow : {true, false}) {
    for (uint64_t client = slow ? 0 : 200; client < (slow ? 900U : 1300U); ++client) {
      Event event = rig.event();
      event.client_hash = (client + 1) * 0x9e3779b97f4a7c15U;
      event.duration_us = slow ? 100'000 : 1'000;
      rig.journal.append(kStream, event);
    }
    ASSERT_TRUE(rig.drain());
    if (slow) rig.clock.advance(kHour);
  }
}

TEST(RegressionsTest, ASnapshotCountsAClientOnceHoweverManyHoursItCameIn) {
  Rig rig;
  two_hours(rig);
  EXPECT_NEAR(std::stod(published(rig, "unique_ips_min")), 1300.0, 1300 * 0.04);
}

TEST(RegressionsTest, PercentilesOfASnapshotAreThoseOfAllItsHours) {
  Rig rig;
  two_hours(rig);
  EXPECT_NEAR(std::stod(published(rig, "p50")), 1.0, 0.01) << "the second hour alone has it";
  EXPECT_NEAR(std::stod(published(rig, "p95")), 100.0, 1.0) << "and the first alone this";
}

TEST(RegressionsTest, TheAverageOfASnapshotIsTheExactSumByTheExactCount) {
  Rig rig;
  two_hours(rig);
  EXPECT_EQ(published(rig, "requests avg_response_time min max"), "2000|45.55|1.0|100.0");
}

TEST(RegressionsTest, OldVersionsOfSnapshotsAreRemoved) {
  Rig rig;
  for (int i = 0; i < 9; ++i) {
    rig.journal.append(kStream, rig.event());
    published(rig, "path");
  }
  EXPECT_EQ(rig.text("SELECT group_concat(key) FROM (SELECT key FROM kv WHERE key LIKE"
                     " 'snapshot:v%' ORDER BY key)"),
            "snapshot:v5:paths,snapshot:v6:paths,snapshot:v7:paths,snapshot:v8:paths,"
            "snapshot:v9:paths");
}

TEST(RegressionsTest, PathsThatLookLikeKeysAreCountedApart) {
  Rig rig;
  static constexpr std::string_view kPaths[] = {"/a",
                                                "/a|||2025-10-15T00",
                                                "/a|||2025-10-15T00|||GET",
                                                "|||",
                                                "/a|",
                                                "/a\x1f",
                                                "/a:b",
                                                "/a,2025-10-15T00",
                                                "/a\t0",
                                                "/a'",
                                                "/a%",
                                                "/a/2025-10-15T00",
                                                "/a||||",
                                                "2025-10-15T00",
                                                "/a\n2025-10-15T00",
                                                "",
                                                "/A",
                                                "/a "};
  for (int hour = 0; hour < 2; ++hour) {
    for (size_t i = 0; i < std::size(kPaths); ++i) {
      for (size_t times = 0; times <= i; ++times)
        rig.journal.append(kStream, rig.event(kPaths[i]));
    }
    ASSERT_TRUE(rig.drain());
    rig.clock.advance(kHour);
  }
  for (size_t i = 0; i < std::size(kPaths); ++i) {
    sqlite::Statement rows =
        rig.database
            ->prepare(
                "SELECT count(*), sum(requests) FROM hourly JOIN paths USING (path_id)"
                " WHERE path = ?1")
            .value();
    rows.bind_text(1, kPaths[i]);
    ASSERT_TRUE(rows.step().value());
    EXPECT_EQ(rows.column_int(0), 2) << kPaths[i];
    EXPECT_EQ(rows.column_int(1), static_cast<int64_t>(2 * (i + 1))) << kPaths[i];
  }
  EXPECT_EQ(rig.audit(), "");
}

TEST(RegressionsTest, StampsHaveTheUnitsOfTheirPage) {
  Rig rig;
  rig.clock.advance(std::chrono::milliseconds{1234});
  const int64_t ms = base::unix_ms(rig.clock.wall());
  rig.journal.append(kStream, rig.event());
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.text("SELECT timestamp, created_at FROM traffic_events"),
            fmt::format("{}|{}", ms, ms / 1000));
  EXPECT_EQ(rig.text("SELECT created_at, updated_at FROM path_stats_hourly"),
            fmt::format("{}|{}", ms, ms));
  EXPECT_EQ(rig.text("SELECT last_heartbeat, updated_at FROM consumer_heartbeat"),
            fmt::format("{}|{}", ms, ms / 1000));
  EXPECT_EQ(rig.text("SELECT first_seen, last_seen, created_at, updated_at FROM ip_traffic_daily"),
            fmt::format("{}|{}|{}|{}", ms, ms, ms / 1000, ms / 1000));
}

TEST(RegressionsTest, WhatComesBetweenArchivingAndCleanUpIsNotDeletedUnarchived) {
  Shelf shelf;
  for (int i = 0; i < 20; ++i)
    shelf.event("/a");
  const Event late = shelf.rig.event("/late");
  ASSERT_TRUE(shelf.settle());
  shelf.rig.clock.advance(3 * kDay);
  ASSERT_TRUE(shelf.archive().ok());
  shelf.rig.journal.append(kStream, late);
  ASSERT_TRUE(shelf.settle());
  ASSERT_TRUE(shelf.clean().ok());
  EXPECT_EQ(shelf.rig.text("SELECT count(*), min(path) FROM traffic_events"), "1|/late");
  ASSERT_TRUE(shelf.archive().ok());
  ASSERT_TRUE(shelf.clean().ok());
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM events"), 0);
  EXPECT_EQ(shelf.rig.text("SELECT record_count, d1_cleaned FROM archive_metadata"), "21|1");
  EXPECT_EQ(shelf.rig.audit(), "");
  EXPECT_EQ(shelf.check().value().differing, 0U);
}

// More than one page of rows, and than one slice of what is deleted; all with one stamp.
TEST(RegressionsTest, ManyRowsOfOneMomentAreArchivedOnceEachAndCleanedInOneRun) {
  constexpr int kRows = 4'200;
  Shelf shelf;
  for (int i = 0; i < kRows; ++i) {
    shelf.event("/a");
    if (i != 100) continue;
    ASSERT_TRUE(shelf.settle());
    ASSERT_TRUE(shelf.rig.database->execute("UPDATE meta SET value = 100000").ok());
    ASSERT_TRUE(shelf.rig.database->execute("UPDATE derived SET seq = 99999").ok());
    shelf.rig.crash();
    shelf.rig.start();
  }
  ASSERT_TRUE(shelf.settle());
  shelf.rig.clock.advance(3 * kDay);
  ASSERT_TRUE(shelf.archive().ok());
  const std::string key = shelf.rig.text("SELECT key FROM archive_parts");
  std::set<std::string> lines;
  int rows = 0;
  const auto see = [&](std::string_view line) -> base::Status {
    lines.emplace(line);
    ++rows;
    return {};
  };
  ASSERT_TRUE(read_lines(*shelf.store, key, see).ok());
  EXPECT_EQ(rows, kRows);
  EXPECT_EQ(lines.size(), size_t{kRows});
  // Clients would decompress it on the way, and once more then.
  const objects::ObjectInfo info = shelf.store->head(key).value();
  EXPECT_EQ(info.content_encoding, "");
  EXPECT_EQ(info.content_type, "application/gzip");
  ASSERT_TRUE(shelf.clean().ok());
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM events"), 0);
  EXPECT_EQ(shelf.rig.text("SELECT record_count, d1_cleaned FROM archive_metadata"),
            fmt::format("{}|1", kRows));
}

}  // namespace
}  // namespace weir::pipeline
