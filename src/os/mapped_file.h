#pragma once
// A file's bytes as shared memory: they survive the death of this process, and, because nobody
// syncs them, promise nothing against a loss of power.

#include <cstddef>
#include <span>

#include "base/result.h"

namespace weir::os {

// Made by Files::map_new(). Unmapped when destroyed; the file stays.
// Threading: bytes(): any thread, the users arrange who touches what. populate(): any thread.
class MappedFile {
 public:
  virtual ~MappedFile() = default;

  // Page-aligned; the same address for the object's life. A page whose storage is gone (the file
  // was truncated, the device failed) raises SIGBUS when touched: see os/sigbus.h.
  virtual std::span<char> bytes() = 0;

  // Makes the pages of [offset, offset + length) present and writable, without changing them, so
  // that a thread that must not wait finds them so. The kernel's write-back takes the right to
  // write away again (about 30 s after a page was made dirty), so a file that is written slowly is
  // populated again and again, ahead of its writer.
  // Blocks for page faults (file system, disk). Errors: unavailable, with the errno (EFAULT: a
  // touch would raise SIGBUS; EINVAL: Linux before 5.14).
  // Requires offset + length <= bytes().size().
  virtual base::Status populate(size_t offset, size_t length) = 0;
};

}  // namespace weir::os
