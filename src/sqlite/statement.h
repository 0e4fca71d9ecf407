#pragma once
// One prepared SQL statement: typed parameters in, typed columns out.
//
// Parameters are numbered from 1 and columns from 0, as SQLite does. Binding never fails by itself:
// the first failure is kept and comes back from the step() that follows, so that a row of thirty
// columns is bound without thirty checks.

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "base/thread_annotations.h"

struct sqlite3_stmt;

namespace weir::sqlite {

class Database;

enum class ColumnType : uint8_t { integer, real, text, blob, null };

// Ownership: owns the statement; borrows the Database, which outlives it and is not reopened while
//   it lives (see Database::cached() for statements that may be kept).
// Threading: the thread of its Database.
class Statement {
 public:
  Statement(Database& database, sqlite3_stmt* statement)
      : database_(&database), statement_(statement) {}
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&& other) noexcept;

  void bind(int parameter, int64_t value);
  // A value that SQLite's signed integers cannot hold is a data error ("integer overflow").
  void bind_unsigned(int parameter, uint64_t value);
  void bind_real(int parameter, double value);
  // Bytes are borrowed until the statement is stepped and reset; they are not checked to be UTF-8.
  void bind_text(int parameter, std::string_view text);
  void bind_blob(int parameter, std::string_view bytes);
  void bind_null(int parameter);

  // True: a row is there to be read. False: the statement is done.
  // Blocks for the disk, and up to the busy time-out for a lock.
  // Errors: see database.h.
  base::Result<bool> step();

  // Steps once, for statements that return no row, and resets. Errors: as step().
  base::Status run();

  // Ready to be bound and stepped again. Parameters keep their values.
  void reset();
  // reset(), and every parameter becomes NULL.
  void clear();

  int column_count() const;
  // Views are valid until the next step() or reset(), or a read of the column as another type.
  std::string_view column_name(int column) const WEIR_LIFETIMEBOUND;
  ColumnType column_type(int column) const;
  int64_t column_int(int column) const;
  // Of what bind_unsigned() stored, or of 64 bits stored as a signed integer.
  uint64_t column_unsigned(int column) const { return static_cast<uint64_t>(column_int(column)); }
  double column_real(int column) const;
  std::string_view column_text(int column) const WEIR_LIFETIMEBOUND;
  std::string_view column_blob(int column) const WEIR_LIFETIMEBOUND;

  // It cannot change the database.
  bool is_read_only() const;

 private:
  void note(int code) {
    if (bind_code_ == 0) bind_code_ = code;
  }

  Database* database_;
  sqlite3_stmt* statement_;
  int bind_code_ = 0;  // First failure of a bind since the last step.
};

}  // namespace weir::sqlite
