#include "kv/sqlite_kv.h"

#include <gtest/gtest.h>

#include "kv/kv_contract.h"
#include "sqlite/testing/fault_vfs.h"
#include "sqlite/testing/temp_directory.h"

namespace weir::kv {
namespace {

using sqlite::Database;
using sqlite::testing::Fault;
using sqlite::testing::FaultVfs;
using sqlite::testing::Spell;
using sqlite::testing::TempDirectory;

struct Store {
  std::unique_ptr<Kv> open() {
    EXPECT_TRUE(database.open().ok());
    return std::make_unique<SqliteKv>(database, clock);
  }

  base::ManualClock clock;
  TempDirectory directory;
  Database database{directory.file("weir.db"), {.schemas = {schema()}}};
};

INSTANTIATE_TYPED_TEST_SUITE_P(Sqlite, KvContract, Store);

TEST(SqliteKvTest, AReaderBesideTheWriterSeesItsCommitsAndRefusesToWrite) {
  Store store;
  const std::unique_ptr<Kv> writer = store.open();
  Database connection{store.directory.file("weir.db"), {.access = sqlite::Access::query_only}};
  ASSERT_TRUE(connection.open().ok());
  SqliteKv reader{connection, store.clock};
  ASSERT_TRUE(writer->put("k", "v").ok());
  EXPECT_EQ(reader.get("k").value().value().value, "v");
  EXPECT_FALSE(reader.put("k", "w").ok());
  ASSERT_TRUE(writer->put("k", "w").ok());
  EXPECT_EQ(reader.get("k").value().value().value, "w");
}

TEST(SqliteKvTest, RemovesExpiredKeysInPortions) {
  Store store;
  const std::unique_ptr<Kv> kv = store.open();
  for (const char* const key : {"a", "b", "c"}) {
    const Change change{key, "v", "", store.clock.wall() + std::chrono::seconds{1}};
    ASSERT_TRUE(kv->write({&change, 1}).ok());
  }
  ASSERT_TRUE(kv->put("stays", "v").ok());
  SqliteKv& table = static_cast<SqliteKv&>(*kv);
  EXPECT_EQ(table.remove_expired(10).value(), 0U);
  store.clock.advance(std::chrono::seconds{1});
  EXPECT_EQ(table.remove_expired(2).value(), 2U);
  EXPECT_EQ(table.remove_expired(2).value(), 1U);
  EXPECT_EQ(store.database.query_int("SELECT count(*) FROM kv").value(), 1);
}

// Goal: a write is there whole or not at all after a crash. Method: the disk dies at operation 0,
// 1, ... of a write of two keys; after reopening both have the same value.
TEST(SqliteKvTest, ACrashAtAnyOperationLeavesWholeWrites) {
  FaultVfs vfs;
  TempDirectory directory;
  const base::ManualClock clock;
  Database database{directory.file("weir.db"), {.schemas = {schema()}, .vfs = FaultVfs::kName}};
  ASSERT_TRUE(database.open().ok());
  SqliteKv kv{database, clock};
  ASSERT_TRUE(kv.put("a", "0").ok() && kv.put("b", "0").ok());
  bool struck = true;
  int64_t nth = 0;
  for (; struck; ++nth) {
    vfs.fail_at(nth, Fault::io_error, Spell::for_ever);
    const std::string value = std::to_string(nth + 1);
    const std::vector<Change> changes{{"a", value}, {"b", value}};
    const bool acknowledged = kv.write(changes).ok();
    struck = vfs.struck();
    database.close();
    vfs.heal();
    ASSERT_TRUE(database.open().ok());
    const std::string a = kv.get("a").value().value().value;
    EXPECT_EQ(kv.get("b").value().value().value, a);
    EXPECT_TRUE(!acknowledged || a == value);
  }
  EXPECT_GT(nth, 2);
}

}  // namespace
}  // namespace weir::kv
