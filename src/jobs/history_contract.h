#pragma once
// What every History must do. An implementation's test says
//   INSTANTIATE_TYPED_TEST_SUITE_P(Name, HistoryContract, Fixture);
// where a Fixture has `History& history()`.

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "jobs/history.h"

namespace weir::jobs {

// Threading: one thread at a time.
template <typename Fixture>
class HistoryContract : public ::testing::Test {
 public:
  static base::Wall minute(int64_t number) {
    return base::Wall{std::chrono::minutes{29'000'000 + number}};
  }
  static JobRun begun(std::string job, int64_t number) {
    return {.job = std::move(job), .scheduled = minute(number), .started = minute(number)};
  }

  Fixture fixture;
};

TYPED_TEST_SUITE_P(HistoryContract);

TYPED_TEST_P(HistoryContract, GivesBackEveryFieldOfARun) {
  History& history = this->fixture.history();
  std::vector<JobRun> runs;
  for (const RunStatus status : {RunStatus::running, RunStatus::succeeded, RunStatus::failed,
                                 RunStatus::interrupted, RunStatus::skipped}) {
    for (const Trigger trigger : {Trigger::schedule, Trigger::catch_up, Trigger::manual}) {
      JobRun run = this->begun("archive", 1);
      run.trigger = trigger;
      run.started += std::chrono::milliseconds{7};
      run.status = status;
      if (status != RunStatus::running) run.finished = this->minute(2);
      if (status == RunStatus::succeeded) run.summary = "1 day, 2 parts: 归档";
      if (status == RunStatus::failed) run.error = "it's \"broken\"";
      run.id = history.start_run(run).value();
      runs.insert(runs.begin(), run);
    }
  }
  EXPECT_EQ(history.list("archive", 100, History::kNewest).value(), runs);
  EXPECT_EQ(history.last_run("archive").value(), runs.front());
}

TYPED_TEST_P(HistoryContract, AnEndReplacesTheRunningState) {
  History& history = this->fixture.history();
  JobRun run = this->begun("archive", 1);
  run.id = history.start_run(run).value();
  const JobRun other = this->begun("clean-up", 1);
  ASSERT_TRUE(history.start_run(other).ok());
  run.finished = this->minute(3);
  run.status = RunStatus::succeeded;
  run.summary = "done";
  ASSERT_TRUE(history.finish_run(run).ok());
  EXPECT_EQ(history.last_run("archive").value(), run);
  EXPECT_EQ(history.last_run("clean-up").value()->status, RunStatus::running);
  JobRun unknown = run;
  unknown.id = 4711;
  EXPECT_TRUE(history.finish_run(unknown).ok());
  EXPECT_EQ(history.list("", 10, History::kNewest).value().size(), 2U);
}

TYPED_TEST_P(HistoryContract, InterruptedRunsAreThoseThatStillRunOldestFirst) {
  History& history = this->fixture.history();
  EXPECT_TRUE(history.interrupted_runs().value().empty());
  JobRun ended = this->begun("a", 1);
  ended.id = history.start_run(ended).value();
  ended.status = RunStatus::failed;
  ASSERT_TRUE(history.finish_run(ended).ok());
  JobRun second = this->begun("b", 2);
  second.id = history.start_run(second).value();
  JobRun third = this->begun("a", 3);
  third.id = history.start_run(third).value();
  EXPECT_EQ(history.interrupted_runs().value(), (std::vector<JobRun>{second, third}));
}

TYPED_TEST_P(HistoryContract, ListsOneJobOrAllInPagesNewestFirst) {
  History& history = this->fixture.history();
  EXPECT_EQ(history.last_run("a").value(), std::nullopt);
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < 7; ++i)
    ids.push_back(history.start_run(this->begun(i % 2 == 0 ? "a" : "b", i)).value());
  const auto listed = [&](std::string_view job, size_t limit, int64_t before) {
    std::vector<int64_t> found;
    const std::vector<JobRun> runs = history.list(job, limit, before).value();
    for (const JobRun& run : runs)
      found.push_back(run.id);
    return found;
  };
  EXPECT_EQ(listed("a", 2, History::kNewest), (std::vector<int64_t>{ids[6], ids[4]}));
  EXPECT_EQ(listed("a", 9, ids[4]), (std::vector<int64_t>{ids[2], ids[0]}));
  EXPECT_EQ(listed("", 3, ids[6]), (std::vector<int64_t>{ids[5], ids[4], ids[3]}));
  EXPECT_TRUE(listed("c", 9, History::kNewest).empty());
  EXPECT_TRUE(listed("a", 9, ids[0]).empty());
}

TYPED_TEST_P(HistoryContract, KeepsTheNewestRunsOfEachJobAndNoMore) {
  History& history = this->fixture.history();
  const int64_t first = history.start_run(this->begun("busy", 0)).value();
  ASSERT_TRUE(history.start_run(this->begun("rare", 0)).ok());
  int64_t second = 0;
  for (size_t i = 1; i < History::kRunsKept; ++i) {
    const int64_t id = history.start_run(this->begun("busy", static_cast<int64_t>(i))).value();
    if (second == 0) second = id;
  }
  const auto oldest = [&history] {
    return history.list("busy", 2 * History::kRunsKept, History::kNewest).value().back().id;
  };
  EXPECT_EQ(oldest(), first);
  ASSERT_TRUE(history.start_run(this->begun("busy", 5000)).ok());
  EXPECT_EQ(oldest(), second);
  EXPECT_EQ(history.list("busy", 2 * History::kRunsKept, History::kNewest).value().size(),
            History::kRunsKept);
  EXPECT_EQ(history.list("rare", 10, History::kNewest).value().size(), 1U);
}

REGISTER_TYPED_TEST_SUITE_P(HistoryContract, GivesBackEveryFieldOfARun,
                            AnEndReplacesTheRunningState,
                            InterruptedRunsAreThoseThatStillRunOldestFirst,
                            ListsOneJobOrAllInPagesNewestFirst,
                            KeepsTheNewestRunsOfEachJobAndNoMore);

}  // namespace weir::jobs
