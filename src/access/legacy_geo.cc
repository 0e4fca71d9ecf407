#include "access/legacy_geo.h"

#include <utility>

namespace weir::access {
namespace {

using config::GeoAction;
using config::GeoRule;

// The rules of one list. `scope` has what they share.
void add(std::vector<GeoRule>& rules, const GeoRule& scope, LegacyGeo::Mode mode,
         const LegacyGeo::Countries& countries) {
  const bool only_these = mode == LegacyGeo::Mode::whitelist;
  if (!countries.empty()) {
    GeoRule listed = scope;
    listed.action = only_these ? GeoAction::allow : GeoAction::block;
    listed.countries = countries;
    rules.push_back(std::move(listed));
  }
  // Ends the scope, so that no wider list is asked.
  GeoRule others = scope;
  others.priority = 1;
  others.action = only_these ? GeoAction::block : GeoAction::allow;
  others.countries = {"*"};
  rules.push_back(std::move(others));
}

}  // namespace

std::vector<config::GeoRule> rules_of(const LegacyGeo& legacy) {
  std::vector<GeoRule> rules;
  for (const auto& [path, countries] : legacy.paths)
    add(rules, {.paths = {path}}, legacy.mode, countries);
  for (const LegacyGeo::RouteOverride& route : legacy.routes) {
    if (route.enabled) {
      add(rules, {.routes = {route.route}}, legacy.mode, route.countries);
    } else {
      rules.push_back({.action = GeoAction::allow, .countries = {"*"}, .routes = {route.route}});
    }
  }
  if (legacy.enabled) add(rules, {}, legacy.mode, legacy.countries);
  return rules;
}

}  // namespace weir::access
