#include "sqlite/statement.h"

#include <limits>
#include <utility>

#include <sqlite3.h>

#include "sqlite/database.h"

namespace weir::sqlite {

Statement::~Statement() {
  sqlite3_finalize(statement_);
}

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      statement_(std::exchange(other.statement_, nullptr)),
      bind_code_(other.bind_code_) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(database_, other.database_);
  std::swap(statement_, other.statement_);
  std::swap(bind_code_, other.bind_code_);
  return *this;
}

void Statement::bind(int parameter, int64_t value) {
  note(sqlite3_bind_int64(statement_, parameter, value));
}

void Statement::bind_unsigned(int parameter, uint64_t value) {
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    note(SQLITE_TOOBIG);
    return;
  }
  bind(parameter, static_cast<int64_t>(value));
}

void Statement::bind_real(int parameter, double value) {
  note(sqlite3_bind_double(statement_, parameter, value));
}

void Statement::bind_text(int parameter, std::string_view text) {
  // A null pointer would bind NULL.
  const char* const data = text.data() == nullptr ? "" : text.data();
  note(sqlite3_bind_text64(statement_, parameter, data, text.size(), SQLITE_STATIC, SQLITE_UTF8));
}

void Statement::bind_blob(int parameter, std::string_view bytes) {
  const char* const data = bytes.data() == nullptr ? "" : bytes.data();
  note(sqlite3_bind_blob64(statement_, parameter, data, bytes.size(), SQLITE_STATIC));
}

void Statement::bind_null(int parameter) {
  note(sqlite3_bind_null(statement_, parameter));
}

base::Result<bool> Statement::step() {
  if (bind_code_ != SQLITE_OK) return database_->error(std::exchange(bind_code_, SQLITE_OK));
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  const base::Error error = database_->error(code);
  sqlite3_reset(statement_);
  return error;
}

base::Status Statement::run() {
  const base::Result<bool> stepped = step();
  if (!stepped.ok()) return stepped.error();
  sqlite3_reset(statement_);
  return {};
}

void Statement::reset() {
  sqlite3_reset(statement_);
}

void Statement::clear() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  bind_code_ = SQLITE_OK;
}

int Statement::column_count() const {
  return sqlite3_column_count(statement_);
}

std::string_view Statement::column_name(int column) const {
  const char* const name = sqlite3_column_name(statement_, column);
  return name == nullptr ? std::string_view{} : std::string_view{name};
}

ColumnType Statement::column_type(int column) const {
  switch (sqlite3_column_type(statement_, column)) {
    case SQLITE_INTEGER:
      return ColumnType::integer;
    case SQLITE_FLOAT:
      return ColumnType::real;
    case SQLITE_TEXT:
      return ColumnType::text;
    case SQLITE_BLOB:
      return ColumnType::blob;
    default:
      return ColumnType::null;
  }
}

int64_t Statement::column_int(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double Statement::column_real(int column) const {
  return sqlite3_column_double(statement_, column);
}

std::string_view Statement::column_text(int column) const {
  const auto* const text = sqlite3_column_text(statement_, column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text),
          static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

std::string_view Statement::column_blob(int column) const {
  const void* const bytes = sqlite3_column_blob(statement_, column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes),
          static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

bool Statement::is_read_only() const {
  return sqlite3_stmt_readonly(statement_) != 0;
}

}  // namespace weir::sqlite
