#include "config/resolve.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "config/pattern.h"

namespace weir::config {
namespace {

// Takes `said` over, and notes whose it is.
template <typename Value>
void take(const std::optional<Value>& said, Level level, Value& value, Level& from) {
  if (!said) return;
  value = *said;
  from = level;
}

void lay_over(const RateLimitFields& said, Level level, EffectiveRateLimit& out) {
  take(said.enforce, level, out.value.enforce, out.enforce);
  take(said.limit, level, out.value.limit, out.limit);
  take(said.window, level, out.value.window, out.window);
  take(said.per, level, out.value.per, out.per);
  take(said.header, level, out.value.header, out.header);
  take(said.ipv6_prefix_bits, level, out.value.ipv6_prefix_bits, out.ipv6_prefix_bits);
}

// Whoever says per = "client" need not say that there is no header any more.
void drop_header_of_lower_level(EffectiveRateLimit& out) {
  if (out.value.per == LimitPer::header || out.header >= out.per) return;
  out.value.header.clear();
  out.header = out.per;
}

struct LevelSays {
  Level level;
  std::span<const RateLimitFields> limits;
};

// Up to the first wildcard; no pattern at all: all that is left is the root.
std::string literal_prefix(const std::string& pattern) {
  const base::Result<Pattern> parsed = parse_pattern(pattern);
  return parsed.ok() ? parsed.value().literal_prefix : std::string{};
}

}  // namespace

std::string_view to_string(Level level) {
  switch (level) {
    case Level::built_in:
      return "built in";
    case Level::global:
      return "global";
    case Level::route:
      return "route";
    case Level::path:
      return "path rule";
  }
  return {};
}

EffectiveRateLimits resolve_rate_limits(const Config& config, const Route& route,
                                        const PathRule* rule) {
  const std::array<LevelSays, 3> levels{
      {{Level::global, config.global.rate_limit},
       {Level::route, route.rate_limit},
       {Level::path, rule != nullptr ? std::span<const RateLimitFields>{rule->rate_limit}
                                     : std::span<const RateLimitFields>{}}}};
  EffectiveRateLimits out;
  for (const LevelSays& says : levels) {
    if (says.limits.empty()) continue;
    out.level = says.level;
    out.limits.assign(says.limits.size(), {.value = config.rate_limit_default});
  }
  for (const LevelSays& says : levels) {
    for (size_t i = 0; i < std::min(says.limits.size(), out.limits.size()); ++i)
      lay_over(says.limits[i], says.level, out.limits[i]);
    for (EffectiveRateLimit& limit : out.limits)
      drop_header_of_lower_level(limit);
    if (says.level != out.level) continue;
    for (size_t i = 0; i < out.limits.size(); ++i)
      take(says.limits[i].enabled, says.level, out.limits[i].value.enabled, out.limits[i].enabled);
  }
  return out;
}

std::vector<std::vector<uint32_t>> path_rules_by_route(const Config& config) {
  std::vector<std::vector<uint32_t>> uses(config.routes.size());
  if (config.path_rules.empty()) return uses;
  std::map<std::string_view, std::vector<uint32_t>> by_id;
  std::map<std::string, std::vector<uint32_t>, std::less<>> by_prefix;
  for (uint32_t index = 0; index < config.routes.size(); ++index) {
    by_id[config.routes[index].id].push_back(index);
    by_prefix[literal_prefix(config.routes[index].pattern)].push_back(index);
  }
  size_t left = kPathRuleUsesMax + 1;
  for (uint32_t rule = 0; rule < config.path_rules.size(); ++rule) {
    const PathRule& each = config.path_rules[rule];
    if (!each.enabled) continue;
    const auto use = [&](const std::vector<uint32_t>& routes) {
      for (const uint32_t route : routes) {
        if (left == 0) return;
        uses[route].push_back(rule);
        --left;
      }
    };
    if (!each.route.empty()) {
      if (const auto named = by_id.find(each.route); named != by_id.end()) use(named->second);
      continue;
    }
    // Two patterns exclude each other when neither literal prefix continues the other one.
    const std::string prefix = literal_prefix(each.pattern);
    for (size_t bytes = 0; bytes < prefix.size(); ++bytes) {
      const auto shorter = by_prefix.find(std::string_view{prefix}.substr(0, bytes));
      if (shorter != by_prefix.end()) use(shorter->second);
    }
    for (auto at = by_prefix.lower_bound(prefix);
         at != by_prefix.end() && at->first.starts_with(prefix); ++at) {
      use(at->second);
    }
  }
  return uses;
}

}  // namespace weir::config
