// Commands of other threads to a consumer that is stuck: each sender is told that there is no
// place, none of them hangs, and all is well once the consumer goes on.

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "app/recording.h"
#include "base/rendezvous.h"
#include "loop/loop.h"
#include "os/clock.h"
#include "sqlite/testing/temp_directory.h"

namespace weir::app {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::minutes kAtMost{1};

// The real clock, which calls a function once, when the thread that armed it has asked for the time
// so many times.
// Threading: any thread.
class CallingClock final : public base::Clock {
 public:
  base::Monotonic monotonic() const override {
    if (std::this_thread::get_id() == owner_ && calls_left_ > 0 && --calls_left_ == 0) call_();
    return real_.monotonic();
  }
  base::Wall wall() const override { return real_.wall(); }

  void arm(int calls, std::function<void()> call) {
    call_ = std::move(call);
    calls_left_ = calls;
  }

 private:
  const os::RealClock real_;
  const std::thread::id owner_ = std::this_thread::get_id();
  mutable int calls_left_ = 0;  // Of the owner alone.
  std::function<void()> call_;
};

class BusyConsumerTest : public ::testing::Test {
 protected:
  BusyConsumerTest() {
    config.journal.ring_bytes = config.journal.segment_bytes = 1024 * 1024;
    recording = Recording::open(config, directory.path(), 1, clock, files, logger).value();
    recording->start();
    EXPECT_TRUE(recording->flush(never).ok());
    // The consumer's thread stands still in the callback of this command.
    EXPECT_TRUE(recording->write_kv({.key = "stuck", .value = "1"}, [this](base::Status) {
      stuck->arrive(0);
      static_cast<void>(released->wait(kAtMost));
    }));
    EXPECT_TRUE(stuck->wait(kAtMost).front());
    while (filled <= loop::Loop::kPostsMax && recording->request_snapshot())
      ++filled;
  }

  ~BusyConsumerTest() override {
    if (!released->wait(milliseconds{0}).front()) released->arrive(0);
    recording->stop(milliseconds{10'000});
  }

  config::Config config;
  sqlite::testing::TempDirectory directory;
  CallingClock clock;
  os::RealFiles files;
  base::NullLogger logger;
  const std::atomic<bool> never{false};
  const std::shared_ptr<base::Rendezvous> stuck = std::make_shared<base::Rendezvous>(1);
  const std::shared_ptr<base::Rendezvous> released = std::make_shared<base::Rendezvous>(1);
  std::unique_ptr<Recording> recording;
  size_t filled = 0;
};

TEST_F(BusyConsumerTest, TakesAsManyCommandsAsItMayAndRefusesEachFurtherOneAtOnce) {
  EXPECT_EQ(filled, loop::Loop::kPostsMax);
  EXPECT_FALSE(recording->request_snapshot());
  EXPECT_EQ(recording->request_flush(), std::nullopt);
  EXPECT_EQ(recording->request_letters({}), std::nullopt);
  bool called = false;
  EXPECT_FALSE(
      recording->write_kv({.key = "k", .value = "v"}, [&](base::Status) { called = true; }));
  const base::Status refused =
      recording->writer().run([&](sqlite::Database&) -> base::Status { return {}; });
  EXPECT_EQ(refused.error().code, base::ErrorCode::unavailable);
  const std::atomic<bool> cancelled{true};
  EXPECT_EQ(recording->flush(cancelled).error().code, base::ErrorCode::cancelled);

  released->arrive(0);
  EXPECT_TRUE(recording->flush(never).ok());
  EXPECT_TRUE(recording->writer().run([](sqlite::Database&) -> base::Status { return {}; }).ok());
  EXPECT_TRUE(recording->request_letters({}));
  EXPECT_FALSE(called) << "what was refused is not done later";
}

TEST_F(BusyConsumerTest, AFlushThatFoundNoPlaceIsSentAgainWhenThereIsOne) {
  // For the deadline, and after the first refusal.
  clock.arm(2, [this] { released->arrive(0); });
  const base::Status flushed = recording->flush(never);
  EXPECT_TRUE(flushed.ok());
}

}  // namespace
}  // namespace weir::app
