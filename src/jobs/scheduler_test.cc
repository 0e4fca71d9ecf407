#include "jobs/scheduler.h"

#include <gtest/gtest.h>

#include "jobs/testing/rig.h"

namespace weir::jobs {
namespace {

using base::ErrorCode;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::at;
using testing::iso;
using testing::Rig;
using Lines = std::vector<std::string>;

base::Result<std::string> broken(JobContext& /*context*/) {
  return base::Error{ErrorCode::unavailable, base::Origin::storage, base::Retry::with_backoff, 28,
                     "archive disk"};
}

// A node that has run before: nothing is missed.
struct SettledRig : Rig {
  void settle_past() {
    start();
    settle();
    take_ran();
  }
};

TEST(SchedulerTest, TheFoundingDocumentsNightRunsInItsOrder) {
  SettledRig rig;
  rig.add("archive", "0 2 * * *");
  rig.add("event-retention", "0 2 * * *");
  rig.add("clean-up", "0 3 * * *");
  rig.add("capacity-report", "0 4 * * *");
  rig.add("snapshot-clean-up", "0 5 * * SUN");
  rig.settle_past();
  rig.live(hours{24});
  EXPECT_EQ(
      rig.take_ran(),
      (Lines{"archive 2025-10-15T02:00 schedule", "event-retention 2025-10-15T02:00 schedule",
             "clean-up 2025-10-15T03:00 schedule", "capacity-report 2025-10-15T04:00 schedule"}));
  rig.live(hours{24 * 4});
  EXPECT_EQ(rig.ran.back(), "snapshot-clean-up 2025-10-19T05:00 schedule");
  EXPECT_EQ(rig.ran.size(), 17U);
}

TEST(SchedulerTest, OfARoutineOnlyFailuresAndRunsByHandAreRecordedAndLogged) {
  SettledRig rig;
  rig.add("alerts", "* * * * *", true, true);
  rig.start();
  rig.live(minutes{10});
  EXPECT_EQ(rig.take_ran().size(), 11U);  // One of them for the minute before the start.
  EXPECT_EQ(rig.recorded(), Lines{});
  EXPECT_EQ(rig.state("alerts").last->status, RunStatus::succeeded);
  rig.work["alerts"] = broken;
  rig.live(minutes{1});
  rig.work.clear();
  rig.live(minutes{1});
  ASSERT_TRUE(rig.scheduler->request_run("alerts").ok());
  rig.settle();
  EXPECT_EQ(rig.recorded(), (Lines{"alerts 2025-10-15T01:11 schedule failed",
                                   "alerts 2025-10-15T01:12 manual succeeded"}));
  rig.work["alerts"] = [&](JobContext& /*context*/) -> base::Result<std::string> {
    rig.clock.advance(minutes{3});
    return std::string{"at last"};
  };
  rig.live(minutes{1});
  EXPECT_EQ(rig.recorded().size(), 2U);  // Nor what was skipped meanwhile.
  EXPECT_EQ(rig.take_ran().size(), 4U);
}

TEST(SchedulerTest, ARunIsRecordedWhenItBeginsAndWhenItEnds) {
  SettledRig rig;
  rig.add("archive", "0 2 * * *");
  rig.settle_past();
  std::vector<JobRun> during;
  rig.work["archive"] = [&](JobContext& context) -> base::Result<std::string> {
    during = rig.history.runs();
    EXPECT_EQ(iso(context.scheduled), "2025-10-15T02:00");
    EXPECT_EQ(context.clock.wall(), rig.clock.wall());
    context.progress(3, 10, "parts");
    const JobState state = rig.state("archive");
    EXPECT_EQ(state.phase, Phase::running);
    EXPECT_EQ(state.progress.done, 3U);
    EXPECT_EQ(state.progress.total, 10U);
    EXPECT_EQ(state.progress.unit, "parts");
    EXPECT_EQ(state.current->id, during.back().id);
    rig.clock.advance(seconds{90});
    return std::string{"10 parts"};
  };
  rig.live(hours{1} + minutes{5});
  ASSERT_EQ(during.size(), 2U);
  EXPECT_EQ(during.back().status, RunStatus::running);
  const JobRun& run = rig.history.runs().back();
  EXPECT_EQ(run.status, RunStatus::succeeded);
  EXPECT_EQ(run.summary, "10 parts");
  EXPECT_EQ(*run.finished - run.started, seconds{90});
  const JobState state = rig.state("archive");
  EXPECT_EQ(state.phase, Phase::idle);
  EXPECT_EQ(state.last, run);
  EXPECT_EQ(state.current, std::nullopt);
  EXPECT_EQ(iso(*state.next), "2025-10-16T02:00");
  EXPECT_EQ(rig.scheduler->report().alarm, "");
}

TEST(SchedulerTest, AFailureIsRecordedAndTriedAgainAtTheNextTimeOnly) {
  SettledRig rig;
  rig.add("archive", "0 2 * * *");
  rig.settle_past();
  rig.work["archive"] = broken;
  rig.live(hours{24});
  EXPECT_EQ(rig.take_ran(), Lines{"archive 2025-10-15T02:00 schedule"});
  const JobRun& run = rig.history.runs().back();
  EXPECT_EQ(run.status, RunStatus::failed);
  EXPECT_EQ(run.error, "archive disk (errno 28)");
  EXPECT_EQ(rig.logger.errors.size(), 1U);
  rig.start();  // Nor does a restart try it again.
  rig.live(hours{2});
  EXPECT_EQ(rig.take_ran(), Lines{"archive 2025-10-16T02:00 schedule"});
}

TEST(SchedulerTest, WhatWasMissedWhileDownIsCaughtUpOnce) {
  SettledRig rig;
  rig.add("snapshot", "*/5 * * * *");
  rig.add("clean-up", "0 3 * * *");
  rig.add("archive", "0 2 * * *");
  rig.add("disabled", "0 2 * * *", false);
  rig.settle_past();
  rig.scheduler.reset();
  rig.clock.advance(hours{72});
  rig.clock.advance(minutes{151} + seconds{1});  // 03:31:01.
  rig.start();
  rig.settle();
  // In the order of their times, one run each.
  EXPECT_EQ(rig.take_ran(),
            (Lines{"archive 2025-10-18T02:00 catch_up", "clean-up 2025-10-18T03:00 catch_up",
                   "snapshot 2025-10-18T03:30 catch_up"}));
  rig.start();
  rig.settle();
  EXPECT_EQ(rig.take_ran(), Lines{});
  rig.live(minutes{5});
  EXPECT_EQ(rig.take_ran(), Lines{"snapshot 2025-10-18T03:35 schedule"});
}

TEST(SchedulerTest, ARunByHandSinceTheMissedTimeCountsAsCaughtUp) {
  SettledRig rig;
  rig.add("archive", "0 2 * * *", false);
  rig.settle_past();
  rig.clock.advance(hours{3});
  ASSERT_TRUE(rig.scheduler->request_run("archive").ok());
  rig.settle();
  Rig enabled;
  enabled.history = rig.history;
  enabled.clock = rig.clock;
  enabled.add("archive", "0 2 * * *");
  enabled.start();
  enabled.settle();
  EXPECT_EQ(enabled.take_ran(), Lines{});
}

TEST(SchedulerTest, ARunThatAKillCutShortIsInterruptedAndCaughtUp) {
  SettledRig rig;
  rig.add("archive", "0 2 * * *");
  rig.settle_past();
  JobRun killed{.job = "archive", .scheduled = at("2025-10-15T02:00:00Z")};
  killed.started = killed.scheduled;
  ASSERT_TRUE(rig.history.start_run(killed).ok());
  JobRun foreign = killed;
  foreign.job = "no-longer-a-job";
  ASSERT_TRUE(rig.history.start_run(foreign).ok());
  rig.scheduler.reset();
  rig.clock.advance(hours{2});
  rig.start();
  rig.settle();
  EXPECT_EQ(rig.recorded(), (Lines{"archive 2025-10-14T02:00 catch_up succeeded",
                                   "archive 2025-10-15T02:00 schedule interrupted",
                                   "no-longer-a-job 2025-10-15T02:00 schedule interrupted",
                                   "archive 2025-10-15T02:00 catch_up succeeded"}));
  EXPECT_EQ(rig.history.runs()[1].finished, std::nullopt);
}

TEST(SchedulerTest, ARunOfAnotherSchedulersIsLeftAlone) {
  SettledRig rig;
  rig.options.others = {"alerts"};
  rig.add("archive", "0 2 * * *");
  rig.settle_past();
  JobRun theirs{.job = "alerts", .scheduled = at("2025-10-15T02:00:00Z")};
  theirs.started = theirs.scheduled;
  ASSERT_TRUE(rig.history.start_run(theirs).ok());
  rig.scheduler.reset();
  rig.start();
  rig.settle();
  EXPECT_EQ(rig.history.runs().back().status, RunStatus::running);
}

TEST(SchedulerTest, AnyJobRunsByHandAndOnlyOnceAtATime) {
  SettledRig rig;
  rig.add("archive", "0 2 * * *");
  rig.add("rebuild", "");
  rig.add("disabled", "* * * * *", false);
  rig.settle_past();
  rig.work["rebuild"] = [&rig](JobContext& context) -> base::Result<std::string> {
    EXPECT_EQ(context.trigger, Trigger::manual);
    EXPECT_EQ(context.scheduled, at("2025-10-15T01:00:00Z"));
    EXPECT_EQ(rig.scheduler->request_run("rebuild").error().code, ErrorCode::conflict);
    EXPECT_TRUE(rig.scheduler->request_run("disabled").ok());
    return std::string{};
  };
  EXPECT_EQ(rig.scheduler->request_run("rebuil").error().code, ErrorCode::not_found);
  ASSERT_TRUE(rig.scheduler->request_run("rebuild").ok());
  EXPECT_TRUE(rig.scheduler->request_run("rebuild").ok()) << "the run that waits stands for it";
  EXPECT_EQ(rig.state("rebuild").phase, Phase::waiting);
  rig.settle();
  EXPECT_EQ(rig.take_ran(),
            (Lines{"rebuild 2025-10-15T01:00 manual", "disabled 2025-10-15T01:00 manual"}));
  EXPECT_TRUE(rig.scheduler->request_run("rebuild").ok());
  EXPECT_EQ(rig.state("rebuild").next, std::nullopt);
  EXPECT_EQ(rig.state("disabled").next, std::nullopt);
}

TEST(SchedulerTest, TimesThatComeDuringTheJobsOwnRunAreSkippedAndRecordedOnce) {
  SettledRig rig;
  rig.add("snapshot", "*/5 * * * *");
  rig.settle_past();
  rig.work["snapshot"] = [&rig](JobContext&) -> base::Result<std::string> {
    rig.clock.advance(minutes{12});
    rig.work.clear();
    return std::string{};
  };
  rig.live(minutes{5});
  EXPECT_EQ(rig.take_ran(), Lines{"snapshot 2025-10-15T01:05 schedule"});
  EXPECT_EQ(rig.recorded().back(), "snapshot 2025-10-15T01:15 schedule skipped");
  EXPECT_EQ(rig.history.runs().back().error,
            "the run that began at 2025-10-15T01:05:00.000Z was in progress");
  EXPECT_EQ(rig.state("snapshot").last->status, RunStatus::succeeded);
  rig.live(minutes{3});
  EXPECT_EQ(rig.take_ran(), Lines{"snapshot 2025-10-15T01:20 schedule"});
}

TEST(SchedulerTest, JobsNeverOverlapAndALateOneRunsAfterTheOther) {
  SettledRig rig;
  rig.add("archive", "0 2 * * *");
  rig.add("clean-up", "0 3 * * *");
  rig.settle_past();
  rig.work["archive"] = [&rig](JobContext&) -> base::Result<std::string> {
    rig.clock.advance(minutes{90});
    EXPECT_EQ(rig.state("clean-up").phase, Phase::idle);
    return std::string{};
  };
  rig.live(hours{3});
  EXPECT_EQ(rig.take_ran(),
            (Lines{"archive 2025-10-15T02:00 schedule", "clean-up 2025-10-15T03:00 schedule"}));
  const JobRun& late = rig.history.runs().back();
  EXPECT_EQ(iso(late.started), "2025-10-15T03:30");
}

TEST(SchedulerTest, AJobThatWaitedRunsOnceForAllTheTimesThatCame) {
  SettledRig rig;
  rig.add("archive", "0 2 * * *");
  rig.add("snapshot", "*/10 * * * *");
  rig.settle_past();
  rig.live(minutes{59});
  rig.take_ran();
  rig.work["archive"] = [&rig](JobContext&) -> base::Result<std::string> {
    rig.clock.advance(minutes{25});
    return std::string{};
  };
  rig.live(minutes{27});
  EXPECT_EQ(rig.take_ran(),
            (Lines{"archive 2025-10-15T02:00 schedule", "snapshot 2025-10-15T02:20 schedule"}));
}

TEST(SchedulerTest, AClockThatStepsBackAnHourRepeatsNothing) {
  SettledRig rig;
  rig.add("snapshot", "*/10 * * * *");
  rig.add("archive", "0 2 * * *");
  rig.settle_past();
  rig.live(minutes{65});
  EXPECT_EQ(rig.take_ran().size(), 7U);
  rig.clock.set_wall(rig.clock.wall() - hours{1});
  rig.live(minutes{64});
  EXPECT_EQ(rig.take_ran(), Lines{});
  rig.live(minutes{1});
  EXPECT_EQ(rig.take_ran(), Lines{"snapshot 2025-10-15T02:10 schedule"});
  // Nor after a restart, whose memory is the history.
  rig.clock.set_wall(at("2025-10-15T01:30:00Z"));
  rig.start();
  rig.live(minutes{45});
  EXPECT_EQ(rig.take_ran(), Lines{});
}

TEST(SchedulerTest, AClockThatStepsInto2100AndBackGoesOnAsIfNothingHadBeen) {
  SettledRig rig;
  rig.add("snapshot", "* * * * *");
  rig.add("archive", "0 2 * * *");
  rig.settle_past();
  const base::Wall before = rig.clock.wall();
  rig.clock.set_wall(at("2100-06-01T12:00:30Z"));
  rig.settle();
  EXPECT_EQ(rig.take_ran(),
            (Lines{"archive 2100-06-01T02:00 schedule", "snapshot 2100-06-01T12:00 schedule"}));
  rig.clock.set_wall(before);
  rig.settle();
  EXPECT_EQ(rig.take_ran(), Lines{});
  rig.live(minutes{2});
  EXPECT_EQ(rig.take_ran(),
            (Lines{"snapshot 2025-10-15T01:01 schedule", "snapshot 2025-10-15T01:02 schedule"}));
  // A start remembers 2100, and still knows what it missed in the present.
  rig.scheduler.reset();
  rig.clock.advance(hours{2});
  rig.start();
  rig.settle();
  EXPECT_EQ(rig.take_ran(),
            (Lines{"archive 2025-10-15T02:00 catch_up", "snapshot 2025-10-15T03:02 catch_up"}));
}

TEST(SchedulerTest, CancellingEndsARunAndForgetsNone) {
  SettledRig rig;
  rig.add("archive", "");
  rig.add("clean-up", "");
  rig.settle_past();
  EXPECT_EQ(rig.scheduler->cancel("nothing").error().code, ErrorCode::not_found);
  EXPECT_EQ(rig.scheduler->cancel("archive").error().code, ErrorCode::conflict);
  rig.work["archive"] = [&rig](JobContext& context) -> base::Result<std::string> {
    EXPECT_FALSE(context.cancelled);
    EXPECT_TRUE(rig.scheduler->cancel("archive").ok());
    EXPECT_TRUE(context.cancelled);
    EXPECT_TRUE(rig.scheduler->request_run("clean-up").ok());
    return base::Error{ErrorCode::cancelled, base::Origin::self, base::Retry::never, 0, "stopped"};
  };
  rig.work["clean-up"] = [](JobContext& context) -> base::Result<std::string> {
    EXPECT_FALSE(context.cancelled) << "only the run that was meant";
    return std::string{};
  };
  ASSERT_TRUE(rig.scheduler->request_run("archive").ok());
  rig.settle();
  EXPECT_EQ(rig.history.runs()[0].status, RunStatus::failed);
  EXPECT_EQ(rig.history.runs()[1].status, RunStatus::succeeded);
  rig.take_ran();
  ASSERT_TRUE(rig.scheduler->request_run("archive").ok());
  ASSERT_TRUE(rig.scheduler->cancel("archive").ok());
  rig.settle();
  EXPECT_EQ(rig.take_ran(), Lines{}) << "it never began";
  EXPECT_EQ(rig.history.runs()[2].error, "cancelled before it began");
}

TEST(SchedulerTest, AnOrderlyEndInterruptsTheRunAndTheNextStartCatchesUp) {
  SettledRig rig;
  rig.add("archive", "0 2 * * *");
  rig.add("clean-up", "0 2 * * *");
  rig.settle_past();
  rig.work["archive"] = [&rig](JobContext& context) -> base::Result<std::string> {
    rig.scheduler->stop();
    EXPECT_TRUE(context.cancelled);
    return base::Error{ErrorCode::cancelled, base::Origin::self, base::Retry::never, 0, "stopped"};
  };
  rig.live(hours{1});
  EXPECT_EQ(rig.take_ran(), Lines{"archive 2025-10-15T02:00 schedule"});
  EXPECT_EQ(rig.recorded().back(), "archive 2025-10-15T02:00 schedule interrupted");
  EXPECT_EQ(rig.scheduler->request_run("archive").error().code, ErrorCode::unavailable);
  rig.work.clear();
  rig.start();
  rig.settle();
  EXPECT_EQ(rig.take_ran(),
            (Lines{"archive 2025-10-15T02:00 catch_up", "clean-up 2025-10-15T02:00 catch_up"}));
}

TEST(SchedulerTest, LongTextsAreCutAtTheLimitBetweenCharacters) {
  SettledRig rig;
  rig.add("archive", "");
  rig.settle_past();
  const auto summary_of = [&rig](std::string said) {
    rig.work["archive"] = [said](JobContext&) { return base::Result<std::string>{said}; };
    EXPECT_TRUE(rig.scheduler->request_run("archive").ok());
    rig.settle();
    return rig.history.runs().back().summary;
  };
  const std::string full(Scheduler::kTextBytesMax, 'x');
  EXPECT_EQ(summary_of(full), full);
  EXPECT_EQ(summary_of(full + "x"), full);
  const std::string short_of_one = full.substr(1);
  EXPECT_EQ(summary_of(short_of_one + "归"), short_of_one);
}

TEST(SchedulerTest, TheWaitEndsWithTheNextTimeOrThePoll) {
  SettledRig rig;
  rig.options.poll = std::chrono::milliseconds{250};
  rig.add("archive", "0 2 * * *");
  rig.settle_past();
  EXPECT_EQ(rig.scheduler->step(), std::chrono::milliseconds{250});
  rig.clock.set_wall(at("2025-10-15T01:59:59.900Z") + std::chrono::microseconds{1});
  EXPECT_EQ(rig.scheduler->step(), std::chrono::milliseconds{100});
}

}  // namespace
}  // namespace weir::jobs
