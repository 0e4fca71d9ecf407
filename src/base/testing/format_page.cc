#include "base/testing/format_page.h"

#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

namespace weir::base::testing {
namespace {

std::string trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ')
    text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ')
    text.remove_suffix(1);
  return std::string{text};
}

FormatPage::Row cells_of(const std::string& line) {
  FormatPage::Row cells;
  std::istringstream rest{line.substr(1)};
  std::string cell;
  while (std::getline(rest, cell, '|'))
    cells.push_back(trimmed(cell));
  return cells;
}

// 0 for a cell that is no number, such as "data bytes".
size_t number_in(std::string_view cell) {
  size_t number = 0;
  const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), number);
  return error == std::errc{} && end == cell.data() + cell.size() ? number : 0;
}

}  // namespace

std::string_view FormatField::text(std::string_view file, size_t base) const {
  if (base + offset + bytes > file.size()) {
    ADD_FAILURE() << name << " lies behind the end";
    return {};
  }
  return file.substr(base + offset, bytes);
}

uint64_t FormatField::number(std::string_view file, size_t base) const {
  const std::string_view stored = text(file, base);
  uint64_t value = 0;
  if (stored.empty() || stored.size() > sizeof value) {
    ADD_FAILURE() << name << " is no number";
    return 0;
  }
  std::memcpy(&value, stored.data(), stored.size());
  return value;
}

FormatPage::FormatPage(const std::string& path) {
  std::ifstream page{path};
  EXPECT_TRUE(page) << path << ": run from the root of the sources";
  std::string section;
  std::string line;
  bool in_table = false;
  while (std::getline(page, line)) {
    if (line.starts_with("#")) {
      section = trimmed(std::string_view{line}.substr(line.find_first_not_of('#')));
      rows_[section];
    }
    if (!line.starts_with("|")) {
      in_table = false;
    } else if (!in_table) {
      in_table = true;  // Its head.
    } else if (!line.starts_with("|---")) {
      rows_[section].push_back(cells_of(line));
    }
  }
}

const std::vector<FormatPage::Row>& FormatPage::rows(const std::string& section) const {
  static const std::vector<Row> kNone;
  const auto found = rows_.find(section);
  if (found != rows_.end()) return found->second;
  ADD_FAILURE() << "the page has no section " << section;
  return kNone;
}

FormatField FormatPage::field(const std::string& section, const std::string& name) const {
  for (const Row& row : rows(section)) {
    if (row.size() < 3 || row[2] != name) continue;
    return {name, number_in(row[0]), number_in(row[1])};
  }
  ADD_FAILURE() << section << " has no field " << name;
  return {name};
}

std::vector<size_t> FormatPage::offsets(const std::string& section, std::string_view what) const {
  std::vector<size_t> found;
  for (const Row& row : rows(section)) {
    if (row.size() >= 3 && row[2].starts_with(what)) found.push_back(number_in(row[0]));
  }
  return found;
}

std::vector<std::string> FormatPage::sections() const {
  std::vector<std::string> names;
  for (const auto& [name, rows] : rows_)
    names.push_back(name);
  return names;
}

}  // namespace weir::base::testing
