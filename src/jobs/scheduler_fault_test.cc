// What the scheduler does when the history fails, the process is killed and the clock is mad, at
// every operation and in any order.

#include <algorithm>
#include <cstdlib>
#include <set>

#include <gtest/gtest.h>

#include "base/random.h"
#include "jobs/testing/rig.h"

namespace weir::jobs {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::iso;
using testing::Rig;
using Lines = std::vector<std::string>;

// A rig with a past: one run that a kill cut short, one time that passed while it was down.
struct PastRig : Rig {
  PastRig() : Rig("2025-10-15T04:30:00Z") {
    add("archive", "0 2 * * *");
    add("snapshot", "0 * * * *");
    JobRun cut{.job = "archive",
               .scheduled = testing::at("2025-10-15T02:00:00Z"),
               .started = testing::at("2025-10-15T02:00:00Z")};
    EXPECT_TRUE(history.start_run(cut).ok());
    JobRun done{.job = "snapshot",
                .scheduled = testing::at("2025-10-15T03:00:00Z"),
                .started = testing::at("2025-10-15T03:00:00Z"),
                .status = RunStatus::succeeded};
    EXPECT_TRUE(history.start_run(done).ok());
  }

  Lines sorted_records() const {
    Lines lines = recorded();
    std::sort(lines.begin(), lines.end());
    return lines;
  }
};

const Lines kAllRan{"archive 2025-10-15T02:00 catch_up", "snapshot 2025-10-15T04:00 catch_up",
                    "snapshot 2025-10-15T05:00 schedule", "snapshot 2025-10-15T06:00 schedule"};
const Lines kAllRecorded{
    "archive 2025-10-15T02:00 catch_up succeeded",  "archive 2025-10-15T02:00 schedule interrupted",
    "snapshot 2025-10-15T03:00 schedule succeeded", "snapshot 2025-10-15T04:00 catch_up succeeded",
    "snapshot 2025-10-15T05:00 schedule succeeded", "snapshot 2025-10-15T06:00 schedule succeeded"};

// Goal: no failure of the history keeps a job from running, runs one twice, or leaves a run out of
// the history for good. Method: operation 0, 1, ... fails, once or three times in a row; two hours
// later all has run once and is recorded once.
TEST(SchedulerFaultTest, AHiccupOfTheHistoryAtAnyOperationLosesAndRepeatsNothing) {
  for (const int64_t failures : {1, 3}) {
    bool struck = true;
    int64_t nth = 0;
    for (; struck; ++nth) {
      SCOPED_TRACE(std::to_string(failures) + " from " + std::to_string(nth));
      PastRig rig;
      rig.history.fail_at(nth, failures);
      rig.start();
      rig.live(hours{2});
      struck = rig.history.struck();
      EXPECT_EQ(rig.take_ran(), kAllRan);
      EXPECT_EQ(rig.sorted_records(), kAllRecorded);
      const SchedulerReport report = rig.scheduler->report();
      EXPECT_EQ(report.alarm, "");
      EXPECT_EQ(report.runs_waiting, 0U);
      EXPECT_TRUE(report.history_read);
    }
    EXPECT_GT(nth, 8);
  }
}

// Goal: the same for a store that stays broken. Method: it fails from operation 0, 1, ... on for
// the two hours; scheduled runs happen all the same, the alarm is raised; then it heals.
TEST(SchedulerFaultTest, ABrokenHistoryStopsNoScheduleAndIsWrittenOnceItHeals) {
  bool struck = true;
  int64_t nth = 0;
  for (; struck; ++nth) {
    SCOPED_TRACE(nth);
    PastRig rig;
    rig.history.fail_at(nth, 1'000'000);
    rig.start();
    rig.live(hours{2});
    struck = rig.history.struck();
    if (struck) {
      EXPECT_NE(rig.scheduler->report().alarm, "");
      const std::set<std::string> lines(rig.logger.errors.begin(), rig.logger.errors.end());
      EXPECT_EQ(lines.size(), rig.logger.errors.size()) << "one line for one alarm";
    }
    Lines ran = rig.take_ran();
    EXPECT_TRUE(std::includes(ran.begin(), ran.end(), kAllRan.end() - 2, kAllRan.end()));
    rig.history.heal();
    rig.live(minutes{2});
    EXPECT_EQ(rig.scheduler->report().alarm, "");
    const Lines later = rig.take_ran();
    ran.insert(ran.end(), later.begin(), later.end());
    // The time that was missed is caught up, unless a later one has been run since.
    std::sort(ran.begin(), ran.end());
    ASSERT_EQ(ran.front(), kAllRan.front());
    EXPECT_EQ(std::adjacent_find(ran.begin(), ran.end()), ran.end());
    Lines expected = kAllRecorded;
    if (ran.size() < kAllRan.size()) expected.erase(expected.begin() + 3);
    EXPECT_EQ(rig.sorted_records(), expected);
  }
  EXPECT_GT(nth, 8);
}

// Goal: killed at any moment, everything that was to be run has one run that counts. Method: the
// history takes nothing from operation 0, 1, ... on and the process dies with it, at that very
// operation or some steps later; then it starts again.
TEST(SchedulerFaultTest, AKillAtAnyOperationLeavesOneRunThatCounts) {
  bool struck = true;
  int64_t nth = 0;
  for (; struck; ++nth) {
    SCOPED_TRACE(nth);
    PastRig rig;
    rig.history.fail_at(nth, 1'000'000);
    rig.start();
    while (!rig.history.struck() && rig.clock.wall() < testing::at("2025-10-15T06:10:00Z")) {
      if (rig.scheduler->step().count() > 0) rig.clock.advance(minutes{1});
    }
    struck = rig.history.struck();
    rig.scheduler.reset();
    rig.history.heal();
    rig.start();
    rig.live(hours{2});
    std::multiset<std::string> counted;
    for (const JobRun& run : rig.history.runs()) {
      EXPECT_NE(run.status, RunStatus::running);
      if (run.status == RunStatus::succeeded) counted.insert(run.job + " " + iso(run.scheduled));
    }
    EXPECT_EQ(counted.count("archive 2025-10-15T02:00"), 1U);
    EXPECT_EQ(counted.count("snapshot 2025-10-15T05:00"), 1U);
    EXPECT_EQ(counted.count("snapshot 2025-10-15T06:00"), 1U);
    EXPECT_LE(counted.count("snapshot 2025-10-15T04:00"), 1U);
  }
  EXPECT_GT(nth, 8);
}

TEST(SchedulerFaultTest, RunsBeyondWhatMayWaitAreLostCountedAndLogged) {
  Rig rig;
  rig.add("busy", "* * * * *");
  rig.start();
  rig.settle();
  rig.history.fail_at(0, 1'000'000);
  rig.live(minutes{RunLog::kWaitingMax});
  EXPECT_EQ(rig.scheduler->report().runs_waiting, RunLog::kWaitingMax);
  EXPECT_EQ(rig.scheduler->report().runs_lost, 0U);
  rig.live(minutes{1});
  EXPECT_EQ(rig.scheduler->report().runs_waiting, RunLog::kWaitingMax);
  EXPECT_EQ(rig.scheduler->report().runs_lost, 1U);
  EXPECT_EQ(rig.logger.errors.size(), 2U);
  EXPECT_EQ(rig.ran.size(), RunLog::kWaitingMax + 2);
  rig.history.heal();
  rig.live(minutes{2});
  EXPECT_EQ(rig.scheduler->report().runs_waiting, 0U);
  EXPECT_EQ(rig.scheduler->report().runs_lost, 1U);
}

uint64_t first_seed() {
  const char* const given = std::getenv("WEIR_SEED");  // NOLINT(concurrency-mt-unsafe)
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
}

// A life at random, and what must hold in it.
class RandomLife {
 public:
  explicit RandomLife(uint64_t seed) : random_(seed) {
    rig_.add("minutely", "* * * * *");
    rig_.add("often", "*/7 * * * *");
    rig_.add("hourly", "30 * * * *");
    rig_.add("nightly", "0 2 * * *");
    rig_.add("by-hand", "");
    for (const char* const name : kNames) {
      rig_.work[name] = [this, name](JobContext& context) { return work(name, context); };
    }
    rig_.start();
  }

  void live() {
    for (int i = 0; i < 250; ++i)
      disturb();
    rig_.history.heal();
    rig_.clock.set_wall(latest_ + hours{1});
    calm_ = true;
    rig_.live(minutes{5});
    runs_.clear();
    rig_.live(hours{3});
    EXPECT_EQ(runs_of("hourly"), 3) << "order returns when the disturbances end";
    EXPECT_EQ(runs_of("minutely"), 180);
    EXPECT_EQ(rig_.scheduler->report().alarm, "");
  }

 private:
  static constexpr std::array<const char*, 5> kNames{"minutely", "often", "hourly", "nightly",
                                                     "by-hand"};

  base::Result<std::string> work(const std::string& name, const JobContext& context) {
    EXPECT_FALSE(working_) << "two jobs at once";
    working_ = true;
    if (context.trigger != Trigger::manual) {
      const std::string run = name + " " + iso(context.scheduled);
      EXPECT_TRUE(runs_.insert(run).second) << run << " twice";
      const std::string moment = name + std::to_string(base::unix_ms(rig_.clock.wall()));
      EXPECT_TRUE(moments_.insert(moment).second) << name << " twice at one moment: a storm";
    }
    if (!calm_ && random_.below(10) == 0) step_clock();
    if (random_.below(20) == 0) {
      EXPECT_EQ(rig_.scheduler->request_run(name).error().code, base::ErrorCode::conflict);
    }
    working_ = false;
    if (random_.below(10) == 0) {
      return base::Error{base::ErrorCode::unavailable, base::Origin::storage, base::Retry::never, 0,
                         "luck"};
    }
    return std::string{"done"};
  }

  void step_clock() {
    moments_.clear();
    const auto amount = seconds{static_cast<int64_t>(random_.below(3 * 3600))};
    switch (random_.below(8)) {
      case 0:
        rig_.clock.set_wall(rig_.clock.wall() - amount);
        break;
      case 1:
        rig_.clock.set_wall(rig_.clock.wall() + 10 * amount);
        break;
      default:
        rig_.clock.advance(amount / 60);
    }
    latest_ = std::max(latest_, rig_.clock.wall());
  }

  void disturb() {
    switch (random_.below(12)) {
      case 0:
        rig_.history.fail_at(static_cast<int64_t>(random_.below(4)),
                             static_cast<int64_t>(random_.below(40)));
        break;
      case 1:
        (void)rig_.scheduler->request_run(kNames[random_.below(kNames.size())]);
        break;
      case 2:
        if (random_.below(3) == 0) kill();
        break;
      default:
        step_clock();
    }
    rig_.settle();
  }

  // What the history does not know may be run again; nothing else may.
  void kill() {
    std::set<std::string> known;
    for (const JobRun& run : rig_.history.runs()) {
      if (run.status != RunStatus::running && run.status != RunStatus::interrupted) {
        known.insert(run.job + " " + iso(run.scheduled));
      }
    }
    std::erase_if(runs_, [&known](const std::string& run) { return !known.contains(run); });
    rig_.history.heal();
    moments_.clear();
    rig_.start();
  }

  int64_t runs_of(std::string_view name) const {
    return std::count_if(runs_.begin(), runs_.end(), [name](const std::string& run) {
      return run.substr(0, run.find(' ')) == name;
    });
  }

  base::Random random_;
  Rig rig_;
  base::Wall latest_ = rig_.clock.wall();
  bool working_ = false;
  bool calm_ = false;
  std::set<std::string> runs_;     // Scheduled runs, those that a kill made forgotten left out.
  std::set<std::string> moments_;  // Jobs run since the last step of the clock, and when.
};

// Goal: no scheduled minute is run twice, no two jobs at once, and all is in order again once the
// world is. Method: lives at random, by seed, in which the clock steps both ways, the history
// fails, the process is killed and jobs fail; WEIR_SEED=n begins with another one.
TEST(SchedulerFaultTest, LivesAtRandomRunNoMinuteTwice) {
  const uint64_t first = first_seed();
  for (uint64_t seed = first; seed < first + 10; ++seed) {
    SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed));
    RandomLife life{seed};
    life.live();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace weir::jobs
