#include <set>

#include <gtest/gtest.h>

#include "os/testing/fake_files.h"
#include "traffic/client_hasher.h"
#include "traffic/ring_recorder.h"
#include "traffic/testing/event_equal.h"

namespace weir::traffic {
namespace {

class RecorderTest : public ::testing::Test {
 protected:
  RecorderTest() {
    EXPECT_TRUE(files_.create_directory("d").ok());
    ring_ = Ring::create(files_, "d/ring", {1, 0, 9, "boot"}, Ring::kDataBytesMin).value();
    collector_ = PathCollector::create(files_, "d/paths", {1, 0, 9, "boot"}, {64, 4096}).value();
  }
  Event event(std::string_view path, uint16_t flags = 0) {
    Event result;
    result.path = path;
    result.status = 404;
    result.flags = flags;
    return result;
  }
  std::string only_path() {
    EXPECT_TRUE(collector_->try_swap());
    const CollectedSide side = collector_->closed_side();
    EXPECT_EQ(side.rows.size(), 1U);
    collector_->release(side.generation);
    return side.rows.at(0).path;
  }

  os::testing::FakeFiles files_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<PathCollector> collector_;
};

TEST_F(RecorderTest, ACommittedEventIsInTheRing) {
  RingRecorder recorder{*ring_, *collector_, 1, {}};
  recorder.commit(event("/a"));
  recorder.answered();
  RingReader reader{*ring_};
  const auto chunk = reader.next(1 << 20);
  ASSERT_TRUE(chunk.has_value());
  const auto record = parse_record(chunk->bytes, 9);
  testing::expect_equal(decode(record->payload).value(), event("/a"));
  EXPECT_EQ(ring_->written(), 1U);
  EXPECT_EQ(ring_->answered(), 1U);
  EXPECT_FALSE(collector_->try_swap());
}

TEST_F(RecorderTest, WhatTheRingCannotTakeIsCounted) {
  RingRecorder recorder{*ring_, *collector_, 1, {}};
  uint64_t commits = 0;
  for (; collector_->counted(PathCollector::Why::degraded) == 0; ++commits)
    recorder.commit(event("/a"));
  EXPECT_EQ(ring_->written() + 1, commits);
  EXPECT_EQ(only_path(), "/a");
}

TEST_F(RecorderTest, TotalsOnlyLeavesTheRingAlone) {
  RingRecorder recorder{*ring_, *collector_, 1, {.detail = false}};
  recorder.commit(event("/a"));
  EXPECT_EQ(ring_->written(), 0U);
  EXPECT_EQ(collector_->counted(PathCollector::Why::totals_only), 1U);
  recorder.set_options({.detail = true});
  recorder.commit(event("/a"));
  EXPECT_EQ(ring_->written(), 1U);
}

TEST_F(RecorderTest, UnroutedPathsAreCountedTogetherUnlessWanted) {
  RingRecorder recorder{*ring_, *collector_, 1, {.detail = false}};
  recorder.commit(event("/scan", EventFlag::kUnrouted));
  EXPECT_EQ(only_path(), "__unrouted__");
  recorder.set_options({.detail = false, .unrouted_paths = true});
  recorder.commit(event("/scan", EventFlag::kUnrouted));
  EXPECT_EQ(only_path(), "/scan");
}

TEST(EventIdSourceTest, IdsAreUniqueAndCarryTheirArrival) {
  EventIdSource source{0x1234567890abcdefU};
  EventIdSource other{0x1234567890U};
  const base::Wall arrival{std::chrono::milliseconds{1'760'536'987'042}};
  std::set<EventId> ids;
  for (int i = 0; i < 1000; ++i) {
    ids.insert(source.next(arrival));
    ids.insert(other.next(arrival));
  }
  EXPECT_EQ(ids.size(), 2000U);
  EXPECT_EQ(to_string(EventIdSource{1}.next(arrival)), "1760536987042-01000000000000000000");
}

TEST(ClientHasherTest, TheKeyIsMadeOnceAndNamesAreStable) {
  os::testing::FakeFiles files;
  ASSERT_TRUE(files.create_directory("keys").ok());
  const auto first = ClientHasher::open(files, "keys");
  ASSERT_TRUE(first.ok());
  files.lose_power(1);
  const auto second = ClientHasher::open(files, "keys");
  EXPECT_EQ(first.value().hash("192.0.2.1"), second.value().hash("192.0.2.1"));
  EXPECT_NE(first.value().hash("192.0.2.1"), first.value().hash("192.0.2.2"));
  // Source: RFC 4231, test case 2.
  EXPECT_EQ(ClientHasher{"Jefe"}.hash("what do ya want for nothing?"), 0x5bdcc146bf60754eU);
}

TEST(ClientHasherTest, SurvivesAFailureOfEveryOperationWithoutLosingAKey) {
  for (uint64_t n = 0;; ++n) {
    os::testing::FakeFiles files;
    ASSERT_TRUE(files.create_directory("keys").ok());
    files.fail_operation(n + 1);
    const auto first = ClientHasher::open(files, "keys");
    const bool injected = files.injected();
    files.heal();
    const auto second = ClientHasher::open(files, "keys");
    ASSERT_TRUE(second.ok()) << n;
    if (first.ok()) {
      EXPECT_EQ(first.value().hash("a"), second.value().hash("a"));
    }
    if (!injected) break;
  }
}

TEST(ClientHasherTest, ADamagedKeyIsRefusedAndKept) {
  os::testing::FakeFiles files;
  ASSERT_TRUE(files.create_directory("keys").ok());
  ASSERT_TRUE(
      files.open("keys/client.key", os::OpenMode::create_new).value()->write_at(0, "x").ok());
  EXPECT_EQ(ClientHasher::open(files, "keys").error().code, base::ErrorCode::corrupt);
  EXPECT_EQ(files.bytes("keys/client.key").size(), 1U);
}

}  // namespace
}  // namespace weir::traffic
