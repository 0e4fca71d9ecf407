// Path rules, and the rate limits of every level.

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "config/internal/checks.h"
#include "config/internal/text.h"

namespace weir::config::internal {
namespace {

void check_route_named(const RouteIds& routes, const PathRule& rule, const std::string& key,
                       Findings& findings) {
  if (rule.route.empty()) return;
  if (!routes.contains(rule.route))
    findings.add(key + ".route", "no route is " + in_quotes(rule.route), "a route's id");
}

// Route, pattern and methods in order.
using Scope = std::tuple<std::string_view, std::string_view, std::vector<std::string>>;

// Of two rules for the same requests one would never be taken.
void check_scope(const PathRule& rule, size_t index, std::map<Scope, size_t>& seen,
                 Findings& findings) {
  if (!rule.enabled) return;
  std::vector<std::string> methods = rule.methods;
  std::sort(methods.begin(), methods.end());
  const auto [other, is_new] =
      seen.emplace(Scope{rule.route, rule.pattern, std::move(methods)}, index);
  if (is_new) return;
  findings.add(fmt::format("path_rules[{}].pattern", index),
               fmt::format("is for the same requests as path_rules[{}]", other->second),
               "another pattern, route or methods; or enabled = false");
}

// What each rule leads to, with every route that it may meet, until something is wrong with it.
void check_uses(const Config& config, Findings& findings) {
  std::vector<bool> is_wrong(config.path_rules.size());
  size_t uses = 0;
  const std::vector<std::vector<uint32_t>> rules = path_rules_by_route(config);
  for (size_t route = 0; route < rules.size(); ++route) {
    uses += rules[route].size();
    for (const uint32_t index : rules[route]) {
      const PathRule& rule = config.path_rules[index];
      if (rule.rate_limit.empty() || is_wrong[index]) continue;
      const size_t known = findings.count();
      check_rate_limits(resolve_rate_limits(config, config.routes[route], &rule),
                        fmt::format("path_rules[{}].rate_limit", index), findings);
      is_wrong[index] = findings.count() > known;
    }
  }
  if (uses > kPathRuleUsesMax) {
    findings.add("path_rules",
                 fmt::format("are for more than {} pairs of a rule and a route", kPathRuleUsesMax),
                 "rules that name their route");
  }
}

}  // namespace

std::string rate_limit_key(std::string_view key, size_t index, size_t count) {
  return count == 1 ? std::string{key} : fmt::format("{}[{}]", key, index);
}

void check_rate_limits(const EffectiveRateLimits& effective, const std::string& list,
                       Findings& findings) {
  const std::vector<EffectiveRateLimit>& limits = effective.limits;
  if (limits.size() > kRateLimitsMax) {
    return findings.add(list, fmt::format("has {} limits", limits.size()),
                        fmt::format("at most {}", kRateLimitsMax));
  }
  const bool has_clients =
      std::any_of(limits.begin(), limits.end(), [](const EffectiveRateLimit& each) {
        return each.value.enabled && each.value.enforce && each.value.per == LimitPer::client;
      });
  std::set<std::string> seen;
  for (size_t index = 0; index < limits.size(); ++index) {
    const RateLimit& limit = limits[index].value;
    const std::string key = rate_limit_key(list, index, limits.size());
    if (limit.per == LimitPer::header) {
      if (!is_header_name(limit.header)) {
        findings.add(
            key + ".header",
            limit.header.empty() ? "is missing" : in_quotes(limit.header) + " is not a header name",
            kHeaderNameAllowed);
      }
      // Whoever asks can write into a header what he likes, a new value each time.
      if (limit.enabled && !has_clients) {
        findings.add(key, "has nothing beside it that holds for whoever changes the header",
                     "together with a limit per = \"client\"");
      }
    } else if (!limit.header.empty()) {
      findings.add(key + ".header", "has no meaning here", "only with per = \"header\"");
    }
    if (!seen.insert(rate_limit_id(limit)).second) {
      findings.add(key, "counts the same as another limit beside it",
                   "limits that differ in per, window, header or ipv6_prefix_bits");
    }
  }
}

void check_path_rules(const Config& config, const RouteIds& routes, Findings& findings) {
  if (!config.global.rate_limit.empty()) {
    check_rate_limits(resolve_rate_limits(config, {}, nullptr), "global.rate_limit", findings);
  }
  if (!check_count("path_rules", config.path_rules.size(), kPathRulesMax, findings)) return;
  std::map<std::string_view, size_t> ids;
  std::map<Scope, size_t> scopes;
  for (size_t index = 0; index < config.path_rules.size(); ++index) {
    const PathRule& rule = config.path_rules[index];
    const std::string key = fmt::format("path_rules[{}]", index);
    check_unique_id("path_rules", index, rule.id, ids, findings);
    check_pattern(rule.pattern, key + ".pattern", findings);
    check_methods(rule.methods, key + ".methods", findings);
    check_route_named(routes, rule, key, findings);
    check_scope(rule, index, scopes, findings);
  }
  check_uses(config, findings);
}

}  // namespace weir::config::internal
