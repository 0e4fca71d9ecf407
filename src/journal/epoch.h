#pragma once
// The number of this start: higher than any before, and durable before it is used.

#include <string>
#include <vector>

#include "base/result.h"
#include "journal/journal.h"
#include "journal/segment.h"
#include "os/files.h"

namespace weir::journal {

// What earlier starts left in the journal's directories.
struct Leftovers {
  std::vector<SegmentId> segments;  // Each list ascending.
  std::vector<Stream> rings;
  std::vector<Stream> collectors;

  uint32_t epoch_max() const;  // 0: none.
};

base::Result<Leftovers> find_leftovers(os::Files& files, const std::string& dir,
                                       const std::string& ring_dir);

// Opens an epoch above `floor` and above the one in the epoch files. Two files are written in turn,
// so that a torn write leaves the other. Blocks for two syncs. Errors: os/files.h; limit_exceeded
// after 2^32 - 1 epochs.
base::Result<uint32_t> open_epoch(os::Files& files, const std::string& dir, uint32_t floor);

}  // namespace weir::journal
