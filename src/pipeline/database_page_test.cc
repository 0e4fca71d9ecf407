// docs/formats/database.md, compared with the database that Weir makes. Run in the root folder of
// the sources.
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/testing/format_page.h"
#include "kv/sqlite_kv.h"
#include "sqlite/database.h"
#include "sqlite/testing/temp_directory.h"
#include "stats/sqlite_stats.h"

namespace weir::pipeline {
namespace {

using base::testing::FormatPage;

class DatabasePageTest : public ::testing::Test {
 protected:
  DatabasePageTest() {
    EXPECT_TRUE(database_.open().ok()) << database_.message();
    auto query = database_
                     .prepare(
                         "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view')"
                         " AND name NOT LIKE 'sqlite_%'")
                     .value();
    while (query.step().value())
      (query.column_text(0) == "table" ? tables_ : views_).emplace(query.column_text(1));
  }

  // {name, type} of each column, in order.
  std::vector<FormatPage::Row> columns_of(const std::string& name) {
    std::vector<FormatPage::Row> columns;
    auto query = database_.prepare("SELECT name, type FROM pragma_table_info(?1)").value();
    query.bind_text(1, name);
    while (query.step().value()) {
      columns.push_back(
          {"`" + std::string{query.column_text(0)} + "`", std::string{query.column_text(1)}});
    }
    return columns;
  }

  // The first `cells` cells of each row.
  std::vector<FormatPage::Row> page_of(const std::string& name, size_t cells) const {
    std::vector<FormatPage::Row> rows;
    for (const FormatPage::Row& row : page_.rows(name)) {
      rows.push_back(row);
      rows.back().resize(cells);
    }
    return rows;
  }

  const sqlite::testing::TempDirectory directory_;
  sqlite::Database database_{directory_.file("weir.db"),
                             {.schemas = {stats::schema(), kv::schema()}}};
  const FormatPage page_{"docs/formats/database.md"};
  std::set<std::string> tables_;
  std::set<std::string> views_;
};

TEST_F(DatabasePageTest, EveryTableIsOnThePageWithItsColumnsAndTypes) {
  EXPECT_GE(tables_.size(), 12U);
  for (const std::string& name : tables_)
    EXPECT_EQ(page_of(name, 2), columns_of(name)) << name;
}

TEST_F(DatabasePageTest, EveryViewIsOnThePageWithItsColumns) {
  EXPECT_GE(views_.size(), 4U);
  for (const std::string& name : views_) {
    std::vector<FormatPage::Row> columns = columns_of(name);
    for (FormatPage::Row& column : columns)
      column.resize(1);
    EXPECT_EQ(page_of(name, 1), columns) << name;
  }
}

TEST_F(DatabasePageTest, ThePageHasNoTableThatDoesNotExist) {
  for (const std::string& section : page_.sections()) {
    if (page_.rows(section).empty()) continue;
    EXPECT_TRUE(tables_.contains(section) || views_.contains(section)) << section;
  }
}

TEST_F(DatabasePageTest, TheDictionaryHasTheLimitsOfThePage) {
  // "0 method (at most 64), 1 user agent (20 000), …"
  std::string kinds;
  const std::vector<std::string> names = {"method",  "user agent", "route",
                                          "country", "city",       "colo"};
  ASSERT_EQ(names.size(), stats::SqliteStats::kWordsMax.size());
  for (size_t i = 0; i < names.size(); ++i) {
    std::string limit = std::to_string(stats::SqliteStats::kWordsMax[i]);
    if (limit.size() > 3) limit.insert(limit.size() - 3, " ");
    kinds += (i == 0 ? "" : ", ") + std::to_string(i) + " " + names[i] + " (" +
             (i == 0 ? "at most " : "") + limit + ")";
  }
  EXPECT_EQ(page_.rows("words")[1][2], kinds);
}

}  // namespace
}  // namespace weir::pipeline
