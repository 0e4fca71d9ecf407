#pragma once
// Active health (gateway/health_prober.h) on a loop and thread of its own: a large change keeps the
// control thread busy for longer than a probe may take, and its answers would be called late.

#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/result.h"
#include "gateway/health_prober.h"
#include "gateway/snapshot.h"
#include "loop/loop.h"
#include "net/loop_context.h"

namespace weir::app {

// Ownership: owns loop, prober and thread; borrows clock and the endpoints that snapshots name.
// Threading: the control thread.
class ProbeThread {
 public:
  // Errors: unavailable (out of descriptors).
  static base::Result<std::unique_ptr<ProbeThread>> start(base::Clock& clock);
  ~ProbeThread();
  ProbeThread(const ProbeThread&) = delete;
  ProbeThread& operator=(const ProbeThread&) = delete;

  // HealthProber::watch(), soon.
  void watch(std::shared_ptr<const gateway::Snapshot> snapshot);

 private:
  explicit ProbeThread(std::unique_ptr<loop::Loop> loop);

  std::unique_ptr<loop::Loop> loop_;  // Of our own thread; the rest belongs to it.
  net::LoopContext context_;
  gateway::HealthProber prober_;
  std::thread thread_;
};

}  // namespace weir::app
