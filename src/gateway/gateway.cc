#include "gateway/gateway.h"

#include <algorithm>

#include "base/assert.h"
#include "gateway/exchange.h"

namespace weir::gateway {

Gateway::Gateway(net::LoopContext& context, net::UpstreamPool& pool, traffic::Recorder& recorder,
                 const ClientIdentity& identity, NodeShared& shared, Options options)
    : context_(context),
      pool_(pool),
      recorder_(recorder),
      identity_(identity),
      shared_(shared),
      options_(std::move(options)),
      random_(options_.seed) {}

Gateway::~Gateway() = default;

void Gateway::publish(std::shared_ptr<const Snapshot> snapshot) {
  tunnels_max_ = snapshot->config.limits.tunnels_max;
  retry_budget_percent_ = snapshot->config.limits.retry_budget_percent;
  auto next = std::make_unique<Active>();
  next->cursors.resize(snapshot->config.routes.size());
  for (uint32_t& cursor : next->cursors)
    cursor = static_cast<uint32_t>(random_.below(1U << 16U));
  for (size_t i = 0; i < next->cursors.size(); ++i) {
    const size_t turns = snapshot->targets[i].schedule.size();
    next->cursors[i] = turns == 0 ? 0 : next->cursors[i] % static_cast<uint32_t>(turns);
  }
  next->snapshot = std::move(snapshot);
  active_.push_back(std::move(next));
  std::erase_if(active_, [this](const std::unique_ptr<Active>& active) {
    return active->users == 0 && active != active_.back();
  });
}

void Gateway::on_request(net::ServerStream& stream, net::ClientConnection& client,
                         const http::RequestHead& head) {
  take_exchange().begin(stream, client, head);
}

void Gateway::on_malformed(net::ServerStream& stream, net::ClientConnection& client,
                           http::Malformed kind) {
  take_exchange().begin_malformed(stream, client, kind);
}

bool Gateway::trusts_proxy(uint32_t listener, const net::SocketAddress& peer) const {
  const auto& rules = active_.back()->snapshot->client_addresses;
  return listener < rules.size() && rules[listener].trusts(peer);
}

Exchange& Gateway::take_exchange() {
  WEIR_ASSERT(!active_.empty());
  retired_.clear();
  ++in_progress_;
  if (free_.empty()) {
    exchanges_.push_back(std::make_unique<Exchange>(*this));
    exchanges_.back()->pool_index_ = exchanges_.size() - 1;
    return *exchanges_.back();
  }
  Exchange* const exchange = free_.back();
  free_.pop_back();
  return *exchange;
}

void Gateway::give_back(Exchange& exchange) {
  --in_progress_;
  if (exchange.active_ != nullptr) release(*exchange.active_);
  if (free_.size() < kFreeExchangesMax) return free_.push_back(&exchange);
  // It is inside its own callback: destroyed by the next request.
  const size_t index = exchange.pool_index_;
  retired_.push_back(std::move(exchanges_[index]));
  if (index + 1 != exchanges_.size()) {
    exchanges_[index] = std::move(exchanges_.back());
    exchanges_[index]->pool_index_ = index;
  }
  exchanges_.pop_back();
}

void Gateway::release(Active& active) {
  if (--active.users > 0 || &active == active_.back().get()) return;
  std::erase_if(active_,
                [&](const std::unique_ptr<Active>& kept) { return kept.get() == &active; });
}

// A few are always allowed, or a quiet gateway could never retry.
bool Gateway::may_retry() const {
  constexpr size_t kAlwaysAllowed = 3;
  return retrying_ < std::max(kAlwaysAllowed, in_progress_ * retry_budget_percent_ / 100);
}

}  // namespace weir::gateway
