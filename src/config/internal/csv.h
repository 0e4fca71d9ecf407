#pragma once
// Records of comma-separated values. Source: RFC 4180; beyond it, "\n" ends a record as "\r\n"
// does, blanks around an unquoted field are not part of it, and empty lines are no records.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::config::internal {

struct CsvField {
  std::string text;
  uint32_t column = 0;  // From 1, in bytes; of the line where it begins.
};

struct CsvRecord {
  uint32_t line = 0;  // From 1; where it begins.
  std::vector<CsvField> fields;
  std::string_view problem;  // Empty: it is well formed.
};

// Threading: one thread at a time.
class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : text_(text) {}

  // False: there are no more. After a record with a problem, goes on at the next line.
  bool next(CsvRecord& record);

 private:
  void read_record(CsvRecord& record);
  void read_field(CsvRecord& record);
  void read_quoted(CsvRecord& record);
  void skip_line();
  bool at_end_of_record() const;

  std::string_view text_;
  size_t at_ = 0;
  size_t line_begin_ = 0;
  uint32_t line_ = 1;
};

// With quotes where it needs them.
std::string csv_field(std::string_view text);

}  // namespace weir::config::internal
