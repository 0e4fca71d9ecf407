#include "jobs/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "codec/iso_time.h"

namespace weir::jobs {
namespace {

using base::Error;
using base::ErrorCode;
using base::LogLevel;
using base::MutexLock;
using std::chrono::milliseconds;

Error refusal(ErrorCode code, base::StaticText what) {
  return {code, base::Origin::client, base::Retry::never, 0, what};
}

// At most kTextBytesMax bytes, and no half character at the end.
std::string cut(std::string text) {
  if (text.size() <= Scheduler::kTextBytesMax) return text;
  size_t end = Scheduler::kTextBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U)
    --end;
  text.resize(end);
  return text;
}

std::string describe(const Error& error) {
  if (error.os_errno == 0) return std::string{error.what.view()};
  return fmt::format("{} (errno {})", error.what.view(), error.os_errno);
}

std::string iso(base::Wall time) {
  return codec::iso_ms(base::unix_ms(time));
}

bool is_settled(const JobRun& run) {
  return run.status == RunStatus::succeeded || run.status == RunStatus::failed ||
         run.status == RunStatus::skipped;
}

}  // namespace

Scheduler::Scheduler(History& history, const base::Clock& clock, base::Logger& logger,
                     SchedulerOptions options)
    : history_(history),
      clock_(clock),
      logger_(logger),
      options_(std::move(options)),
      log_(history, clock, logger, Backoff{options_.retry_first, options_.retry_max}),
      load_backoff_(options_.retry_first, options_.retry_max) {}

void Scheduler::add(Job job) {
  WEIR_ASSERT(!begun_ && entries_.size() < kJobsMax);
  WEIR_ASSERT(!job.name.empty() && !find(job.name) && job.work);
  entries_.push_back({std::move(job), std::nullopt});
  const MutexLock lock{mutex_};
  live_.emplace_back();
}

milliseconds Scheduler::step() {
  const base::Wall now = clock_.wall();
  if (!begun_) begin(now);
  log_.write_waiting();
  read_history(now);
  queue_due(now);
  std::optional<Waiting> next = take_next();
  if (next) {
    catch_later_times(*next);
    run(*next);
  }
  publish();
  return next ? milliseconds{0} : idle_wait(now);
}

void Scheduler::begin(base::Wall now) {
  begun_ = true;
  for (Entry& entry : entries_) {
    if (entry.job.enabled && entry.job.schedule) entry.timetable.emplace(*entry.job.schedule, now);
  }
}

// What waits to be written goes first: what was not is taken for interrupted.
void Scheduler::read_history(base::Wall now) {
  if (loaded_ || log_.waiting() > 0 || !load_backoff_.due(clock_.monotonic())) return;
  const base::Status status = load(now);
  loaded_ = status.ok();
  if (loaded_) {
    load_alarm_.clear();
    return;
  }
  load_backoff_.failed(clock_.monotonic());
  // At the first start the store may be about to be made: that is no alarm yet.
  if (++load_failures_ < 2) return;
  const bool raised = load_alarm_.empty();
  load_alarm_ = fmt::format("the job history cannot be read, what was missed is not caught up: {}",
                            describe(status.error()));
  if (raised) logger_.write(LogLevel::error, {}, load_alarm_);
}

base::Status Scheduler::load(base::Wall now) {
  std::vector<JobRun> interrupted = WEIR_TRY(history_.interrupted_runs());
  for (JobRun& run : interrupted) {
    const auto& others = options_.others;
    if (std::find(others.begin(), others.end(), run.job) != others.end()) continue;
    run.status = RunStatus::interrupted;
    run.error = "the process ended during the run";
    WEIR_TRY(history_.finish_run(run));
    logger_.log(LogLevel::warning, "job {}: its run of {} was interrupted", run.job,
                iso(run.started));
  }
  std::vector<std::vector<JobRun>> past;
  for (const Entry& entry : entries_)
    past.push_back(WEIR_TRY(history_.list(entry.job.name, History::kRunsKept, History::kNewest)));
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].timetable) adopt(*entries_[i].timetable, past[i], now);
    const MutexLock lock{mutex_};
    if (!live_[i].last && !past[i].empty()) live_[i].last = past[i].front();
  }
  return {};
}

void Scheduler::adopt(Timetable& timetable, const std::vector<JobRun>& past, base::Wall now) {
  const std::optional<base::Wall> last = timetable.cron().last_at_or_before(now);
  bool missed = last && !timetable.was_taken(*last);
  for (const JobRun& run : past) {  // Newest first.
    if (!is_settled(run)) continue;
    if (run.trigger != Trigger::manual) timetable.remember(run.scheduled);
    // What a clock ahead of time recorded proves nothing, hence `<= now`.
    if (last && run.scheduled >= *last && run.scheduled <= now) missed = false;
  }
  if (missed) timetable.owe(*last);
}

void Scheduler::queue_due(base::Wall now) {
  std::vector<Waiting> due;
  const MutexLock lock{mutex_};
  for (size_t i = 0; i < entries_.size(); ++i) {
    std::optional<Timetable>& timetable = entries_[i].timetable;
    if (!timetable || live_[i].phase != Phase::idle) continue;
    const std::optional<Timetable::Due> time = timetable->due(now);
    if (!time) continue;
    timetable->take(time->scheduled);
    due.push_back({i, time->missed ? Trigger::catch_up : Trigger::schedule, time->scheduled});
    live_[i].phase = Phase::waiting;
  }
  std::stable_sort(due.begin(), due.end(),
                   [](const Waiting& a, const Waiting& b) { return a.scheduled < b.scheduled; });
  queue_.insert(queue_.end(), due.begin(), due.end());
}

std::optional<Scheduler::Waiting> Scheduler::take_next() {
  const MutexLock lock{mutex_};
  if (stopping_ || queue_.empty()) return std::nullopt;
  const Waiting next = queue_.front();
  queue_.pop_front();
  live_[next.job].phase = Phase::running;
  cancel_.store(next.cancelled, std::memory_order_relaxed);
  return next;
}

// A run that waited stands for all the times that came meanwhile.
void Scheduler::catch_later_times(Waiting& next) {
  std::optional<Timetable>& timetable = entries_[next.job].timetable;
  if (next.trigger == Trigger::manual || !timetable) return;
  const std::optional<Timetable::Due> due = timetable->due(clock_.wall());
  if (!due) return;
  timetable->take(due->scheduled);
  next.scheduled = due->scheduled;
  next.trigger = Trigger::schedule;
}

void Scheduler::run(const Waiting& next) {
  Entry& entry = entries_[next.job];
  JobRun run{.job = entry.job.name,
             .trigger = next.trigger,
             .scheduled = next.scheduled,
             .started = clock_.wall()};
  const bool stored = !entry.job.routine || next.trigger == Trigger::manual;
  if (stored) log_.begin(run);
  publish();
  {
    const MutexLock lock{mutex_};
    live_[next.job].current = run;
  }
  const base::Result<std::string> result = work(next);
  run.finished = clock_.wall();
  judge(run, result, stored ? LogLevel::info : LogLevel::debug);
  if (stored || run.status == RunStatus::failed) log_.end(run);
  skip_missed(entry, run);
  const MutexLock lock{mutex_};
  live_[next.job] = {.last = std::move(run)};
}

base::Result<std::string> Scheduler::work(const Waiting& next) {
  if (next.cancelled) return refusal(ErrorCode::cancelled, "cancelled before it began");
  JobContext context{
      .trigger = next.trigger,
      .scheduled = next.scheduled,
      .clock = clock_,
      .cancelled = cancel_,
      .progress = [this, &next](uint64_t done, uint64_t total, std::string_view unit) {
        const MutexLock lock{mutex_};
        live_[next.job].progress = {done, total, std::string{unit}};
      }};
  return entries_[next.job].job.work(context);
}

void Scheduler::judge(JobRun& run, const base::Result<std::string>& result, LogLevel success) {
  const auto took = std::chrono::duration_cast<milliseconds>(*run.finished - run.started);
  if (result.ok()) {
    run.status = RunStatus::succeeded;
    run.summary = cut(result.value());
    return logger_.log(success, "job {}: succeeded in {} ms: {}", run.job, took.count(),
                       run.summary);
  }
  run.error = cut(describe(result.error()));
  run.status = RunStatus::failed;
  {
    const MutexLock lock{mutex_};
    if (stopping_) run.status = RunStatus::interrupted;
  }
  logger_.log(run.status == RunStatus::failed ? LogLevel::error : LogLevel::warning,
              "job {}: {} after {} ms: {}", run.job, to_string(run.status), took.count(),
              run.error);
}

void Scheduler::skip_missed(Entry& entry, const JobRun& run) {
  if (!entry.timetable) return;
  const std::optional<Timetable::Due> due = entry.timetable->due(*run.finished);
  if (!due || due->scheduled <= run.started) return;
  entry.timetable->take(due->scheduled);
  if (entry.job.routine) return;
  log_.end({.job = run.job,
            .trigger = Trigger::schedule,
            .scheduled = due->scheduled,
            .started = *run.finished,
            .finished = *run.finished,
            .status = RunStatus::skipped,
            .error = fmt::format("the run that began at {} was in progress", iso(run.started))});
  logger_.log(LogLevel::warning, "job {}: {} is skipped, the run that began at {} was in progress",
              run.job, iso(due->scheduled), iso(run.started));
}

void Scheduler::publish() {
  const MutexLock lock{mutex_};
  shown_.history_read = loaded_;
  shown_.runs_waiting = log_.waiting();
  shown_.runs_lost = log_.lost();
  shown_.alarm = log_.alarm().empty() ? load_alarm_ : log_.alarm();
}

milliseconds Scheduler::idle_wait(base::Wall now) const {
  base::Wall::duration wait = options_.poll;
  for (const Entry& entry : entries_) {
    if (!entry.timetable) continue;
    const std::optional<base::Wall> next = entry.timetable->cron().next_after(now);
    if (next) wait = std::min(wait, *next - now);
  }
  return std::chrono::ceil<milliseconds>(wait);
}

std::optional<size_t> Scheduler::find(std::string_view name) const {
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].job.name == name) return i;
  }
  return std::nullopt;
}

base::Status Scheduler::request_run(std::string_view name) {
  const std::optional<size_t> job = find(name);
  if (!job) return refusal(ErrorCode::not_found, "job");
  const MutexLock lock{mutex_};
  if (stopping_) return refusal(ErrorCode::unavailable, "the process is about to end");
  switch (live_[*job].phase) {
    case Phase::running:
      return refusal(ErrorCode::conflict, "the job is running");
    case Phase::waiting:
      for (const Waiting& waiting : queue_) {
        if (waiting.job == *job && waiting.cancelled)
          return refusal(ErrorCode::conflict, "the job is about to be recorded as cancelled");
      }
      return {};
    case Phase::idle:
      break;
  }
  live_[*job].phase = Phase::waiting;
  queue_.push_back({*job, Trigger::manual, clock_.wall()});
  return {};
}

base::Status Scheduler::cancel(std::string_view name) {
  const std::optional<size_t> job = find(name);
  if (!job) return refusal(ErrorCode::not_found, "job");
  const MutexLock lock{mutex_};
  switch (live_[*job].phase) {
    case Phase::running:
      cancel_.store(true, std::memory_order_relaxed);
      return {};
    case Phase::waiting:
      for (Waiting& waiting : queue_) {
        if (waiting.job == *job) waiting.cancelled = true;
      }
      return {};
    case Phase::idle:
      break;
  }
  return refusal(ErrorCode::conflict, "the job is not running");
}

void Scheduler::stop() {
  const MutexLock lock{mutex_};
  stopping_ = true;
  cancel_.store(true, std::memory_order_relaxed);
}

SchedulerReport Scheduler::report() const {
  const base::Wall now = clock_.wall();
  const MutexLock lock{mutex_};
  SchedulerReport report = shown_;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Job& job = entries_[i].job;
    const Live& live = live_[i];
    report.jobs.push_back(
        {.name = job.name,
         .schedule = job.schedule ? job.schedule->text() : std::string{},
         .enabled = job.enabled,
         .phase = live.phase,
         .next = job.enabled && job.schedule ? job.schedule->next_after(now) : std::nullopt,
         .current = live.current,
         .last = live.last,
         .progress = live.progress});
  }
  return report;
}

}  // namespace weir::jobs
