#pragma once
// The connections of one loop to upstreams: those at rest, last in first out, and new ones.
//
// Last in, first out keeps the fewest connections busy: the rest grow old and are closed, and the
// one handed out is the least likely to have been closed by the upstream meanwhile.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "net/endpoint.h"
#include "net/http1_client.h"
#include "net/loop_context.h"

namespace weir::net {

// Where an endpoint's connections are limited, one at rest here can be what an exchange of another
// loop waits for: such connections are looked after every kShareEvery.
//
// Ownership: owns its connections; borrows the context and the endpoints, which must outlive it.
// Threading: home loop only.
// Limits: set_idle_max() connections at rest per endpoint; the endpoint's own connections_max,
// node-wide.
class UpstreamPool final : public Http1ClientOwner {
 public:
  static constexpr std::chrono::milliseconds kShareEvery{16};

  explicit UpstreamPool(LoopContext& context)
      : context_(context), share_(context.loop, [this] { share(); }) {}
  ~UpstreamPool() override;
  UpstreamPool(const UpstreamPool&) = delete;
  UpstreamPool& operator=(const UpstreamPool&) = delete;

  // A stream for one exchange with `endpoint`: over a connection at rest, else over a new one,
  // which may still be connecting. Failures after this come to the handler. Errors: limit_exceeded
  // (connections_max is reached: wait and ask again), unavailable (refused at
  //   once).
  base::Result<ClientStream*> acquire(Endpoint& endpoint, ClientStreamHandler& handler,
                                      const ClientTimeouts& timeouts, bool fresh_only);

  // In force for connections that come to rest from now on.
  void set_idle_max(size_t idle_max) { idle_max_ = idle_max; }
  // Whether acquire() would find a connection at rest or be allowed another one, as far as is
  // known.
  bool has_room(const Endpoint& endpoint) const;

  // Closes what is at rest, of every endpoint. At shutdown, and when the configuration changed.
  void close_idle();
  size_t idle_count() const;

 private:
  struct PerEndpoint {
    Endpoint* endpoint = nullptr;
    std::vector<Http1ClientConnection*> idle;
  };

  void on_established(Http1ClientConnection& connection) override;
  void on_idle(Http1ClientConnection& connection) override;
  void on_closed(Http1ClientConnection& connection, bool connect_failed) override;
  PerEndpoint& of(Endpoint& endpoint);
  void share();

  LoopContext& context_;
  size_t idle_max_ = 128;
  std::vector<PerEndpoint> endpoints_;                               // By Endpoint::index().
  std::vector<std::unique_ptr<Http1ClientConnection>> connections_;  // By pool_index.
  loop::Alarm share_;
  bool sharing_ = false;  // share_ is set.
};

}  // namespace weir::net
