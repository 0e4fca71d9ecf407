#include "traffic/path_collector.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "os/testing/fake_files.h"

namespace weir::traffic {
namespace {

constexpr int64_t kUsPerHour = 3'600'000'000;
constexpr CollectorSize kSize{64, 4096};
using Why = PathCollector::Why;

Event event_at(int64_t hour, uint16_t status = 200, uint16_t flags = 0) {
  Event event;
  event.arrival_us = hour * kUsPerHour + 1;
  event.status = status;
  event.flags = flags;
  event.duration_us = 10;
  event.bytes_in = 3;
  event.bytes_out = 5;
  return event;
}

class PathCollectorTest : public ::testing::Test {
 protected:
  PathCollectorTest() {
    EXPECT_TRUE(files_.create_directory("d").ok());
    collector_ = make("d/paths");
  }
  std::unique_ptr<PathCollector> make(const std::string& path) {
    return PathCollector::create(files_, path, {7, 3, 0x1234567890abcdefU, "boot-1"}, kSize)
        .value();
  }
  void count(std::string_view path, int64_t hour = 1, Why why = Why::degraded) {
    collector_->count(event_at(hour), path, why);
  }
  // Closes the active side and returns its rows by path, hours and reasons together.
  std::map<std::string, uint64_t> swap_and_take() {
    EXPECT_TRUE(collector_->try_swap());
    const CollectedSide side = collector_->closed_side();
    std::map<std::string, uint64_t> requests;
    for (const PathTotals& row : side.rows)
      requests[row.path] += row.requests;
    collector_->release(side.generation);
    return requests;
  }
  OldCollector read_old() {
    return read_old_collector(*files_.open("d/paths", os::OpenMode::read).value()).value();
  }

  os::testing::FakeFiles files_;
  std::unique_ptr<PathCollector> collector_;
};

TEST_F(PathCollectorTest, AddsUpEveryFieldByPathHourAndReason) {
  collector_->count(event_at(5), "/a", Why::degraded);
  collector_->count(event_at(5, 500), "/a", Why::degraded);
  collector_->count(event_at(6), "/a", Why::degraded);
  collector_->count(event_at(5), "/a", Why::totals_only);
  collector_->count(event_at(-1), "", Why::degraded);
  ASSERT_TRUE(collector_->try_swap());
  CollectedSide side = collector_->closed_side();
  EXPECT_EQ(side.generation, 1U);
  std::sort(side.rows.begin(), side.rows.end());
  EXPECT_EQ(side.rows, (std::vector<PathTotals>{{"", -1, false, 1, 0, 10, 3, 5},
                                                {"/a", 5, false, 2, 1, 20, 6, 10},
                                                {"/a", 5, true, 1, 0, 10, 3, 5},
                                                {"/a", 6, false, 1, 0, 10, 3, 5}}));
  EXPECT_EQ(collector_->counted(Why::degraded), 4U);
  EXPECT_EQ(collector_->counted(Why::totals_only), 1U);
}

TEST_F(PathCollectorTest, SwapsOnlyWhatCountedSomethingIntoASideThatIsFree) {
  EXPECT_FALSE(collector_->try_swap());
  count("/a");
  EXPECT_TRUE(collector_->try_swap());
  count("/b");
  EXPECT_FALSE(collector_->try_swap()) << "the consumer has not merged the first side";
  EXPECT_EQ(collector_->closed_side().rows.size(), 1U);
  collector_->release(2);
  EXPECT_TRUE(collector_->closed()) << "not this generation";
  collector_->release(1);
  EXPECT_FALSE(collector_->closed());
  EXPECT_TRUE(collector_->try_swap());
  EXPECT_EQ(collector_->closed_side().generation, 2U);
  EXPECT_EQ(collector_->closed_side().rows[0].path, "/b");
}

TEST_F(PathCollectorTest, NothingIsLostOverManyGenerations) {
  uint64_t taken = 0;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i <= round; ++i)
      count("/p" + std::to_string(i % 30));
    for (const auto& [path, requests] : swap_and_take())
      taken += requests;
  }
  EXPECT_EQ(taken, 5050U);
}

TEST_F(PathCollectorTest, TakesThreeQuartersOfItsSlotsAndTheNextGoesToOther) {
  for (int i = 0; i < 48; ++i)
    count("/" + std::to_string(i));
  for (int i = 0; i < 48; ++i)
    count("/" + std::to_string(i));
  count("/one-too-many");
  count("/one-too-many");
  const auto requests = swap_and_take();
  EXPECT_EQ(requests.size(), 49U);
  EXPECT_EQ(requests.at("__other__"), 2U);
  EXPECT_EQ(requests.at("/47"), 2U);
}

TEST_F(PathCollectorTest, TakesTextToTheLastByteAndTheNextGoesToOther) {
  count(std::string(2048, 'a'));
  count(std::string(2047, 'b'));
  count("c");
  count("d");
  const auto requests = swap_and_take();
  EXPECT_EQ(requests.size(), 4U);
  EXPECT_EQ(requests.at("c"), 1U);
  EXPECT_EQ(requests.at("__other__"), 1U);
}

TEST_F(PathCollectorTest, CutsPathsAtTheEventsLimit) {
  count(std::string(Event::kPathBytesMax + 1, 'a'));
  EXPECT_EQ(swap_and_take().begin()->first.size(), Event::kPathBytesMax);
}

TEST_F(PathCollectorTest, AScanOfUnroutedPathsCannotDisplaceRoutedOnes) {
  for (int i = 0; i < 100; ++i) {
    collector_->count(event_at(1, 404, EventFlag::kUnrouted), "/scan/" + std::to_string(i),
                      Why::degraded);
  }
  for (int i = 0; i < 32; ++i)
    count("/routed/" + std::to_string(i));
  const auto requests = swap_and_take();
  EXPECT_EQ(requests.at("__other__"), 84U);
  EXPECT_EQ(requests.at("/routed/31"), 1U);
}

TEST_F(PathCollectorTest, OtherKeepsEightHoursApartAndThenTheNearest) {
  for (int i = 0; i < 48; ++i)
    count("/" + std::to_string(i));
  for (int64_t hour = 0; hour < 8; ++hour)
    count("/more", hour * 10);
  count("/more", 44);
  count("/more", 1000, Why::totals_only);
  ASSERT_TRUE(collector_->try_swap());
  std::map<std::pair<int64_t, bool>, uint64_t> others;
  for (const PathTotals& row : collector_->closed_side().rows) {
    if (row.path == "__other__") others[{row.hour, row.totals_only}] += row.requests;
  }
  EXPECT_EQ(others.size(), 9U);
  EXPECT_EQ((others[{40, false}]), 2U);
  EXPECT_EQ((others[{1000, true}]), 1U);
}

TEST_F(PathCollectorTest, AKillLeavesBothSidesToTheNextStart) {
  count("/a");
  ASSERT_TRUE(collector_->try_swap());
  count("/b");
  count("/b");
  collector_.reset();
  const OldCollector old = read_old();
  EXPECT_EQ(old.identity.epoch, 7U);
  EXPECT_EQ(old.identity.loop, 3U);
  EXPECT_EQ(old.identity.boot_id, "boot-1");
  EXPECT_FALSE(old.synced);
  ASSERT_EQ(old.sides.size(), 2U);
  EXPECT_EQ(old.sides[0].generation, 1U);
  EXPECT_EQ(old.sides[0].rows[0].path, "/a");
  EXPECT_EQ(old.sides[1].generation, 2U);
  EXPECT_EQ(old.sides[1].rows[0].requests, 2U);
}

TEST_F(PathCollectorTest, AReleasedSideIsGoneForTheNextStart) {
  count("/a");
  swap_and_take();
  EXPECT_TRUE(collector_->empty());
  collector_->mark_synced();
  collector_.reset();
  EXPECT_TRUE(read_old().sides.empty());
  EXPECT_TRUE(read_old().synced);
}

// Goal: whatever happened to an old file, reading it is safe. Method: flip bytes everywhere.
TEST_F(PathCollectorTest, ReadsDamagedFilesSafely) {
  count("/a");
  count("/b");
  collector_.reset();
  const std::span<char> bytes = files_.bytes("d/paths");
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const char before = bytes[at];
    bytes[at] = static_cast<char>(before ^ 0xff);
    const auto old = read_old_collector(*files_.open("d/paths", os::OpenMode::read).value());
    if (old.ok()) {
      EXPECT_LE(old.value().sides.size(), 2U);
    }
    bytes[at] = before;
  }
  ASSERT_TRUE(files_.open("d/short", os::OpenMode::create_new).ok());
  EXPECT_EQ(read_old_collector(*files_.open("d/short", os::OpenMode::read).value()).error().code,
            base::ErrorCode::corrupt);
}

}  // namespace
}  // namespace weir::traffic
