#include "sqlite/migrations.h"

#include <array>

#include <gtest/gtest.h>

#include "sqlite/database.h"
#include "sqlite/testing/fault_vfs.h"
#include "sqlite/testing/temp_directory.h"

namespace weir::sqlite {
namespace {

using testing::Fault;
using testing::FaultVfs;
using testing::Spell;
using testing::TempDirectory;

constexpr std::array<std::string_view, 2> kScripts{
    "CREATE TABLE a(x); INSERT INTO a VALUES(1);",
    "CREATE TABLE b(x); INSERT INTO a VALUES(2);",
};

base::Status migrate_to(Database& database, size_t version) {
  return migrate(database, {"test", std::span{kScripts}.first(version)});
}

TEST(MigrationsTest, EachScriptRunsOnceHoweverOftenItIsAsked) {
  const TempDirectory directory;
  Database database{directory.file("a.db")};
  ASSERT_TRUE(database.open().ok());
  ASSERT_TRUE(migrate_to(database, 1).ok());
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(migrate_to(database, 2).ok());
  EXPECT_EQ(database.query_int("SELECT sum(x) FROM a").value(), 3);
  EXPECT_EQ(database.query_int("SELECT version FROM migrations").value(), 2);
}

TEST(MigrationsTest, ComponentsHaveVersionsOfTheirOwn) {
  const TempDirectory directory;
  Database database{directory.file("a.db")};
  ASSERT_TRUE(database.open().ok());
  ASSERT_TRUE(migrate_to(database, 2).ok());
  constexpr std::array<std::string_view, 1> kOther{"CREATE TABLE c(x)"};
  ASSERT_TRUE(migrate(database, {"other", kOther}).ok());
  EXPECT_EQ(database.query_int("SELECT count(*) FROM migrations").value(), 2);
}

TEST(MigrationsTest, RefusesADatabaseOfANewerProgram) {
  const TempDirectory directory;
  Database database{directory.file("a.db")};
  ASSERT_TRUE(database.open().ok());
  ASSERT_TRUE(migrate_to(database, 2).ok());
  const base::Status status = migrate_to(database, 1);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, base::ErrorCode::conflict);
  EXPECT_EQ(status.error().retry, base::Retry::never);
}

TEST(MigrationsTest, RefusesADatabaseOfAnotherProgram) {
  const TempDirectory directory;
  Database database{directory.file("a.db")};
  ASSERT_TRUE(database.open().ok());
  ASSERT_TRUE(database.execute("CREATE TABLE theirs(x)").ok());
  EXPECT_EQ(migrate_to(database, 1).error().code, base::ErrorCode::conflict);
}

TEST(MigrationsTest, OpeningRunsTheSchemasOfTheOptions) {
  const TempDirectory directory;
  Database database{directory.file("a.db"), {.schemas = {{"test", kScripts}}}};
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(database.open().ok());
    EXPECT_EQ(database.query_int("SELECT sum(x) FROM a").value(), 3);
  }
}

// Goal: a crash or an error at any moment leaves whole versions. Method: let the disk die at
// operation 0, 1, ... of the migration, throw the connection away, and migrate again.
TEST(MigrationsTest, ACrashAtAnyOperationLeavesWholeVersions) {
  FaultVfs vfs;
  bool struck = true;
  int64_t nth = 0;
  for (; struck; ++nth) {
    const TempDirectory directory;
    {
      Database database{directory.file("a.db"), {.vfs = FaultVfs::kName}};
      vfs.fail_at(nth, Fault::io_error, Spell::for_ever);
      if (database.open().ok()) static_cast<void>(migrate_to(database, 2));
      struck = vfs.struck();
      database.close();
    }
    vfs.heal();
    Database database{directory.file("a.db")};
    ASSERT_TRUE(database.open().ok()) << nth;
    ASSERT_TRUE(migrate_to(database, 2).ok()) << nth << database.message();
    EXPECT_EQ(database.query_int("SELECT sum(x) FROM a").value(), 3) << nth;
  }
  EXPECT_GT(nth, 10);
}

}  // namespace
}  // namespace weir::sqlite
