#include "pipeline/rebuild.h"

#include <gtest/gtest.h>

#include "objects/directory_store.h"
#include "os/testing/fake_files.h"
#include "pipeline/testing/shelf.h"

namespace weir::pipeline {
namespace {

using base::ErrorCode;
using testing::kDay;
using testing::kStream;
using traffic::EventFlag;

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

// One day with something of everything, archived and cleaned.
void keep_a_day(Shelf& shelf) {
  shelf.event("/a", EventFlag::kSampledOut);
  shelf.event("/a");
  shelf.event("/b");
  shelf.event("/b");
  shelf.event("/x", EventFlag::kUnrouted | EventFlag::kTotalsOnly);
  const int64_t hour = base::unix_ms(shelf.rig.clock.wall()) / 3'600'000;
  shelf.rig.journal.add_side({kStream, 1, {{"/b", hour, false, 5, 1, 500, 5, 7}}});
  ASSERT_TRUE(shelf.settle());
  shelf.rig.clock.advance(3 * kDay);
  ASSERT_TRUE(shelf.archive().ok());
  ASSERT_TRUE(shelf.clean().ok());
  ASSERT_EQ(shelf.rig.number("SELECT count(*) FROM events"), 0);
}

TEST(RebuildTest, AnUnharmedNodeHasNoDifference) {
  Shelf shelf;
  keep_a_day(shelf);
  const RebuildReport report = shelf.check().value();
  EXPECT_EQ(report.days, 1U);
  EXPECT_EQ(report.rows, 3U);
  EXPECT_EQ(report.sketches, 4U);
  EXPECT_EQ(report.sketches_left, 0U);
  EXPECT_EQ(report.differing, 0U) << report.differences[0].what;
  EXPECT_TRUE(report.skipped.empty());
}

// Goal: no change to a row stays unseen, and each is set right. Method: change one behind the
// consumer's back; compare, set, compare.
TEST(RebuildTest, EveryHarmIsFoundAndSetRight) {
  for (const char* const harm : {
           "UPDATE hourly SET requests = requests + 1 WHERE requests = 2",
           "UPDATE hourly SET us_max = 7 WHERE requests = 2",
           "UPDATE hourly SET us_min = NULL WHERE requests = 2",
           "UPDATE hourly SET partial = 1 WHERE requests = 2",
           "UPDATE hourly SET route = 'other' WHERE requests = 2",
           "UPDATE hourly SET cache_hit = 1 WHERE requests = 2",
           "DELETE FROM hourly WHERE requests = 2",
           "UPDATE hourly SET path_id = 9999 WHERE requests = 2",
           "UPDATE totals SET errors = 9",
           "UPDATE totals SET partial = 0",
           "DELETE FROM totals",
           "UPDATE sketches SET through = 99 WHERE path_id = 0",
           "UPDATE sketches SET latency = x'00' WHERE path_id <> 0",
           "DELETE FROM sketches",
       }) {
    SCOPED_TRACE(harm);
    Shelf shelf;
    keep_a_day(shelf);
    ASSERT_TRUE(shelf.rig.database->execute("INSERT INTO paths VALUES(9999, '/foreign')").ok());
    const std::string right = shelf.books();
    ASSERT_TRUE(shelf.rig.database->execute(harm).ok());
    ASSERT_NE(shelf.books(), right);
    EXPECT_GT(shelf.check().value().differing, 0U);
    ASSERT_NE(shelf.books(), right) << "a check changes nothing";
    EXPECT_GT(shelf.rebuild().value().differing, 0U);
    EXPECT_EQ(shelf.books(), right);
    EXPECT_EQ(shelf.check().value().differing, 0U);
  }
}

TEST(RebuildTest, ADifferenceSaysWhereAndWhat) {
  Shelf shelf;
  keep_a_day(shelf);
  ASSERT_TRUE(
      shelf.rig.database->execute("UPDATE hourly SET bytes_out = 1 WHERE requests = 2").ok());
  const RebuildReport report = shelf.check().value();
  ASSERT_EQ(report.differences.size(), 1U);
  EXPECT_EQ(report.differences[0].table, "hourly");
  EXPECT_EQ(report.differences[0].when, shelf.rig.text("SELECT hour_bucket FROM totals"));
  EXPECT_EQ(report.differences[0].path, "/a");
  EXPECT_EQ(report.differences[0].what, "bytes_out: 1 is stored, 4000 is archived");
}

TEST(RebuildTest, OnlyTheDaysAskedForAreCompared) {
  Shelf shelf;
  keep_a_day(shelf);
  const int64_t day = shelf.rig.number("SELECT day FROM day_ledger");
  EXPECT_EQ(shelf.check({.first_day = day + 1}).value().days, 0U);
  EXPECT_EQ(shelf.check({.last_day = day - 1}).value().days, 0U);
  EXPECT_EQ(shelf.check({.first_day = day, .last_day = day}).value().days, 1U);
}

TEST(RebuildTest, SketchesOfSampledEventsThatAreNotArchivedAreLeftAlone) {
  Shelf shelf;
  shelf.event("/a", EventFlag::kSampledOut);
  shelf.event("/a");
  shelf.event("/b");
  ASSERT_TRUE(shelf.settle());
  const std::string right = shelf.books();
  const RebuildReport report = shelf.rebuild().value();
  EXPECT_EQ(report.differing, 0U);
  EXPECT_EQ(report.sketches, 1U) << "of /b";
  EXPECT_EQ(report.sketches_left, 2U) << "of /a and of all";
  EXPECT_EQ(shelf.books(), right);
}

TEST(RebuildTest, ADayOfAVersionWithoutAdjustmentsIsSkippedAndSaid) {
  Shelf shelf;
  keep_a_day(shelf);
  ASSERT_TRUE(shelf.rig.database->execute("UPDATE day_ledger SET unadjusted = 3").ok());
  const RebuildReport report = shelf.rebuild().value();
  EXPECT_EQ(report.days, 0U);
  ASSERT_EQ(report.skipped.size(), 1U);
  EXPECT_NE(report.skipped[0].why.find("3 requests"), std::string::npos);
}

TEST(RebuildTest, ADamagedArchiveChangesNothing) {
  Shelf shelf;
  keep_a_day(shelf);
  const std::string key = shelf.rig.text("SELECT key FROM archive_parts");
  for (const std::string& path : shelf.files.paths()) {
    if (path.find("jsonl.gz") == std::string::npos) continue;
    const std::span<char> bytes = shelf.files.bytes(path);
    if (!bytes.empty()) bytes[bytes.size() / 2] ^= 1;
  }
  ASSERT_TRUE(shelf.rig.database->execute("DELETE FROM totals").ok());
  const std::string before = shelf.books();
  EXPECT_EQ(shelf.rebuild().error().code, ErrorCode::corrupt);
  EXPECT_EQ(shelf.books(), before);
}

}  // namespace
}  // namespace weir::pipeline
