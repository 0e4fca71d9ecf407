#pragma once
// Tables for eyes: columns as wide as their widest cell, numbers to the right.

#include <string>
#include <vector>

namespace weir::cli {

// Threading: one thread at a time.
// Limits: cells wider than kCellWidthMax characters are cut, with "…" at their end.
class Table {
 public:
  static constexpr size_t kCellWidthMax = 80;

  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}

  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  size_t rows() const { return rows_.size(); }

  // Lines with their ends. Control characters in cells are replaced, so that no stored text can
  // steer the terminal.
  std::string text() const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace weir::cli
