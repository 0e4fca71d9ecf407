#pragma once
// The gateway of one loop: takes the requests that the codecs decoded, runs each through the
// stages, and keeps what exchanges share.
//
// The stages, in this order (design 5.4); those in brackets have their place here and arrive later:
//   collect (wraps all that follows) → match the route → IP rules → geographic rules →
//   no route: 404 → CORS preflight → [authenticate] → rate limit → [cache] → upstream
// gateway/exchange.cc shows them as code.

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "gateway/bans.h"
#include "gateway/snapshot.h"
#include "http/writer.h"
#include "limit/limiter.h"
#include "net/exchange_stream.h"
#include "net/loop_context.h"
#include "net/server.h"
#include "net/upstream_pool.h"
#include "traffic/recorder.h"

namespace weir::gateway {

class Exchange;

// Turns a client's address into what events hold of it.
// Threading: any thread.
class ClientIdentity {
 public:
  virtual ~ClientIdentity() = default;
  virtual uint64_t hash(const config::IpAddress& ip) const = 0;
};

// What the loops of a node share.
// Threading: any thread.
struct NodeShared {
  NodeShared(size_t rate_limit_clients_max, uint64_t seed)
      : limiter(rate_limit_clients_max, seed) {}

  std::atomic<uint32_t> tunnels{0};  // Relaxed: a count, nothing hangs on it.
  limit::Limiter limiter;
  BannedUntil banned_until;
};

// Counted by one loop; read through metrics.
struct GatewayCounts {
  std::array<uint64_t, http::kMalformedCount> malformed{};
  std::array<uint64_t, 6> responses_by_class{};  // By status / 100.
  uint64_t retries = 0;
  uint64_t upstream_failures = 0;
  uint64_t rate_limited = 0;         // Refused by a route's limit.
  uint64_t rate_limit_dry_runs = 0;  // Would have been, were the limit enforced.
  // The limiter had no room to count: admitted or refused, as limits.rate_limit_when_full says.
  uint64_t rate_limit_unchecked = 0;
  uint64_t rate_limit_full = 0;
  std::array<uint64_t, 3> ip_rule_denied{};  // By config::IpAction: block and throttle.
  uint64_t bans_started = 0;                 // Those of rules that are not enforced included.
  uint64_t ban_denied = 0;                   // Requests.
  uint64_t ban_dry_runs = 0;                 // Requests, of rules that are not enforced.
  // What rules that are not enforced would have refused or, allow, let pass.
  std::array<uint64_t, 3> ip_rule_dry_runs{};
  // The same of geographic rules, by config::GeoAction.
  std::array<uint64_t, config::kGeoActions> geo_denied{};
  std::array<uint64_t, config::kGeoActions> geo_dry_runs{};
};

// Ownership: owns its exchanges; borrows everything given to the constructor.
// Threading: home loop only.
// Limits: one exchange per request that is being served; kFreeExchangesMax kept for reuse.
class Gateway final : public net::ServerHandler, public net::ProxyTrust {
 public:
  static constexpr size_t kFreeExchangesMax = 1024;

  struct Options {
    std::string node;
    uint64_t seed = 0;  // Of the balancer's offsets and of jitter.
  };

  Gateway(net::LoopContext& context, net::UpstreamPool& pool, traffic::Recorder& recorder,
          const ClientIdentity& identity, NodeShared& shared, Options options);
  ~Gateway() override;
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // In force for every request that begins from here on. The first call comes before any request.
  void publish(std::shared_ptr<const Snapshot> snapshot);
  // Versions that some exchange still uses, the newest included.
  size_t snapshots_in_use() const { return active_.size(); }
  size_t exchanges_in_progress() const { return in_progress_; }
  const GatewayCounts& counts() const { return counts_; }
  const StartedBans& started_bans() const { return started_bans_; }

  void on_request(net::ServerStream& stream, net::ClientConnection& client,
                  const http::RequestHead& head) override;
  void on_malformed(net::ServerStream& stream, net::ClientConnection& client,
                    http::Malformed kind) override;
  bool trusts_proxy(uint32_t listener, const net::SocketAddress& peer) const override;

 private:
  friend class Exchange;

  // One snapshot on this loop: counted here, without atomics, so that exchanges on different loops
  // never touch the same cache line.
  struct Active {
    std::shared_ptr<const Snapshot> snapshot;
    std::vector<uint32_t> cursors;  // The balancer's, by route; they start anywhere.
    size_t users = 0;
  };

  Exchange& take_exchange();
  void give_back(Exchange& exchange);
  void release(Active& active);
  bool may_retry() const;

  net::LoopContext& context_;
  net::UpstreamPool& pool_;
  traffic::Recorder& recorder_;
  const ClientIdentity& identity_;
  NodeShared& shared_;
  const Options options_;
  base::Random random_;
  http::DateCache date_;
  GatewayCounts counts_;
  StartedBans started_bans_;
  std::vector<std::unique_ptr<Active>> active_;  // The newest is last.
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  std::vector<Exchange*> free_;
  size_t in_progress_ = 0;
  size_t retrying_ = 0;
  uint32_t tunnels_max_ = 0;
  uint32_t retry_budget_percent_ = 0;
  std::vector<std::unique_ptr<Exchange>> retired_;  // Ended inside their own callback.
  // Scratch, valid within one callback.
  std::string path_scratch_;
  std::vector<http::Field> fields_scratch_;
  std::string text_scratch_;
};

}  // namespace weir::gateway
