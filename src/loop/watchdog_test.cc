#include "loop/watchdog.h"

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "os/clock.h"
#include "os/thread_stack.h"

namespace weir::loop {

// Not in an unnamed namespace: only what is exported has a name in a stack.
void stall_until(const base::Clock& clock, const std::atomic<bool>& done) {
  while (!done.load())
    clock.monotonic();
}

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

class CapturingLogger final : public base::Logger {
 public:
  void write(base::LogLevel, std::string_view, std::string_view text) override {
    lines.emplace_back(text);
  }
  bool enabled(base::LogLevel) const override { return true; }
  std::vector<std::string> lines;
};

// One thread plays both: what a test does within a turn, it does on the loop's thread.
class WatchdogTest : public ::testing::Test {
 protected:
  using Turns = std::vector<std::function<void()>>;

  static void SetUpTestSuite() { os::install_stack_handler(); }
  WatchdogTest() {
    clock.advance(milliseconds{1});  // A turn that began at 0 would be none.
    watchdog.watch("loop-7", *loop);
    watchdog.set_threshold(milliseconds{10});
  }

  // Each in a turn of its own, a millisecond after the one before.
  void run(const Turns& turns) {
    size_t next = 0;
    std::function<void()> step = [&] {
      turns[next++]();
      clock.advance(milliseconds{1});
      if (next == turns.size()) return loop->stop();
      ASSERT_TRUE(loop->post(step));
    };
    ASSERT_TRUE(loop->post(step));
    loop->run();
  }
  void stall(milliseconds time) {
    clock.advance(time);
    watchdog.look();
  }
  uint64_t count() const { return watchdog.stalls()[0].count; }

  base::ManualClock clock;
  CapturingLogger logger;
  std::unique_ptr<Loop> loop = std::move(Loop::create(clock)).value();
  Watchdog watchdog{clock, logger};
};

TEST_F(WatchdogTest, LooksAgainWhenTheRunningTurnWouldBeAStall) {
  EXPECT_EQ(watchdog.look(), milliseconds{10}) << "no turn runs";
  run({[&] {
    EXPECT_EQ(watchdog.look(), milliseconds{10});
    clock.advance(milliseconds{7});
    EXPECT_EQ(watchdog.look(), milliseconds{3});
    clock.advance(microseconds{2999});
    EXPECT_EQ(watchdog.look(), microseconds{1});
    EXPECT_EQ(count(), 0U);
    clock.advance(microseconds{1});
    watchdog.look();
    EXPECT_EQ(count(), 1U);
  }});
}

TEST_F(WatchdogTest, TurnsBelowTheThresholdAreNoStallHoweverManyFollow) {
  const auto busy = [&] { stall(milliseconds{9}); };
  run({busy, busy, busy, busy});
  EXPECT_EQ(count(), 0U);
  EXPECT_TRUE(logger.lines.empty());
}

TEST_F(WatchdogTest, LogsAStallOnceWithItsNameItsLengthAndWhereItWas) {
  run({[&] {
    stall(milliseconds{12});
    stall(milliseconds{13});
    EXPECT_TRUE(logger.lines.empty()) << "how long it takes is not known yet";
  }});
  watchdog.look();
  watchdog.look();
  ASSERT_EQ(logger.lines.size(), 1U);
  EXPECT_TRUE(logger.lines[0].starts_with("loop-7 stalled for 25.0 ms, at ")) << logger.lines[0];
  EXPECT_NE(logger.lines[0].find("weir::loop::Loop::run"), std::string::npos) << logger.lines[0];
  EXPECT_EQ(watchdog.stalls()[0].name, "loop-7");
  EXPECT_EQ(watchdog.stalls()[0].count, 1U);
  EXPECT_EQ(watchdog.stalls()[0].longest, milliseconds{25});
}

TEST_F(WatchdogTest, StallThatBeginsRightAfterAnotherIsAnother) {
  run({[&] { stall(milliseconds{20}); }, [&] { stall(milliseconds{10}); }});
  EXPECT_EQ(count(), 2U);
  EXPECT_EQ(watchdog.stalls()[0].longest, milliseconds{20});
}

TEST_F(WatchdogTest, StallThatDoesNotEndIsLoggedAfterASecond) {
  run({[&] {
    for (int i = 0; i < 200; ++i)
      stall(milliseconds{100});
    ASSERT_EQ(logger.lines.size(), 1U);
    EXPECT_TRUE(logger.lines[0].starts_with("loop-7 stalled for 1000.0 ms and goes on, at "))
        << logger.lines[0];
  }});
  watchdog.look();
  EXPECT_EQ(logger.lines.size(), 1U);
  EXPECT_EQ(count(), 1U);
  EXPECT_EQ(watchdog.stalls()[0].longest, milliseconds{20'000});
}

TEST_F(WatchdogTest, ManyStallsMakeALineASecond) {
  // 16 ms each, so that a second passes with the 63rd.
  run(Turns(70, [&] { stall(milliseconds{15}); }));
  watchdog.look();
  EXPECT_EQ(count(), 70U);
  ASSERT_EQ(logger.lines.size(), 2U);
  EXPECT_NE(logger.lines[1].find("(62 more since the last such line)"), std::string::npos)
      << logger.lines[1];
}

TEST_F(WatchdogTest, LooksAtNothingWithAThresholdOfZero) {
  watchdog.set_threshold(milliseconds{0});
  run({[&] {
    clock.advance(milliseconds{500});
    EXPECT_EQ(watchdog.look(), Watchdog::kNever);
  }});
  EXPECT_EQ(count(), 0U);
}

// On real threads: the loop stays in stall_until() until its stall was seen. Its stack cannot be
// taken while the machine gives it no processor, so a few stalls may be needed.
TEST(WatchdogThreadsTest, NamesTheFunctionThatStallsALoop) {
  os::install_stack_handler();
  const os::RealClock clock;
  os::RealClock loop_clock;
  std::string said;
  for (int i = 0; i < 20 && said.find("stall_until") == std::string::npos; ++i) {
    CapturingLogger logger;
    const auto loop = std::move(Loop::create(loop_clock)).value();
    Watchdog watchdog{clock, logger};
    watchdog.watch("loop-0", *loop);
    watchdog.set_threshold(milliseconds{10});
    std::atomic<bool> done{false};
    ASSERT_TRUE(loop->post([&] { stall_until(clock, done); }));
    std::thread thread{[&] { loop->run(); }};
    while (watchdog.stalls()[0].count == 0)
      watchdog.look();
    done = true;
    loop->stop();
    thread.join();
    watchdog.look();
    ASSERT_EQ(logger.lines.size(), 1U);
    EXPECT_GE(watchdog.stalls()[0].longest, milliseconds{10});
    said = logger.lines[0];
  }
  EXPECT_NE(said.find("weir::loop::stall_until"), std::string::npos) << said;
}

}  // namespace
}  // namespace weir::loop
