#pragma once
// The values a journal is made of. The composition root takes them from the configuration.

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "traffic/path_collector.h"

namespace weir::journal {

struct JournalOptions {
  std::string dir;       // Created if missing; its parent must exist.
  std::string ring_dir;  // The same. Empty: `dir`.
  uint16_t loops = 1;    // 1 or more.
  // Per loop. Holds what is written between two syncs, so at least a second of peak traffic.
  // At least traffic::Ring::kDataBytesMin.
  uint64_t ring_bytes = uint64_t{64} * 1024 * 1024;
  uint64_t segment_bytes = uint64_t{64} * 1024 * 1024;  // At least kSegmentBytesMin.
  std::chrono::milliseconds sync_interval{50};
  // All segments together. Reached: nothing more is copied until the consumer releases some.
  // At least two segments.
  uint64_t max_bytes = uint64_t{8} * 1024 * 1024 * 1024;
  traffic::CollectorSize collector;
  // A side of a PathCollector that counted something is closed after at most this time.
  std::chrono::milliseconds collector_interval{1000};
  // The new epoch is higher than this: the highest that the database knows, so that even without
  // the epoch files no epoch is used twice.
  uint32_t epoch_floor = 0;
  // Called on the storage thread when new records can be read. Must not block. May be empty.
  std::function<void()> on_synced;
};

inline constexpr uint64_t kSegmentBytesMin = uint64_t{256} * 1024;

// What all files of one start share.
struct EpochIdentity {
  uint32_t epoch = 0;
  uint32_t salt = 0;  // Secret; checksums start from it: see traffic/record.h.
  std::string boot_id;
};

}  // namespace weir::journal
