#include "jobs/sqlite_history.h"

#include <algorithm>
#include <array>

namespace weir::jobs {
namespace {

using sqlite::Database;
using sqlite::Statement;

constexpr std::array<std::string_view, 1> kMigrations{
    "CREATE TABLE job_runs("
    "  run_id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  job TEXT NOT NULL,"
    "  trigger TEXT NOT NULL,"
    "  scheduled_ms INTEGER NOT NULL,"
    "  started_ms INTEGER NOT NULL,"
    "  finished_ms INTEGER,"
    "  status TEXT NOT NULL,"
    "  summary TEXT,"
    "  error TEXT"
    ") STRICT;"
    "CREATE INDEX job_runs_job ON job_runs(job);"  // Ends in run_id by itself.
    "CREATE INDEX job_runs_running ON job_runs(status) WHERE status = 'running';",
};

base::Wall wall(int64_t unix_ms) {
  return base::Wall{std::chrono::milliseconds{unix_ms}};
}

base::Error damaged() {
  return {base::ErrorCode::corrupt, base::Origin::storage, base::Retry::with_backoff, 0,
          "row of job_runs"};
}

base::Result<Trigger> read_trigger(std::string_view word) {
  for (const Trigger trigger : {Trigger::schedule, Trigger::catch_up, Trigger::manual}) {
    if (to_string(trigger) == word) return trigger;
  }
  return damaged();
}

base::Result<RunStatus> read_status(std::string_view word) {
  for (const RunStatus status : {RunStatus::running, RunStatus::succeeded, RunStatus::failed,
                                 RunStatus::interrupted, RunStatus::skipped}) {
    if (to_string(status) == word) return status;
  }
  return damaged();
}

// Columns in the order of the table.
base::Result<JobRun> read_run(const Statement& row) {
  JobRun run;
  run.id = row.column_int(0);
  run.job = row.column_text(1);
  run.trigger = WEIR_TRY(read_trigger(row.column_text(2)));
  run.scheduled = wall(row.column_int(3));
  run.started = wall(row.column_int(4));
  if (row.column_type(5) != sqlite::ColumnType::null) run.finished = wall(row.column_int(5));
  run.status = WEIR_TRY(read_status(row.column_text(6)));
  run.summary = row.column_text(7);
  run.error = row.column_text(8);
  return run;
}

// Parameters 2 to 5: how the run ended.
void bind_end(Statement& row, const JobRun& run) {
  if (run.finished) row.bind(2, base::unix_ms(*run.finished));
  row.bind_text(3, to_string(run.status));
  if (!run.summary.empty()) row.bind_text(4, run.summary);
  if (!run.error.empty()) row.bind_text(5, run.error);
}

base::Status insert(Database& database, const JobRun& run, int64_t& id) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  {
    const Database::Borrowed row =
        WEIR_TRY(database.cached("INSERT INTO job_runs(job, finished_ms, status, summary, error,"
                                 " trigger, scheduled_ms, started_ms)"
                                 " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"));
    row->bind_text(1, run.job);
    bind_end(*row, run);
    row->bind_text(6, to_string(run.trigger));
    row->bind(7, base::unix_ms(run.scheduled));
    row->bind(8, base::unix_ms(run.started));
    WEIR_TRY(row->run());
  }
  id = database.last_insert_id();
  {
    const Database::Borrowed trim = WEIR_TRY(
        database.cached("DELETE FROM job_runs WHERE job = ?1 AND run_id <= (SELECT run_id"
                        " FROM job_runs WHERE job = ?1 ORDER BY run_id DESC LIMIT 1 OFFSET ?2)"));
    trim->bind_text(1, run.job);
    trim->bind(2, static_cast<int64_t>(History::kRunsKept));
    WEIR_TRY(trim->run());
  }
  return transaction.commit();
}

base::Status update(Database& database, const JobRun& run) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  {
    const Database::Borrowed row =
        WEIR_TRY(database.cached("UPDATE job_runs SET finished_ms = ?2, status = ?3, summary = ?4,"
                                 " error = ?5 WHERE run_id = ?1"));
    row->bind(1, run.id);
    bind_end(*row, run);
    WEIR_TRY(row->run());
  }
  return transaction.commit();
}

}  // namespace

sqlite::Schema schema() {
  return {"jobs", kMigrations};
}

base::Result<int64_t> SqliteHistory::start_run(const JobRun& run) {
  int64_t id = 0;
  const auto command = [&run, &id](Database& database) { return insert(database, run, id); };
  WEIR_TRY(writer_.run(command));
  return id;
}

base::Status SqliteHistory::finish_run(const JobRun& run) {
  return writer_.run([&run](Database& database) { return update(database, run); });
}

base::Result<std::vector<JobRun>> SqliteHistory::interrupted_runs() {
  return read(Which::running, {}, kRunsKept * 100, kNewest);
}

base::Result<std::optional<JobRun>> SqliteHistory::last_run(std::string_view job) {
  const std::vector<JobRun> runs = WEIR_TRY(read(Which::of_job, job, 1, kNewest));
  return runs.empty() ? std::optional<JobRun>{} : std::optional<JobRun>{runs.front()};
}

base::Result<std::vector<JobRun>> SqliteHistory::list(std::string_view job, size_t limit,
                                                      int64_t before) {
  return read(job.empty() ? Which::of_all : Which::of_job, job, limit, before);
}

base::Result<std::vector<JobRun>> SqliteHistory::read(Which which, std::string_view job,
                                                      size_t limit, int64_t before) {
  if (!reader_.is_open()) WEIR_TRY(reader_.open());
  auto runs = query(which, job, limit, before);
  if (!runs.ok()) reader_.close();  // The file may have been replaced.
  return runs;
}

base::Result<std::vector<JobRun>> SqliteHistory::query(Which which, std::string_view job,
                                                       size_t limit, int64_t before) {
  const auto statement = [this, which] {
    switch (which) {
      case Which::of_job:
        return reader_.cached(
            "SELECT * FROM job_runs WHERE job = ?3 AND run_id < ?1"
            " ORDER BY run_id DESC LIMIT ?2");
      case Which::of_all:
        return reader_.cached(
            "SELECT * FROM job_runs WHERE run_id < ?1"
            " ORDER BY run_id DESC LIMIT ?2");
      case Which::running:
        break;
    }
    return reader_.cached(
        "SELECT * FROM job_runs WHERE status = 'running' AND run_id < ?1"
        " ORDER BY run_id LIMIT ?2");
  };
  const Database::Borrowed rows = WEIR_TRY(statement());
  rows->bind(1, before);
  rows->bind(2, static_cast<int64_t>(std::min<size_t>(limit, INT32_MAX)));
  if (which == Which::of_job) rows->bind_text(3, job);
  std::vector<JobRun> runs;
  while (WEIR_TRY(rows->step()))
    runs.push_back(WEIR_TRY(read_run(*rows)));
  return runs;
}

}  // namespace weir::jobs
