#pragma once
// The founding system had two systems of geographic rules that knew nothing of each other. This
// expresses the older one (its key `config:geo`: one mode for all, and lists of countries for
// everything, for routes and for paths) as rules of the one that is left.
//
// Source: spec 2.4 and 6.6: the narrowest list that is there replaces the wider ones; a client
// whose country nobody knows is allowed.

#include <string>
#include <utility>
#include <vector>

#include "config/geo_rule.h"

namespace weir::access {

struct LegacyGeo {
  enum class Mode : uint8_t { whitelist, blacklist };
  using Countries = std::vector<std::string>;  // ISO 3166-1 alpha-2.
  struct RouteOverride {
    std::string route;  // Its id.
    bool enabled = true;
    Countries countries;
  };

  bool enabled = false;
  Mode mode = Mode::blacklist;
  Countries countries;
  std::vector<RouteOverride> routes;
  std::vector<std::pair<std::string, Countries>> paths;  // Exact paths.
};

// In the order in which they decide, with priorities 0 and 1.
std::vector<config::GeoRule> rules_of(const LegacyGeo& legacy);

}  // namespace weir::access
