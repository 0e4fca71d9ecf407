#include "traffic/ring_recorder.h"

namespace weir::traffic {

void RingRecorder::commit(const Event& event) {
  using Why = PathCollector::Why;
  Why why = Why::totals_only;
  if (options_.detail) {
    char* const payload = writer_.begin();
    if (payload != nullptr && writer_.commit(encode(event, {payload, kEventBytesMax}))) return;
    why = Why::degraded;
  }
  const bool unrouted = (event.flags & EventFlag::kUnrouted) != 0;
  collector_.count(event, unrouted && !options_.unrouted_paths ? kUnroutedPath : event.path, why);
}

}  // namespace weir::traffic
