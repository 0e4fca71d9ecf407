#pragma once
// The data loops: one thread per loop, each with its own connections, pools and gateway, and the
// few things that the control thread asks of all of them.
//
// Life: create() → listen() → start() → publish() whenever the configuration changes → drain() →
// stop(). Everything a loop owns is touched by its own thread between start() and stop(); before
// and after, by the control thread.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "gateway/gateway.h"
#include "gateway/snapshot.h"
#include "loop/loop.h"
#include "net/server.h"
#include "net/upstream_pool.h"
#include "traffic/recorder.h"

namespace weir::app {

// What one loop counted, copied on its own thread.
struct LoopCounts {
  net::ConnectionCounts connections;
  gateway::GatewayCounts gateway;
  size_t exchanges_in_progress = 0;
  size_t upstream_idle = 0;
  size_t open_connections = 0;
  bool answered = false;  // False: the loop did not answer in time; the rest is zero.
};

// Ownership: owns loops and threads; borrows clock, recorders and identity.
// Threading: the control thread.
class DataPlane {
 public:
  struct Options {
    uint32_t loops = 1;
    std::string node;
    uint64_t seed = 1;
    uint64_t limiter_seed = 1;  // Of the keys of what is counted.
    size_t rate_limit_clients_max = 1'000'000;
    // Called on each loop's thread (before start(): on the caller's) when a snapshot comes into
    // force there. May be empty.
    std::function<void(uint32_t index, const config::Config&)> on_apply;
  };

  // `recorders[i]` is loop i's. Errors: unavailable (out of descriptors).
  static base::Result<std::unique_ptr<DataPlane>> create(
      Options options, base::Clock& clock, const std::vector<traffic::Recorder*>& recorders,
      const gateway::ClientIdentity& identity);
  ~DataPlane();
  DataPlane(const DataPlane&) = delete;
  DataPlane& operator=(const DataPlane&) = delete;

  // Opens a listener on every loop. Before start(). Errors: those of net::listen_on().
  base::Status listen(const net::SocketAddress& address, net::ListenerOptions options);
  // The same for a descriptor that is there already (LISTEN_FDS, or a Unix socket).
  base::Status listen(const os::Fd& listener, net::ListenerOptions options);

  void start(std::shared_ptr<const gateway::Snapshot> snapshot);

  // Any thread.
  limit::Limiter& limiter() { return shared_.limiter; }
  // The limiter was filled from elsewhere: clients may be banned by these rules.
  void expect_bans(const config::Config& config);

  // In force on every loop when it returns, or the indexes of loops that did not answer within
  // `patience` (they will take it up as soon as they do).
  std::vector<uint32_t> publish(std::shared_ptr<const gateway::Snapshot> snapshot,
                                std::chrono::milliseconds patience);

  // Stops accepting; each connection ends with its exchange, or after a short rest.
  void drain();
  // True when no client connection is left.
  bool drained() const { return group_.connections.load(std::memory_order_relaxed) == 0; }
  void stop();  // Joins the threads. Connections that are left are cut without a record.

  // What a loop is given to answer; one that does not shows zeros and `answered` false.
  static constexpr std::chrono::milliseconds kCountsPatience{200};
  std::vector<LoopCounts> counts(std::chrono::milliseconds patience);
  // The newest bans that each loop started, oldest first. `complete`: every loop answered in time.
  struct Bans {
    std::vector<gateway::StartedBan> bans;
    bool complete = true;
  };
  Bans started_bans(std::chrono::milliseconds patience);
  uint32_t open_connections() const { return group_.connections.load(std::memory_order_relaxed); }
  uint64_t refused_connections() const { return group_.refused.load(std::memory_order_relaxed); }
  const loop::Loop& loop(uint32_t index) const { return *loops_[index]->loop; }
  uint32_t loops() const { return static_cast<uint32_t>(loops_.size()); }

 private:
  struct DataLoop {
    DataLoop(std::unique_ptr<loop::Loop> home, const Options& options, traffic::Recorder& recorder,
             const gateway::ClientIdentity& identity, gateway::NodeShared& shared,
             net::ServerGroup& group, uint32_t index);
    void apply(std::shared_ptr<const gateway::Snapshot> snapshot);

    std::unique_ptr<loop::Loop> loop;
    net::LoopContext context;
    net::UpstreamPool pool;
    gateway::Gateway gateway;
    net::Server server;
    net::ServerGroup& group;
    const uint32_t index;
    const std::function<void(uint32_t, const config::Config&)> on_apply;
    std::thread thread;
  };

  explicit DataPlane(const Options& options)
      : shared_(options.rate_limit_clients_max, options.limiter_seed) {}
  // Runs `function` on every loop and waits; true for those that ran it in time.
  std::vector<bool> on_all(std::function<void(DataLoop&, size_t)> function,
                           std::chrono::milliseconds patience);

  net::ServerGroup group_;
  gateway::NodeShared shared_;
  std::vector<std::unique_ptr<DataLoop>> loops_;
  bool running_ = false;
};

}  // namespace weir::app
