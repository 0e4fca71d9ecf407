#pragma once
// The writing connection, as other threads see it: short commands that its own thread runs for them
// between two batches. Jobs, the administration and the key-value store write this way and no
// other, because only one connection of the process may write (see database.h).

#include <functional>

#include "base/result.h"
#include "sqlite/database.h"

namespace weir::sqlite {

// Threading: any thread but the one of the writing Database.
class Writer {
 public:
  // Opens its own Transaction if it writes. Runs for at most about 50 ms: whoever has more to do
  // sends several commands, because the consumer waits meanwhile.
  using Command = std::function<base::Status(Database&)>;

  virtual ~Writer() = default;

  // Runs `command` once and returns what it returned. Blocks until it has run.
  // Errors: those of the command; unavailable (Origin::storage, Retry::with_backoff): the database
  // is not open, too many commands wait, or the writer is ending; the command did not run.
  virtual base::Status run(Command command) = 0;
};

// Runs commands at once on the caller's thread: for a stopped node's data directory, and for tests.
// Ownership: borrows the Database.
// Threading: the thread of the Database.
class DirectWriter final : public Writer {
 public:
  explicit DirectWriter(Database& database) : database_(database) {}
  base::Status run(Command command) override { return command(database_); }

 private:
  Database& database_;
};

}  // namespace weir::sqlite
