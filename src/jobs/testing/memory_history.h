#pragma once
// A History in memory that fails when told to.

#include <algorithm>
#include <vector>

#include "jobs/history.h"

namespace weir::jobs::testing {

// Threading: one thread at a time.
class MemoryHistory final : public History {
 public:
  // Operations fail from number `nth` (from 0, counted anew by this call), `count` of them.
  void fail_at(int64_t nth, int64_t count) {
    operations_ = 0;
    fail_from_ = nth;
    fail_count_ = count;
    struck_ = false;
  }
  void heal() { fail_count_ = 0; }
  bool struck() const { return struck_; }

  const std::vector<JobRun>& runs() const { return runs_; }  // Oldest first.

  base::Result<int64_t> start_run(const JobRun& run) override {
    WEIR_TRY(operate());
    runs_.push_back(run);
    runs_.back().id = ++last_id_;
    const auto same = [&run](const JobRun& other) { return other.job == run.job; };
    if (std::count_if(runs_.begin(), runs_.end(), same) > static_cast<int64_t>(kRunsKept)) {
      runs_.erase(std::find_if(runs_.begin(), runs_.end(), same));
    }
    return last_id_;
  }

  base::Status finish_run(const JobRun& run) override {
    WEIR_TRY(operate());
    for (JobRun& stored : runs_) {
      if (stored.id != run.id) continue;
      stored.finished = run.finished;
      stored.status = run.status;
      stored.summary = run.summary;
      stored.error = run.error;
    }
    return {};
  }

  base::Result<std::vector<JobRun>> interrupted_runs() override {
    WEIR_TRY(operate());
    std::vector<JobRun> found;
    for (const JobRun& run : runs_) {
      if (run.status == RunStatus::running) found.push_back(run);
    }
    return found;
  }

  base::Result<std::optional<JobRun>> last_run(std::string_view job) override {
    const std::vector<JobRun> runs = WEIR_TRY(list(job, 1, kNewest));
    return runs.empty() ? std::optional<JobRun>{} : std::optional<JobRun>{runs.front()};
  }

  base::Result<std::vector<JobRun>> list(std::string_view job, size_t limit,
                                         int64_t before) override {
    WEIR_TRY(operate());
    std::vector<JobRun> found;
    for (auto run = runs_.rbegin(); run != runs_.rend() && found.size() < limit; ++run) {
      if ((job.empty() || run->job == job) && run->id < before) found.push_back(*run);
    }
    return found;
  }

 private:
  base::Status operate() {
    const int64_t number = operations_++;
    if (number < fail_from_ || number - fail_from_ >= fail_count_) return {};
    struck_ = true;
    return base::Error{base::ErrorCode::unavailable, base::Origin::storage,
                       base::Retry::with_backoff, 5, "store that fails"};
  }

  std::vector<JobRun> runs_;
  int64_t last_id_ = 0;
  int64_t operations_ = 0;
  int64_t fail_from_ = 0;
  int64_t fail_count_ = 0;
  bool struck_ = false;
};

}  // namespace weir::jobs::testing
