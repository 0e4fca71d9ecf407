#pragma once
// Active health: asks every endpoint whose route wants it, once per node, and takes those out that
// keep failing.
//
//   waiting --interval--> asking --2xx or 3xx-----------------------> healthy result --+
//      ^                     |--anything else, or the timeout-> unhealthy result --+   |
//      +---------------------------------------------------------------------------+---+
//
// `unhealthy_after` bad results in a row mark the endpoint as down, `healthy_after` good ones take
// it back. Each probe uses a connection of its own, which does not count against max_connections:
// a full upstream is not a sick one.

#include <memory>
#include <unordered_map>

#include "gateway/snapshot.h"
#include "net/loop_context.h"

namespace weir::gateway {

// Ownership: owns its probes; borrows context and endpoints, which the endpoint table keeps for the
//   life of the process.
// Threading: home loop only; what it finds is set through atomics.
// Limits: one connection per endpoint at a time.
class HealthProber {
 public:
  explicit HealthProber(net::LoopContext& context);
  ~HealthProber();
  HealthProber(const HealthProber&) = delete;
  HealthProber& operator=(const HealthProber&) = delete;

  // Probes exactly the endpoints of `snapshot` that have a health path. Those that were probed in
  // the same way before go on undisturbed; those that no longer are count as healthy.
  void watch(const Snapshot& snapshot);

  size_t probe_count() const { return probes_.size(); }

 private:
  class Probe;

  using Probes = std::unordered_map<net::Endpoint*, std::unique_ptr<Probe>>;

  net::LoopContext& context_;
  Probes probes_;
};

}  // namespace weir::gateway
