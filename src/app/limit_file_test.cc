#include "app/limit_file.h"

#include <map>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "os/testing/fake_files.h"

namespace weir::app {
namespace {

using limit::Answer;
using limit::Limit;
using limit::Limiter;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Limit kLimit{3, seconds{60}};
constexpr size_t kClientsMax = 10'000;

struct LimitFileTest : ::testing::Test {
  LimitFileTest() {
    EXPECT_TRUE(files.create_directory("/data").ok());
    EXPECT_TRUE(files.sync_directory("/").ok());
    clock.advance(seconds{1000});
  }

  LimitFile open() { return LimitFile{files, clock, "/data"}; }

  Answer ask(Limiter& limiter, std::string_view who) {
    const limit::Charge charge{limiter.value_key(limit::Rule{"rule"}, who), kLimit};
    limit::Room room;
    return limiter.admit({&charge, 1}, clock.monotonic(), {&room, 1}).answer;
  }
  uint32_t remaining(Limiter& limiter, std::string_view who) {
    return limiter.look({limiter.value_key(limit::Rule{"rule"}, who), kLimit}, clock.monotonic())
        .remaining;
  }
  // What a process that starts now finds.
  uint32_t remaining_after_restart(std::string_view who) {
    LimitFile file = open();
    Limiter limiter{kClientsMax, file.seed()};
    problem = file.load(limiter).problem;
    return remaining(limiter, who);
  }

  // A save that ends at its nth operation after the changes are appended: one look for an old
  // temporary file, and two writes. True: it had no more.
  static bool save_until_killed(LimitFile& file, Limiter& limiter, os::testing::FakeFiles& world,
                                uint64_t nth) {
    constexpr uint64_t kOperationsOfChanges = 3;
    world.fail_from(world.operations() + kOperationsOfChanges + nth);
    const bool whole = file.save(limiter).ok();
    world.heal();
    return whole;
  }
  // The same as remaining_after_restart(), of other files.
  uint32_t remaining_in(os::testing::FakeFiles& world, std::string_view who) {
    LimitFile file{world, clock, "/data"};
    Limiter limiter{kClientsMax, file.seed()};
    EXPECT_EQ(file.load(limiter).problem, "");
    return remaining(limiter, who);
  }

  os::testing::FakeFiles files{7};
  base::ManualClock clock;
  std::string problem;
};

TEST_F(LimitFileTest, TheNextProcessGoesOnFromTheLastSave) {
  LimitFile file = open();
  Limiter limiter{kClientsMax, file.seed()};
  EXPECT_EQ(file.load(limiter).entries, 0U);
  ask(limiter, "a");
  ASSERT_TRUE(file.save(limiter).ok());
  ask(limiter, "a");
  ask(limiter, "b");
  ASSERT_TRUE(file.save(limiter).ok());
  ask(limiter, "a");
  EXPECT_EQ(remaining_after_restart("a"), 1U) << "the third is not saved";
  EXPECT_EQ(remaining_after_restart("b"), 2U);
  EXPECT_EQ(problem, "");
  EXPECT_EQ(file.counts().saves, 2U);
}

TEST_F(LimitFileTest, WithoutChangesNothingIsWritten) {
  LimitFile file = open();
  Limiter limiter{kClientsMax, file.seed()};
  ask(limiter, "a");
  ASSERT_TRUE(file.save(limiter).ok());
  const uint64_t operations = files.operations();
  ASSERT_TRUE(file.save(limiter).ok());
  EXPECT_EQ(files.operations(), operations);
}

// More than is put off is put back in between, and a later frame still replaces an earlier one.
TEST_F(LimitFileTest, AFileOfAnySizeIsPutBackInPieces) {
  LimitFile file = open();
  Limiter limiter{kClientsMax, file.seed()};
  for (int frame = 0; frame < 5; ++frame) {
    ask(limiter, fmt::format("once-{}", frame));
    if (frame < 2) ask(limiter, "twice");
    ASSERT_TRUE(file.save(limiter).ok());
  }
  for (const uint64_t put_off_bytes_max : {0U, 70U, 100U, 1000U}) {
    LimitFile read = open();
    Limiter other{kClientsMax, read.seed()};
    const LimitFile::Loaded loaded = read.load(other, put_off_bytes_max);
    EXPECT_EQ(loaded.problem, "");
    EXPECT_EQ(loaded.entries, 7U);
    EXPECT_EQ(remaining(other, "twice"), 1U) << put_off_bytes_max;
    for (int frame = 0; frame < 5; ++frame)
      EXPECT_EQ(remaining(other, fmt::format("once-{}", frame)), 2U) << put_off_bytes_max;
  }
}

TEST_F(LimitFileTest, TimeThatWentByWhileTheMachineWasOffCounts) {
  LimitFile file = open();
  Limiter limiter{kClientsMax, file.seed()};
  ask(limiter, "a");
  clock.advance(seconds{20});
  ask(limiter, "a");
  ASSERT_TRUE(file.save(limiter).ok());
  clock.advance(seconds{30});
  EXPECT_EQ(remaining_after_restart("a"), 1U);
  clock.advance(seconds{11});
  EXPECT_EQ(remaining_after_restart("a"), 2U);
  clock.advance(seconds{20});
  EXPECT_EQ(remaining_after_restart("a"), 3U);
}

// The clock of durations begins anew with the machine: the wall clocks say how long it was off.
TEST_F(LimitFileTest, AfterARestartOfTheMachineTheWallClockTells) {
  {
    LimitFile file = open();
    Limiter limiter{kClientsMax, file.seed()};
    ask(limiter, "a");
    clock.advance(seconds{20});
    ask(limiter, "a");
    ASSERT_TRUE(file.save(limiter).ok());
  }
  const base::Wall saved_at = clock.wall();
  for (const auto& [off_s, left] : std::map<int64_t, uint32_t>{
           {-3600, 1}, {0, 1}, {30, 1}, {39, 1}, {41, 2}, {59, 2}, {61, 3}, {1'000'000, 3}}) {
    files.lose_power(static_cast<uint64_t>(off_s));
    clock = base::ManualClock{};
    clock.advance(milliseconds{1500});
    clock.set_wall(saved_at + seconds{off_s});
    EXPECT_EQ(remaining_after_restart("a"), left) << off_s;
    EXPECT_EQ(problem, "");
  }
}

TEST_F(LimitFileTest, AWallClockThatWasSetBackMakesNothingCountShorter) {
  LimitFile file = open();
  Limiter limiter{kClientsMax, file.seed()};
  for (int i = 0; i < 3; ++i)
    ask(limiter, "a");
  ASSERT_TRUE(file.save(limiter).ok());
  clock.set_wall(clock.wall() - std::chrono::hours{3});
  EXPECT_EQ(remaining_after_restart("a"), 0U);
  clock.advance(seconds{59});
  EXPECT_EQ(remaining_after_restart("a"), 0U);
}

TEST_F(LimitFileTest, TheFileIsWrittenAnewBeforeItGrowsBeyondItsBound) {
  LimitFile file = open();
  Limiter limiter{200'000, file.seed()};
  uint64_t most = 0;
  for (int round = 0; round < 10; ++round) {
    for (int who = 0; who < 50'000; ++who)
      ask(limiter, std::to_string(who));
    ASSERT_TRUE(file.save(limiter).ok());
    most = std::max<uint64_t>(most, files.bytes("/data/limits").size());
    clock.advance(seconds{61});
  }
  EXPECT_LT(most, 2 * LimitFile::kSlackBytes);
  EXPECT_FALSE(files.exists("/data/limits.new"));
  LimitFile next = open();
  Limiter other{200'000, next.seed()};
  clock.advance(seconds{-61});
  EXPECT_GE(next.load(other).entries, 50'000U);
  EXPECT_EQ(remaining(other, "49999"), 2U);
}

TEST_F(LimitFileTest, WhatFollowsADamagedByteIsLostAndSaid) {
  LimitFile file = open();
  Limiter limiter{kClientsMax, file.seed()};
  ask(limiter, "a");
  ASSERT_TRUE(file.save(limiter).ok());
  const size_t good = files.bytes("/data/limits").size();
  ask(limiter, "a");
  ASSERT_TRUE(file.save(limiter).ok());
  const size_t size = files.bytes("/data/limits").size();
  for (size_t at = 0; at < size; ++at) {
    char& byte = files.bytes("/data/limits")[at];
    byte = static_cast<char>(byte ^ 0x10);
    const uint32_t left = remaining_after_restart("a");
    EXPECT_EQ(left, at < good ? 3U : 2U) << at;
    EXPECT_NE(problem, "") << at;
    files.bytes("/data/limits")[at] = static_cast<char>(byte ^ 0x10);
  }
  EXPECT_EQ(remaining_after_restart("a"), 1U);
}

// The old file stays in its place until the new one is whole, and a kill may come at any operation.
TEST_F(LimitFileTest, AKillWhileTheFileIsWrittenAnewForgetsNothingOfBefore) {
  constexpr uint64_t kSlackBytes = 1000;
  bool whole = false;
  for (uint64_t nth = 0; !whole; ++nth) {
    os::testing::FakeFiles world{nth};
    ASSERT_TRUE(world.create_directory("/data").ok());
    LimitFile file{world, clock, "/data", kSlackBytes};
    Limiter limiter{kClientsMax, file.seed()};
    ASSERT_TRUE(file.save(limiter).ok());  // Written anew, with next to nothing in it.
    const uint64_t begin = file.counts().file_bytes;
    for (int who = 0; file.counts().file_bytes <= begin + kSlackBytes; ++who) {
      ask(limiter, std::to_string(who));
      ASSERT_TRUE(file.save(limiter).ok());
    }
    ask(limiter, "a");
    ask(limiter, "a");
    whole = save_until_killed(file, limiter, world, nth);
    EXPECT_EQ(remaining_in(world, "a"), 1U) << nth;
    EXPECT_EQ(remaining_in(world, "0"), 2U) << nth;
    ASSERT_LT(nth, 100U);
    EXPECT_TRUE(!whole || file.counts().file_bytes < begin + kSlackBytes) << "it was written anew";
  }
}

// The first save of a life writes the file anew; a kill in it leaves the last life's, with what
// this one has counted at its end.
TEST_F(LimitFileTest, AKillInTheFirstSaveOfALifeForgetsNothingOfBefore) {
  bool whole = false;
  for (uint64_t nth = 0; !whole; ++nth) {
    os::testing::FakeFiles world{nth};
    ASSERT_TRUE(world.create_directory("/data").ok());
    {
      LimitFile file{world, clock, "/data"};
      Limiter limiter{kClientsMax, file.seed()};
      ask(limiter, "a");
      ASSERT_TRUE(file.save(limiter).ok());
    }
    LimitFile file{world, clock, "/data"};
    Limiter limiter{kClientsMax, file.seed()};
    EXPECT_EQ(file.load(limiter).problem, "");
    ask(limiter, "a");
    whole = save_until_killed(file, limiter, world, nth);
    EXPECT_EQ(remaining_in(world, "a"), 1U) << nth;
    ASSERT_LT(nth, 100U);
  }
}

// Every operation of a life fails once; the save after it holds everything.
TEST_F(LimitFileTest, AFailedSaveIsMadeUpForByTheNext) {
  for (uint64_t nth = 0;; ++nth) {
    os::testing::FakeFiles world{nth};
    ASSERT_TRUE(world.create_directory("/data").ok());
    LimitFile file{world, clock, "/data"};
    Limiter limiter{kClientsMax, file.seed()};
    world.fail_operation(world.operations() + nth);
    uint64_t failed = 0;
    for (int i = 0; i < 3; ++i) {
      ask(limiter, "a");
      ask(limiter, std::to_string(i));
      failed += file.save(limiter).ok() ? 0U : 1U;
    }
    const bool injected = world.injected();
    world.heal();
    ASSERT_TRUE(file.save(limiter).ok());
    EXPECT_FALSE(file.failing());
    EXPECT_EQ(file.counts().failures, failed);
    LimitFile next{world, clock, "/data"};
    Limiter other{kClientsMax, next.seed()};
    EXPECT_EQ(next.load(other).problem, "");
    for (const char* who : {"a", "0", "1", "2"})
      EXPECT_EQ(remaining(other, who), remaining(limiter, who)) << nth << " " << who;
    if (!injected) {
      EXPECT_GE(nth, 10U);
      return;
    }
  }
}

// Power is lost at every operation: what is found then is some earlier moment, never nonsense.
TEST_F(LimitFileTest, PowerLostAtAnyMomentLeavesSomeEarlierMoment) {
  for (uint64_t nth = 0;; ++nth) {
    os::testing::FakeFiles world{nth};
    ASSERT_TRUE(world.create_directory("/data").ok());
    ASSERT_TRUE(world.sync_directory("/").ok());
    bool injected = false;
    {
      LimitFile file{world, clock, "/data"};
      Limiter limiter{kClientsMax, file.seed()};
      world.fail_from(world.operations() + nth);
      for (int i = 0; i < 3; ++i) {
        ask(limiter, "a");
        static_cast<void>(file.save(limiter));
      }
      injected = world.injected();
    }
    world.heal();
    world.lose_power(nth);
    LimitFile next{world, clock, "/data"};
    Limiter other{kClientsMax, next.seed()};
    next.load(other);
    EXPECT_LE(remaining(other, "a"), 3U);
    ask(other, "a");
    ASSERT_TRUE(next.save(other).ok());
    if (!injected) {
      EXPECT_LE(remaining(other, "a"), 1U) << "the first save was synced";
      return;
    }
  }
}

TEST_F(LimitFileTest, AFileOfAnotherVersionIsReplacedAndSaid) {
  {
    auto file = files.open("/data/limits", os::OpenMode::create_new);
    ASSERT_TRUE(file.value()->write_at(0, "WEIRLIM2 and what tomorrow has").ok());
  }
  EXPECT_EQ(remaining_after_restart("a"), 3U);
  EXPECT_NE(problem.find("another version"), std::string::npos) << problem;
}

}  // namespace
}  // namespace weir::app
