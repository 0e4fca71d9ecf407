#include "cli/table.h"

#include <gtest/gtest.h>

namespace weir::cli {
namespace {

TEST(TableTest, AlignsNumbersRightAndTextLeft) {
  Table table{{"path", "requests"}};
  table.add({"/a", "5"});
  table.add({"/long", "12345"});
  EXPECT_EQ(table.text(), "path   requests\n/a            5\n/long     12345\n");
}

TEST(TableTest, ReplacesControlCharactersAndCutsWideCells) {
  Table table{{"x"}};
  table.add({"a\x1b[31mb\n"});
  table.add({std::string(Table::kCellWidthMax, 'y')});
  table.add({std::string(Table::kCellWidthMax + 1, 'z')});
  const std::string text = table.text();
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("a?[31mb?"), std::string::npos);
  EXPECT_NE(text.find(std::string(Table::kCellWidthMax, 'y') + "\n"), std::string::npos);
  EXPECT_NE(text.find(std::string(Table::kCellWidthMax, 'z') + "…\n"), std::string::npos);
}

TEST(TableTest, CountsCharactersNotBytes) {
  Table table{{"a", "b"}};
  table.add({"é", "x"});
  table.add({"ab", "y"});
  EXPECT_EQ(table.text(), "a   b\né   x\nab  y\n");
}

}  // namespace
}  // namespace weir::cli
