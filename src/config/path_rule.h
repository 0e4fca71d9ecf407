#pragma once
// One of the configuration's [[path_rules]]: what is different for some paths. The most specific of
// the three levels of the configuration (config/resolve.h). Which rule a request takes is
// routing/path_rules.h's matter.

#include <cstddef>
#include <string>
#include <vector>

#include "config/rate_limit.h"

namespace weir::config {

inline constexpr size_t kPathRulesMax = 10'000;
// Pairs of a rule and a route that it may meet.
inline constexpr size_t kPathRuleUsesMax = 100'000;

struct PathRule {
  std::string id;
  bool enabled = true;
  std::string pattern;               // As a route's (pattern.h), of the path that the client sent.
  std::string route;                 // The id of the only route that it is for; empty: of any.
  std::vector<std::string> methods;  // As sent: case matters; empty: any.
  std::vector<RateLimitFields> rate_limit;  // Empty: says nothing about it.
  bool operator==(const PathRule&) const = default;
};

}  // namespace weir::config
