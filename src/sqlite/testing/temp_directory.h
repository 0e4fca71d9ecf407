#pragma once
// A directory of its own for one test, removed with everything in it. In memory where the system
// has a place for that: these tests sync thousands of times, and what a kill leaves is the same
// there.

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/assert.h"

namespace weir::sqlite::testing {

// Threading: one thread at a time.
class TempDirectory {
 public:
  TempDirectory() {
    const std::string system = std::filesystem::temp_directory_path().string();
    for (const std::string& parent : {std::string{"/dev/shm"}, system}) {
      path_ = parent + "/weir-test-XXXXXX";
      if (::mkdtemp(path_.data()) != nullptr) return;
    }
    WEIR_ASSERT(!"no directory for temporary files");
  }
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace weir::sqlite::testing
