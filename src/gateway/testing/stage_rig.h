#pragma once
// The stages of one loop between a fake client connection (mux_connection.h) and scripted upstreams
// (scripted_upstream.h), with a clock that stands still. A test opens an exchange and watches it;
// with Neighbour::busy a second exchange streams through the same connection all the while, a piece
// in each direction with every turn of the loop, and must come to its own end untouched.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "gateway/endpoint_table.h"
#include "gateway/gateway.h"
#include "gateway/testing/mux_connection.h"
#include "gateway/testing/timeline.h"
#include "loop/loop.h"
#include "net/loop_context.h"
#include "net/testing/scripted_upstream.h"
#include "net/upstream_pool.h"

namespace weir::gateway::testing {

using net::testing::ScriptedUpstream;
using net::testing::UpstreamConnection;

enum class Neighbour : uint8_t { none, busy };

// Threading: any thread.
class FakeIdentity final : public ClientIdentity {
 public:
  uint64_t hash(const config::IpAddress& ip) const override { return 0xabc00 + ip.bytes[15]; }
};

// Ownership: owns everything.
// Threading: one thread at a time.
class StageRig {
 public:
  // One route, "kv", with the pattern /kv/* and `upstream`.
  explicit StageRig(Neighbour neighbour);
  // Brings the neighbour to its end and checks what holds for every test: no forbidden call, and P1
  // and an answered count for every stream that is over.
  ~StageRig();
  StageRig(const StageRig&) = delete;
  StageRig& operator=(const StageRig&) = delete;

  // Puts a configuration in force: `routes` (and other tables) in TOML, "{upstream}" being the
  // upstream's URL.
  void publish(std::string routes);
  // The same with keys added to the one route that the rig began with.
  void publish_with(const std::string& keys);

  // Turns of the loop until `condition` holds; a test fails that waits in vain.
  void until(const std::function<bool()>& condition, const char* what);
  void until_over(const MuxStream& stream);
  void until_request(size_t connection = 0);  // A head came at the upstream.
  void turns(int count);                      // For what must not happen.
  void pass(std::chrono::milliseconds time);

  // The event of a stream.
  traffic::Event event(const MuxStream& stream) const { return recorder.of(stream.number()); }

  // Of what is published from then on. Null at first.
  std::shared_ptr<const geo::Places> places;

  base::ManualClock clock;
  std::unique_ptr<loop::Loop> loop;
  net::LoopContext context;
  ScriptedUpstream upstream;

 private:
  ScriptedUpstream neighbour_upstream_;
  EndpointTable endpoints_;
  uint64_t version_ = 0;
  FakeIdentity identity_;
  Timeline timeline_;

 public:
  FakeRecorder recorder;
  NodeShared shared{10'000, 5};
  std::shared_ptr<const Snapshot> snapshot;  // In force.
  net::UpstreamPool pool;
  Gateway gateway;
  MuxConnection connection;

 private:
  void step();
  void start_neighbour();
  void end_neighbour();
  void check_stream(const MuxStream& stream);

  MuxStream* neighbour_ = nullptr;
  std::string neighbour_sent_;
  int neighbour_pieces_ = 0;
};

}  // namespace weir::gateway::testing
