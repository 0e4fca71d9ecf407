#pragma once
// The versions of a node's rules (config::load_rules()), each an object of its own below `config`
// in the data directory: who made it, when, and its TOML as it was written. The newest is in force
// where config.source = "store"; where it is "file", they are the file's history.
//
// An object appears whole and durable or not at all, and says when it is damaged (objects.h); a
// start needs no database to know its rules.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "objects/directory_store.h"
#include "os/files.h"

namespace weir::app {

struct RuleVersion {
  uint64_t number = 0;  // From 1, dense.
  std::string author;   // Of the operating system; "file": the configuration file.
  std::string comment;
  base::Wall at{};
  std::string toml;
};

// Ownership: borrows files and clock.
// Threading: one thread at a time. Blocks for the disk.
// Limits: the newest `kept` versions stay. Authors and comments have up to kAuthorBytesMax and
//   kCommentBytesMax, TOML objects::kWholeBytesMax.
// Errors of all: those of objects::Store; corrupt: a version that is damaged.
class RuleVersions {
 public:
  static constexpr size_t kKept = 1000;
  static constexpr size_t kAuthorBytesMax = 64;
  static constexpr size_t kCommentBytesMax = 500;

  static base::Result<RuleVersions> open(os::Files& files, const base::Clock& clock,
                                         const std::string& data_dir, objects::Access access,
                                         size_t kept = kKept);

  // 0: there is none yet.
  base::Result<uint64_t> newest_number();
  // Errors: not_found.
  base::Result<RuleVersion> get(uint64_t number);
  // The newest first, without their TOML. One whose description is damaged has no author, and says
  // so in its comment: it must not hide the others.
  base::Result<std::vector<RuleVersion>> list(size_t count);

  // Adds the next version, durably, and returns its number.
  base::Result<uint64_t> add(std::string_view author, std::string_view comment,
                             std::string_view toml);

 private:
  RuleVersions(std::unique_ptr<objects::DirectoryStore> store, size_t kept)
      : store_(std::move(store)), kept_(kept) {}

  base::Result<std::vector<uint64_t>> numbers();

  std::unique_ptr<objects::DirectoryStore> store_;
  size_t kept_;
};

}  // namespace weir::app
