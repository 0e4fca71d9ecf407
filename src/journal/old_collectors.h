#pragma once
// PathCollector sides of earlier starts, waiting for the consumer.

#include <vector>

#include "base/thread_annotations.h"
#include "journal/journal.h"
#include "traffic/path_collector.h"

namespace weir::journal {

DegradedSide degraded_side(Stream stream, traffic::CollectedSide side);

// Threading: add() and take_finished(): the storage thread; the others: the consumer thread.
class OldCollectors {
 public:
  void add(Stream stream, std::vector<traffic::CollectedSide> sides);
  std::vector<Stream> take_finished();  // Streams whose last side was released.

  void append_to(std::vector<DegradedSide>& out) const;
  void release(Stream stream, uint64_t generation);

 private:
  mutable base::Mutex mutex_;
  std::vector<DegradedSide> sides_ WEIR_GUARDED_BY(mutex_);
  std::vector<Stream> finished_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::journal
