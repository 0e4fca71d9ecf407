#pragma once
// A database's file, looked at again and again: a new one is opened and checked, and only then
// takes the place of the one in use. One that is damaged, half written or gone leaves the one in
// use in its place, and says so until that is over.

#include <memory>
#include <string>

#include "geo/database.h"

namespace weir::geo {

// Ownership: shares its databases; copies are independent.
// Threading: one thread at a time.
class DatabaseFile {
 public:
  DatabaseFile() = default;
  explicit DatabaseFile(std::string path) : path_(std::move(path)) {}

  // True when there is another database than before. Blocks for the file, and as Database::open()
  // when it changed. Without a path there is never one.
  bool look();

  const std::string& path() const { return path_; }
  // The last good one; null before there was any.
  const std::shared_ptr<const Database>& current() const { return current_; }
  // What is wrong with the file as it is, for people; empty: nothing.
  const std::string& problem() const { return problem_; }

 private:
  void fail(const base::Error& error);

  std::string path_;
  std::shared_ptr<const Database> current_;
  FileIdentity tried_;         // The file that was opened last, good or not.
  std::string tried_problem_;  // What was wrong with it.
  std::string problem_;
};

}  // namespace weir::geo
