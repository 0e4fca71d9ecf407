#pragma once
// Archived events beside the live ones, on one reading connection, so that a query sees the events
// of some days wherever their rows are.
//
//   temp.archived_events ─┐
//                         ├─► temp.events ─► temp.traffic_events, temp.exchanges
//   main.events ──────────┘
//   of the days; what is not held above
//
// A name without a schema is looked up in `temp` first, so a query need not know of it. An archived
// row stands there column by column as it stood in `events`, and the views are the stored ones,
// their own text compiled once more: values, types and columns are those of live rows because the
// same expressions make them. A table in the form of traffic_events would be larger, would have to
// repeat these expressions, and a query would have to compute all columns of all live rows.
//
// Parts never change once they are completed, and those of a day follow each other without a gap:
// so one number for each day, the seq up to which its rows are held, tells which live rows count.
// A clean-up can delete only rows of completed parts: as long as missing() is empty, in the same
// read transaction as the query, every event is seen once.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sqlite/database.h"
#include "stats/archive_parts.h"
#include "stats/sqlite_stats.h"

namespace weir::stats {

// Ownership: borrows the Database, a query_only one that is open and nobody else's meanwhile.
// Threading: the thread of the Database.
// Limits: memory of two caches: kCachedPathsMax paths, and the dictionary (SqliteStats::kWordsMax).
//   Disk of about 100 bytes for each archived row, among the temporary files; gone with the
//   connection.
class ArchivedRows {
 public:
  static constexpr size_t kCachedPathsMax = 50'000;

  ArchivedRows(sqlite::Database& reader, Days days) : reader_(reader), days_(days) {}
  ~ArchivedRows();
  ArchivedRows(const ArchivedRows&) = delete;
  ArchivedRows& operator=(const ArchivedRows&) = delete;

  // Makes the temporary table and views. Once, before anything else.
  // Errors of this and all below: those of sqlite/database.h.
  base::Status prepare();

  // Begins a read transaction in which queries see archived and live rows, and returns the
  // completed parts that it lacks, oldest first. With some, its rows are not to be believed.
  // Errors: corrupt: a part is missing between others; conflict: paths were deleted since
  // prepare(), so that rows may have lost theirs.
  base::Result<std::vector<ArchivePart>> begin_reading();
  void end_reading();

  // A row of `part`, which is one that was lacking; one that is held already is left out. Rows are
  // written in short transactions, so that no read of the database lasts for long. Errors: corrupt:
  // the row is none of the part.
  base::Status add(const ArchivePart& part, const StoredEvent& event);
  // All of its rows were added.
  base::Status finish(const ArchivePart& part);
  // It cannot be had after all: none of its rows stays.
  base::Status drop(const ArchivePart& part);

 private:
  base::Result<std::string> stored_sql(std::string_view name, std::string_view from);
  uint64_t held_through(int64_t day) const;
  base::Status insert(const StoredEvent& event);
  base::Result<int64_t> path_id(std::string_view path);
  base::Status bind_word(int parameter, size_t kind, std::string_view word);
  base::Status commit();
  void rollback();

  sqlite::Database& reader_;
  const Days days_;
  std::optional<sqlite::Statement> insert_, find_path_, add_path_, find_word_;
  int64_t paths_dropped_ = 0;         // When the temporary tables were made.
  std::map<int64_t, uint64_t> held_;  // Day to seq; as in temp.held_days.
  std::map<std::string, int64_t, std::less<>> paths_;
  std::array<std::map<std::string, int64_t, std::less<>>, SqliteStats::kWordsMax.size()> words_;
  bool reading_ = false;
  uint64_t uncommitted_ = 0;  // Rows; a transaction is open while there are some.
};

}  // namespace weir::stats
