#pragma once
// One process per data directory.

#include <memory>
#include <string>

#include "base/result.h"
#include "os/fd.h"

namespace weir::os {

// Held until destroyed, or until the process dies however it dies: the kernel releases it.
// Ownership: owns the descriptor of `DIR/lock`.
// Threading: one thread at a time.
class DirectoryLock {
 public:
  // Takes the lock of an existing directory and writes this process' id into `DIR/lock`, for
  // people. Never waits. Errors (Origin::self): conflict, another process holds it;
  // not_found, no such directory; unavailable, the lock file cannot be made.
  static base::Result<std::unique_ptr<DirectoryLock>> acquire(const std::string& directory);

  explicit DirectoryLock(Fd locked) : fd_(std::move(locked)) {}  // For acquire().

 private:
  Fd fd_;
};

// The process id that the holder wrote, or 0.
int lock_holder(const std::string& directory);

}  // namespace weir::os
