#include "net/server.h"

#include <utility>

#include "base/assert.h"
#include "net/socket.h"

namespace weir::net {

// One listening descriptor of the loop.
class Server::Acceptor final : public loop::Task {
 public:
  // Some, so that a flood of connections does not starve those that are there.
  static constexpr int kAcceptsPerTurn = 32;

  Acceptor(Server& server, os::Fd listener, ListenerOptions options)
      : server_(server), listener_(std::move(listener)), options_(options) {}

  base::Status start() {
    return server_.context_.loop.watch_listener(listener_.get(), *this, options_.shared);
  }
  // False when the process is out of descriptors.
  bool accept(int accepts_max) {
    return server_.accept_all(listener_.get(), options_, accepts_max);
  }
  // The other loops' copies of a shared descriptor keep the socket alive, so closing does not do.
  void stop() { server_.context_.loop.unwatch(listener_.get()); }

  // Out of descriptors: what waits stays in the kernel's queue. The listener is level-triggered, so
  // watching it meanwhile would spin.
  void rest() {
    stop();
    server_.context_.loop.set_deadline(*this, kRest);
  }

 private:
  static constexpr std::chrono::milliseconds kRest{100};

  void on_ready(uint32_t /*ready*/) override {
    if (!accept(kAcceptsPerTurn)) rest();
  }
  void on_deadline() override {
    if (!start().ok()) rest();
  }

  Server& server_;
  os::Fd listener_;
  ListenerOptions options_;
};

Server::Server(LoopContext& context, ServerHandler& handler, const ProxyTrust& trust,
               ServerGroup& group, uint32_t loop_index)
    : context_(context), handler_(handler), trust_(trust), group_(group), loop_index_(loop_index) {}

Server::~Server() = default;

base::Status Server::listen(os::Fd listener, ListenerOptions options) {
  auto acceptor = std::make_unique<Acceptor>(*this, std::move(listener), options);
  WEIR_TRY(acceptor->start());
  acceptors_.push_back(std::move(acceptor));
  return {};
}

bool Server::accept_all(int listener, const ListenerOptions& options, int accepts_max) {
  for (int i = 0; i < accepts_max; ++i) {
    auto accepted = accept_from(listener);
    if (!accepted.ok()) return false;
    std::optional<Accepted> connection = std::move(accepted).value();
    if (!connection) return true;
    const uint32_t before = group_.connections.fetch_add(1, std::memory_order_relaxed);
    if (before >= group_.connections_max.load(std::memory_order_relaxed)) {
      group_.connections.fetch_sub(1, std::memory_order_relaxed);
      group_.refused.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    place(std::move(connection->socket), connection->peer, options);
  }
  return true;
}

void Server::place(os::Fd socket, const SocketAddress& peer, const ListenerOptions& options) {
  uint32_t target = loop_index_;
  uint32_t fewest = group_.loads[loop_index_].connections.load(std::memory_order_relaxed);
  for (uint32_t i = 0; i < group_.servers.size(); ++i) {
    const uint32_t load = group_.loads[i].connections.load(std::memory_order_relaxed);
    if (load < fewest) {
      fewest = load;
      target = i;
    }
  }
  // Counted before it arrives, so that a burst is spread as it is accepted.
  group_.loads[target].connections.fetch_add(1, std::memory_order_relaxed);
  if (target == loop_index_) return adopt(std::move(socket), peer, options);
  Server& other = *group_.servers[target];
  const int descriptor = socket.release();
  if (!other.context_.loop.post([&other, descriptor, peer, options] {
        other.adopt(os::Fd{descriptor}, peer, options);
      })) {
    group_.loads[target].connections.fetch_sub(1, std::memory_order_relaxed);
    group_.loads[loop_index_].connections.fetch_add(1, std::memory_order_relaxed);
    adopt(os::Fd{descriptor}, peer, options);
  }
}

void Server::adopt(os::Fd socket, const SocketAddress& peer, const ListenerOptions& options) {
  auto connection = std::make_unique<Http1ServerConnection>(
      context_, handler_, *this, std::move(socket), peer,
      Http1ServerConnection::Options{options.index, options.proxy_protocol});
  connection->owner_index = static_cast<uint32_t>(connections_.size());
  if (!connection->start().ok()) {
    group_.connections.fetch_sub(1, std::memory_order_relaxed);
    group_.loads[loop_index_].connections.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  if (context_.draining) connection->drain();
  connections_.push_back(std::move(connection));
}

void Server::on_closed(Http1ServerConnection& connection) {
  const size_t index = connection.owner_index;
  WEIR_ASSERT(index < connections_.size() && connections_[index].get() == &connection);
  std::swap(connections_[index], connections_.back());
  connections_[index]->owner_index = static_cast<uint32_t>(index);
  std::unique_ptr<Http1ServerConnection> gone = std::move(connections_.back());
  connections_.pop_back();
  group_.connections.fetch_sub(1, std::memory_order_relaxed);
  group_.loads[loop_index_].connections.fetch_sub(1, std::memory_order_relaxed);
  context_.loop.dispose(std::move(gone));
}

void Server::drain() {
  constexpr int kAll = 1 << 20;
  for (const auto& acceptor : acceptors_) {
    acceptor->accept(kAll);
    acceptor->stop();
  }
  acceptors_.clear();
  context_.draining = true;
  for (const auto& connection : connections_)
    connection->drain();
}

}  // namespace weir::net
