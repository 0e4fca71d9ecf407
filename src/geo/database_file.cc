#include "geo/database_file.h"

#include <utility>

#include <fmt/format.h>

namespace weir::geo {

bool DatabaseFile::look() {
  if (path_.empty()) return false;
  const auto identity = identify_file(path_);
  if (!identity.ok()) {
    fail(identity.error());
    return false;
  }
  if (identity.value() == tried_) {
    problem_ = tried_problem_;
    return false;
  }
  auto opened = Database::open(path_);
  if (!opened.ok()) {
    fail(opened.error());
    // What cannot be read now may be readable later, without any other change.
    if (opened.error().retry == base::Retry::never) {
      tried_ = identity.value();
      tried_problem_ = problem_;
    }
    return false;
  }
  current_ = std::move(opened).value();
  tried_ = current_->identity();
  tried_problem_.clear();
  problem_.clear();
  return true;
}

void DatabaseFile::fail(const base::Error& error) {
  problem_ = fmt::format("{}: {}", path_, error.what.view());
  if (error.code == base::ErrorCode::not_found) {
    problem_ = path_ + " is not there";
  } else if (error.os_errno != 0) {
    problem_ += fmt::format(" (errno {})", error.os_errno);
  }
}

}  // namespace weir::geo
