#pragma once
// Runs named jobs at their times, one after the other, and remembers what it ran.
//
//   schedule ──due──┐                       ┌─► History: begun … ended
//   missed at start ┼─► queue ─► one job ───┤
//   by hand ────────┘   (FIFO)   at a time  └─► report(): phase, progress, last run
//
// One thread runs all jobs of a scheduler, so no two ever overlap: neither two runs of one job, nor
// archive and clean-up, whose order matters. What becomes due at the same moment is queued by
// scheduled time, then in the order of add(). A job whose time comes while another one runs is run
// late, once, for the last of the times that came; whose time comes while it runs itself is not run
// again: that is recorded as `skipped`, once for all the times that came, with the last of them.
//
// After downtime, a job whose last scheduled time has no run that ended is run once, as `catch_up`.
// A run that was cut short by the end of the process is marked `interrupted` at the next start and
// counts as not run; one that failed counts as run, and its next chance is its next time. Steps of
// the wall clock: timetable.h.
//
// A routine job leaves no trace of the runs by schedule that went well: each start takes it for
// missed and runs it at once.
//
// Several schedulers, each on a thread of its own and with a History of its own, may share a store:
// SchedulerOptions::others.
//
// Degraded: when the History fails, jobs run all the same, and what they did is written later
// (run_log.h); catching up waits until the history can be read. Both raise report().alarm.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "base/result.h"
#include "base/thread_annotations.h"
#include "codec/cron.h"
#include "jobs/history.h"
#include "jobs/run_log.h"
#include "jobs/timetable.h"

namespace weir::jobs {

// What a job is given for one run. Valid until the job returns.
struct JobContext {
  Trigger trigger;
  base::Wall scheduled;  // The minute it is run for; by hand: when it was asked for.
  const base::Clock& clock;
  // True: end soon, with an error `cancelled`. Fits sqlite::Database::set_deadline().
  const std::atomic<bool>& cancelled;
  // How far it is: `done` of `total` (0: unknown) `unit`s ("rows"). Cheap; as often as one likes.
  std::function<void(uint64_t done, uint64_t total, std::string_view unit)> progress;
};

struct Job {
  // One sentence about what was done, or why it was not. Runs on the jobs thread.
  using Work = std::function<base::Result<std::string>(JobContext&)>;

  std::string name;                     // Unique.
  std::optional<codec::Cron> schedule;  // None: by hand only.
  bool enabled = true;                  // False: by hand only, too.
  // True: it runs so often that nobody wants to read of each run. Of those by schedule only
  // failures are stored in the history and logged; those by hand are, all.
  bool routine = false;
  Work work;
};

enum class Phase : uint8_t { idle, waiting, running };

struct Progress {
  uint64_t done = 0;
  uint64_t total = 0;  // 0: unknown.
  std::string unit;
};

struct JobState {
  std::string name;
  std::string schedule;  // Empty: none.
  bool enabled = true;
  Phase phase = Phase::idle;
  std::optional<base::Wall> next;  // None: by hand only.
  std::optional<JobRun> current;   // While running.
  std::optional<JobRun> last;      // That ended; of earlier lives of the process, too.
  Progress progress;               // Of the current run.
};

struct SchedulerReport {
  std::vector<JobState> jobs;  // In the order of add().
  bool history_read = false;   // What was missed before the start is known.
  uint64_t runs_waiting = 0;   // Runs that the history does not show yet.
  uint64_t runs_lost = 0;      // Runs that it will never show.
  std::string alarm;           // Empty: the history works.
};

struct SchedulerOptions {
  std::chrono::milliseconds poll{250};  // Longest wait: clocks step, and people ask.
  std::chrono::milliseconds retry_first{1'000};
  std::chrono::milliseconds retry_max{60'000};
  // Jobs of other schedulers over the same store, which may run when this one begins.
  std::vector<std::string> others{};
};

// Ownership: borrows everything it is given.
// Threading: add() before the first step(); step(): the jobs thread; the rest: any thread.
// Limits: kJobsMax jobs. Summaries and errors are cut to kTextBytesMax bytes.
class Scheduler {
 public:
  static constexpr size_t kJobsMax = 64;
  static constexpr size_t kTextBytesMax = 1000;

  Scheduler(History& history, const base::Clock& clock, base::Logger& logger,
            SchedulerOptions options = {});
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Requires a new name, and less than kJobsMax jobs.
  void add(Job job);

  // Runs at most one job. Returns how long to wait before the next call; 0: call at once.
  // Blocks for that job and the history.
  std::chrono::milliseconds step();

  // Runs the job as soon as no other one runs, enabled or not. A run that waits already, by
  // schedule or by hand, stands for this one too.
  // Errors (Origin::client): not_found; conflict (it runs, or its waiting was cancelled);
  // unavailable (stop()).
  base::Status request_run(std::string_view name);

  // Ends the run of the job, or its waiting: recorded as failed, unless the job ends well all the
  // same. Returns before that. Errors (Origin::client): not_found; conflict (it does not run).
  base::Status cancel(std::string_view name);

  // The process is about to end: no further job begins; the one that runs is cancelled and
  // recorded as interrupted. Returns at once.
  void stop();

  SchedulerReport report() const;

 private:
  struct Entry {
    Job job;
    std::optional<Timetable> timetable;  // When it is run by schedule; from the first step on.
  };
  struct Waiting {
    size_t job;
    Trigger trigger;
    base::Wall scheduled;
    bool cancelled = false;
  };
  struct Live {
    Phase phase = Phase::idle;
    std::optional<JobRun> current;
    std::optional<JobRun> last;
    Progress progress;
  };

  void begin(base::Wall now);
  void read_history(base::Wall now);
  base::Status load(base::Wall now);
  static void adopt(Timetable& timetable, const std::vector<JobRun>& past, base::Wall now);
  void queue_due(base::Wall now);
  std::optional<Waiting> take_next();
  void catch_later_times(Waiting& next);
  void run(const Waiting& next);
  base::Result<std::string> work(const Waiting& next);
  void judge(JobRun& run, const base::Result<std::string>& result, base::LogLevel success);
  void skip_missed(Entry& entry, const JobRun& run);
  void publish();
  std::chrono::milliseconds idle_wait(base::Wall now) const;
  std::optional<size_t> find(std::string_view name) const;

  History& history_;
  const base::Clock& clock_;
  base::Logger& logger_;
  const SchedulerOptions options_;
  RunLog log_;
  std::vector<Entry> entries_;  // Jobs and their number: constant from the first step on.
  bool begun_ = false;
  bool loaded_ = false;
  int load_failures_ = 0;
  Backoff load_backoff_;
  std::string load_alarm_;

  // Raised for the run in progress. Carries no other data, so its order with other memory does not
  // matter; written under the mutex, so that it never hits the run after the one that was meant.
  std::atomic<bool> cancel_{false};

  mutable base::Mutex mutex_;
  std::vector<Live> live_ WEIR_GUARDED_BY(mutex_);     // In step with entries_.
  std::deque<Waiting> queue_ WEIR_GUARDED_BY(mutex_);  // At most one of each job.
  SchedulerReport shown_ WEIR_GUARDED_BY(mutex_);      // Without the jobs.
  bool stopping_ WEIR_GUARDED_BY(mutex_) = false;
};

}  // namespace weir::jobs
