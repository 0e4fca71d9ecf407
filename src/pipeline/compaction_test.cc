#include "pipeline/compaction.h"

#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "objects/directory_store.h"
#include "os/testing/fake_files.h"
#include "pipeline/testing/shelf.h"

namespace weir::pipeline {
namespace {

using base::ErrorCode;
using sqlite::testing::Fault;
using sqlite::testing::Spell;
using testing::kDay;

constexpr int kPerPart = 5;

// Three parts of one day, all cleaned, with objects in files of its own.
struct Shelf : testing::Shelf {
  Shelf() {
    EXPECT_TRUE(files.create_directory("/data").ok());
    open_store();
    const int64_t then = rig.event("/").arrival_us;
    rig.clock.advance(3 * kDay);
    for (int part = 0; part < 3; ++part) {
      for (int i = 0; i < kPerPart; ++i) {
        traffic::Event event = rig.event(i % 2 == 0 ? "/even" : "/odd");
        event.arrival_us = then;
        rig.journal.append(testing::kStream, event);
      }
      EXPECT_TRUE(settle());
      EXPECT_TRUE(archive().ok());
      EXPECT_TRUE(clean().ok());
    }
    day = rig.number("SELECT day FROM archive_parts");
  }

  void open_store() {
    disk.reset();
    store = nullptr;
    auto opened = objects::DirectoryStore::open(files, rig.clock, {.directory = "/data/objects"});
    if (opened.ok()) disk = std::move(opened).value();
    store = disk.get();
  }

  base::Result<CompactOutcome> compact() {
    sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
    WEIR_TRY(reader.open());
    sqlite::DirectWriter writer{*rig.database};
    const std::atomic<bool> never{false};
    Compaction compaction{writer, reader, *store, rig.clock, rig.logger};
    return compaction.run({never, {}});
  }

  std::set<std::string> keys() {
    std::set<std::string> keys;
    const objects::Listing listing = store->list("", "", 1000).value();
    for (const objects::Listed& listed : listing.objects) {
      if (!listed.key.ends_with(".index")) keys.insert(listed.key);
    }
    return keys;
  }

  // Seqs in the objects that the parts name.
  std::multiset<uint64_t> archived() {
    std::multiset<uint64_t> seqs;
    sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
    EXPECT_TRUE(reader.open().ok());
    const std::vector<stats::ArchivePart> parts = stats::parts_of(reader, day).value();
    for (const stats::ArchivePart& part : parts) {
      const auto keep = [&](const stats::StoredEvent& event) -> base::Status {
        seqs.insert(event.seq);
        return {};
      };
      EXPECT_TRUE(read_archive(*store, part.key, keep).ok()) << part.key;
    }
    return seqs;
  }

  os::testing::FakeFiles files{3};
  std::unique_ptr<objects::DirectoryStore> disk;
  int64_t day = 0;
};

std::multiset<uint64_t> seqs_to(uint64_t last) {
  std::multiset<uint64_t> seqs;
  for (uint64_t seq = 1; seq <= last; ++seq)
    seqs.insert(seq);
  return seqs;
}

TEST(CompactionTest, SeveralPartsBecomeOneAndTheOldObjectsGo) {
  Shelf shelf;
  ASSERT_EQ(shelf.keys().size(), 3U);
  const CompactOutcome outcome = shelf.compact().value();
  EXPECT_EQ(outcome.days, 1U);
  EXPECT_EQ(outcome.parts, 3U);
  EXPECT_EQ(outcome.rows, 3U * kPerPart);
  EXPECT_EQ(shelf.rig.text("SELECT count(*), max(rows), max(cleaned_rows) FROM archive_parts"),
            "1|15|15");
  const std::string key = stats::merged_key(shelf.day, 3);
  EXPECT_EQ(shelf.keys(), std::set<std::string>{key});
  EXPECT_EQ(shelf.rig.text("SELECT r2_path, record_count, status, d1_cleaned FROM"
                           " archive_metadata"),
            key + "|15|completed|1");
  EXPECT_EQ(shelf.archived(), seqs_to(15));
  EXPECT_EQ(shelf.rig.audit(), "");
  EXPECT_EQ(shelf.check().value().differing, 0U);
  EXPECT_EQ(shelf.compact().value().days, 0U) << "there is nothing left to do";
}

TEST(CompactionTest, WhatComesLateAfterwardsGetsAKeyThatWasNeverUsed) {
  Shelf shelf;
  const std::set<std::string> before = shelf.keys();
  ASSERT_TRUE(shelf.compact().ok());
  traffic::Event late = shelf.rig.event("/late");
  late.arrival_us = shelf.day * 86'400'000'000LL;
  shelf.rig.journal.append(testing::kStream, late);
  ASSERT_TRUE(shelf.settle());
  ASSERT_TRUE(shelf.archive().ok());
  const std::string key = shelf.rig.text("SELECT key FROM archive_parts WHERE part = 4");
  EXPECT_EQ(key, stats::archive_key(shelf.day, 4));
  EXPECT_FALSE(before.contains(key));
  ASSERT_TRUE(shelf.clean().ok());
  ASSERT_EQ(shelf.compact().value().parts, 2U);
  EXPECT_EQ(shelf.archived(), seqs_to(16));
  EXPECT_EQ(shelf.rig.audit(), "");
}

TEST(CompactionTest, APartThatIsNotCleanedYetLeavesTheDayAsItIs) {
  Shelf shelf;
  ASSERT_TRUE(shelf.rig.database
                  ->execute("UPDATE archive_parts SET cleaned_through = cleaned_through - 1"
                            " WHERE part = 3")
                  .ok());
  EXPECT_EQ(shelf.compact().value().days, 0U);
  EXPECT_EQ(shelf.keys().size(), 3U);
}

TEST(CompactionTest, ADamagedPartChangesNothing) {
  Shelf shelf;
  for (const std::string& path : shelf.files.paths()) {
    if (path.find("part2") == std::string::npos) continue;
    const std::span<char> bytes = shelf.files.bytes(path);
    if (!bytes.empty()) bytes[bytes.size() / 2] ^= 1;
  }
  const std::set<std::string> before = shelf.keys();
  EXPECT_EQ(shelf.compact().error().code, ErrorCode::corrupt);
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM archive_parts"), 3);
  EXPECT_EQ(shelf.keys(), before);
}

// Goal: whatever fails, and whenever the process dies, every event is in an object that a part
// names, once, and doing it again ends it. Method: fail operation 0, 1, 2 … for ever, which is a
// kill; power is lost, too, in the walk over the store's files.
void end(Shelf& shelf) {
  ASSERT_EQ(shelf.archived(), seqs_to(15)) << "in between";
  ASSERT_TRUE(shelf.compact().ok());
  ASSERT_EQ(shelf.archived(), seqs_to(15)) << "at the end";
  ASSERT_EQ(shelf.keys(), std::set<std::string>{stats::merged_key(shelf.day, 3)});
  ASSERT_EQ(shelf.rig.number("SELECT count(*) FROM obsolete_objects"), 0);
  ASSERT_EQ(shelf.rig.audit(), "");
}

TEST(CompactionWalk, PowerIsLostAtEveryOperationOfTheObjectStore) {
  uint64_t nth = 0;
  for (bool injected = true; injected; ++nth) {
    SCOPED_TRACE(fmt::format("operation {}", nth));
    Shelf shelf;
    shelf.files.fail_from(shelf.files.operations() + nth);
    static_cast<void>(shelf.compact());
    injected = shelf.files.injected();
    shelf.disk.reset();
    shelf.files.heal();
    shelf.files.lose_power(nth + 11);
    shelf.open_store();
    ASSERT_NE(shelf.store, nullptr);
    end(shelf);
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(nth, 15U) << "the walk must have failed many operations";
}

TEST(CompactionWalk, AKillAtEveryOperationOfTheDatabase) {
  int64_t nth = 0;
  for (bool struck = true; struck; ++nth) {
    SCOPED_TRACE(fmt::format("operation {}", nth));
    Shelf shelf;
    shelf.rig.vfs.fail_at(nth, Fault::io_error, Spell::for_ever);
    static_cast<void>(shelf.compact());
    struck = shelf.rig.vfs.struck();
    shelf.rig.crash();
    shelf.rig.vfs.heal();
    shelf.rig.start();
    ASSERT_TRUE(shelf.settle());
    end(shelf);
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_GT(nth, 4) << "the walk must have failed many operations";
}

}  // namespace
}  // namespace weir::pipeline
