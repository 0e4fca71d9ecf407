#include "config/internal/csv.h"

#include <algorithm>

#include "config/internal/text.h"

namespace weir::config::internal {
namespace {

constexpr std::string_view kBlanks = " \t";

}  // namespace

bool CsvReader::at_end_of_record() const {
  if (at_ >= text_.size() || text_[at_] == '\n') return true;
  return text_.substr(at_, 2) == "\r\n" || (text_[at_] == '\r' && at_ + 1 == text_.size());
}

void CsvReader::skip_line() {
  at_ = std::min(text_.find('\n', at_), text_.size());
  if (at_ < text_.size()) ++at_;
  line_begin_ = at_;
  ++line_;
}

bool CsvReader::next(CsvRecord& record) {
  while (at_ < text_.size()) {
    const size_t end = std::min(text_.find('\n', at_), text_.size());
    std::string_view line = text_.substr(at_, end - at_);
    if (line.ends_with('\r')) line.remove_suffix(1);
    line = trimmed(line, kBlanks);
    if (!line.empty() && line.front() != '#') {
      read_record(record);
      return true;
    }
    skip_line();
  }
  return false;
}

void CsvReader::read_record(CsvRecord& record) {
  record = {.line = line_};
  for (;;) {
    read_field(record);
    if (!record.problem.empty() || at_end_of_record()) break;
    ++at_;  // The comma.
  }
  skip_line();
}

// Ends at a comma or at the end of the record.
void CsvReader::read_field(CsvRecord& record) {
  while (at_ < text_.size() && kBlanks.find(text_[at_]) != std::string_view::npos)
    ++at_;
  record.fields.push_back({.column = static_cast<uint32_t>(at_ - line_begin_ + 1)});
  if (at_ < text_.size() && text_[at_] == '"') return read_quoted(record);
  const size_t begin = at_;
  while (!at_end_of_record() && text_[at_] != ',')
    ++at_;
  const std::string_view field = trimmed(text_.substr(begin, at_ - begin), kBlanks);
  if (field.find('"') != std::string_view::npos)
    record.problem = "has a quote within a field that does not begin with one";
  record.fields.back().text = field;
}

void CsvReader::read_quoted(CsvRecord& record) {
  std::string& out = record.fields.back().text;
  for (++at_; at_ < text_.size(); ++at_) {
    if (text_[at_] == '"') {
      if (text_.substr(at_, 2) != "\"\"") break;
      ++at_;
    } else if (text_[at_] == '\n') {
      ++line_;
      line_begin_ = at_ + 1;
    }
    out += text_[at_];
  }
  if (at_ >= text_.size()) {
    record.problem = "has a quote that nothing ends";
    return;
  }
  ++at_;
  while (at_ < text_.size() && kBlanks.find(text_[at_]) != std::string_view::npos)
    ++at_;
  if (!at_end_of_record() && text_[at_] != ',') record.problem = "has text after a closing quote";
}

std::string csv_field(std::string_view text) {
  const bool plain = text.find_first_of(",\"\r\n") == std::string_view::npos &&
                     trimmed(text, kBlanks) == text && !text.starts_with('#');
  if (plain) return std::string{text};
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace weir::config::internal
