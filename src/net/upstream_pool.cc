#include "net/upstream_pool.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "net/socket.h"

namespace weir::net {

UpstreamPool::~UpstreamPool() {
  for (const auto& connection : connections_) {
    endpoints_[connection->endpoint_index].endpoint->unreserve();
  }
}

UpstreamPool::PerEndpoint& UpstreamPool::of(Endpoint& endpoint) {
  if (endpoint.index() >= endpoints_.size()) endpoints_.resize(endpoint.index() + 1);
  PerEndpoint& per_endpoint = endpoints_[endpoint.index()];
  per_endpoint.endpoint = &endpoint;
  return per_endpoint;
}

base::Result<ClientStream*> UpstreamPool::acquire(Endpoint& endpoint, ClientStreamHandler& handler,
                                                  const ClientTimeouts& timeouts, bool fresh_only) {
  PerEndpoint& per_endpoint = of(endpoint);
  if (!fresh_only && !per_endpoint.idle.empty()) {
    Http1ClientConnection* const connection = per_endpoint.idle.back();
    per_endpoint.idle.pop_back();
    return &connection->begin(handler, timeouts);
  }
  bool reserved = endpoint.try_reserve();
  if (!reserved && !per_endpoint.idle.empty()) {  // Not one at rest, it was said.
    per_endpoint.idle.front()->close_idle();
    reserved = endpoint.try_reserve();
  }
  if (!reserved) {
    return base::Error{base::ErrorCode::limit_exceeded, base::Origin::self,
                       base::Retry::with_backoff, 0, "connections to upstream"};
  }
  auto socket = connect_to(endpoint.address());
  if (!socket.ok()) {
    endpoint.unreserve();
    endpoint.on_failure(context_.loop.now());
    return socket.error();
  }
  auto connection =
      std::make_unique<Http1ClientConnection>(context_, *this, std::move(socket).value(), timeouts);
  connection->endpoint_index = endpoint.index();
  connection->pool_index = static_cast<uint32_t>(connections_.size());
  const base::Status started = connection->start();
  if (!started.ok()) {
    endpoint.unreserve();
    return started.error();
  }
  connections_.push_back(std::move(connection));
  return &connections_.back()->begin(handler, timeouts);
}

bool UpstreamPool::has_room(const Endpoint& endpoint) const {
  if (endpoint.has_room()) return true;
  return endpoint.index() < endpoints_.size() && !endpoints_[endpoint.index()].idle.empty();
}

void UpstreamPool::on_established(Http1ClientConnection& connection) {
  endpoints_[connection.endpoint_index].endpoint->on_success();
}

void UpstreamPool::on_idle(Http1ClientConnection& connection) {
  PerEndpoint& per_endpoint = endpoints_[connection.endpoint_index];
  per_endpoint.idle.push_back(&connection);
  if (context_.draining || per_endpoint.endpoint->wanted()) {
    return connection.close_idle();
  }
  if (per_endpoint.idle.size() > idle_max_) per_endpoint.idle.front()->close_idle();
  if (per_endpoint.endpoint->options().connections_max != 0 && !sharing_) {
    sharing_ = true;
    share_.set(kShareEvery);
  }
}

void UpstreamPool::share() {
  sharing_ = false;
  for (PerEndpoint& per_endpoint : endpoints_) {
    if (per_endpoint.idle.empty() || per_endpoint.endpoint->options().connections_max == 0)
      continue;
    if (per_endpoint.endpoint->wanted()) per_endpoint.idle.front()->close_idle();
    sharing_ = sharing_ || !per_endpoint.idle.empty();
  }
  if (sharing_) share_.set(kShareEvery);
}

void UpstreamPool::on_closed(Http1ClientConnection& connection, bool connect_failed) {
  PerEndpoint& per_endpoint = endpoints_[connection.endpoint_index];
  std::erase(per_endpoint.idle, &connection);
  per_endpoint.endpoint->unreserve();
  if (connect_failed) per_endpoint.endpoint->on_failure(context_.loop.now());
  const size_t index = connection.pool_index;
  WEIR_ASSERT(index < connections_.size() && connections_[index].get() == &connection);
  std::swap(connections_[index], connections_.back());
  connections_[index]->pool_index = static_cast<uint32_t>(index);
  std::unique_ptr<Http1ClientConnection> gone = std::move(connections_.back());
  connections_.pop_back();
  context_.loop.dispose(std::move(gone));
}

void UpstreamPool::close_idle() {
  for (PerEndpoint& per_endpoint : endpoints_) {
    while (!per_endpoint.idle.empty())
      per_endpoint.idle.back()->close_idle();
  }
}

size_t UpstreamPool::idle_count() const {
  size_t count = 0;
  for (const PerEndpoint& per_endpoint : endpoints_)
    count += per_endpoint.idle.size();
  return count;
}

}  // namespace weir::net
