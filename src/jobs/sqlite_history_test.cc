#include "jobs/sqlite_history.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "jobs/history_contract.h"
#include "jobs/testing/memory_history.h"
#include "sqlite/testing/fault_vfs.h"
#include "sqlite/testing/temp_directory.h"

namespace weir::jobs {
namespace {

using sqlite::Access;
using sqlite::Database;
using sqlite::testing::Fault;
using sqlite::testing::FaultVfs;
using sqlite::testing::Spell;
using sqlite::testing::TempDirectory;

// A database whose disk can fail, with the History over it.
struct Store {
  FaultVfs vfs;
  TempDirectory directory;
  Database database{directory.file("weir.db"), {.schemas = {schema()}, .vfs = FaultVfs::kName}};
  sqlite::DirectWriter writer{database};
  Database reader{directory.file("weir.db"), {.access = Access::query_only}};
  SqliteHistory table{writer, reader};

  Store() { EXPECT_TRUE(database.open().ok()); }
  History& history() { return table; }
};

struct Memory {
  testing::MemoryHistory fake;
  History& history() { return fake; }
};

INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, HistoryContract, Store);
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, HistoryContract, Memory);

JobRun begun(std::string job) {
  return {.job = std::move(job),
          .scheduled = base::Wall{std::chrono::hours{490'000}},
          .started = base::Wall{std::chrono::hours{490'000}}};
}

TEST(SqliteHistoryTest, ADatabaseThatIsNotThereYetIsReadOnceItIs) {
  TempDirectory directory;
  Database database{directory.file("weir.db"), {.schemas = {schema()}}};
  sqlite::DirectWriter writer{database};
  Database reader{directory.file("weir.db"), {.access = Access::query_only}};
  SqliteHistory history{writer, reader};
  EXPECT_EQ(history.interrupted_runs().error().code, base::ErrorCode::unavailable);
  ASSERT_TRUE(database.open().ok());
  ASSERT_TRUE(history.start_run(begun("archive")).ok());
  EXPECT_EQ(history.interrupted_runs().value().size(), 1U);
}

TEST(SqliteHistoryTest, AReaderGetsOverATableThatWasMissing) {
  TempDirectory directory;
  Database without{directory.file("weir.db"), {}};
  ASSERT_TRUE(without.open().ok());
  sqlite::DirectWriter writer{without};
  Database reader{directory.file("weir.db"), {.access = Access::query_only}};
  SqliteHistory history{writer, reader};
  EXPECT_FALSE(history.list("", 10, History::kNewest).ok());
  ASSERT_TRUE(sqlite::migrate(without, schema()).ok());
  EXPECT_TRUE(history.list("", 10, History::kNewest).ok());
}

TEST(SqliteHistoryTest, AWordThatNoReleaseWroteIsReportedAsCorrupt) {
  Store store;
  ASSERT_TRUE(store.history().start_run(begun("archive")).ok());
  ASSERT_TRUE(store.database.execute("UPDATE job_runs SET status = 'asleep'").ok());
  const auto runs = store.history().list("archive", 10, History::kNewest);
  ASSERT_FALSE(runs.ok());
  EXPECT_EQ(runs.error().code, base::ErrorCode::corrupt);
}

// Goal: a run is stored whole or not at all, and an id given out is there. Method: the disk dies
// at operation 0, 1, ... of a beginning and an end; then the process starts again.
TEST(SqliteHistoryTest, ADiskThatDiesAtAnyOperationLeavesWholeRuns) {
  bool struck = true;
  int64_t nth = 0;
  for (; struck; ++nth) {
    SCOPED_TRACE(nth);
    Store store;
    store.vfs.fail_at(nth, Fault::io_error, Spell::for_ever);
    JobRun run = begun("archive");
    const auto id = store.history().start_run(run);
    run.status = RunStatus::succeeded;
    run.summary = "done";
    run.finished = run.started;
    bool ended = false;
    if (id.ok()) {
      run.id = id.value();
      ended = store.history().finish_run(run).ok();
    }
    struck = store.vfs.struck();
    store.database.close();
    store.reader.close();
    store.vfs.heal();
    ASSERT_TRUE(store.database.open().ok());
    const std::vector<JobRun> runs = store.history().list("archive", 10, History::kNewest).value();
    ASSERT_TRUE(runs.size() == 1 || (runs.empty() && !id.ok()));
    if (ended) {
      EXPECT_EQ(runs.front(), run);
    } else if (!runs.empty()) {
      EXPECT_TRUE(runs.front() == run || runs.front().status == RunStatus::running);
    }
    EXPECT_EQ(ended, !struck);
  }
  EXPECT_GT(nth, 4);
}

}  // namespace
}  // namespace weir::jobs
