#pragma once
// What was run, when, and how it ended: the memory that a restart needs to know what it missed, and
// people need to know what happened at night.
//
// This header is the port. `jobs/sqlite_history.h` implements it in the statistics database's file.
// Every implementation passes `jobs/history_contract.h`.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace weir::jobs {

enum class Trigger : uint8_t {
  schedule,  // Its time came.
  catch_up,  // Its time came while the process was down.
  manual,    // Somebody asked for it.
};

enum class RunStatus : uint8_t {
  running,
  succeeded,
  failed,
  interrupted,  // The process ended first, so it counts as not run.
  skipped,      // Its time came while an earlier run of the same job was in progress.
};

// The words that are stored and shown.
std::string_view to_string(Trigger trigger);
std::string_view to_string(RunStatus status);

// Times are stored in whole milliseconds.
struct JobRun {
  int64_t id = 0;  // Given by start_run(); ascending. 0: not stored.
  std::string job;
  Trigger trigger = Trigger::schedule;
  base::Wall scheduled;  // The scheduled minute; by hand: when it was asked for.
  base::Wall started;
  std::optional<base::Wall> finished;  // None while running, or when nobody saw the end.
  RunStatus status = RunStatus::running;
  std::string summary;  // What a job that succeeded has to say.
  std::string error;    // Why it did not.
  bool operator==(const JobRun&) const = default;
};

// Ownership: the composition root owns it.
// Threading: one thread at a time. Another thread uses a History of its own over the same store.
// Limits: the newest kRunsKept runs of each job are kept; older ones go as new ones come.
class History {
 public:
  static constexpr size_t kRunsKept = 1000;
  static constexpr int64_t kNewest = std::numeric_limits<int64_t>::max();

  virtual ~History() = default;

  // Stores a new run, whatever its status, and returns its id; durable when it returns ok. A run
  // is stored when it begins; one that was skipped, or whose beginning could not be stored, later
  // and whole. `run.id` is ignored.
  // Blocks for the store. Errors (Origin::storage): unavailable, limit_exceeded (disk full),
  // corrupt, conflict: retry with back-off.
  virtual base::Result<int64_t> start_run(const JobRun& run) = 0;

  // Stores `finished`, `status`, `summary` and `error` of the run with `run.id`. Does nothing when
  // that is no longer kept. Errors: as start_run().
  virtual base::Status finish_run(const JobRun& run) = 0;

  // All runs with status `running`, oldest first: after a start, those that were cut short.
  // Errors: as start_run().
  virtual base::Result<std::vector<JobRun>> interrupted_runs() = 0;

  // The newest run of the job, whatever its status. Errors: as start_run().
  virtual base::Result<std::optional<JobRun>> last_run(std::string_view job) = 0;

  // Up to `limit` runs of the job (empty: of all jobs) with ids below `before`, newest first.
  // Errors: as start_run().
  virtual base::Result<std::vector<JobRun>> list(std::string_view job, size_t limit,
                                                 int64_t before) = 0;
};

}  // namespace weir::jobs
