#include "cli/table.h"

#include <algorithm>

namespace weir::cli {
namespace {

bool starts_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U;
}

// Characters, not bytes; wide characters count as one, which is near enough for paths and names.
size_t width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), starts_character));
}

std::string shown(const std::string& cell) {
  std::string result;
  size_t characters = 0;
  for (const char byte : cell) {
    if (starts_character(byte) && ++characters > Table::kCellWidthMax) return result + "…";
    const auto code = static_cast<unsigned char>(byte);
    result += code < 0x20 || code == 0x7f ? '?' : byte;
  }
  return result;
}

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789.-+e%") == std::string::npos;
}

}  // namespace

std::string Table::text() const {
  std::vector<std::vector<std::string>> cells;
  cells.push_back(header_);
  for (const auto& row : rows_) {
    cells.emplace_back();
    for (const std::string& cell : row)
      cells.back().push_back(shown(cell));
  }
  std::vector<size_t> widths(header_.size(), 0);
  std::vector<bool> numeric(header_.size(), !rows_.empty());
  for (size_t r = 0; r < cells.size(); ++r) {
    for (size_t c = 0; c < header_.size() && c < cells[r].size(); ++c) {
      widths[c] = std::max(widths[c], width(cells[r][c]));
      if (r > 0 && !cells[r][c].empty() && !is_number(cells[r][c])) numeric[c] = false;
    }
  }
  std::string out;
  for (const auto& row : cells) {
    std::string line;
    for (size_t c = 0; c < row.size() && c < widths.size(); ++c) {
      const std::string padding(widths[c] - width(row[c]), ' ');
      if (c > 0) line += "  ";
      line += numeric[c] ? padding + row[c] : row[c] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace weir::cli
