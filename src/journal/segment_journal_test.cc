#include "journal/segment_journal.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "journal/testing/world.h"

namespace weir::journal {
namespace {

using testing::World;

size_t files_in(World& world, const std::string& prefix) {
  const std::vector<std::string> paths = world.files.paths();
  return static_cast<size_t>(std::count_if(paths.begin(), paths.end(), [&prefix](const auto& path) {
    return path.starts_with(prefix);
  }));
}

TEST(SegmentJournalTest, GivesTheConsumerWhatTheLoopsCommitted) {
  World world;
  ASSERT_TRUE(world.start());
  for (int i = 0; i < 100; ++i)
    world.commit(static_cast<uint16_t>(i % 2));
  world.step();
  world.consume(7);
  world.check(World::Must::all);
  EXPECT_EQ(world.lost, 0U);
  EXPECT_EQ(world.positions[(Stream{1, 0})], 50U);
  EXPECT_EQ(world.journal->status().backlog_records, 0U);
}

TEST(SegmentJournalTest, ShowsNothingBeforeItIsSynced) {
  World world;
  ASSERT_TRUE(world.start());
  world.commit(0);
  world.files.fail_kind(os::testing::Operation::sync);
  world.step();
  EXPECT_TRUE(world.journal->status().failing);
  EXPECT_TRUE(world.journal->read({1, 0}, 1, 10).value().records.empty());
  world.files.heal();
  world.step();
  const auto read = world.journal->read({1, 0}, 1, 10);
  EXPECT_EQ(read.value().records.size(), 1U);
  EXPECT_TRUE(read.value().at_end);
  EXPECT_FALSE(read.value().closed);
  EXPECT_FALSE(world.journal->status().failing);
}

TEST(SegmentJournalTest, TheSameReadCanBeRepeated) {
  World world;
  ASSERT_TRUE(world.start());
  for (int i = 0; i < 10; ++i)
    world.commit(0);
  world.step();
  for (const size_t records_max : {4U, 4U, 2U, 1U, 10U}) {
    const Read read = world.journal->read({1, 0}, 3, records_max).value();
    EXPECT_EQ(read.records.size(), std::min<size_t>(records_max, 8));
    EXPECT_EQ(read.records.front().sequence, 3U);
    EXPECT_EQ(read.next, 3 + read.records.size());
  }
}

TEST(SegmentJournalTest, AKillLosesNothing) {
  World world;
  ASSERT_TRUE(world.start());
  for (int i = 0; i < 10; ++i)
    world.commit(0);
  world.step();
  for (int i = 0; i < 10; ++i)
    world.commit(0);
  world.kill();
  ASSERT_TRUE(world.start());
  EXPECT_EQ(world.journal->epoch(), 2U);
  world.commit(0);
  world.consume_all();
  world.check(World::Must::all);
  EXPECT_EQ(world.lost, 0U);
  EXPECT_EQ(files_in(world, "data/rings/ring-00000001"), 0U);
  EXPECT_EQ(files_in(world, "data/rings/paths-00000001"), 0U);
  EXPECT_EQ(files_in(world, "data/journal/segment-00000001"), 0U);
  EXPECT_EQ(world.journal->streams(), (std::vector<Stream>{{2, 0}, {2, 1}}));
  const JournalStatus status = world.journal->status();
  ASSERT_EQ(status.ended.size(), 2U);
  EXPECT_EQ(status.ended[0].answered, 20U);
  EXPECT_EQ(status.ended[0].synced, 10U);
  EXPECT_EQ(status.ended[0].recovered_to, 20U);
}

TEST(SegmentJournalTest, AShutdownLeavesNoRing) {
  World world;
  ASSERT_TRUE(world.start());
  world.commit(0);
  ASSERT_TRUE(world.shut_down());
  EXPECT_EQ(files_in(world, "data/rings/"), 0U);
  world.lose_power(1);
  ASSERT_TRUE(world.start());
  world.consume_all();
  world.check(World::Must::all);
}

// The consumer says how far the database is as soon as it knows a stream, and not again.
TEST(SegmentJournalTest, RemembersAReleaseFromBeforeOldSegmentsWereRead) {
  World world;
  ASSERT_TRUE(world.start());
  for (int i = 0; i < 10; ++i)
    world.commit(0);
  world.step();
  world.consume();
  world.kill();
  ASSERT_TRUE(world.start());
  const Stream old{1, 0};
  ASSERT_EQ(world.positions[old], 10U);
  ASSERT_TRUE(world.journal->release(old, world.positions[old]).ok());
  world.settle();
  EXPECT_EQ(world.journal->status().backlog_records, 0U);
  EXPECT_EQ(files_in(world, "data/journal/segment-00000001"), 0U);
}

// A stream's records may be in segments of several epochs: its own, and the one into which its ring
// was copied. The first may be deleted before the last was looked at.
TEST(SegmentJournalTest, RemembersAReleaseWhileLaterSegmentsOfTheStreamAreUnread) {
  const Stream old{1, 0};
  World world;
  ASSERT_TRUE(world.start());
  for (int i = 0; i < 10; ++i)
    world.commit(0);
  world.step();
  world.commit(0);  // In the ring alone.
  world.kill();
  ASSERT_TRUE(world.start());
  world.commit(1);
  world.step();  // A segment of another stream; the old ring is not copied yet.
  world.kill();
  ASSERT_TRUE(world.start());
  world.settle();
  world.consume();
  ASSERT_EQ(world.positions[old], 11U);
  ASSERT_EQ(files_in(world, "data/journal/segment-"), 3U);
  world.kill();
  ASSERT_TRUE(world.start());
  while (world.journal->status().recovering) {
    world.step();
    world.consume();
  }
  world.settle();
  EXPECT_EQ(world.journal->status().backlog_records, 0U);
  EXPECT_EQ(files_in(world, "data/journal/segment-"), 0U);
}

// What a kill left unsynced in a segment is copied from the ring into another one, durably. Parts
// of it that reach the disk in the old place all the same must not hide the whole records.
TEST(SegmentJournalTest, WhatRecoveryMadeDurableOutlivesALossOfPower) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world{seed};
    ASSERT_TRUE(world.start());
    for (int i = 0; i < 10; ++i)
      world.commit(0);
    world.step();
    for (int i = 0; i < 20; ++i)
      world.commit(0, 250);
    world.files.fail_from(world.files.operations() + 1);  // Written, and killed in the sync.
    world.step();
    world.kill();
    world.files.heal();
    ASSERT_TRUE(world.start());
    world.settle();
    world.lose_power(seed);
    ASSERT_TRUE(world.start());
    world.consume_all();
    ASSERT_EQ(world.lost, 0U);
    world.check(World::Must::all);
  }
}

// Goal: damage costs what it hit and nothing beside it. Method: one bit of each byte of a record in
// the middle of a segment, one after the other.
TEST(SegmentJournalTest, AFlippedBitAnywhereInARecordCostsThatRecordAndNoOther) {
  constexpr SegmentId kSegment{1, 1};
  constexpr uint64_t kEvents = 9;
  constexpr uint64_t kHit = 5;
  size_t record_bytes = 1;
  for (size_t at = 0; at < record_bytes; ++at) {
    SCOPED_TRACE("byte " + std::to_string(at));
    World world{1, 1};
    ASSERT_TRUE(world.start());
    for (uint64_t i = 0; i < kEvents; ++i)
      world.commit(0);
    world.step();
    const std::span<char> segment = world.files.bytes("data/journal/" + segment_name(kSegment));
    const std::string_view bytes{segment.data(), segment.size()};
    const auto salt = decode_segment_header(bytes, kSegment);
    ASSERT_TRUE(salt);
    traffic::RecordScanner scanner{bytes.substr(kSegmentHeaderBytes), *salt};
    auto record = scanner.next();
    while (record && record->place.sequence != kHit)
      record = scanner.next();
    ASSERT_TRUE(record);
    record_bytes = traffic::kRecordHeaderBytes + record->payload.size();
    segment[kSegmentHeaderBytes + scanner.record_offset() + at] ^= 0x10;
    world.consume_all();
    ASSERT_EQ(world.lost, 1U);
    ASSERT_EQ(world.journal->status().lost, 1U);
    ASSERT_GT(world.journal->status().corrupt_bytes, 0U);
    for (const auto& [number, fate] : world.events)
      ASSERT_EQ(fate.counted, number == kHit ? 0U : 1U) << "event " << number;
  }
  EXPECT_GT(record_bytes, traffic::kRecordHeaderBytes);
}

}  // namespace
}  // namespace weir::journal
