#pragma once
// What must outlive a restart and is no statistic: the counter, the traffic monitor, the paths of
// clients. This module computes; it stores nothing itself.
//
//   Counter, TrafficMonitor, ClientPaths ──image()──► Keeper ──save(name, bytes)──► Store
//                                        ◄─restore()─        ◄─load(name)──────────
//
// `Store` is the port: the embedded one puts images into the key-value store, an adapter for a
// shared store may stand beside it later. Every implementation passes `state/store_contract.h`. An
// image is versioned, checksummed bytes with the generation that it holds; docs/formats/state.md.
//
// What is promised. Changes happen in memory. They are durable when the Keeper has saved an image
// whose generation is not below theirs:
//   - write-behind, for what may lose its last seconds (TrafficMonitor, ClientPaths: their exact
//     figures are in the statistics database): step() saves what changed, each at most once per its
//     interval. A kill loses what came since the last save, at most the interval and the time of
//     one save; an orderly end flushes and loses nothing.
//   - before the answer, for what is acknowledged (Counter): change, then save(), then answer. Many
//     changes may share one save. What was answered is never lost: images are taken and written by
//     one thread, so a later save holds all that an earlier one held. A change whose save failed is
//     answered with an error and may still take effect, as after any time-out.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace weir::state {

// The port.
// Ownership: the composition root owns it.
// Threading: one thread at a time.
// Limits: names of 1 to kNameBytesMax bytes; images up to kImageBytesMax; beyond: limit_exceeded.
class Store {
 public:
  static constexpr size_t kNameBytesMax = 128;
  static constexpr size_t kImageBytesMax = 1024 * 1024;

  virtual ~Store() = default;

  // What was saved last under `name`; nothing when nothing was.
  // Blocks for the store. Errors (Origin::storage): unavailable, corrupt; retry with back-off.
  virtual base::Result<std::optional<std::string>> load(std::string_view name) = 0;

  // Replaces what is kept under `name`, whole or not at all; durable when it returns ok.
  // Blocks for the store. Errors: as load(), and limit_exceeded (see Limits, or the disk is full).
  virtual base::Status save(std::string_view name, std::string_view bytes) = 0;
};

struct Image {
  uint64_t generation = 0;
  std::string bytes;
};

// Something that is kept under a name. Implemented by the tables of this module.
// Threading: any thread; restore() before any other thread knows the object.
class Kept {
 public:
  virtual ~Kept() = default;

  // Fixed, and its own.
  virtual std::string_view name() const = 0;
  // Grows with each change, across restarts too.
  virtual uint64_t generation() const = 0;
  // All of it, in one moment.
  virtual Image image() const = 0;
  // Becomes what the image holds, or stays as it is.
  // Errors: corrupt (Origin::storage, Retry::never): no image of this kind and a known version.
  virtual base::Status restore(std::string_view bytes) = 0;
};

struct KeeperOptions {
  std::chrono::milliseconds interval{5'000};     // Between two write-behind saves of one object.
  std::chrono::milliseconds retry_first{1'000};  // After a failure; doubled after each in a row.
  std::chrono::milliseconds retry_max{60'000};
  size_t step_bytes_max = 512 * 1024;  // A step begins no further save after so many bytes.
};

// Loads at the start, saves what changed.
// Ownership: borrows the store, the clock, and what it keeps.
// Threading: one thread at a time: the one that may write to the store.
// Limits: KeeperOptions. A step writes less than step_bytes_max and one image together, so that
//   it stays a short command; what remains dirty is next in the following step.
class Keeper {
 public:
  Keeper(Store& store, const base::Clock& clock, KeeperOptions options = {})
      : store_(store), clock_(clock), options_(options) {}

  // Before load(). Names may not repeat, which is asserted.
  void add(Kept& kept);

  struct Loaded {
    size_t restored = 0;
    size_t absent = 0;                 // Never saved: the object starts empty.
    std::vector<std::string> refused;  // Corrupt: starts empty, see load().
  };

  // Restores everything. An image that is refused is first copied to "{name}.refused", so that
  // nothing is lost by starting without it (a version of tomorrow, a flipped bit); to be logged.
  // Errors: those of the store; nothing may be saved until a later load() succeeded, so that an
  // empty start never replaces good images. Some objects may be restored by then.
  base::Result<Loaded> load();

  // Saves what changed and is due. Call it every second or so. Errors: the first one of the store;
  // what failed stays dirty and is tried again after a growing delay; the others are saved.
  // Requires load(), as all below.
  base::Status step();

  // Saves `kept` at once unless its last image holds all of it. When this returns ok, every change
  // made before the call is durable. Errors: those of the store.
  base::Status save(Kept& kept);

  // Saves everything that changed, due or not. Errors: the first one; all are tried.
  base::Status flush();

  struct Report {
    uint64_t saves = 0;
    uint64_t failures = 0;
    size_t dirty = 0;  // Objects with changes that no image holds yet.
  };
  Report report() const;

 private:
  struct Entry {
    Kept* kept = nullptr;
    uint64_t saved_generation = 0;
    base::Monotonic due{};  // Not saved by step() before.
    uint32_t failures = 0;  // In a row.
  };
  static bool is_dirty(const Entry& entry);
  base::Result<size_t> save_entry(Entry& entry);

  Store& store_;
  const base::Clock& clock_;
  const KeeperOptions options_;
  std::vector<Entry> entries_;
  size_t next_ = 0;  // Where the next step begins, so that everything has its turn.
  bool loaded_ = false;
  uint64_t saves_ = 0;
  uint64_t failures_ = 0;
};

}  // namespace weir::state
