#include "pipeline/adjust_archiver.h"

#include <map>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "objects/directory_store.h"
#include "os/testing/fake_files.h"
#include "pipeline/testing/rig.h"

namespace weir::pipeline {
namespace {

using base::ErrorCode;
using sqlite::testing::Fault;
using sqlite::testing::Spell;
using stats::Adjustment;
using testing::kStream;
using testing::Rig;
using traffic::EventFlag;

constexpr std::chrono::hours kDay{24};

class Shelf {
 public:
  Shelf() : files(3) {
    EXPECT_TRUE(files.create_directory("/data").ok());
    open_store();
  }

  void open_store() {
    store.reset();
    auto opened = objects::DirectoryStore::open(files, rig.clock, {.directory = "/data/objects"});
    if (opened.ok()) store = std::move(opened).value();
  }

  void event(std::string_view path, uint16_t flags) {
    traffic::Event event = rig.event(path);
    event.flags = flags;
    rig.journal.append(kStream, event);
  }

  // Two detail rows, three sampled out, one total, five degraded.
  void traffic() {
    event("/a", EventFlag::kSampledOut);
    event("/a", 0);
    event("/a", EventFlag::kSampledOut);
    event("/b", 0);
    event("/c", EventFlag::kSampledOut);
    event("/x", EventFlag::kUnrouted | EventFlag::kTotalsOnly);
    ++generation_;
    const int64_t hour = base::unix_ms(rig.clock.wall()) / 3'600'000;
    rig.journal.add_side({kStream, generation_, {{"/b", hour, false, 5, 1, 500, 5, 7}}});
    settle();
  }

  // Everything is committed and derived.
  void settle() {
    ASSERT_TRUE(rig.drain());
    for (int i = 0; i < 100; ++i) {
      const auto done = rig.stats->derive(stats::Flush::yes);
      ASSERT_TRUE(done.ok());
      if (done.value()) return;
    }
    FAIL() << "not derived";
  }

  base::Result<ArchiveOutcome> archive() {
    sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
    WEIR_TRY(reader.open());
    sqlite::DirectWriter writer{*rig.database};
    return archive_adjustments(writer, reader, *store, rig.clock, rig.logger, {never, {}});
  }

  base::Result<CleanOutcome> clean() {
    sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
    WEIR_TRY(reader.open());
    sqlite::DirectWriter writer{*rig.database};
    return clean_adjustments(writer, reader, *store, rig.logger, {never, {}});
  }

  std::vector<Adjustment> lines(const std::string& key) {
    std::vector<Adjustment> found;
    const auto keep = [&](const Adjustment& each) -> base::Status {
      found.push_back(each);
      return {};
    };
    EXPECT_TRUE(read_adjustments(*store, key, keep).ok());
    return found;
  }

  std::string first_key() { return rig.text("SELECT min(key) FROM adjust_parts"); }

  Rig rig;
  os::testing::FakeFiles files;
  std::unique_ptr<objects::DirectoryStore> store;
  std::atomic<bool> never{false};

 private:
  uint64_t generation_ = 0;
};

uint64_t folded_into(const Adjustment& adjustment) {
  if (!adjustment.sketch) return 0;
  return sketch::DdSketch::decode(adjustment.sketch->latency).value().count();
}

TEST(AdjustArchiverTest, CountsWithoutDetailAreKeptApartAndOthersAreNot) {
  Shelf shelf;
  shelf.traffic();
  EXPECT_EQ(shelf.rig.audit(), "");
  EXPECT_EQ(shelf.rig.number("SELECT sum(requests) FROM adjustments"), 9);
  EXPECT_EQ(shelf.rig.text("SELECT requests, errors, partial, us_min FROM adjustments a JOIN paths"
                           " USING (path_id) WHERE path = '/b'"),
            "5|1|1|NULL");
  EXPECT_EQ(shelf.rig.text("SELECT requests, partial, us_min, first_seq FROM adjustments JOIN paths"
                           " USING (path_id) WHERE path = '/a'"),
            "2|0|1500|1");
}

TEST(AdjustArchiverTest, ADayOfThreeDaysAgeIsArchivedVerifiedAndDeleted) {
  Shelf shelf;
  shelf.traffic();
  EXPECT_EQ(shelf.archive().value().parts, 0U) << "too young";
  shelf.rig.clock.advance(3 * kDay);
  ASSERT_EQ(shelf.clean().value().rows, 0U) << "nothing is deleted that is not archived";
  const ArchiveOutcome archived = shelf.archive().value();
  EXPECT_EQ(archived.parts, 1U);
  EXPECT_EQ(shelf.rig.text("SELECT state, requests, rows FROM adjust_parts"), "completed|9|5");
  const std::vector<Adjustment> lines = shelf.lines(shelf.first_key());
  ASSERT_EQ(lines.size(), 5U) << "four paths and the sketch of all";
  std::map<std::string, Adjustment> by_path;
  for (const Adjustment& each : lines)
    by_path[each.path] = each;
  EXPECT_EQ(by_path["/a"].route, "kv");
  EXPECT_EQ(folded_into(by_path["/a"]), 3U) << "the detail row, too";
  EXPECT_FALSE(by_path["/b"].sketch.has_value()) << "it was degraded only";
  EXPECT_EQ(by_path["/b"].counts.requests, 5U);
  EXPECT_EQ(folded_into(by_path[""]), 6U);

  EXPECT_EQ(shelf.clean().value().parts, 1U);
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM adjustments"), 0);
  EXPECT_EQ(shelf.rig.audit(), "");
  EXPECT_EQ(shelf.archive().value().parts, 0U);
  EXPECT_EQ(shelf.clean().value().parts, 0U);
}

TEST(AdjustArchiverTest, WhatComesLateGetsAPartOfItsOwn) {
  Shelf shelf;
  shelf.traffic();
  const int64_t then = shelf.rig.event("/").arrival_us;
  shelf.rig.clock.advance(3 * kDay);
  ASSERT_EQ(shelf.archive().value().parts, 1U);
  traffic::Event late = shelf.rig.event("/late");
  late.arrival_us = then;
  late.flags = EventFlag::kSampledOut;
  shelf.rig.journal.append(kStream, late);
  shelf.settle();
  EXPECT_EQ(shelf.rig.audit(), "");
  ASSERT_EQ(shelf.archive().value().parts, 1U);
  EXPECT_EQ(shelf.rig.text("SELECT count(*), sum(requests), max(key) LIKE '%.adjust.part2.jsonl.gz'"
                           " FROM adjust_parts"),
            "2|10|1");
  EXPECT_EQ(shelf.clean().value().parts, 2U);
  EXPECT_EQ(shelf.rig.audit(), "");
}

TEST(AdjustArchiverTest, SketchesThatAreNotWrittenYetAreWaitedFor) {
  Shelf shelf;
  shelf.event("/a", EventFlag::kSampledOut);
  ASSERT_TRUE(shelf.rig.drain());
  ASSERT_TRUE(shelf.rig.database->execute("UPDATE derived SET seq = 0").ok());
  shelf.rig.clock.advance(3 * kDay);
  EXPECT_EQ(shelf.archive().error().code, ErrorCode::conflict);
  EXPECT_EQ(shelf.rig.text("SELECT state FROM adjust_parts"), "failed");
}

TEST(AdjustArchiverTest, AnArchiveThatIsNotWhatTheLedgerCountedIsNotBelieved) {
  Shelf shelf;
  shelf.traffic();
  shelf.rig.clock.advance(3 * kDay);
  ASSERT_TRUE(
      shelf.rig.database->execute("UPDATE adjustments SET requests = 6 WHERE requests = 5").ok());
  EXPECT_EQ(shelf.archive().error().code, ErrorCode::corrupt);
  EXPECT_EQ(shelf.clean().value().parts, 0U);
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM adjustments"), 4);
}

// Goal: whatever fails, and whenever the process dies, every count stays in the database or in a
// proven archive, and doing it again ends it. Method: as ArchiveWalk.
class AdjustWalk : public ::testing::Test {
 protected:
  static void prepare(Shelf& shelf) {
    shelf.traffic();
    shelf.rig.clock.advance(3 * kDay);
  }
  static void run(Shelf& shelf) {
    if (shelf.archive().ok()) static_cast<void>(shelf.clean());
  }
  static void end(Shelf& shelf) {
    ASSERT_EQ(shelf.rig.audit(), "") << "in between";
    shelf.open_store();
    ASSERT_NE(shelf.store, nullptr);
    ASSERT_TRUE(shelf.archive().ok());
    ASSERT_TRUE(shelf.clean().ok());
    ASSERT_EQ(shelf.rig.number("SELECT count(*) FROM adjustments"), 0);
    ASSERT_EQ(shelf.rig.audit(), "") << "at the end";
    uint64_t requests = 0;
    for (const Adjustment& each : shelf.lines(shelf.first_key()))
      requests += each.counts.requests;
    ASSERT_EQ(requests, 9U);
  }
};

TEST_F(AdjustWalk, EveryOperationOfTheObjectStore) {
  uint64_t nth = 0;
  for (bool injected = true; injected; ++nth) {
    SCOPED_TRACE(fmt::format("operation {}", nth));
    Shelf shelf;
    prepare(shelf);
    shelf.files.fail_from(shelf.files.operations() + nth);
    run(shelf);
    injected = shelf.files.injected();
    shelf.files.heal();
    end(shelf);
    if (HasFailure()) return;
  }
  EXPECT_GT(nth, 15U) << "the walk must have failed many operations";
}

TEST_F(AdjustWalk, EveryOperationOfTheDatabase) {
  int64_t nth = 0;
  for (bool struck = true; struck; ++nth) {
    SCOPED_TRACE(fmt::format("operation {}", nth));
    Shelf shelf;
    prepare(shelf);
    shelf.rig.vfs.fail_at(nth, Fault::io_error, Spell::for_ever);
    run(shelf);
    struck = shelf.rig.vfs.struck();
    shelf.rig.crash();
    shelf.rig.vfs.heal();
    shelf.rig.start();
    shelf.settle();
    end(shelf);
    if (HasFailure()) return;
  }
  EXPECT_GT(nth, 8) << "the walk must have failed many operations";
}

}  // namespace
}  // namespace weir::pipeline
