#pragma once
// What a node does by itself at its times (UTC): archive, clean up, report its size, publish
// snapshots. The jobs are those of the founding system; how they are run and remembered:
// jobs/scheduler.h.

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "app/alert_job.h"
#include "app/paced_thread.h"
#include "base/clock.h"
#include "base/logger.h"
#include "base/thread_annotations.h"
#include "config/config.h"
#include "jobs/scheduler.h"
#include "jobs/sqlite_history.h"
#include "objects/directory_store.h"
#include "os/files.h"
#include "pipeline/dashboard.h"
#include "sqlite/database.h"
#include "sqlite/writer.h"

namespace weir::app {

// Ownership: owns the object store, a reading connection, the scheduler and its thread; borrows the
//   writer, clock, files and logger.
// Threading: the control thread, unless said otherwise.
class Housekeeping {
 public:
  // What other parts of the node do for the jobs. Called on the jobs' thread, `live` on the
  // alerts'.
  struct Hooks {
    // Lets the consumer write all that follows from what is committed, and waits for it.
    std::function<base::Status(const std::atomic<bool>& cancelled)> derive;
    // Lets the consumer publish the snapshot of the paths soon. False: too many commands wait.
    std::function<bool()> request_snapshot;
    // None: not known yet.
    std::function<std::optional<pipeline::DashboardInputs::Rates>()> rates;
    AlertJob::LiveFigures live;
  };

  // Errors: those of objects::DirectoryStore::open(); unavailable (out of descriptors).
  static base::Result<std::unique_ptr<Housekeeping>> open(const config::Config& config,
                                                          const std::string& data_dir,
                                                          sqlite::Writer& writer,
                                                          base::Clock& clock, os::Files& files,
                                                          base::Logger& logger, Hooks hooks);
  ~Housekeeping();

  void start();
  // Ends the job that runs, and the thread. Before the writer's thread ends.
  void stop();

  // What the dashboard shows of a configuration: its routes stand for the founding system's paths.
  void apply(const config::Config& config);

  // Of both schedulers, as jobs::Scheduler has them.
  jobs::SchedulerReport report() const;
  base::Status request_run(std::string_view job);
  base::Status cancel(std::string_view job);
  AlertJob& alerts() { return alerts_; }
  // Why an operator should look at the database's size; empty: no reason.
  std::string disk_alarm() const;
  // Which sums the last audit found to differ; empty: none.
  std::string audit_alarm() const;
  // Of the last audit that ended; none before the first.
  struct Audited {
    uint64_t agrees = 0;
    uint64_t differs = 0;
    uint64_t skipped = 0;
    base::Wall at;
  };
  std::optional<Audited> audited() const;

 private:
  Housekeeping(const config::Config& config, const std::string& data_dir, sqlite::Writer& writer,
               std::unique_ptr<objects::DirectoryStore> store, base::Clock& clock,
               base::Logger& logger, Hooks hooks);
  std::string_view cron_of(std::string_view name, std::string_view otherwise) const;
  base::Wall kept_until(std::string_view name, std::string_view otherwise) const;
  base::Status write_kv(const std::function<base::Status(kv::Kv&)>& write);
  void add(jobs::Scheduler& scheduler, std::string_view name, std::string_view schedule,
           jobs::Job::Work work, bool routine = false);
  void add(std::string_view name, std::string_view schedule, jobs::Job::Work work) {
    add(scheduler_, name, schedule, std::move(work));
  }
  base::Status open_reader();
  base::Result<std::string> archive(jobs::JobContext& context);
  base::Result<std::string> clean_up(jobs::JobContext& context);
  base::Result<std::string> list_clients(jobs::JobContext& context);
  base::Result<std::string> audit(jobs::JobContext& context);
  base::Result<std::string> compact(jobs::JobContext& context);
  base::Result<std::string> retain(jobs::JobContext& context);
  base::Result<std::string> report_capacity(jobs::JobContext& context);
  base::Result<std::string> snapshot_dashboard(jobs::JobContext& context);
  base::Result<std::string> snapshot_geo(jobs::JobContext& context);

  const std::vector<std::string> disabled_;
  const std::vector<std::pair<std::string, std::string>> crons_;  // By the job's name.
  const uint64_t disk_bytes_max_;
  const int64_t hourly_days_;
  sqlite::Writer& writer_;
  const base::Clock& clock_;
  base::Logger& logger_;
  const Hooks hooks_;
  const std::unique_ptr<objects::DirectoryStore> store_;
  sqlite::Database reader_;          // Of the jobs.
  sqlite::Database history_reader_;  // Of the history.
  jobs::SqliteHistory history_;
  jobs::Scheduler scheduler_;
  // An archive may take an hour, and nobody wants to hear of a failure after it.
  sqlite::Database alerts_reader_;
  sqlite::Database alerts_history_reader_;
  AlertJob alerts_;
  jobs::SqliteHistory alerts_history_;
  jobs::Scheduler alerts_scheduler_;
  mutable base::Mutex mutex_;
  std::string disk_alarm_ WEIR_GUARDED_BY(mutex_);
  std::string audit_alarm_ WEIR_GUARDED_BY(mutex_);
  std::optional<Audited> audited_ WEIR_GUARDED_BY(mutex_);
  pipeline::DashboardInputs::Configured configured_ WEIR_GUARDED_BY(mutex_);
  std::unique_ptr<PacedThread> thread_;
  std::unique_ptr<PacedThread> alerts_thread_;
};

// The object store's directory in a data directory.
std::string objects_path(const std::string& data_dir);

// For the control socket and `weir jobs list`: what report() says, as JSON.
std::string jobs_json(const jobs::SchedulerReport& report);

}  // namespace weir::app
