#include "gateway/endpoint_table.h"

#include <algorithm>
#include <limits>
#include <set>
#include <span>

#include <fmt/format.h>

#include "config/resolve.h"

namespace weir::gateway {
namespace {

constexpr uint16_t kHttpPort = 80;

std::string host_field(const config::Upstream& upstream) {
  if (!upstream.unix_path.empty()) return "localhost";
  const bool v6 = upstream.host.find(':') != std::string::npos;
  std::string host = v6 ? "[" + upstream.host + "]" : upstream.host;
  if (upstream.port != kHttpPort) host += fmt::format(":{}", upstream.port);
  return host;
}

std::vector<net::SocketAddress> addresses_of(const config::Upstream& upstream,
                                             const Addresses& addresses) {
  if (!upstream.unix_path.empty()) return {net::SocketAddress::unix_socket(upstream.unix_path)};
  std::vector<config::IpAddress> ips;
  if (const auto literal = config::parse_ip(upstream.host)) {
    ips.push_back(*literal);
  } else if (const auto found = addresses.find(upstream.host); found != addresses.end()) {
    ips = found->second;
  }
  std::vector<net::SocketAddress> result;
  result.reserve(ips.size());
  for (const config::IpAddress& ip : ips) {
    result.push_back(net::SocketAddress::ip(net::IpAddress{ip.bytes}, upstream.port));
  }
  return result;
}

// The configuration with the routes that Weir answers by itself.
std::shared_ptr<const config::Config> with_built_in_routes(
    const std::shared_ptr<const config::Config>& config) {
  if (!config->smoke) return config;
  auto extended = std::make_unique<config::Config>(*config);
  config::Route& route = extended->routes.emplace_back();
  route.id = config::kSmokeRouteId;
  route.priority = std::numeric_limits<int32_t>::min();
  route.pattern = config::kSmokePath;
  route.methods = {"GET", "HEAD"};
  route.built_in = config::BuiltIn::smoke;
  return extended;
}

RequestRules rules_of(const config::Config& config, const config::Route& route,
                      std::optional<uint32_t> path_rule_index) {
  const config::PathRule* const path_rule =
      path_rule_index ? &config.path_rules[*path_rule_index] : nullptr;
  const config::EffectiveRateLimits limits = config::resolve_rate_limits(config, route, path_rule);
  const std::string name =
      limits.level == config::Level::path ? "path_rule/" + path_rule->id : "route/" + route.id;
  RequestRules rules{.path_rule = path_rule_index};
  for (const config::EffectiveRateLimit& limit : limits.limits) {
    if (!limit.value.enabled) continue;
    rules.rate_limits.push_back(
        {.rule = limit.value, .id = name + "/" + config::rate_limit_id(limit.value)});
  }
  return rules;
}

void add_rules(const config::Config& config, const config::Route& route,
               std::span<const uint32_t> path_rules, RouteTargets& targets) {
  targets.rules = rules_of(config, route, std::nullopt);
  if (path_rules.empty()) return;
  targets.path_rules = std::make_unique<const routing::PathRules>(config, path_rules);
  for (const uint32_t index : path_rules)
    targets.path_rule_rules.push_back(rules_of(config, route, index));
}

}  // namespace

std::vector<std::string> EndpointTable::names(const config::Config& config) {
  std::set<std::string> names;
  for (const config::Route& route : config.routes) {
    if (!route.enabled) continue;
    for (const config::Upstream& upstream : route.upstreams) {
      if (upstream.unix_path.empty() && !config::parse_ip(upstream.host)) {
        names.insert(upstream.host);
      }
    }
  }
  return {names.begin(), names.end()};
}

std::shared_ptr<const Snapshot> EndpointTable::build(
    const std::shared_ptr<const config::Config>& configured, uint64_t version,
    const Addresses& addresses, std::shared_ptr<const geo::Places> places) {
  const std::shared_ptr<const config::Config> config = with_built_in_routes(configured);
  auto snapshot = std::make_unique<Snapshot>(config, version);
  snapshot->ip_rules = ip_rules_of(configured);
  snapshot->geo_rules = geo_rules_of(configured);
  snapshot->bans = bans_of(*config);
  snapshot->places = std::move(places);
  for (const config::Listener& listener : config->traffic) {
    snapshot->client_addresses.emplace_back(listener);
  }
  const auto path_rules = config::path_rules_by_route(*config);
  for (size_t index = 0; index < config->routes.size(); ++index) {
    const config::Route& route = config->routes[index];
    snapshot->targets.push_back(
        route.enabled ? targets_of(*config, route, path_rules[index], addresses) : RouteTargets{});
  }
  return snapshot;
}

std::shared_ptr<const access::IpRules> EndpointTable::ip_rules_of(
    const std::shared_ptr<const config::Config>& config) {
  const bool is_same =
      ip_rules_config_ != nullptr &&
      (ip_rules_config_ == config || ip_rules_config_->ip_rules == config->ip_rules);
  ip_rules_config_ = config;
  if (!is_same) ip_rules_ = std::make_shared<const access::IpRules>(config->ip_rules);
  return ip_rules_;
}

// Routes are numbers in it.
std::shared_ptr<const access::GeoRules> EndpointTable::geo_rules_of(
    const std::shared_ptr<const config::Config>& config) {
  const auto same_id = [](const config::Route& a, const config::Route& b) { return a.id == b.id; };
  const config::Config* const before = geo_rules_config_.get();
  const bool is_same =
      before != nullptr && (before == config.get() ||
                            (before->geo == config->geo && before->geo_rules == config->geo_rules &&
                             std::equal(before->routes.begin(), before->routes.end(),
                                        config->routes.begin(), config->routes.end(), same_id)));
  geo_rules_config_ = config;
  if (!is_same) geo_rules_ = std::make_shared<const access::GeoRules>(*config);
  return geo_rules_;
}

RouteTargets EndpointTable::targets_of(const config::Config& config, const config::Route& route,
                                       std::span<const uint32_t> path_rules,
                                       const Addresses& addresses) {
  RouteTargets targets;
  // What Weir answers by itself is under no rule of the configuration.
  if (route.built_in == config::BuiltIn::none) add_rules(config, route, path_rules, targets);
  targets.timeouts = {.connect = route.timeouts.connect,
                      .first_byte = route.timeouts.first_byte,
                      .idle = route.timeouts.idle,
                      .keep_alive = config.limits.upstream_idle_timeout};
  struct Found {
    const config::Upstream* upstream;
    net::SocketAddress address;
    uint32_t weight;
  };
  std::vector<Found> all;
  for (const config::Upstream& upstream : route.upstreams) {
    const auto found = addresses_of(upstream, addresses);
    // The weight is the upstream's, however many addresses its name has.
    for (const net::SocketAddress& address : found) {
      const auto share = static_cast<uint32_t>(found.size());
      all.push_back({&upstream, address, std::max(1U, upstream.weight * 100 / share)});
    }
  }
  std::vector<uint32_t> weights;
  for (Found& found : all) {
    targets.hosts.push_back(host_field(*found.upstream));
    targets.endpoints.push_back(
        &intern(route, *found.upstream, std::move(found.address), all.size() == 1));
    weights.push_back(found.weight);
  }
  targets.schedule = make_schedule(weights);
  return targets;
}

net::Endpoint& EndpointTable::intern(const config::Route& route, const config::Upstream& upstream,
                                     net::SocketAddress address, bool only_one) {
  net::Endpoint::Options options;
  options.connections_max = route.max_connections;
  // Without an alternative, ejecting would only turn slow failures into certain ones.
  options.failures_max = only_one ? 0 : route.passive_health.failures;
  options.ejected_for = route.passive_health.ejected_for;
  const std::string key =
      fmt::format("{}\n{}\n{}\n{}\n{}\n{}", route.id, upstream.url, net::to_string(address),
                  options.connections_max, options.failures_max, options.ejected_for.count());
  net::Endpoint*& endpoint = by_key_[key];
  if (endpoint == nullptr) {
    const auto index = static_cast<uint32_t>(endpoints_.size());
    std::string name = fmt::format("{} {} ({})", route.id, upstream.url, net::to_string(address));
    endpoints_.push_back(
        std::make_unique<net::Endpoint>(index, std::move(address), std::move(name), options));
    endpoint = endpoints_.back().get();
  }
  return *endpoint;
}

}  // namespace weir::gateway
