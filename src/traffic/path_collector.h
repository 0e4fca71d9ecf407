#pragma once
// Counts exchanges per path and hour when they cannot be, or shall not be, recorded one by one: the
// ring is full, the journal fails, or the configuration wants totals only. A fixed table in mapped
// memory beside the ring, so that it survives a kill. File layout: docs/formats/path_collector.md.
//
// Two sides. The loop counts in the active one; the storage thread closes it when the other one is
// free; the consumer reads the closed side, commits it in one transaction with its generation, and
// frees it. Generations of one collector only grow, so a side that is seen twice is merged once.
//
//          storage: try_swap()            storage: try_swap() later
//   active ────────────────────► closing ──────────────────────────► closed
//      ▲                        (the loop may be inside)                │ consumer: merged
//      └──────────────────── free ◄────────────────────── release() ────┘
//        storage: try_swap()

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/files.h"
#include "os/sigbus.h"
#include "traffic/event.h"

namespace weir::traffic {

// Fault points, for base/fault_point.h, around the counting of one exchange.
inline constexpr const char* kFaultBeforeCount = "collector.before_count";
inline constexpr const char* kFaultAfterCount = "collector.after_count";

inline constexpr std::string_view kOtherPath = "__other__";
inline constexpr std::string_view kUnroutedPath = "__unrouted__";

struct CollectorIdentity {
  uint32_t epoch = 0;
  uint16_t loop = 0;
  uint64_t secret = 0;  // Keys the hash, so that no client can choose colliding paths.
  std::string boot_id;  // At most 40 bytes.
};

struct CollectorSize {
  uint32_t slots = 8192;  // A power of two, at least 64. Three quarters of them are used.
  uint32_t text_bytes = 1024 * 1024;
};

// What was counted under one key.
struct PathTotals {
  std::string path;
  int64_t hour = 0;  // Unix hours of the arrival.
  bool totals_only = false;
  uint64_t requests = 0;
  uint64_t errors = 0;
  uint64_t duration_us_sum = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  auto operator<=>(const PathTotals&) const = default;
};

struct CollectedSide {
  uint64_t generation = 0;
  std::vector<PathTotals> rows;
};

// Ownership: owns the mapping; the file stays when it is destroyed.
// Threading: count(): home loop only. try_swap(): the storage thread. closed_side() and release():
// the consumer thread. totals: any thread.
// Limits: CollectorSize, per side; what finds no place is counted under `__other__` of its hour.
// Paths of exchanges that no route matched take at most a quarter of the slots and of the text, so
// that a scan cannot displace routed ones. At most 64 probes a count. `__other__` keeps kOtherHours
// different hours a side and reason; further ones are counted under the one nearest in time.
class PathCollector {
 public:
  static constexpr size_t kSides = 2;
  static constexpr size_t kOtherHours = 8;

  // Creates the file. Blocks. Errors: os/files.h; no file is left behind.
  static base::Result<std::unique_ptr<PathCollector>> create(os::Files& files,
                                                             const std::string& path,
                                                             const CollectorIdentity& identity,
                                                             const CollectorSize& size);

  // For create(). Takes the mapping of a new file, full of zeros.
  PathCollector(std::unique_ptr<os::MappedFile> file, const CollectorIdentity& identity,
                const CollectorSize& size);
  ~PathCollector();

  enum class Why : uint8_t { degraded, totals_only };

  // Counts `event` under `path` and the hour of its arrival. Never fails, never allocates, no
  // system call, no lock. A kill in the middle may leave this one exchange half counted.
  void count(const Event& event, std::string_view path, Why why);

  // Closes the active side if it counted anything and the other one is free; to be called again and
  // again. Returns true when a side became closed in this call.
  bool try_swap();

  // The closed side, if there is one. It does not change until release().
  bool closed() const;
  CollectedSide closed_side() const;
  // Empties the closed side if it is of `generation`, and frees it. Anything else: no effect.
  void release(uint64_t generation);

  // Nobody counts any more and the file is about to be synced: it may be believed even after a loss
  // of power. The last call.
  void mark_synced();

  uint64_t counted(Why why) const {  // Since the start; for status.
    return counted_[static_cast<size_t>(why)].load(std::memory_order_relaxed);
  }
  bool failed() const { return guard_.failed(); }

  const CollectorIdentity& identity() const { return identity_; }

 private:
  char* side_at(size_t index) const;

  const CollectorIdentity identity_;
  const CollectorSize size_;
  const std::unique_ptr<os::MappedFile> file_;
  os::GuardedRegion guard_;

  // How a side changes hands, without either thread ever waiting:
  //   loop:     entries_ = odd (seq_cst); a = active_ (seq_cst); count in side a; entries_ = even
  //             (release).
  //   storage:  active_ = other (seq_cst); e = entries_ (seq_cst); the old side is quiet as soon as
  //             e is even, or entries_ (acquire) is no longer e.
  // All seq_cst operations have one order. If the storage thread's load of entries_ does not see
  // the loop's store of an odd value, that store comes later in the order, hence later than the
  // store of active_, so the loop counts in the new side. If it sees it, it waits for the next
  // value, which the loop stores (release) after its last touch of the old side.
  std::atomic<uint32_t> active_ = 0;
  alignas(64) std::atomic<uint64_t> entries_ = 0;
  std::array<std::atomic<uint64_t>, 2> counted_{};  // Relaxed: for status only.

  // The storage thread's.
  bool closing_ = false;
  uint64_t closing_entries_ = 0;
  uint64_t generation_ = 0;
  // Sides that the consumer may read. Stored (release) by the storage thread when a side closes and
  // by the consumer when it frees one; loaded (acquire) by the other before it touches the side.
  std::array<std::atomic<bool>, kSides> closed_{};
};

// What an earlier process left behind.
struct OldCollector {
  CollectorIdentity identity;
  bool synced = false;               // Closed in good order: survives a loss of power.
  std::vector<CollectedSide> sides;  // Those that counted anything, oldest generation first.
};

// Believe it only if it was written since this machine's start, or `synced`.
// Errors: corrupt (the header, or a size that does not fit); os/files.h.
base::Result<OldCollector> read_old_collector(os::File& file);

}  // namespace weir::traffic
