#include "stats/query.h"

#include <gtest/gtest.h>

#include "sqlite/testing/temp_directory.h"
#include "stats/sqlite_stats.h"

namespace weir::stats {
namespace {

using base::ErrorCode;

struct QueryTest : ::testing::Test {
  void SetUp() override {
    ASSERT_TRUE(writer.open().ok());
    ASSERT_TRUE(writer.execute("INSERT INTO paths VALUES(1, '/a'), (2, '/b'), (3, '/c')").ok());
    ASSERT_TRUE(reader.open().ok());
  }
  QueryOutcome run(std::string_view sql, QueryOptions options = {}) {
    names.clear();
    rows.clear();
    return run_query(reader, clock, sql, options,
                     {.on_columns =
                          [this](std::span<const std::string_view> columns) {
                            names.assign(columns.begin(), columns.end());
                          },
                      .on_row =
                          [this](std::span<const QueryValue> row) {
                            rows.emplace_back(row.empty() ? std::string_view{} : row.front().bytes);
                            return rows.size() < rows_wanted;
                          }});
  }

  sqlite::testing::TempDirectory directory;
  base::ManualClock clock;
  sqlite::Database writer{directory.file("weir.db"), {.schemas = {schema()}}};
  sqlite::Database reader{directory.file("weir.db"), {.access = sqlite::Access::query_only}};
  std::vector<std::string> names;
  std::vector<std::string> rows;
  size_t rows_wanted = 1000;
};

TEST_F(QueryTest, RowsAndColumnNamesArrive) {
  const QueryOutcome outcome = run("SELECT path AS p, 1 FROM paths ORDER BY path_id;");
  ASSERT_TRUE(outcome.status.ok()) << outcome.message;
  EXPECT_EQ(names, (std::vector<std::string>{"p", "1"}));
  EXPECT_EQ(rows, (std::vector<std::string>{"/a", "/b", "/c"}));
  EXPECT_EQ(outcome.rows, 3U);
  EXPECT_FALSE(outcome.truncated);
}

TEST_F(QueryTest, ColumnNamesArriveWithoutRows) {
  EXPECT_TRUE(run("SELECT path FROM path_stats_hourly").status.ok());
  EXPECT_EQ(names, (std::vector<std::string>{"path"}));
}

TEST_F(QueryTest, EveryTypeIsHandedOver) {
  std::vector<QueryValue> values;
  const QueryOutcome outcome = run_query(reader, clock, "SELECT 7, 0.5, NULL", {},
                                         {.on_row = [&values](std::span<const QueryValue> row) {
                                           values.assign(row.begin(), row.end());
                                           return true;
                                         }});
  ASSERT_TRUE(outcome.status.ok());
  EXPECT_EQ(values[0].integer, 7);
  EXPECT_EQ(values[1].real, 0.5);
  EXPECT_EQ(values[2].type, sqlite::ColumnType::null);
}

TEST_F(QueryTest, EverythingButReadingIsRefusedInOneSentence) {
  for (const std::string_view sql :
       {"DELETE FROM paths", "INSERT INTO paths VALUES(9, '/x')", "UPDATE paths SET path = ''",
        "DROP TABLE paths", "CREATE TABLE x(y)", "CREATE TEMP TABLE x(y)", "VACUUM",
        "VACUUM INTO '/tmp/x'", "ATTACH '/tmp/x' AS x", "PRAGMA journal_mode = DELETE",
        "PRAGMA query_only = OFF", "PRAGMA wal_checkpoint", "BEGIN", "EXPLAIN DELETE FROM paths",
        "REINDEX", "ANALYZE", "SELECT load_extension('x')"}) {
    const QueryOutcome outcome = run(sql);
    ASSERT_FALSE(outcome.status.ok()) << sql;
    EXPECT_EQ(outcome.status.error().code, ErrorCode::invalid_input) << sql << outcome.message;
    EXPECT_EQ(outcome.message, "only one statement that reads is allowed, such as SELECT");
  }
  EXPECT_EQ(run("UPDATE sqlite_master SET sql = ''").message,
            "table sqlite_master may not be modified");
  EXPECT_EQ(writer.query_int("SELECT count(*) FROM paths").value(), 3);
}

TEST_F(QueryTest, MoreThanOneStatementIsRefused) {
  const QueryOutcome outcome = run("SELECT 1; SELECT 2");
  ASSERT_FALSE(outcome.status.ok());
  EXPECT_EQ(outcome.message, "there is more than one statement");
  EXPECT_EQ(run(" ; ").message, "there is no statement");
}

TEST_F(QueryTest, WrongSqlIsExplained) {
  const QueryOutcome outcome = run("SELECT missing FROM paths");
  ASSERT_FALSE(outcome.status.ok());
  EXPECT_EQ(outcome.message, "no such column: missing");
}

TEST_F(QueryTest, SchemaPragmasAndExplainAreAllowed) {
  EXPECT_TRUE(run("PRAGMA table_info(paths)").status.ok());
  EXPECT_TRUE(run("SELECT name FROM pragma_table_info('paths')").status.ok());
  EXPECT_TRUE(run("EXPLAIN QUERY PLAN SELECT * FROM paths").status.ok());
  EXPECT_TRUE(run("WITH x(y) AS (VALUES(1)) SELECT y FROM x").status.ok());
  EXPECT_TRUE(run("VALUES(1)").status.ok());
}

TEST_F(QueryTest, RowsBeyondTheLimitAreCutAndSaidSo) {
  EXPECT_FALSE(run("SELECT path FROM paths", {.rows_max = 3}).truncated);
  const QueryOutcome cut = run("SELECT path FROM paths", {.rows_max = 2});
  EXPECT_TRUE(cut.status.ok());
  EXPECT_TRUE(cut.truncated);
  EXPECT_EQ(cut.rows, 2U);
  rows_wanted = 1;
  EXPECT_TRUE(run("SELECT path FROM paths").truncated);
  EXPECT_EQ(rows.size(), 1U);
}

TEST_F(QueryTest, TimeAndCancellationEndAQuery) {
  constexpr std::string_view kEndless =
      "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c";
  const QueryOutcome late = run(kEndless, {.time_max = std::chrono::milliseconds{0}});
  EXPECT_EQ(late.status.error().code, ErrorCode::cancelled);
  EXPECT_EQ(late.message, "the query took longer than its limit");
  const std::atomic<bool> cancel{true};
  const QueryOutcome cancelled = run(kEndless, {.cancel = &cancel});
  EXPECT_EQ(cancelled.message, "the query was cancelled");
  EXPECT_TRUE(run("SELECT 1").status.ok()) << "the connection is as good as before";
}

}  // namespace
}  // namespace weir::stats
