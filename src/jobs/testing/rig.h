#pragma once
// A scheduler over a History in memory and a clock that a test moves, which tests restart and kill.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/assert.h"
#include "codec/iso_time.h"
#include "jobs/scheduler.h"
#include "jobs/testing/memory_history.h"

namespace weir::jobs::testing {

// Threading: one thread at a time.
class LineLogger final : public base::Logger {
 public:
  void write(base::LogLevel level, std::string_view /*marker*/, std::string_view text) override {
    lines.emplace_back(text);
    if (level == base::LogLevel::error) errors.emplace_back(text);
  }
  bool enabled(base::LogLevel) const override { return true; }

  std::vector<std::string> lines;
  std::vector<std::string> errors;
};

inline base::Wall at(std::string_view iso) {
  return base::Wall{std::chrono::milliseconds{codec::parse_iso_ms(iso).value()}};
}

inline std::string iso(base::Wall time) {
  return codec::iso_ms(base::unix_ms(time)).substr(0, 16);
}

// Threading: one thread at a time.
class Rig {
 public:
  explicit Rig(std::string_view now = "2025-10-15T01:00:00Z") : clock(at(now)) {}

  // Jobs are added to this life of the scheduler, and to every later one.
  void add(std::string name, std::string_view schedule, bool enabled = true, bool routine = false) {
    Job job{.name = name,
            .enabled = enabled,
            .routine = routine,
            .work = [this, name](JobContext& context) {
              ran.push_back(name + " " + iso(context.scheduled) + " " +
                            std::string{to_string(context.trigger)});
              const auto special = work.find(name);
              if (special != work.end()) return special->second(context);
              return base::Result<std::string>{name + " done"};
            }};
    if (!schedule.empty()) job.schedule = codec::Cron::parse(schedule).value();
    jobs_.push_back(job);
    if (scheduler) scheduler->add(std::move(job));
  }

  // Also after a kill: what was in memory is gone.
  void start() {
    scheduler.reset();
    scheduler = std::make_unique<Scheduler>(history, clock, logger, options);
    for (const Job& job : jobs_)
      scheduler->add(job);
  }

  // Steps until there is nothing more to do at this moment.
  void settle() {
    for (int steps = 0; scheduler->step().count() == 0; ++steps)
      WEIR_ASSERT(steps < 1000);
  }

  // Lives on for a while, waiting as the scheduler asks, at most a minute each time.
  void live(std::chrono::microseconds duration) {
    const base::Monotonic end = clock.monotonic() + duration;
    settle();
    while (clock.monotonic() < end) {
      const std::chrono::microseconds wait = scheduler->step();
      const auto left = std::chrono::ceil<std::chrono::microseconds>(end - clock.monotonic());
      clock.advance(std::min(wait, left));
      settle();
    }
  }

  JobState state(std::string_view name) const {
    for (const JobState& job : scheduler->report().jobs) {
      if (job.name == name) return job;
    }
    WEIR_ASSERT(!"no such job");
    return {};
  }

  // What was run since the last call: "archive 2025-10-15T02:00 schedule".
  std::vector<std::string> take_ran() { return std::exchange(ran, {}); }

  // The history: "archive 2025-10-15T02:00 schedule succeeded".
  std::vector<std::string> recorded() const {
    std::vector<std::string> lines;
    for (const JobRun& run : history.runs()) {
      lines.push_back(run.job + " " + iso(run.scheduled) + " " +
                      std::string{to_string(run.trigger)} + " " +
                      std::string{to_string(run.status)});
    }
    return lines;
  }

  base::ManualClock clock;
  MemoryHistory history;
  LineLogger logger;
  SchedulerOptions options{.poll = std::chrono::minutes{1}};
  std::map<std::string, Job::Work> work;  // Instead of succeeding at once.
  std::vector<std::string> ran;
  std::unique_ptr<Scheduler> scheduler;

 private:
  std::vector<Job> jobs_;
};

}  // namespace weir::jobs::testing
