#include "os/directory_lock.h"

#include <cerrno>
#include <charconv>
#include <string_view>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"

namespace weir::os {
namespace {

std::string lock_path(const std::string& directory) {
  return directory + "/lock";
}

base::Error error(base::ErrorCode code, int error_number, base::StaticText what) {
  return {code, base::Origin::self, base::Retry::never, error_number, what};
}

}  // namespace

base::Result<std::unique_ptr<DirectoryLock>> DirectoryLock::acquire(const std::string& directory) {
  using base::ErrorCode;
  Fd fd{::open(lock_path(directory).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!fd && errno == ENOENT) return error(ErrorCode::not_found, ENOENT, "data directory");
  if (!fd) return error(ErrorCode::unavailable, errno, "lock file of the data directory");
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      return error(ErrorCode::conflict, errno, "data directory used by another process");
    }
    return error(ErrorCode::unavailable, errno, "lock of the data directory");
  }
  // The number is for people; the lock itself is what counts, so failing to write it is no error.
  const std::string text = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd.get(), 0) == 0) {
    static_cast<void>(!::pwrite(fd.get(), text.data(), text.size(), 0));
  }
  return std::make_unique<DirectoryLock>(std::move(fd));
}

int lock_holder(const std::string& directory) {
  const Fd fd{::open(lock_path(directory).c_str(), O_RDONLY | O_CLOEXEC)};
  char text[16];
  const ssize_t got = fd ? ::pread(fd.get(), text, sizeof text, 0) : -1;
  int holder = 0;
  if (got > 0) std::from_chars(text, text + got, holder);
  return holder;
}

}  // namespace weir::os
