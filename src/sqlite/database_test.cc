#include "sqlite/database.h"

#include <fstream>
#include <limits>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sqlite/testing/fault_vfs.h"
#include "sqlite/testing/temp_directory.h"

namespace weir::sqlite {
namespace {

using base::ErrorCode;
using testing::Fault;
using testing::FaultVfs;
using testing::Spell;
using testing::TempDirectory;

struct DatabaseTest : ::testing::Test {
  void SetUp() override {
    ASSERT_TRUE(database.open().ok()) << database.message();
    ASSERT_TRUE(
        database.execute("CREATE TABLE t(k INTEGER PRIMARY KEY, v ANY NOT NULL) STRICT").ok());
  }
  base::Status insert(int64_t k, int64_t v) {
    Transaction transaction = WEIR_TRY(Transaction::begin(database));
    {
      const Database::Borrowed statement =
          WEIR_TRY(database.cached("INSERT INTO t VALUES(?1, ?2)"));
      statement->bind(1, k);
      statement->bind(2, v);
      WEIR_TRY(statement->run());
    }
    return transaction.commit();
  }
  int64_t rows() { return database.query_int("SELECT count(*) FROM t").value(); }

  TempDirectory directory;
  FaultVfs vfs;
  Database database{directory.file("a.db"), {.busy_timeout = {}, .vfs = FaultVfs::kName}};
};

TEST_F(DatabaseTest, UsesTheWriteAheadLogWithFullSynchronisation) {
  EXPECT_EQ(database.query_int("PRAGMA synchronous").value(), 2);
  EXPECT_EQ(database.query_int("PRAGMA secure_delete").value(), 0);
  EXPECT_EQ(database.query_int("PRAGMA wal_autocheckpoint").value(), 0);
  Statement mode = database.prepare("PRAGMA journal_mode").value();
  ASSERT_TRUE(mode.step().value());
  EXPECT_EQ(mode.column_text(0), "wal");
}

TEST_F(DatabaseTest, ColumnsComeBackAsTheyWereBound) {
  Statement insert = database.prepare("INSERT INTO t VALUES(?1, ?2)").value();
  const std::string bytes{"a\0b", 3};
  insert.bind(1, 1);
  insert.bind_text(2, bytes);
  ASSERT_TRUE(insert.run().ok());
  insert.bind(1, 2);
  insert.bind_blob(2, bytes);
  ASSERT_TRUE(insert.run().ok());
  insert.bind(1, 3);
  insert.bind_real(2, 0.5);
  ASSERT_TRUE(insert.run().ok());
  insert.bind(1, 4);
  insert.bind_text(2, {});
  ASSERT_TRUE(insert.run().ok());
  insert.bind(1, 5);
  insert.bind_unsigned(2, std::numeric_limits<int64_t>::max());
  ASSERT_TRUE(insert.run().ok());

  Statement select = database.prepare("SELECT v FROM t ORDER BY k").value();
  ASSERT_TRUE(select.step().value());
  EXPECT_EQ(select.column_type(0), ColumnType::text);
  EXPECT_EQ(select.column_text(0), bytes);
  ASSERT_TRUE(select.step().value());
  EXPECT_EQ(select.column_type(0), ColumnType::blob);
  EXPECT_EQ(select.column_blob(0), bytes);
  ASSERT_TRUE(select.step().value());
  EXPECT_EQ(select.column_real(0), 0.5);
  ASSERT_TRUE(select.step().value());
  EXPECT_EQ(select.column_type(0), ColumnType::text);
  EXPECT_EQ(select.column_text(0), "");
  ASSERT_TRUE(select.step().value());
  EXPECT_EQ(select.column_int(0), std::numeric_limits<int64_t>::max());
  EXPECT_FALSE(select.step().value());
}

TEST_F(DatabaseTest, DataErrorsAreToldFromStoreErrors) {
  ASSERT_TRUE(insert(1, 1).ok());
  const base::Status twice = insert(1, 2);
  ASSERT_FALSE(twice.ok());
  EXPECT_TRUE(is_data_error(twice.error()));
  EXPECT_EQ(twice.error().retry, base::Retry::never);

  Statement statement = database.prepare("INSERT INTO t VALUES(2, ?1)").value();
  statement.bind_unsigned(1, uint64_t{1} << 63U);
  EXPECT_TRUE(is_data_error(statement.run().error()));
  statement.clear();
  EXPECT_TRUE(is_data_error(statement.run().error())) << "NULL in a NOT NULL column";
  EXPECT_EQ(database.prepare("SELECT * FROM missing").error().code, ErrorCode::conflict);
  EXPECT_EQ(rows(), 1);
}

TEST_F(DatabaseTest, RefusesMoreThanOneStatement) {
  EXPECT_EQ(database.prepare("SELECT 1; SELECT 2").error().code, ErrorCode::conflict);
  EXPECT_EQ(database.message(), "there is more than one statement");
  EXPECT_FALSE(database.prepare("").ok());
  EXPECT_FALSE(database.prepare("-- nothing").ok());
  EXPECT_TRUE(database.prepare("SELECT 1;\n ").ok());
}

TEST_F(DatabaseTest, ATransactionThatIsNotCommittedLeavesNothing) {
  {
    const Transaction transaction = Transaction::begin(database).value();
    ASSERT_TRUE(database.execute("INSERT INTO t VALUES(1, 1)").ok());
  }
  EXPECT_EQ(rows(), 0);
  ASSERT_TRUE(insert(1, 1).ok());
}

TEST_F(DatabaseTest, AQueryOnlyConnectionSeesCommitsAndCannotWrite) {
  ASSERT_TRUE(insert(1, 1).ok());
  Database reader{directory.file("a.db"), {.access = Access::query_only}};
  ASSERT_TRUE(reader.open().ok());
  EXPECT_EQ(reader.query_int("SELECT count(*) FROM t").value(), 1);
  EXPECT_EQ(reader.execute("INSERT INTO t VALUES(2, 2)").error().code, ErrorCode::unavailable);
  ASSERT_TRUE(insert(2, 2).ok());
  EXPECT_EQ(reader.query_int("SELECT count(*) FROM t").value(), 2);
}

TEST_F(DatabaseTest, AQueryOnlyConnectionDoesNotCreateTheFile) {
  Database reader{directory.file("none.db"), {.access = Access::query_only}};
  EXPECT_EQ(reader.open().error().code, ErrorCode::unavailable);
  EXPECT_FALSE(std::filesystem::exists(directory.file("none.db")));
}

TEST_F(DatabaseTest, ALockedDatabaseIsUnavailableAndRecovers) {
  Database other{directory.file("a.db")};
  ASSERT_TRUE(other.open().ok());
  ASSERT_TRUE(other.execute("BEGIN EXCLUSIVE").ok());
  const base::Status refused = insert(1, 1);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
  EXPECT_EQ(refused.error().retry, base::Retry::with_backoff);
  ASSERT_TRUE(other.execute("COMMIT").ok());
  EXPECT_TRUE(insert(1, 1).ok());
}

TEST_F(DatabaseTest, AFullDiskIsAStoreError) {
  vfs.fail_at(0, Fault::disk_full, Spell::for_ever);
  const base::Status refused = insert(1, 1);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::limit_exceeded);
  EXPECT_FALSE(is_data_error(refused.error()));
  vfs.heal();
  EXPECT_TRUE(insert(1, 1).ok());
}

TEST_F(DatabaseTest, ARemovedFileIsNoticedAndNotCreatedAgain) {
  ASSERT_TRUE(insert(1, 1).ok());
  ASSERT_EQ(::rename(directory.file("a.db").c_str(), directory.file("away.db").c_str()), 0);
  EXPECT_EQ(insert(2, 2).error().code, ErrorCode::unavailable);
  EXPECT_EQ(database.open().error().code, ErrorCode::unavailable);
  EXPECT_EQ(insert(2, 2).error().code, ErrorCode::unavailable);
  EXPECT_FALSE(std::filesystem::exists(directory.file("a.db")));
  ASSERT_EQ(::rename(directory.file("away.db").c_str(), directory.file("a.db").c_str()), 0);
  ASSERT_TRUE(database.open().ok());
  EXPECT_TRUE(insert(2, 2).ok());
  EXPECT_EQ(rows(), 2);
}

TEST_F(DatabaseTest, AFileThatIsNoDatabaseIsCorrupt) {
  std::ofstream{directory.file("text.db")} << std::string(5000, 'x');
  Database writer{directory.file("text.db")};
  EXPECT_EQ(writer.open().error().code, ErrorCode::corrupt);
  Database reader{directory.file("text.db"), {.access = Access::query_only}};
  EXPECT_EQ(reader.open().error().code, ErrorCode::corrupt);
}

TEST_F(DatabaseTest, DamagedPagesAreCorruptAndNeverADataError) {
  ASSERT_TRUE(
      database
          .execute("INSERT INTO t SELECT value, hex(randomblob(100)) FROM"
                   " (WITH RECURSIVE c(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM c"
                   " LIMIT 2000) SELECT value FROM c)")
          .ok());
  ASSERT_EQ(database.checkpoint_passive().value(), 0);
  database.close();
  {
    std::fstream file{directory.file("a.db"), std::ios::in | std::ios::out | std::ios::binary};
    file.seekp(4096);
    const std::string garbage(static_cast<size_t>(4096) * 20, '\x5a');
    file.write(garbage.data(), static_cast<std::streamsize>(garbage.size()));
  }
  ASSERT_TRUE(database.open().ok());
  EXPECT_EQ(database.query_int("SELECT count(*) FROM t").error().code, ErrorCode::corrupt);
  EXPECT_EQ(insert(1, 1).error().code, ErrorCode::corrupt);
}

TEST_F(DatabaseTest, ReopeningDropsCachedStatementsAndGoesOn) {
  ASSERT_TRUE(insert(1, 1).ok());
  ASSERT_TRUE(database.open().ok());
  ASSERT_TRUE(insert(2, 2).ok());
  EXPECT_EQ(rows(), 2);
}

TEST_F(DatabaseTest, CheckpointsOnlyWhenAsked) {
  for (int i = 0; i < 50; ++i)
    ASSERT_TRUE(insert(i, i).ok());
  EXPECT_GE(database.wal_pages(), 50);
  EXPECT_EQ(database.checkpoint_passive().value(), 0);
  ASSERT_TRUE(insert(100, 100).ok());
  EXPECT_LT(database.wal_pages(), 5) << "the log started anew";
}

TEST_F(DatabaseTest, AStatementEndsAtItsDeadlineOrWhenCancelled) {
  const std::string endless =
      "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c";
  base::ManualClock clock;
  std::atomic<bool> cancel{true};
  database.set_deadline(clock, clock.monotonic() + std::chrono::seconds{1}, &cancel);
  EXPECT_EQ(database.query_int(endless).error().code, ErrorCode::cancelled);
  cancel = false;
  EXPECT_EQ(database.query_int("SELECT 7").value(), 7);
  clock.advance(std::chrono::seconds{1});
  EXPECT_EQ(database.query_int(endless).error().code, ErrorCode::cancelled);
  database.clear_deadline();
  EXPECT_EQ(database.query_int("SELECT 7").value(), 7);
}

// Goal: an acknowledged transaction is there after a crash, one that failed is there whole or not
// at all, and nothing else happens. Method: the disk dies at operation 0, 1, ... of three
// transactions.
TEST_F(DatabaseTest, ACrashAtAnyOperationKeepsWhatWasAcknowledged) {
  bool struck = true;
  int64_t nth = 0;
  for (; struck; ++nth) {
    ASSERT_TRUE(database.execute("DELETE FROM t").ok());
    int acknowledged = 0;
    vfs.fail_at(nth, Fault::io_error, Spell::for_ever);
    for (int i = 0; i < 3; ++i) {
      if (insert(i, i).ok()) ++acknowledged;
      static_cast<void>(database.checkpoint_passive());
    }
    struck = vfs.struck();
    database.close();
    vfs.heal();
    ASSERT_TRUE(database.open().ok()) << nth;
    EXPECT_GE(rows(), acknowledged) << nth;
    EXPECT_LE(rows(), acknowledged + 1) << nth;
    EXPECT_EQ(database.query_int("SELECT count(*) FROM pragma_integrity_check").value(), 1);
  }
  EXPECT_GT(nth, 5);
}

}  // namespace
}  // namespace weir::sqlite
