#pragma once
// What a data loop needs to record an exchange: an id at arrival, one commit before the last byte,
// and a separate count of responses that ended (the audit's other side).
//
// Implementations: RingRecorder (traffic/ring_writer.h) in the program; a vector in tests.

#include "base/clock.h"
#include "traffic/event.h"

namespace weir::traffic {

// Threading: home loop only.
class Recorder {
 public:
  virtual ~Recorder() = default;

  virtual EventId next_id(base::Wall arrival) = 0;

  // Makes the event survive the death of this process. When the ring is full it is counted in the
  // PathCollector instead (`degraded`). Never blocks, never allocates, never fails: no file
  // operation, no lock.
  virtual void commit(const Event& event) = 0;

  // The response of a committed exchange has been handed to the kernel in full, or given up.
  // Incremented by code that shares nothing with commit().
  virtual void answered() = 0;
};

}  // namespace weir::traffic
