#include "app/offline.h"

#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "app/log.h"
#include "app/recording.h"

namespace weir::app {

Offline::Offline(const std::string& data_dir)
    : data_dir_(data_dir), database_(database_path(data_dir), database_options()) {}

bool Offline::open(const std::string& instead) {
  auto lock = os::DirectoryLock::acquire(data_dir_);
  if (!lock.ok()) {
    complain(lock.error().code == base::ErrorCode::conflict
                 ? fmt::format("{}: a server (process {}) runs on it; stop it first, or {}",
                               data_dir_, os::lock_holder(data_dir_), instead)
                 : fmt::format("{}: the data directory cannot be locked", data_dir_));
    return false;
  }
  lock_ = std::move(lock).value();
  // Only `serve` makes one: here a missing one is a mistake in --data.
  if (::access(database_.path().c_str(), F_OK) != 0) {
    complain(fmt::format("{}: no database", database_.path()));
    return false;
  }
  if (database_.open().ok()) return true;
  complain(fmt::format("{}: cannot be opened: {}", database_.path(), database_.message()));
  return false;
}

}  // namespace weir::app
