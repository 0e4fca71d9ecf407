#include "app/explain_command.h"

#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "app/command_output.h"
#include "app/config_commands.h"
#include "app/log.h"
#include "codec/text.h"
#include "config/load.h"
#include "config/problem.h"
#include "config/rate_limit.h"
#include "config/units.h"
#include "config/validate.h"
#include "gateway/endpoint_table.h"
#include "gateway/explain.h"
#include "geo/database_file.h"
#include "http/field.h"
#include "os/clock.h"

namespace weir::app {
namespace {

using config::Level;
using gateway::Answer;
using gateway::Explanation;

// As a client would write it. What does not belong into a head (a line end, say) is explained as
// what it would be.
std::string head_of(const cli::CommandLine& line) {
  std::string head = fmt::format("{} {} HTTP/1.1\r\n", line.method, line.target);
  bool has_host = false;
  for (const std::string& field : line.headers) {
    has_host = has_host || http::equals_ignore_case(field.substr(0, field.find(':')), "host");
    head += field + "\r\n";
  }
  if (!has_host) {
    const size_t scheme = line.target.find("://");
    const bool absolute = !line.target.starts_with('/') && scheme != std::string::npos;
    std::string host = absolute ? line.target.substr(scheme + 3) : "localhost";
    head += "Host: " + host.substr(0, host.find('/')) + "\r\n";
  }
  return head + "\r\n";
}

std::string_view name_of(config::IpAction action) {
  switch (action) {
    case config::IpAction::block:
      return "block";
    case config::IpAction::throttle:
      return "throttle";
    case config::IpAction::allow:
      return "allow";
    case config::IpAction::none:
      break;
  }
  return {};
}

std::string_view name_of(config::GeoAction action) {
  switch (action) {
    case config::GeoAction::block:
      return "block";
    case config::GeoAction::throttle:
      return "throttle";
    case config::GeoAction::allow:
      return "allow";
    case config::GeoAction::none:
      break;
  }
  return {};
}

// "geo_rules[2]", with its id where it has one; "geo.default_action".
std::string name_of(const access::GeoDecider& decider, const config::Config& config) {
  if (decider.is_default()) return "geo.default_action";
  const std::string& id = config.geo_rules[decider.rule].id;
  return fmt::format("geo_rules[{}]{}{}", decider.rule, id.empty() ? "" : " ", id);
}

std::string_view name_of(config::LimitPer per) {
  switch (per) {
    case config::LimitPer::client:
      return "client";
    case config::LimitPer::route:
      return "route";
    case config::LimitPer::header:
      return "header";
  }
  return {};
}

Json json_of(const access::Match& match) {
  if (match.action == config::IpAction::none) return {};
  return {{"match", config::to_string(match.prefix)}, {"action", name_of(match.action)}};
}

Json json_of(const access::GeoDecider& decider, const config::Config& config) {
  if (!decider.exists()) return {};
  Json json{{"action", name_of(decider.action)}, {"rule", nullptr}, {"id", ""}};
  if (!decider.is_default()) {
    json["rule"] = decider.rule;
    json["id"] = config.geo_rules[decider.rule].id;
  }
  return json;
}

Json json_of(const Explanation::Limit& limit) {
  const config::EffectiveRateLimit& each = limit.effective;
  const auto field = [](const auto& value, Level level) {
    return Json{{"value", value}, {"from", config::to_string(level)}};
  };
  return {{"counts", limit.counts},
          {"enabled", field(each.value.enabled, each.enabled)},
          {"enforce", field(each.value.enforce, each.enforce)},
          {"limit", field(each.value.limit, each.limit)},
          {"window_seconds", field(each.value.window.count(), each.window)},
          {"per", field(name_of(each.value.per), each.per)},
          {"header", field(each.value.header, each.header)},
          {"ipv6_prefix_bits", field(each.value.ipv6_prefix_bits, each.ipv6_prefix_bits)}};
}

Json json_of(const Explanation& told, const config::Config& config) {
  Json json{{"answer", gateway::to_string(told.answer)}};
  json["status"] = told.answer == Answer::upstream ? Json() : Json(told.status);
  json["malformed"] =
      told.malformed == http::Malformed::none ? Json() : Json(http::name(told.malformed));
  json["client"] = config::to_string(told.client);
  json["path"] = told.path;
  json["ip_rule"] = json_of(told.ip_rule);
  json["ip_dry_run"] = json_of(told.ip_dry_run);
  json["country"] = told.country.is_known() ? Json(told.country.code()) : Json();
  json["city"] = told.city;
  json["geo_rule"] = json_of(told.geo, config);
  json["geo_dry_run"] = json_of(told.geo_dry_run, config);
  json["route"] = told.route != nullptr ? Json(told.route->id) : Json();
  json["path_rule"] = told.path_rule != nullptr ? Json(told.path_rule->id) : Json();
  json["rate_limit_from"] = config::to_string(told.rate_limit_level);
  json["rate_limits"] = Json::array();
  for (const Explanation::Limit& limit : told.rate_limits)
    json["rate_limits"].push_back(json_of(limit));
  json["location"] = told.location;
  json["upstream_target"] = told.upstream_target;
  json["upstreams"] = Json::array();
  if (told.answer == Answer::upstream) {
    for (const config::Upstream& upstream : told.route->upstreams)
      json["upstreams"].push_back(upstream.url);
  }
  return json;
}

// "limit: path rule, per: route": of the fields that are not built in.
std::string sources_of(const config::EffectiveRateLimit& limit) {
  std::string text;
  const auto add = [&text](std::string_view name, Level level) {
    if (level == Level::built_in) return;
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", name, config::to_string(level));
  };
  add("enabled", limit.enabled);
  add("enforce", limit.enforce);
  add("limit", limit.limit);
  add("window", limit.window);
  add("per", limit.per);
  if (limit.value.per == config::LimitPer::header) add("header", limit.header);
  add("ipv6_prefix_bits", limit.ipv6_prefix_bits);
  return text.empty() ? "all built in" : text;
}

std::string text_of(const Explanation::Limit& limit) {
  const config::RateLimit& value = limit.effective.value;
  std::string text = fmt::format("{} in {} per {}", value.limit,
                                 config::format_duration(value.window), name_of(value.per));
  if (value.per == config::LimitPer::header) text += " " + value.header;
  if (!value.enabled) {
    text += ", switched off";
  } else if (!limit.counts) {
    text += ", not for a request without that header";
  } else if (!value.enforce) {
    text += ", dry run";
  }
  return fmt::format("{}   ({})", text, sources_of(limit.effective));
}

std::string text_of(const access::Match& match) {
  return match.action == config::IpAction::none
             ? "none"
             : fmt::format("{} {}", name_of(match.action), config::to_string(match.prefix));
}

std::string text_of(const access::GeoDecider& decider, const config::Config& config) {
  return decider.exists()
             ? fmt::format("{} by {}", name_of(decider.action), name_of(decider, config))
             : "none";
}

std::string place_of(const Explanation& told) {
  if (!told.country.is_known()) return "unknown";
  return fmt::format("{}{}{}", told.country.code(), told.city.empty() ? "" : " ", told.city);
}

std::string verdict_of(const Explanation& told) {
  switch (told.answer) {
    case Answer::malformed:
      return fmt::format("{}: {}", told.status, http::name(told.malformed));
    case Answer::refused_method:
      return fmt::format("{}: the method is never passed on", told.status);
    case Answer::health:
      return fmt::format("{}: listen.health_path, answered by Weir", told.status);
    case Answer::ip_blocked:
      return fmt::format("{}: the IP rule", told.status);
    case Answer::geo_blocked:
      return fmt::format("{}: the geographic rule", told.status);
    case Answer::no_route:
      return fmt::format("{}: no route matches", told.status);
    case Answer::preflight:
      return fmt::format("{}: a CORS preflight, answered by the route", told.status);
    case Answer::redirect:
      return fmt::format("{}: {}", told.status, told.location);
    case Answer::built_in:
      return fmt::format("{}: answered by Weir", told.status);
    case Answer::body_too_large:
      return fmt::format("{}: the body is larger than the route's body_max", told.status);
    case Answer::upstream:
      break;
  }
  const std::vector<config::Upstream>& upstreams = told.route->upstreams;
  return fmt::format(
      "sent to {}{} as {}", upstreams.front().url,
      upstreams.size() == 1 ? "" : fmt::format(" (of {} upstreams)", upstreams.size()),
      told.upstream_target);
}

void print_text(const Explanation& told, const config::Config& config) {
  const auto row = [](std::string_view name, std::string_view text) {
    print(fmt::format("{:<12}{}\n", name, text));
  };
  row("client", told.client == config::IpAddress{} ? "unknown" : config::to_string(told.client));
  if (!told.path.empty()) row("path", told.path);
  const bool before_rules = told.answer == Answer::malformed ||
                            told.answer == Answer::refused_method || told.answer == Answer::health;
  if (!before_rules) row("IP rule", text_of(told.ip_rule));
  if (told.ip_dry_run.action != config::IpAction::none) {
    row("dry run", text_of(told.ip_dry_run));
  }
  if (!before_rules && told.answer != Answer::ip_blocked) {
    row("country", place_of(told));
    row("geo rule", text_of(told.geo, config));
  }
  if (told.geo_dry_run.exists()) row("dry run", text_of(told.geo_dry_run, config));
  if (told.route != nullptr) {
    row("route", fmt::format("{}   {}", told.route->id, told.route->pattern));
    row("path rule", told.path_rule == nullptr
                         ? "none"
                         : fmt::format("{}   {}", told.path_rule->id, told.path_rule->pattern));
    if (told.rate_limits.empty()) row("rate limit", "none");
    for (const Explanation::Limit& limit : told.rate_limits)
      row("rate limit", text_of(limit));
  }
  row("verdict", verdict_of(told));
}

}  // namespace

int run_config_explain(const cli::CommandLine& line) {
  const std::optional<config::IpAddress> ip = config::parse_ip(line.ip);
  if (!ip) {
    complain(fmt::format("--ip: {} is not an address", config::in_quotes(line.ip)));
    return 2;
  }
  std::optional<config::Config> config = config_in_force(line);
  if (!config) return 2;
  const os::RealClock clock;
  gateway::EndpointTable endpoints;
  geo::DatabaseFile places{config->geo.database};
  places.look();
  if (!places.problem().empty()) {
    complain(fmt::format("{}; no country is known", places.problem()));
  }
  const std::shared_ptr<const gateway::Snapshot> snapshot = endpoints.build(
      std::make_shared<const config::Config>(*std::move(config)), 1, {}, places.current());
  const Explanation told = gateway::explain(
      *snapshot, head_of(line), {.peer = net::SocketAddress::ip(net::IpAddress{ip->bytes}, 0)},
      clock.wall());
  if (line.json) {
    print_json(json_of(told, snapshot->config));
  } else {
    print_text(told, snapshot->config);
  }
  return told.answer == Answer::upstream ? 0 : 1;
}

}  // namespace weir::app
