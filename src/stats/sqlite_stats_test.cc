#include "stats/sqlite_stats.h"

#include <gtest/gtest.h>

#include "sqlite/testing/temp_directory.h"

namespace weir::stats {
namespace {

TEST(SqliteStatsTest, AnUnknownStreamIsAtItsBeginning) {
  sqlite::testing::TempDirectory directory;
  sqlite::Database database{directory.file("weir.db"), {.schemas = {schema()}}};
  SqliteStats stats{database, 1};
  ASSERT_TRUE(stats.load().ok());
  const journal::Stream stream{7, 3};
  EXPECT_EQ(stats.positions({&stream, 1}).value().front().through, 0U);
  EXPECT_EQ(stats.next_seq().value(), 1U);
}

}  // namespace
}  // namespace weir::stats
