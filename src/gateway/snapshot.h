#pragma once
// One version of everything that decides about requests: the configuration, its route table and
// where the upstreams are. Immutable; the control thread publishes a new one to every loop, and
// each exchange stays with the one that it began with.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "access/geo_rules.h"
#include "access/ip_rules.h"
#include "config/config.h"
#include "gateway/bans.h"
#include "gateway/client_address.h"
#include "gateway/rate_limit_fields.h"
#include "geo/places.h"
#include "limit/limiter.h"
#include "net/endpoint.h"
#include "net/http1_client.h"
#include "routing/path_rules.h"
#include "routing/route_table.h"

namespace weir::gateway {

// A rate limit, ready to be charged and told of.
struct RequestLimit {
  config::RateLimit rule;  // Enabled.
  std::string id;          // What the limiter knows it by, whatever its order and number.
  limit::Rule limiter_rule{id};
  limit::Limit limit{.requests = rule.limit, .window = rule.window};
  RateLimitItem policy = policy_of(limit);
};

// What the three levels of the configuration come to (config/resolve.h), for a route and for each
// of its path rules.
struct RequestRules {
  std::optional<uint32_t> path_rule;  // Of config.path_rules.
  std::vector<RequestLimit> rate_limits;
};

// Where the requests of one route go, and under which rules.
struct RouteTargets {
  std::vector<net::Endpoint*> endpoints;  // All addresses of all upstreams; empty: none resolves.
  // Host field value per endpoint ("host[:port]" as the upstream's URL says).
  std::vector<std::string> hosts;
  // Indexes of `endpoints`, each as often as its weight says, spread evenly.
  std::vector<uint16_t> schedule;
  net::ClientTimeouts timeouts;
  RequestRules rules;  // Of requests that take no path rule.
  // None: no path rule is for this route. Else by PathRules::match() into `path_rule_rules`.
  std::unique_ptr<const routing::PathRules> path_rules;
  std::vector<RequestRules> path_rule_rules;
};

// Spreads `weights[i]` turns of each i over one round, so that no endpoint gets its turns in a row.
// Limits: rounds of at most kScheduleMax turns; larger weights are scaled down, none to zero. From
//   as many endpoints on, each has one turn, whatever its weight; the first 65,536 of them.
// Source: the smooth weighted round robin of nginx (2012).
inline constexpr size_t kScheduleMax = 4096;
std::vector<uint16_t> make_schedule(const std::vector<uint32_t>& weights);

// Threading: immutable after construction: any thread.
// Ownership: owns all but the endpoints, which the node's endpoint table keeps for as long as any
//   snapshot that names them is in use.
struct Snapshot {
  Snapshot(std::shared_ptr<const config::Config> configuration, uint64_t version_number)
      : config(*configuration), version(version_number), routes(std::move(configuration)) {}
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  const config::Config& config;  // Kept alive by `routes`.
  const uint64_t version;
  const routing::RouteTable routes;
  std::vector<RouteTargets> targets;                // By index in config.routes.
  std::vector<ClientAddressRule> client_addresses;  // By listener.
  // Of config.ip_rules; never null. Shared by the versions in which these are the same.
  std::shared_ptr<const access::IpRules> ip_rules;
  // Of config.geo and config.geo_rules; never null. Shared likewise.
  std::shared_ptr<const access::GeoRules> geo_rules;
  std::vector<Ban> bans;                      // Of config.ban_rules.
  std::shared_ptr<const geo::Places> places;  // Null: none is known.
};

}  // namespace weir::gateway
