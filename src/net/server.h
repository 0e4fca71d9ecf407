#pragma once
// The client side of one loop: its listening descriptors and its connections.
//
// With SO_REUSEPORT the kernel spreads connections over loops by a hash, which for few connections
// is uneven (32 over 8 loops: the busiest gets twice the mean). So a loop that accepted a
// connection while another has fewer hands it over before the first byte is read.

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "net/http1_server.h"
#include "net/loop_context.h"
#include "os/fd.h"

namespace weir::net {

class Server;

// What the loops of a node know of each other.
// Ownership: the composition root; outlives the servers.
// Threading: `servers` is filled before the first loop runs and constant from then on; the counts
// are
//   relaxed atomics: approximate while connections come and go, which balancing and the limit
//   allow.
struct ServerGroup {
  struct alignas(64) Load {
    std::atomic<uint32_t> connections{0};
  };
  std::vector<Server*> servers;
  std::unique_ptr<Load[]> loads;
  std::atomic<uint32_t> connections_max{65536};
  std::atomic<uint32_t> connections{0};
  std::atomic<uint64_t> refused{0};  // Over connections_max: closed at once.
};

// How connections of one listener are understood.
struct ListenerOptions {
  uint32_t index = 0;  // In the configuration.
  bool proxy_protocol = false;
  bool shared = false;  // One descriptor for all loops (Unix sockets, inherited descriptors).
};

// Says who may speak the PROXY protocol.
// Threading: home loop only.
class ProxyTrust {
 public:
  virtual ~ProxyTrust() = default;
  virtual bool trusts_proxy(uint32_t listener, const SocketAddress& peer) const = 0;
};

// Ownership: owns its connections and listeners; borrows context, handler, trust and group.
// Threading: home loop only, except adopt_from(), which is called on the accepting loop.
class Server final : public Http1ServerOwner {
 public:
  Server(LoopContext& context, ServerHandler& handler, const ProxyTrust& trust, ServerGroup& group,
         uint32_t loop_index);
  ~Server() override;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Accepts from `listener` from the next turn on.
  base::Status listen(os::Fd listener, ListenerOptions options);

  // Accepts what still waits on the listeners, then closes them; asks every connection to end.
  void drain();
  size_t connection_count() const { return connections_.size(); }
  LoopContext& context() { return context_; }

 private:
  friend class Acceptor;
  class Acceptor;

  bool accept_all(int listener, const ListenerOptions& options, int accepts_max);
  void place(os::Fd socket, const SocketAddress& peer, const ListenerOptions& options);
  void adopt(os::Fd socket, const SocketAddress& peer, const ListenerOptions& options);
  void on_closed(Http1ServerConnection& connection) override;
  bool trusts_proxy(uint32_t listener, const SocketAddress& peer) const override {
    return trust_.trusts_proxy(listener, peer);
  }

  LoopContext& context_;
  ServerHandler& handler_;
  const ProxyTrust& trust_;
  ServerGroup& group_;
  const uint32_t loop_index_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  std::vector<std::unique_ptr<Http1ServerConnection>> connections_;
};

}  // namespace weir::net
