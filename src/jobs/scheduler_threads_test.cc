// The scheduler with its callers on other threads, for ThreadSanitizer.

#include <atomic>
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
// two threads ask and cancel as fast as they can while jobs run; every accepted request is one run.
TEST(SchedulerThreadsTest, RequestsFromOtherThreadsEachBecomeOneRun) {
  constexpr int kRequests = 60;
  const RacingClock clock;
  testing::MemoryHistory history;
  base::NullLogger logger;
  Scheduler scheduler{history, clock, logger};
  std::atomic<int> by_hand{0};
  for (const char* const name : {"a", "b", "c"}) {
    scheduler.add({.name = name,
                   .schedule = codec::Cron::parse("* * * * *").value(),
                   .work = [&by_hand](JobContext& context) -> base::Result<std::string> {
                     for (uint64_t i = 0; i < 20 && !context.cancelled; ++i)
                       context.progress(i, 20, "rows");
                     if (context.trigger == Trigger::manual) ++by_hand;
                     return std::string{"done"};
                   }});
  }
  std::atomic<bool> over{false};
  std::thread jobs{[&] {
    while (!over)
      (void)scheduler.step();
  }};
  std::atomic<int> accepted{0};
  const auto ask = [&] {
    for (int own = 0; own < kRequests;) {
      const SchedulerReport report = scheduler.report();
      EXPECT_EQ(report.jobs.size(), 3U);
      if (scheduler.request_run(own % 2 == 0 ? "a" : "b").ok()) ++own;
      if (own % 5 == 0) (void)scheduler.cancel("c");
    }
    accepted += kRequests;
  };
  std::thread first{ask};
  std::thread second{ask};
  first.join();
  second.join();
  // The last requests are over when their jobs are idle.
  for (bool busy = true; busy;) {
    busy = false;
    for (const JobState& job : scheduler.report().jobs) {
      busy = busy || (job.phase != Phase::idle && job.name != "c");
      if (job.current && job.current->trigger != Trigger::manual) busy = false;
    }
    if (by_hand < accepted) busy = true;
  }
  scheduler.stop();
  over = true;
  jobs.join();
  EXPECT_EQ(by_hand, accepted);
}

}  // namespace
}  // namespace weir::jobs
