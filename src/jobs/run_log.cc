#include "jobs/run_log.h"

#include <algorithm>

namespace weir::jobs {

void Backoff::failed(base::Monotonic now) {
  delay_ = std::min(std::max(first_, delay_ * 2), max_);
  retry_at_ = now + delay_;
}

void RunLog::begin(JobRun& run) {
  const base::Result<int64_t> id = history_.start_run(run);
  run.id = id.ok() ? id.value() : 0;
  if (id.ok()) {
    succeeded();
  } else {
    failed(id.error());
  }
}

void RunLog::end(const JobRun& run) {
  const base::Status stored = store(run);
  if (stored.ok()) return succeeded();
  waiting_.push_back(run);
  if (waiting_.size() > kWaitingMax) {
    const JobRun& oldest = waiting_.front();
    logger_.log(base::LogLevel::error, "job {}: its run {} ({}) is missing in the history",
                oldest.job, oldest.id, to_string(oldest.status));
    waiting_.pop_front();
    ++lost_;
  }
  failed(stored.error());
}

base::Status RunLog::store(const JobRun& run) {
  if (run.id != 0) return history_.finish_run(run);
  WEIR_TRY(history_.start_run(run));
  return {};
}

void RunLog::write_waiting() {
  if (waiting_.empty() || !backoff_.due(clock_.monotonic())) return;
  while (!waiting_.empty()) {
    const base::Status stored = store(waiting_.front());
    if (!stored.ok()) return failed(stored.error());
    waiting_.pop_front();
  }
  succeeded();
}

void RunLog::failed(const base::Error& error) {
  backoff_.failed(clock_.monotonic());
  const bool raised = alarm_.empty();
  alarm_ = fmt::format("the job history cannot be written: {}; {} runs wait", error.what.view(),
                       waiting_.size());
  if (raised) logger_.write(base::LogLevel::error, {}, alarm_);
}

void RunLog::succeeded() {
  if (!waiting_.empty()) return;
  backoff_.succeeded();
  if (alarm_.empty()) return;
  alarm_.clear();
  logger_.log(base::LogLevel::info, "the job history is written again");
}

}  // namespace weir::jobs
