#pragma once
// Which of a route's path rules a request takes: one that names the route before one that names
// none, then the longer literal prefix, then the smaller id. They are searched as routes are
// (route_table.h), each path rule in the place of a route.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "config/config.h"
#include "routing/route_table.h"

namespace weir::routing {

// Ownership: owns copies of what it needs.
// Threading: immutable after construction: any thread. match() never blocks or allocates.
class PathRules {
 public:
  // `rules` are indexes of config.path_rules, enabled ones of one route
  // (config::path_rules_by_route()).
  PathRules(const config::Config& config, std::span<const uint32_t> rules);

  // The place in `rules` of the one that the request takes; none: it takes none. `path` is
  // normalised, without query.
  std::optional<uint32_t> match(std::string_view method, std::string_view path) const;

 private:
  RouteTable table_;
};

}  // namespace weir::routing
