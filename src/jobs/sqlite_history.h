#pragma once
// The embedded History: the table of docs/formats/jobs.md in the statistics database's file.
//
// It writes through the thread of the writing connection and reads beside it.

#include "jobs/history.h"
#include "sqlite/database.h"
#include "sqlite/writer.h"

namespace weir::jobs {

// Goes into the Options of the writing Database.
sqlite::Schema schema();

// Ownership: borrows the Writer and the reading Database, which nobody else uses meanwhile.
// Threading: the thread of the reading Database, which is not the thread of the Writer's.
class SqliteHistory final : public History {
 public:
  // `reader` (query_only) need not be open, nor its file exist: it is opened when needed, and again
  // after an error.
  SqliteHistory(sqlite::Writer& writer, sqlite::Database& reader)
      : writer_(writer), reader_(reader) {}

  base::Result<int64_t> start_run(const JobRun& run) override;
  base::Status finish_run(const JobRun& run) override;
  base::Result<std::vector<JobRun>> interrupted_runs() override;
  base::Result<std::optional<JobRun>> last_run(std::string_view job) override;
  base::Result<std::vector<JobRun>> list(std::string_view job, size_t limit,
                                         int64_t before) override;

 private:
  enum class Which : uint8_t { of_job, of_all, running };
  base::Result<std::vector<JobRun>> read(Which which, std::string_view job, size_t limit,
                                         int64_t before);
  base::Result<std::vector<JobRun>> query(Which which, std::string_view job, size_t limit,
                                          int64_t before);

  sqlite::Writer& writer_;
  sqlite::Database& reader_;
};

}  // namespace weir::jobs
