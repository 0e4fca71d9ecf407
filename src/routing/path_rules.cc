#include "routing/path_rules.h"

#include <memory>
#include <utility>

namespace weir::routing {
namespace {

// In the place of a rule that names its route, the lower priority number.
std::shared_ptr<const config::Config> as_routes(const config::Config& config,
                                                std::span<const uint32_t> rules) {
  auto out = std::make_shared<config::Config>();
  out->routes.reserve(rules.size());
  for (const uint32_t index : rules) {
    const config::PathRule& rule = config.path_rules[index];
    config::Route& route = out->routes.emplace_back();
    route.id = rule.id;
    route.pattern = rule.pattern;
    route.methods = rule.methods;
    route.priority = rule.route.empty() ? 1 : 0;
  }
  return out;
}

}  // namespace

PathRules::PathRules(const config::Config& config, std::span<const uint32_t> rules)
    : table_(as_routes(config, rules)) {}

std::optional<uint32_t> PathRules::match(std::string_view method, std::string_view path) const {
  static const NoHeaders kNoHeaders;
  const Route* const found =
      table_.match({.host = {}, .method = method, .path = path, .headers = kNoHeaders});
  if (found == nullptr) return std::nullopt;
  return found->index;
}

}  // namespace weir::routing
