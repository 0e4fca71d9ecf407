#include "gateway/decisions.h"

#include <algorithm>
#include <iterator>

namespace weir::gateway {

using http::FieldName;

http::RequestLimits request_limits(const config::Limits& limits) {
  return {.header_bytes_max = limits.header_bytes_max,
          .header_count_max = limits.header_count_max,
          .target_bytes_max = limits.target_bytes_max};
}

bool HeaderMatch::has(std::string_view name, std::string_view value) const {
  return std::any_of(fields_.begin(), fields_.end(), [&](const http::Field& field) {
    return (value == "*" || field.value == value) && http::equals_ignore_case(field.name, name);
  });
}

bool is_refused_method(const http::RequestHead& head) {
  return head.method_id == http::Method::connect || head.method_id == http::Method::trace;
}

bool is_health_request(const config::Config& config, const http::RequestHead& head,
                       std::string_view path) {
  return !config.health_path.empty() && path == config.health_path &&
         (head.method_id == http::Method::get || head.method_id == http::Method::head);
}

config::Country said_country(const Snapshot& snapshot, const net::ClientConnection& connection,
                             const http::RequestHead& head) {
  const std::string& name = snapshot.config.geo.country_header;
  const ClientAddressRule& rule = snapshot.client_addresses[connection.listener];
  if (name.empty() || !rule.believes_fields_of(connection.peer)) return {};
  const auto is_it = [&](const http::Field& field) {
    return http::equals_ignore_case(field.name, name);
  };
  const auto first = std::find_if(head.fields.begin(), head.fields.end(), is_it);
  if (first == head.fields.end()) return {};
  if (std::any_of(std::next(first), head.fields.end(), is_it)) return {};
  return config::Country::of(http::trim(first->value));
}

access::GeoDecision decide_by_place(const Snapshot& snapshot, const config::IpAddress& client,
                                    const access::GeoRequest& request, base::Wall now) {
  const access::GeoRules& rules = *snapshot.geo_rules;
  if (rules.empty()) return {};
  if (client == config::IpAddress{} && !request.country.is_known()) return {};
  return rules.decide(request, now);
}

const config::GeoRule& blocking_rule(const Snapshot& snapshot, const access::GeoDecider& decider) {
  static const config::GeoRule silent;
  return decider.is_default() ? silent : snapshot.config.geo_rules[decider.rule];
}

bool is_preflight(const config::Route& route, const http::RequestHead& head) {
  return route.cors.enabled && head.method_id == http::Method::options &&
         !head.value(FieldName::origin).empty() &&
         head.has(FieldName::access_control_request_method);
}

bool is_body_too_large(const config::Route& route, const http::RequestHead& head) {
  return head.body == http::BodyKind::length && head.content_length > route.body_max_bytes;
}

const RequestRules& rules_for(const RouteTargets& targets, std::string_view method,
                              std::string_view path) {
  if (!targets.path_rules) return targets.rules;
  const std::optional<uint32_t> rule = targets.path_rules->match(method, path);
  return rule ? targets.path_rule_rules[*rule] : targets.rules;
}

std::optional<std::string_view> limited_value(const config::RateLimit& limit,
                                              const http::RequestHead& head) {
  const auto is_it = [&](const http::Field& field) {
    return http::equals_ignore_case(field.name, limit.header);
  };
  const auto first = std::find_if(head.fields.begin(), head.fields.end(), is_it);
  if (first == head.fields.end()) return std::nullopt;
  // Which one the upstream takes, nobody knows here: a stranger beside the own value would be a new
  // count each time. All such requests share one.
  if (std::any_of(std::next(first), head.fields.end(), is_it)) return std::string_view{};
  return first->value.empty() ? std::nullopt : std::optional{first->value};
}

}  // namespace weir::gateway
