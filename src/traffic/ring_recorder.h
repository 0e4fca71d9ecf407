#pragma once
// The program's Recorder: events go into the ring; what finds no place there, or is wanted as a
// total only, goes into the PathCollector.

#include "traffic/event_id_source.h"
#include "traffic/path_collector.h"
#include "traffic/recorder.h"
#include "traffic/ring.h"

namespace weir::traffic {

struct RecorderOptions {
  // False: every exchange is counted in the PathCollector and none is recorded (stats.detail).
  bool detail = true;
  // In the PathCollector, count exchanges without a route under their own path (stats.collect =
  // "all") instead of `__unrouted__`.
  bool unrouted_paths = false;
};

// Ownership: borrows the ring and the collector of its loop.
// Threading: home loop only.
class RingRecorder final : public Recorder {
 public:
  RingRecorder(Ring& ring, PathCollector& collector, uint64_t drawn, RecorderOptions options)
      : writer_(ring), collector_(collector), ids_(drawn), options_(options) {}

  EventId next_id(base::Wall arrival) override { return ids_.next(arrival); }
  void commit(const Event& event) override;
  void answered() override { writer_.answered(); }

  // In force from the next commit on.
  void set_options(RecorderOptions options) { options_ = options; }

 private:
  RingWriter writer_;
  PathCollector& collector_;
  EventIdSource ids_;
  RecorderOptions options_;
};

// Records nothing at all (stats.record = false): for measuring what recording costs.
// Threading: home loop only.
class NullRecorder final : public Recorder {
 public:
  explicit NullRecorder(uint64_t drawn) : ids_(drawn) {}
  EventId next_id(base::Wall arrival) override { return ids_.next(arrival); }
  void commit(const Event& /*event*/) override {}
  void answered() override {}

 private:
  EventIdSource ids_;
};

}  // namespace weir::traffic
