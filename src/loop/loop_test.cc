#include "loop/loop.h"

#include <memory>
#include <thread>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace weir::loop {
namespace {

using std::chrono::milliseconds;

struct Fixture {
  base::ManualClock clock;
  std::unique_ptr<Loop> loop = std::move(Loop::create(clock)).value();

  void pass(milliseconds time) {
    clock.advance(time);
    loop->turn(milliseconds{0});
  }
};

// Counts what it is told.
class Counting : public Task {
 public:
  void on_ready(uint32_t ready) override {
    ++ready_count;
    last_ready = ready;
  }
  void on_deadline() override {
    ++deadline_count;
    if (on_ring) on_ring();
  }
  void on_turn() override { ++turn_count; }
  int ready_count = 0;
  int deadline_count = 0;
  int turn_count = 0;
  uint32_t last_ready = 0;
  std::function<void()> on_ring;
};

TEST(LoopTest, RingsADeadlineOnceAndNeverEarly) {
  for (const int delay : {1, 7, 8, 9, 100, 8191, 8192, 8193, 75'000}) {
    Fixture f;
    Counting task;
    f.loop->set_deadline(task, milliseconds{delay});
    int64_t passed = 0;
    while (task.deadline_count == 0) {
      ASSERT_LE(passed, delay + 2 * Loop::kTick.count()) << delay;
      f.pass(milliseconds{1});
      ++passed;
      if (task.deadline_count != 0) {
        EXPECT_GE(passed, delay);
      }
    }
    f.pass(milliseconds{200'000});
    EXPECT_EQ(task.deadline_count, 1) << delay;
  }
}

TEST(LoopTest, ADeadlineMovedLaterRingsAtTheLaterTimeOnly) {
  Fixture f;
  Counting task;
  f.loop->set_deadline(task, milliseconds{100});
  for (int i = 0; i < 50; ++i) {
    f.pass(milliseconds{50});
    f.loop->set_deadline(task, milliseconds{100});
    ASSERT_EQ(task.deadline_count, 0);
  }
  f.pass(milliseconds{90});
  EXPECT_EQ(task.deadline_count, 0);
  f.pass(milliseconds{30});
  EXPECT_EQ(task.deadline_count, 1);
}

TEST(LoopTest, ADeadlineMovedEarlierRingsAtTheEarlierTime) {
  Fixture f;
  Counting task;
  f.loop->set_deadline(task, milliseconds{5000});
  f.loop->set_deadline(task, milliseconds{20});
  f.pass(milliseconds{40});
  EXPECT_EQ(task.deadline_count, 1);
}

TEST(LoopTest, AClearedDeadlineDoesNotRing) {
  Fixture f;
  Counting task;
  f.loop->set_deadline(task, milliseconds{20});
  f.loop->clear_deadline(task);
  f.pass(milliseconds{100});
  EXPECT_EQ(task.deadline_count, 0);
}

TEST(LoopTest, ATaskDestroyedWithADeadlineIsForgotten) {
  Fixture f;
  {
    Counting task;
    f.loop->set_deadline(task, milliseconds{20});
  }
  f.pass(milliseconds{100});
  Counting other;
  f.loop->set_deadline(other, milliseconds{20});
  f.pass(milliseconds{100});
  EXPECT_EQ(other.deadline_count, 1);
}

TEST(LoopTest, ADeadlineMayArmItselfAgainFromItsOwnCallback) {
  Fixture f;
  Counting task;
  task.on_ring = [&] { f.loop->set_deadline(task, milliseconds{8}); };
  f.loop->set_deadline(task, milliseconds{8});
  for (int i = 0; i < 100; ++i)
    f.pass(milliseconds{20});
  EXPECT_EQ(task.deadline_count, 100);
}

TEST(LoopTest, ReportsReadinessUntilTheTaskIsDisposed) {
  Fixture f;
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
  auto task = std::make_unique<Counting>();
  Counting* const seen = task.get();
  ASSERT_TRUE(f.loop->watch(pair[0], *task).ok());
  f.loop->turn(milliseconds{0});
  EXPECT_EQ(seen->last_ready, Ready::kWritable);
  ASSERT_EQ(::write(pair[1], "x", 1), 1);
  f.loop->turn(milliseconds{0});
  EXPECT_EQ(seen->last_ready & Ready::kReadable, Ready::kReadable);
  f.loop->turn(milliseconds{0});
  EXPECT_EQ(seen->ready_count, 2) << "edge-triggered: no change, no report";
  ASSERT_EQ(::write(pair[1], "x", 1), 1);
  f.loop->dispose(std::move(task));
  f.loop->turn(milliseconds{0});
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST(LoopTest, ADeferredTaskGetsOneTurn) {
  Fixture f;
  Counting task;
  f.loop->defer(task);
  f.loop->defer(task);
  f.loop->turn(milliseconds{1000});
  f.loop->turn(milliseconds{0});
  EXPECT_EQ(task.turn_count, 1);
}

TEST(LoopTest, RunsPostsOfOtherThreadsInOrder) {
  Fixture f;
  std::vector<int> seen;
  std::thread sender([&] {
    for (int i = 0; i < 1000; ++i) {
      while (!f.loop->post([&seen, i] { seen.push_back(i); }))
        std::this_thread::yield();
    }
    f.loop->stop();
  });
  f.loop->run();
  sender.join();
  f.loop->turn(milliseconds{0});
  ASSERT_EQ(seen.size(), 1000U);
  for (int i = 0; i < 1000; ++i)
    EXPECT_EQ(seen[static_cast<size_t>(i)], i);
}

}  // namespace
}  // namespace weir::loop
