#pragma once
// The data directory of a stopped node, for commands that write to it.

#include <memory>
#include <string>

#include "os/directory_lock.h"
#include "sqlite/database.h"

namespace weir::app {

// Ownership: holds the directory's lock, and owns the writing connection.
// Threading: one thread at a time.
class Offline {
 public:
  explicit Offline(const std::string& data_dir);

  // False: it cannot be had, and that was said; `instead` is what can be done while a server runs.
  bool open(const std::string& instead);
  sqlite::Database& database() { return database_; }

 private:
  const std::string data_dir_;
  std::unique_ptr<os::DirectoryLock> lock_;
  sqlite::Database database_;
};

}  // namespace weir::app
