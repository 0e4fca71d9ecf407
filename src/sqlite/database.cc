#include "sqlite/database.h"

#include <utility>

#include <fmt/format.h>
#include <sqlite3.h>

namespace weir::sqlite {
namespace {

using base::Error;
using base::ErrorCode;
using base::Origin;
using base::Retry;

constexpr int kSqlBytesMax = 1'000'000;
constexpr int kValueBytesMax = 64 * 1024 * 1024;
// Virtual-machine steps between two looks at the deadline: some tens of microseconds.
constexpr int kProgressSteps = 2000;

Error store_error(ErrorCode code, base::StaticText what) {
  return {code, Origin::storage, Retry::with_backoff, 0, what};
}

Error data_error(base::StaticText what) {
  return {ErrorCode::invalid_input, Origin::storage, Retry::never, 0, what};
}

Error classify(int code) {
  switch (code & 0xff) {
    case SQLITE_CONSTRAINT:
      return data_error("constraint");
    case SQLITE_MISMATCH:
      return data_error("type mismatch");
    case SQLITE_TOOBIG:
      return data_error("value too big");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return store_error(ErrorCode::unavailable, "database locked");
    case SQLITE_FULL:
      return store_error(ErrorCode::limit_exceeded, "database disk full");
    case SQLITE_IOERR:
      return store_error(ErrorCode::unavailable, "database I/O");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return store_error(ErrorCode::unavailable, "database read-only");
    case SQLITE_CORRUPT:
      return store_error(ErrorCode::corrupt, "database file damaged");
    case SQLITE_NOTADB:
      return store_error(ErrorCode::corrupt, "file is no database");
    case SQLITE_CANTOPEN:
      return store_error(ErrorCode::unavailable, "database file cannot be opened");
    case SQLITE_NOMEM:
      return store_error(ErrorCode::unavailable, "database memory");
    case SQLITE_INTERRUPT:
      return {ErrorCode::cancelled, Origin::self, Retry::never, 0, "statement interrupted"};
    default:
      return store_error(ErrorCode::conflict, "SQL or schema");
  }
}

}  // namespace

Database::Database(std::string path, Options options) : path_(std::move(path)), options_(options) {}

Database::~Database() {
  close();
}

void Database::close() {
  cached_.clear();
  if (connection_ == nullptr) return;
  // close_v2: a Statement that a caller wrongly still holds must not leak the connection for ever.
  sqlite3_close_v2(std::exchange(connection_, nullptr));
  wal_pages_ = 0;
}

Error Database::error(int code) {
  const bool reported = connection_ != nullptr && sqlite3_errcode(connection_) == (code & 0xff);
  message_ = reported ? sqlite3_errmsg(connection_) : sqlite3_errstr(code);
  Error error = classify(code);
  if (connection_ != nullptr && (code & 0xff) != SQLITE_CONSTRAINT) {
    error.os_errno = sqlite3_system_errno(connection_);
  }
  return error;
}

base::Status Database::open() {
  close();
  base::Status status;
  if (options_.access == Access::read_write) {
    status = open_with(SQLITE_OPEN_READWRITE | (was_open_ ? 0 : SQLITE_OPEN_CREATE));
    for (const Schema& schema : options_.schemas) {
      if (status.ok()) status = migrate(*this, schema);
    }
  } else {
    // Writable first: the first reader of a write-ahead log after a crash must rebuild its index.
    status = open_with(SQLITE_OPEN_READWRITE);
    if (!status.ok()) status = open_with(SQLITE_OPEN_READONLY);
  }
  if (!status.ok()) {
    close();
    return status;
  }
  was_open_ = true;
  return {};
}

base::Status Database::open_with(int flags) {
  close();
  const int code =
      sqlite3_open_v2(path_.c_str(), &connection_,
                      flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, options_.vfs);
  if (code != SQLITE_OK) return error(code);
  return configure();
}

base::Status Database::configure() {
  sqlite3_busy_timeout(connection_, static_cast<int>(options_.busy_timeout.count()));
  sqlite3_limit(connection_, SQLITE_LIMIT_SQL_LENGTH, kSqlBytesMax);
  sqlite3_limit(connection_, SQLITE_LIMIT_LENGTH, kValueBytesMax);
  sqlite3_limit(connection_, SQLITE_LIMIT_ATTACHED, 0);
  // A damaged or hostile schema must not be able to do more than wrong answers.
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(connection_, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  // No memory mapping: an I/O error under it would be a SIGBUS.
  WEIR_TRY(
      execute(fmt::format("PRAGMA mmap_size = 0; PRAGMA foreign_keys = OFF;"
                          "PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -{};",
                          options_.cache_bytes / 1024)));
  if (options_.access == Access::query_only) {
    sqlite3_db_config(connection_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    // What a query sorts may be larger than memory.
    WEIR_TRY(execute("PRAGMA query_only = ON; PRAGMA temp_store = FILE"));
    // Fails here, and not in the middle of a query, when the file is no database.
    return execute("SELECT count(*) FROM sqlite_schema");
  }
  // secure_delete: Debian compiles it on, and it would overwrite every row that clean-up removes.
  WEIR_TRY(execute(fmt::format(
      "PRAGMA synchronous = FULL; PRAGMA secure_delete = OFF; PRAGMA temp_store = MEMORY;"
      "PRAGMA journal_size_limit = {};",
      options_.wal_bytes_max)));
  WEIR_TRY(use_write_ahead_log());
  sqlite3_wal_hook(
      connection_,
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<Database*>(self)->wal_pages_ = pages;
        return SQLITE_OK;
      },
      this);
  return {};
}

// Asks first what the mode is: changing it needs an exclusive lock that readers would refuse.
base::Status Database::use_write_ahead_log() {
  for (const char* const sql : {"PRAGMA journal_mode", "PRAGMA journal_mode = WAL"}) {
    Statement mode = WEIR_TRY(prepare(sql));
    if (WEIR_TRY(mode.step()) && mode.column_text(0) == "wal") return {};
  }
  return store_error(ErrorCode::unavailable, "write-ahead log");
}

base::Result<Statement> Database::prepare(std::string_view sql) {
  if (connection_ == nullptr) return error(SQLITE_CANTOPEN);
  if (sql.size() >= kSqlBytesMax) return error(SQLITE_TOOBIG);
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
  const int code =
      sqlite3_prepare_v2(connection_, sql.data(), static_cast<int>(sql.size()), &statement, &tail);
  if (code != SQLITE_OK) return error(code);
  Statement prepared{*this, statement};
  const std::string_view rest = sql.substr(static_cast<size_t>(tail - sql.data()));
  if (statement == nullptr || rest.find_first_not_of(" \t\r\n;") != std::string_view::npos) {
    const base::Error refusal = error(SQLITE_ERROR);
    message_ = statement == nullptr ? "there is no statement" : "there is more than one statement";
    return refusal;
  }
  return prepared;
}

base::Result<Database::Borrowed> Database::cached(base::StaticText sql) {
  const char* const key = sql.view().data();
  for (const std::unique_ptr<Cached>& entry : cached_) {
    if (entry->key == key) return Borrowed{entry->statement};
  }
  Statement statement = WEIR_TRY(prepare(sql.view()));
  cached_.push_back(std::make_unique<Cached>(Cached{key, std::move(statement)}));
  return Borrowed{cached_.back()->statement};
}

base::Status Database::execute(const std::string& sql) {
  if (connection_ == nullptr) return error(SQLITE_CANTOPEN);
  const int code = sqlite3_exec(connection_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return error(code);
  return {};
}

base::Result<int64_t> Database::query_int(std::string_view sql) {
  Statement statement = WEIR_TRY(prepare(sql));
  if (!WEIR_TRY(statement.step())) {
    return Error{ErrorCode::not_found, Origin::storage, Retry::never, 0, "row"};
  }
  return statement.column_int(0);
}

int64_t Database::last_insert_id() const {
  return sqlite3_last_insert_rowid(connection_);
}

int64_t Database::changes() const {
  return sqlite3_changes64(connection_);
}

bool Database::moved() const {
  if (connection_ == nullptr) return false;
  int moved = 0;
  const int code = sqlite3_file_control(connection_, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
  return code == SQLITE_OK && moved != 0;
}

base::Result<int64_t> Database::checkpoint_passive() {
  if (connection_ == nullptr) return error(SQLITE_CANTOPEN);
  int in_log = 0;
  int copied = 0;
  const int code =
      sqlite3_wal_checkpoint_v2(connection_, "main", SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied);
  if (code != SQLITE_OK) return error(code);
  if (copied == in_log) wal_pages_ = 0;  // The next commit starts the log anew, readers permitting.
  return int64_t{in_log} - copied;
}

void Database::set_deadline(const base::Clock& clock, base::Monotonic deadline,
                            const std::atomic<bool>* cancel) {
  clock_ = &clock;
  deadline_ = deadline;
  cancel_ = cancel;
  if (connection_ == nullptr) return;
  sqlite3_progress_handler(
      connection_, kProgressSteps,
      [](void* self) {
        const auto* const database = static_cast<const Database*>(self);
        // Relaxed: the flag orders nothing else.
        if (database->cancel_ != nullptr && database->cancel_->load(std::memory_order_relaxed)) {
          return 1;
        }
        return database->clock_->monotonic() >= database->deadline_ ? 1 : 0;
      },
      this);
}

void Database::clear_deadline() {
  if (connection_ != nullptr) sqlite3_progress_handler(connection_, 0, nullptr, nullptr);
}

base::Result<Transaction> Transaction::begin(Database& database) {
  // SQLite itself goes on writing into a file that was removed: every row would be lost silently.
  if (database.moved()) {
    return Error{ErrorCode::unavailable, Origin::storage, Retry::with_backoff, 0,
                 "database file removed or replaced"};
  }
  const Database::Borrowed begin = WEIR_TRY(database.cached("BEGIN IMMEDIATE"));
  WEIR_TRY(begin->run());
  return Transaction{database};
}

base::Status Transaction::commit() {
  const Database::Borrowed commit = WEIR_TRY(database_->cached("COMMIT"));
  WEIR_TRY(commit->run());
  database_ = nullptr;
  return {};
}

Transaction::~Transaction() {
  if (database_ == nullptr || !database_->is_open()) return;
  // Many errors roll back by themselves; then this one only reports that there is nothing to do.
  if (sqlite3_get_autocommit(database_->handle()) == 0) {
    static_cast<void>(sqlite3_exec(database_->handle(), "ROLLBACK", nullptr, nullptr, nullptr));
  }
}

}  // namespace weir::sqlite
