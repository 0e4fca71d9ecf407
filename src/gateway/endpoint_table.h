#pragma once
// All endpoints of the node, and the step from a configuration to a Snapshot.
//
// An endpoint outlives the configurations that name it: the same route, address and options mean
// the same object, so connections, counts and health survive a change of anything else.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "gateway/snapshot.h"
#include "net/endpoint.h"

namespace weir::gateway {

// What name look-ups found, by host name. A name that is missing, or has no addresses, does not
// resolve: its upstreams are left out, and a route without any answers 503.
using Addresses = std::map<std::string, std::vector<config::IpAddress>>;

// Ownership: owns every endpoint for the life of the process: loops hold plain pointers.
// Threading: the control thread.
// Limits: grows by the distinct (route id, address, options) ever configured or resolved.
class EndpointTable {
 public:
  // With `smoke` the snapshot's configuration has one more route, which comes before all others.
  // `version` is not 0, and another one each time.
  std::shared_ptr<const Snapshot> build(const std::shared_ptr<const config::Config>& configured,
                                        uint64_t version, const Addresses& addresses,
                                        std::shared_ptr<const geo::Places> places = nullptr);

  const std::vector<std::unique_ptr<net::Endpoint>>& endpoints() const { return endpoints_; }

  // Host names that `config` wants looked up; addresses need none.
  static std::vector<std::string> names(const config::Config& config);

 private:
  net::Endpoint& intern(const config::Route& route, const config::Upstream& upstream,
                        net::SocketAddress address, bool only_one);
  RouteTargets targets_of(const config::Config& config, const config::Route& route,
                          std::span<const uint32_t> path_rules, const Addresses& addresses);

  // The last tables that were built, and what they were built of: a name that resolves to another
  // address makes a new snapshot, and no new table.
  std::shared_ptr<const access::IpRules> ip_rules_of(
      const std::shared_ptr<const config::Config>& config);
  std::shared_ptr<const access::GeoRules> geo_rules_of(
      const std::shared_ptr<const config::Config>& config);

  std::vector<std::unique_ptr<net::Endpoint>> endpoints_;
  std::map<std::string, net::Endpoint*> by_key_;
  std::shared_ptr<const config::Config> ip_rules_config_;
  std::shared_ptr<const access::IpRules> ip_rules_;
  std::shared_ptr<const config::Config> geo_rules_config_;
  std::shared_ptr<const access::GeoRules> geo_rules_;
};

}  // namespace weir::gateway
