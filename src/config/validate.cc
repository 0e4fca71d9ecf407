#include "config/validate.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "codec/cron.h"
#include "config/endpoint.h"
#include "config/internal/checks.h"
#include "config/internal/ranges.h"
#include "config/internal/schema.h"
#include "config/internal/text.h"
#include "config/pattern.h"

namespace weir::config {
namespace internal {
namespace {

// A visitor of the schema that checks the range of every number.
//
// Threading: one thread at a time.
class RangeCheck {
 public:
  explicit RangeCheck(Findings& findings) : findings_(findings) {}

  void restart(bool /*needed*/) {}
  void present(bool /*flag*/) {}
  void boolean(std::string_view /*key*/, bool /*value*/) {}
  void text(std::string_view /*key*/, const std::string& /*value*/) {}
  void secret_url(std::string_view /*key*/, const std::string& /*value*/) {}
  void texts(std::string_view /*key*/, const std::vector<std::string>& /*value*/) {}
  template <typename T>
  void pairs(std::string_view /*key*/, const T& /*value*/) {}
  template <typename T>
  void multi_pairs(std::string_view /*key*/, const T& /*value*/) {}
  template <typename T>
  void vars(std::string_view /*key*/, const T& /*value*/) {}
  template <typename T>
  void listeners(std::string_view /*key*/, const T& /*value*/) {}
  void path_templates(std::string_view /*key*/, const std::vector<codec::PathRule>& /*value*/) {}
  template <typename Value, typename Describe>
  void maybe(std::string_view /*key*/, const std::optional<Value>& value, Describe describe_value) {
    if (value) describe_value(*value);
  }
  template <typename T>
  void time(std::string_view /*key*/, const T& /*value*/) {}
  void host(std::string_view /*key*/, HostMode /*mode*/, const std::string& /*literal*/) {}

  template <typename Enum, size_t Count>
  void choice(std::string_view key, Enum value, const std::array<Choice<Enum>, Count>& choices) {
    if (choice_name(choices, value).empty()) add(key, "is missing", choice_list(choices));
  }

  template <typename Integer>
  void integer(std::string_view key, Integer value, Range range) {
    if (std::cmp_less(value, range.min) || std::cmp_greater(value, range.max)) {
      add(key, fmt::format("{} is out of range", value), integer_range(range));
    }
  }

  template <typename Integer>
  void size(std::string_view key, Integer value, Range range) {
    if (std::cmp_less(value, range.min) || std::cmp_greater(value, range.max)) {
      add(key, format_size(value) + " is out of range", size_range(range));
    }
  }

  void duration(std::string_view key, milliseconds value, Range range) {
    if (value.count() < range.min || value.count() > range.max) {
      add(key, format_duration(value) + " is out of range", duration_range(range));
    }
  }

  void real(std::string_view key, double value, double min, double max) {
    if (!(value >= min && value <= max)) {  // Also what is not a number.
      add(key, fmt::format("{} is out of range", value), real_range(min, max));
    }
  }

  template <typename Describe>
  void table(std::string_view key, Describe describe_members) {
    const size_t outer = prefix_.size();
    prefix_ += fmt::format("{}.", key);
    describe_members();
    prefix_.resize(outer);
  }

  void upstreams(std::string_view key, const std::vector<Upstream>& upstreams) {
    for (size_t index = 0; index < upstreams.size(); ++index) {
      table(fmt::format("{}[{}]", key, index),
            [&] { integer("weight", upstreams[index].weight, kUpstreamWeights); });
    }
  }

  void rate_limits(std::string_view key, const std::vector<RateLimitFields>& limits) {
    for (size_t index = 0; index < limits.size(); ++index) {
      table(rate_limit_key(key, index, limits.size()),
            [&] { describe_rate_limit(*this, limits[index]); });
    }
  }

  void ip_rules(std::string_view key, const std::vector<IpRule>& rules) {
    for (size_t index = 0; index < rules.size(); ++index) {
      table(fmt::format("{}[{}]", key, index), [&] { describe_ip_rule(*this, rules[index]); });
    }
  }

  void ban_rules(std::string_view key, const std::vector<BanRule>& rules) {
    for (size_t index = 0; index < rules.size(); ++index) {
      table(fmt::format("{}[{}]", key, index), [&] { describe_ban_rule(*this, rules[index]); });
    }
  }

  void geo_rules(std::string_view key, const std::vector<GeoRule>& rules) {
    for (size_t index = 0; index < rules.size(); ++index) {
      table(fmt::format("{}[{}]", key, index), [&] { describe_geo_rule(*this, rules[index]); });
    }
  }

  void path_rules(std::string_view key, const std::vector<PathRule>& rules) {
    for (size_t index = 0; index < rules.size(); ++index) {
      table(fmt::format("{}[{}]", key, index), [&] { describe_path_rule(*this, rules[index]); });
    }
  }

  void routes(std::string_view key, const std::vector<Route>& routes) {
    for (size_t index = 0; index < routes.size(); ++index) {
      table(fmt::format("{}[{}]", key, index), [&] { describe_route(*this, routes[index]); });
    }
  }

 private:
  void add(std::string_view key, std::string message, std::string_view allowed) {
    findings_.add(prefix_ + std::string{key}, std::move(message), allowed);
  }

  Findings& findings_;
  std::string prefix_;
};

constexpr std::string_view kListenAllowed =
    R"("127.0.0.1:8787", "[::1]:8787", "unix:/path", "fd:NAME")";

void check_listen_address(const std::string& address, const std::string& key,
                          std::map<std::string, std::string>& seen, Findings& findings) {
  const auto parsed = parse_listen_address(address);
  if (!parsed.ok()) {
    findings.add(key,
                 address.empty()
                     ? "is missing"
                     : fmt::format("{} is {}", in_quotes(address), parsed.error().what.view()),
                 kListenAllowed);
    return;
  }
  const ListenAddress& listen = parsed.value();
  if (listen.kind == ListenAddress::Kind::tcp && listen.port == 0) return;
  const std::string canonical = listen.kind == ListenAddress::Kind::tcp
                                    ? fmt::format("{} {}", to_string(listen.ip), listen.port)
                                    : address;
  const auto [other, is_new] = seen.emplace(canonical, key);
  if (!is_new) {
    findings.add(key, fmt::format("{} is also {}", in_quotes(address), other->second),
                 "each address once");
  }
}

void check_listeners(const Config& config, Findings& findings) {
  std::map<std::string, std::string> seen;
  if (config.traffic.empty() || config.traffic.size() > kListenersMax) {
    findings.add("listen.traffic", fmt::format("has {} listeners", config.traffic.size()),
                 "1 to 64");
  }
  for (size_t index = 0; index < config.traffic.size(); ++index) {
    const Listener& listener = config.traffic[index];
    const std::string key = fmt::format("listen.traffic[{}]", index);
    if (!check_count(key + ".trusted_proxies", listener.trusted_proxies.size(), kTrustedProxiesMax,
                     findings)) {
      continue;
    }
    check_listen_address(listener.address, key + ".address", seen, findings);
    for (size_t at = 0; at < listener.trusted_proxies.size(); ++at) {
      if (parse_cidr(listener.trusted_proxies[at])) continue;
      findings.add(fmt::format("{}.trusted_proxies[{}]", key, at),
                   in_quotes(listener.trusted_proxies[at]) + " is not an address or prefix",
                   R"("192.0.2.1", "10.0.0.0/8", "2001:db8::/32"; no bits after the prefix)");
    }
    const bool may_be_ip =
        !listener.address.starts_with("unix:") && !listener.address.starts_with("fd:");
    if (may_be_ip && listener.client_address != ClientAddress::socket &&
        listener.trusted_proxies.empty()) {
      findings.add(key + ".trusted_proxies",
                   "is empty, so no peer could ever name the client's address",
                   "the addresses of the proxies in front of this listener");
    }
  }
  check_listen_address(config.admin, "listen.admin", seen, findings);
  if (!config.health_path.empty()) {
    const size_t known = findings.count();
    check_path_reference(config.health_path, "listen.health_path", findings);
    if (findings.count() > known) return;
    const base::Result<std::string> path = normalize_literal_path(config.health_path);
    // Requests are compared with it in their normal form, without their query.
    if (!path.ok() || path.value() != config.health_path ||
        config.health_path.find('?') != std::string::npos) {
      findings.add("listen.health_path",
                   in_quotes(config.health_path) + " is not a path in its normal form",
                   "a path without query, escapes of plain letters, or segments \".\" and \"..\"");
    }
  }
}

void check_sections(const Config& config, Findings& findings) {
  if (!config.server.node.empty() && !is_id(config.server.node)) {
    findings.add("server.node", in_quotes(config.server.node) + " is not a name", kIdAllowed);
  }
  const Journal& journal = config.journal;
  if (!journal.ring_dir.empty() && !is_absolute_path(journal.ring_dir)) {
    findings.add("journal.ring_dir", in_quotes(journal.ring_dir) + " is not an absolute path",
                 "an absolute path, or empty for the data directory");
  }
  if (journal.max_bytes / 2 < journal.segment_bytes) {
    findings.add("journal.max_bytes", "does not hold two segments",
                 "at least 2 * journal.segment_bytes");
  }
  const AccessLog& log = config.access_log;
  if (log.target != "stdout" && log.target != "syslog" && !is_absolute_path(log.target)) {
    findings.add("access_log.target", "cannot be " + in_quotes(log.target),
                 R"("stdout", "syslog" or a file's absolute path)");
  }
}

void check_alerts(const Alerts& alerts, Findings& findings) {
  const std::string& url = alerts.webhook.url;
  if (url.empty()) return;
  const base::Status checked = check_webhook_url(url);
  if (checked.ok()) return;
  // Not one byte of it is repeated: it may hold a secret.
  findings.add("alerts.webhook.url", fmt::format("has {}", checked.error().what.view()),
               R"("https://host/path", "http://host:port/path" of 2048 bytes; or empty: none)");
}

std::string job_names() {
  std::string names;
  for (const std::string_view name : kJobNames)
    names += (names.empty() ? "" : ", ") + in_quotes(std::string{name});
  return names;
}

bool is_job(std::string_view name) {
  return std::find(kJobNames.begin(), kJobNames.end(), name) != kJobNames.end();
}

void check_jobs(const Config& config, Findings& findings) {
  for (const std::string& name : config.jobs_disabled) {
    if (!is_job(name)) {
      findings.add("jobs.disabled", in_quotes(name) + " is no job", job_names());
    }
  }
  for (const auto& [name, text] : config.crons) {
    const std::string key = "triggers.crons." + name;
    codec::CronProblem problem;
    if (!is_job(name)) {
      findings.add(key, in_quotes(name) + " is no job", job_names());
    } else if (!codec::Cron::parse(text, &problem).ok()) {
      findings.add(
          key, fmt::format("column {} of {}: {}", problem.column, in_quotes(text), problem.message),
          problem.allowed);
    }
  }
}

void check_path_templates(const Stats& stats, Findings& findings) {
  if (stats.path_rules.size() > codec::kPathRulesMax) {
    findings.add("stats.path_rules", fmt::format("has {} rules", stats.path_rules.size()),
                 fmt::format("at most {}", codec::kPathRulesMax));
    return;
  }
  for (size_t index = 0; index < stats.path_rules.size(); ++index) {
    auto problem = codec::find_problem(stats.path_rules[index]);
    if (!problem) continue;
    findings.add(
        fmt::format("stats.path_rules[{}].{}", index, problem->in_replace ? "replace" : "pattern"),
        plain(problem->message),
        problem->in_replace
            ? R"("{name}" and other text, with groups of the pattern as '\1'; 1 KiB)"
            : "RE2 syntax for a whole segment, or with a '/' for the whole path; 1 KiB");
  }
}

// What decides between two requests for a route: hosts, methods and headers in order.
using RouteScope =
    std::tuple<int32_t, std::string_view, std::vector<std::string>, std::vector<std::string>,
               std::vector<std::pair<std::string, std::string>>>;

RouteScope scope_of(const Route& route) {
  RouteScope scope{route.priority, route.pattern, route.hosts, route.methods, route.headers};
  std::sort(std::get<2>(scope).begin(), std::get<2>(scope).end());
  std::sort(std::get<3>(scope).begin(), std::get<3>(scope).end());
  for (auto& [name, value] : std::get<4>(scope))
    name = to_lower(name);
  std::sort(std::get<4>(scope).begin(), std::get<4>(scope).end());
  return scope;
}

// Of two routes for the same requests one would never be taken.
void check_route_scope(const Route& route, size_t index, std::map<RouteScope, size_t>& seen,
                       Findings& findings) {
  if (!route.enabled) return;
  const auto [other, is_new] = seen.emplace(scope_of(route), index);
  if (is_new) return;
  findings.add(fmt::format("routes[{}].pattern", index),
               fmt::format("is for the same requests as routes[{}]", other->second),
               "another pattern, host, method, header or priority; or enabled = false");
}

void check_routes(const Config& config, Findings& findings) {
  if (config.routes.size() > kRoutesMax) {
    findings.add("routes", fmt::format("has {} routes", config.routes.size()), "at most 10000");
    return;
  }
  std::map<std::string_view, size_t> ids;
  std::map<RouteScope, size_t> scopes;
  for (size_t index = 0; index < config.routes.size(); ++index) {
    const Route& route = config.routes[index];
    const std::string key = fmt::format("routes[{}]", index);
    check_route(config, route, key, findings);
    check_route_scope(route, index, scopes, findings);
    if (route.id.empty()) continue;
    const auto [other, is_new] = ids.emplace(route.id, index);
    if (!is_new) {
      findings.add(
          key + ".id",
          fmt::format("{} is also the id of routes[{}]", in_quotes(route.id), other->second),
          "each id once");
    }
  }
}

}  // namespace

bool is_absolute_path(std::string_view path) {
  return path.size() <= 4096 && path.starts_with('/') &&
         std::none_of(path.begin(), path.end(), is_control);
}

}  // namespace internal

std::vector<Problem> validate(const Config& config) {
  internal::Findings findings;
  internal::RangeCheck ranges{findings};
  internal::describe(ranges, config);
  internal::check_listeners(config, findings);
  internal::check_sections(config, findings);
  internal::check_path_templates(config.stats, findings);
  internal::check_alerts(config.alerts, findings);
  internal::check_jobs(config, findings);
  internal::check_ip_rules(config.ip_rules, findings);
  internal::check_routes(config, findings);
  internal::RouteIds routes;
  for (const Route& route : config.routes)
    routes.insert(route.id);
  internal::check_geo(config, routes, findings);
  internal::check_path_rules(config, routes, findings);
  internal::check_ban_rules(config, routes, findings);
  return findings.take();
}

void complete(Config& config) {
  internal::complete_geo(config);
  for (Route& route : config.routes) {
    for (std::string& host : route.hosts)
      host = internal::to_lower(host);
    for (Upstream& upstream : route.upstreams) {
      base::Result<Upstream> parsed = parse_upstream_url(upstream.url);
      if (!parsed.ok()) continue;
      const uint32_t weight = upstream.weight;
      upstream = std::move(parsed).value();
      upstream.weight = weight;
    }
    if (!route.rewrite.empty()) {
      base::Result<std::string> path = normalize_literal_path(route.rewrite);
      if (path.ok()) route.rewrite = std::move(path).value();
    }
  }
}

}  // namespace weir::config
