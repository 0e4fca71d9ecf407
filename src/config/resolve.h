#pragma once
// The three levels of the configuration: path rule > route > global, field by field. The one
// resolver: requests are served with what it says, and every preview asks it.
//
//   [[path_rules]]  {limit = 5}                       limit 5     path
//   [[routes]]      {limit = 100, per = "route"}  ──► per route   route
//   [global]        {window = 10}                     window 10 s global
//                                                     the rest    built in

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace weir::config {

enum class Level : uint8_t { built_in, global, route, path };

// "built in", "global", "route", "path rule".
std::string_view to_string(Level level);

struct EffectiveRateLimit {
  RateLimit value;
  // Where each field of `value` comes from.
  Level enabled = Level::built_in;
  Level enforce = Level::built_in;
  Level limit = Level::built_in;
  Level window = Level::built_in;
  Level per = Level::built_in;
  Level header = Level::built_in;
  Level ipv6_prefix_bits = Level::built_in;
};

struct EffectiveRateLimits {
  // The most specific level that says anything: it decides how many limits there are, and requests
  // are counted under its name. built_in: none does, and there is no limit.
  Level level = Level::built_in;
  std::vector<EffectiveRateLimit> limits;
};

// For a request of `route` that takes `rule` (null: none). The most specific level that has limits
// decides how many there are; a field that one of them leaves out is that of the limit at the same
// place of the next level below, and so on to Config::rate_limit_default. `enabled` alone is not
// handed down: whoever writes a limit means it, unless it says otherwise.
EffectiveRateLimits resolve_rate_limits(const Config& config, const Route& route,
                                        const PathRule* rule);

// For each route, the indexes of the enabled path rules that some request of it may take: those
// that name it, and those that name none and whose pattern does not exclude its. Stops after more
// than kPathRuleUsesMax pairs, which validate() refuses.
std::vector<std::vector<uint32_t>> path_rules_by_route(const Config& config);

}  // namespace weir::config
