#pragma once
// Small values by name: snapshots, configuration, state that must outlive a restart.
//
// This header is the port. `kv/sqlite_kv.h` implements it in the statistics database's file; an
// adapter for a shared store may stand beside it later. Every implementation passes
// `kv/kv_contract.h`.

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace weir::kv {

struct Entry {
  std::string value;
  std::string metadata;  // JSON text that belongs to the value, or empty. Not interpreted here.
  std::optional<base::Wall> expires;
};

// One change of a write. Views live until the write returns.
struct Change {
  std::string_view key;
  std::optional<std::string_view> value;  // Absent: the key is deleted, if it is there.
  std::string_view metadata = {};
  std::optional<base::Wall> expires = {};  // From this moment on the key is not there.
};

struct Listed {
  std::string key;
  std::string metadata;
  std::optional<base::Wall> expires;
};

struct Listing {
  std::vector<Listed> keys;  // Ascending by bytes.
  bool complete = true;      // False: ask again after the last key.
};

// Ownership: the composition root owns it.
// Threading: one thread at a time.
// Limits: keys of 1 to kKeyBytesMax bytes, values up to kValueBytesMax, metadata up to
//   kMetadataBytesMax; beyond: limit_exceeded, and nothing is written.
class Kv {
 public:
  static constexpr size_t kKeyBytesMax = 512;
  static constexpr size_t kValueBytesMax = 25 * 1024 * 1024;
  static constexpr size_t kMetadataBytesMax = 1024;

  virtual ~Kv() = default;

  // Nothing when the key is not there or has expired.
  // Blocks for the store. Errors (Origin::storage): unavailable, corrupt; retry with back-off.
  virtual base::Result<std::optional<Entry>> get(std::string_view key) = 0;

  // Makes all changes, in order, or none; durable when it returns ok.
  // Blocks for the store. Errors: limit_exceeded with Retry::never (see Limits), else as get(), and
  // limit_exceeded with Retry::with_backoff when the disk is full.
  virtual base::Status write(std::span<const Change> changes) = 0;

  // Up to `keys_max` (1 or more) keys that begin with `prefix` and come after `after`.
  // Errors: as get().
  virtual base::Result<Listing> list(std::string_view prefix, std::string_view after,
                                     size_t keys_max) = 0;

  base::Status put(std::string_view key, std::string_view value, std::string_view metadata = {}) {
    const Change change{.key = key, .value = value, .metadata = metadata};
    return write({&change, 1});
  }
  base::Status remove(std::string_view key) {
    const Change change{.key = key, .value = {}};
    return write({&change, 1});
  }
};

}  // namespace weir::kv
