// The scheduler with its callers on other threads, for ThreadSanitizer.

#include <array>
#include <atomic>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include "jobs/scheduler.h"
#include "jobs/testing/memory_history.h"

namespace weir::jobs {
namespace {

// Goes a second further each time it is asked.
// Threading: any thread.
class RacingClock final : public base::Clock {
 public:
  base::Monotonic monotonic() const override {
    return base::Monotonic{std::chrono::seconds{++seconds_}};
  }
  base::Wall wall() const override { return base::Wall{std::chrono::seconds{++seconds_}}; }

 private:
  mutable std::atomic<int64_t> seconds_{1'760'000'000};
};

// Goal: requests, cancellations and reports from other threads are safe, and none is lost. Method:
// two threads ask and cancel as fast as they can while jobs run; after every accepted request a run
// begins that had not begun before it.
TEST(SchedulerThreadsTest, AfterEachRequestFromAnotherThreadARunBegins) {
  constexpr int kRequests = 60;
  constexpr std::array<const char*, 3> kNames{"a", "b", "c"};
  const RacingClock clock;
  testing::MemoryHistory history;
  base::NullLogger logger;
  Scheduler scheduler{history, clock, logger};
  std::array<std::atomic<int>, kNames.size()> begun{};
  for (size_t job = 0; job < kNames.size(); ++job) {
    scheduler.add({.name = kNames[job],
                   .schedule = job == 0 ? std::nullopt  // So that no other run hides a lost one.
                                        : std::optional{codec::Cron::parse("* * * * *").value()},
                   .work = [&begun, job](JobContext& context) -> base::Result<std::string> {
                     ++begun[job];
                     for (uint64_t i = 0; i < 20 && !context.cancelled; ++i)
                       context.progress(i, 20, "rows");
                     return std::string{"done"};
                   }});
  }
  std::atomic<bool> over{false};
  std::thread jobs{[&] {
    while (!over)
      (void)scheduler.step();
  }};
  const auto ask = [&] {
    for (size_t own = 0; own < kRequests;) {
      EXPECT_EQ(scheduler.report().jobs.size(), kNames.size());
      const size_t job = own % 2;
      const int before = begun[job];
      if (!scheduler.request_run(kNames[job]).ok()) continue;
      while (begun[job] == before)  // For ever, were the request lost.
        std::this_thread::yield();
      if (++own % 5 == 0) (void)scheduler.cancel("c");
    }
  };
  std::thread first{ask};
  std::thread second{ask};
  first.join();
  second.join();
  scheduler.stop();
  over = true;
  jobs.join();
}

}  // namespace
}  // namespace weir::jobs
