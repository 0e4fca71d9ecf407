#pragma once
// One read-only SQL query over archived and live events together: within it, traffic_events,
// exchanges and events hold what came on some days, and nobody needs to know what of it has left
// the database.
//
//   begin to read ─► which completed parts are not held? ─► none: run the query, in that same
//        ▲                                │                       read transaction
//        └─────── load each, proven ◄─────┘
//
// Nothing is read for long while parts are loaded, so the write-ahead log can start anew, and
// archiving, clean-up and compaction go on beside it: what they change meanwhile is seen at the
// next turn. A part that is not what was recorded of it gives no answer, rather than one without
// it.

#include <string>
#include <string_view>

#include "base/clock.h"
#include "objects/objects.h"
#include "pipeline/archiver.h"
#include "sqlite/database.h"
#include "stats/archived_rows.h"
#include "stats/query.h"

namespace weir::pipeline {

// Ownership: borrows all it is given.
// Threading: one thread at a time, which is the thread of the Database.
// Limits: those of stats::ArchivedRows, and memory of one gzip member.
class ArchiveQuery {
 public:
  // `reader`: a query_only Database that is open and nobody else's until this is destroyed.
  ArchiveQuery(sqlite::Database& reader, objects::Store& store, const base::Clock& clock,
               const stats::Days& days)
      : reader_(reader), store_(store), clock_(clock), rows_(reader, days) {}

  // As stats::run_query(). Progress is in rows loaded. Once.
  // Blocks for the loading, and then as run_query().
  // Errors: those of run_query(); cancelled: also by `work`; corrupt: an object is damaged, or not
  // what was recorded; not_found: it is missing; unavailable: as in objects.h, or the archive
  // changes faster than it can be loaded. `message` names the object.
  stats::QueryOutcome run(std::string_view sql, const stats::QueryOptions& options,
                          const stats::QueryEvents& events, const Work& work);

 private:
  base::Status begin(const Work& work);
  base::Status load(const stats::ArchivePart& part, const Work& work);
  base::Result<bool> is_named(const stats::ArchivePart& part);

  sqlite::Database& reader_;
  objects::Store& store_;
  const base::Clock& clock_;
  stats::ArchivedRows rows_;
  uint64_t rows_loaded_ = 0;
  uint64_t rows_to_load_ = 0;
  std::string message_;
};

}  // namespace weir::pipeline
