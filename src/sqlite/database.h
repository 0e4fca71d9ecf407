#pragma once
// A connection to one SQLite database file, as Weir uses them.
//
// Exactly one connection of the process writes and checkpoints, the consumer's; all others are
// query_only. SQLite 3.40.1 can corrupt a write-ahead log when one connection checkpoints while
// another writes, so automatic checkpoints are off everywhere and the writer calls
// checkpoint_passive() between its transactions.
//
// Errors of every function here and of Statement (Origin::storage):
//   invalid_input   a data error: these values can never be stored (constraint, type, too big,
//                   integer overflow). Retry::never.
//   limit_exceeded  the disk is full. Retry::with_backoff.
//   corrupt         the file is damaged, or no database. Retry::with_backoff: it may be restored.
//   conflict        the schema is not the expected one, or the SQL is wrong.
//   cancelled       the deadline passed, or the caller's flag was raised (set_deadline()).
//   unavailable     busy, read-only, I/O error, cannot be opened, gone, out of memory.
//                   Retry::with_backoff.
// All but the first and `cancelled` are store errors: nothing is wrong with the data.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/thread_annotations.h"
#include "sqlite/migrations.h"
#include "sqlite/statement.h"

struct sqlite3;

namespace weir::sqlite {

enum class Access : uint8_t {
  read_write,  // Creates the file when it is not there on the first open().
  query_only,  // The file must exist; every attempt to write fails.
};

struct Options {
  Access access = Access::read_write;
  std::chrono::milliseconds busy_timeout{100};  // How long a locked database is waited for.
  uint64_t cache_bytes = 64ULL * 1024 * 1024;
  uint64_t wal_bytes_max = 256ULL * 1024 * 1024;  // The log is cut to this after it was reset.
  std::vector<Schema> schemas = {};               // Brought up to date by open(), if read_write.
  const char* vfs = nullptr;                      // Name of a registered VFS; null: the system's.
};

inline bool is_data_error(const base::Error& error) {
  return error.code == base::ErrorCode::invalid_input;
}

// Ownership: owns the connection and its cached statements.
// Threading: one thread at a time.
// Limits: `Options`; statements of at most 1 MB of SQL, values of at most 64 MiB.
class Database {
 public:
  // Does not open: a database that cannot be opened yet must not keep a server from starting.
  explicit Database(std::string path, Options options = {});
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Opens, or closes and opens again, which is how the holder gets over I/O errors and replaced
  // files, and brings the schemas up to date. Only the first successful open() of a read_write
  // connection may create the file: one that disappears later stays gone until somebody restores
  // it. Destroys all cached statements.
  base::Status open();
  bool is_open() const { return connection_ != nullptr; }
  void close();

  // For statements used once. Exactly one statement; anything after it is an error (conflict).
  base::Result<Statement> prepare(std::string_view sql);

  // A statement kept by the Database until the next open() or close(); looked up by the address of
  // its text. The Borrowed resets it when it goes out of scope, so no read transaction is left
  // open.
  class Borrowed;
  base::Result<Borrowed> cached(base::StaticText sql);

  // Runs all statements in `sql`, ignoring rows. For schemas and pragmas.
  base::Status execute(const std::string& sql);

  // The first column of the first row, as an integer; not_found when there is no row.
  base::Result<int64_t> query_int(std::string_view sql);

  int64_t last_insert_id() const;
  int64_t changes() const;  // Rows changed by the last statement.

  // The file that was opened is no longer the one at the path: removed or replaced.
  bool moved() const;

  // Copies what it can of the write-ahead log into the file without waiting for readers.
  // Returns the pages that remain in the log and are not yet in the file.
  base::Result<int64_t> checkpoint_passive();
  // Pages in the write-ahead log after the last commit of this connection.
  int64_t wal_pages() const { return wal_pages_; }

  // Statements end with `cancelled` when `clock` reaches `deadline`, or as soon as `*cancel` is
  // true (may be null). Borrowed until clear_deadline().
  void set_deadline(const base::Clock& clock, base::Monotonic deadline,
                    const std::atomic<bool>* cancel);
  void clear_deadline();

  // SQLite's own words about the last error, for logs and for `weir sql`; may quote SQL.
  const std::string& message() const WEIR_LIFETIMEBOUND { return message_; }
  const std::string& path() const WEIR_LIFETIMEBOUND { return path_; }

  // The Error for a result code of SQLite; remembers message().
  base::Error error(int code);

  // For the few callers that need SQLite's own interface (the authorizer of stats/query).
  sqlite3* handle() { return connection_; }

 private:
  struct Cached {
    const char* key;
    Statement statement;
  };

  base::Status open_with(int flags);
  base::Status configure();
  base::Status use_write_ahead_log();

  const std::string path_;
  const Options options_;
  sqlite3* connection_ = nullptr;
  bool was_open_ = false;
  int64_t wal_pages_ = 0;
  std::string message_;
  std::vector<std::unique_ptr<Cached>> cached_;
  const base::Clock* clock_ = nullptr;
  base::Monotonic deadline_{};
  const std::atomic<bool>* cancel_ = nullptr;
};

// A cached statement in use. Clears its parameters and ends its read when destroyed.
// Threading: the thread of its Database.
class Database::Borrowed {
 public:
  explicit Borrowed(Statement& statement) : statement_(&statement) {}
  ~Borrowed() {
    if (statement_ != nullptr) statement_->clear();
  }
  Borrowed(Borrowed&& other) noexcept : statement_(other.statement_) { other.statement_ = nullptr; }
  Borrowed& operator=(Borrowed&&) = delete;
  Statement* operator->() const { return statement_; }
  Statement& operator*() const { return *statement_; }

 private:
  Statement* statement_;
};

// A write transaction: rolled back when destroyed without a successful commit().
//
// A commit() that failed was not made, as far as this connection can see; after a crash the file
// may still hold it. Whoever must know reads the state again from the database. Threading: the
// thread of its Database.
class Transaction {
 public:
  // Takes the write lock at once, so that nothing fails half-way for want of it.
  // Errors: unavailable (busy; gone), and the others of database.h.
  static base::Result<Transaction> begin(Database& database);
  ~Transaction();
  Transaction(Transaction&& other) noexcept : database_(other.database_) {
    other.database_ = nullptr;
  }
  Transaction& operator=(Transaction&&) = delete;

  // Durable when it returns ok (synchronous=FULL). Blocks for one fsync.
  base::Status commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace weir::sqlite
