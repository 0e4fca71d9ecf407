// The rules of one route.

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "config/endpoint.h"
#include "config/internal/checks.h"
#include "config/internal/text.h"
#include "config/pattern.h"
#include "config/redirect.h"
#include "config/validate.h"

namespace weir::config::internal {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

constexpr size_t kUpstreamPathBytesMax = 1024;

// Threading: one thread at a time.
class RouteCheck {
 public:
  RouteCheck(const Route& route, const std::string& key, Findings& findings)
      : route_(route), key_(key), findings_(findings) {}

  void run() {
    if (!is_id(route_.id)) {
      add(".id", route_.id.empty() ? "is missing" : in_quotes(route_.id) + " is not an id",
          kIdAllowed);
    }
    check_pattern(route_.pattern, key_ + ".pattern", findings_);
    check_hosts();
    check_methods(route_.methods, key_ + ".methods", findings_);
    check_match_headers();
    check_target();
    check_rewriting();
    check_header_rules(".request_headers", route_.request_headers);
    check_header_rules(".response_headers", route_.response_headers);
    check_cors();
    check_health();
    for (size_t index = 0; index < route_.upgrade.size(); ++index) {
      if (route_.upgrade[index] == "websocket") continue;
      add(fmt::format(".upgrade[{}]", index), "cannot be " + in_quotes(route_.upgrade[index]),
          "\"websocket\"");
    }
  }

 private:
  void add(std::string_view key, std::string message, std::string_view allowed = {}) {
    findings_.add(key_ + std::string{key}, std::move(message), allowed);
  }

  bool check_count(std::string_view key, size_t count, size_t max) {
    return internal::check_count(key_ + std::string{key}, count, max, findings_);
  }

  void check_hosts() {
    if (!check_count(".hosts", route_.hosts.size(), kHostsPerRouteMax)) return;
    std::set<std::string_view> seen;
    for (size_t index = 0; index < route_.hosts.size(); ++index) {
      const std::string& host = route_.hosts[index];
      const std::string key = fmt::format(".hosts[{}]", index);
      if (!is_host_pattern(host)) {
        add(key, in_quotes(host) + " is not a host",
            R"("example.com", "*.example.com", "192.0.2.1", "[2001:db8::1]"; no port, no other *)");
      } else if (!seen.insert(host).second) {
        add(key, in_quotes(host) + " is there twice", "each host once");
      }
    }
  }

  static bool is_host_pattern(std::string_view host) {
    if (host.starts_with("*.")) return is_host_name(host.substr(2)) && !parse_ip(host.substr(2));
    if (host.starts_with('[') && host.ends_with(']')) {
      const std::string_view inner = host.substr(1, host.size() - 2);
      return inner.find(':') != std::string_view::npos && parse_ip(inner).has_value();
    }
    return is_host_name(host);
  }

  void check_match_headers() {
    if (!check_count(".headers", route_.headers.size(), kRulesPerRouteMax)) return;
    std::set<std::string> seen;
    for (const auto& [name, value] : route_.headers) {
      const std::string key = ".headers." + plain(name);
      if (!is_header_name(name)) {
        add(key, "is not a header name", kHeaderNameAllowed);
      } else if (!is_header_value(value) || value.empty()) {
        add(key, in_quotes(value) + " is not a header value", R"(the exact value, or "*" for any)");
      } else if (!seen.insert(to_lower(name)).second) {
        add(key, "is there twice", "each name once");
      }
    }
  }

  void check_target() {
    check_upstreams();
    if (route_.redirect.status != 0 || !route_.redirect.location.empty()) {
      check_redirect();
      if (!route_.upstreams.empty()) add(".redirect", "stands beside upstreams", "one of the two");
    } else if (route_.upstreams.empty()) {
      add(".upstreams", "is missing", R"(at least one "http://host:port", or a redirect)");
    }
  }

  void check_upstreams() {
    if (!check_count(".upstreams", route_.upstreams.size(), kUpstreamsPerRouteMax)) return;
    std::set<std::string> seen;
    for (size_t index = 0; index < route_.upstreams.size(); ++index) {
      const Upstream& upstream = route_.upstreams[index];
      const std::string key = fmt::format(".upstreams[{}].url", index);
      constexpr std::string_view kAllowed =
          R"("http://host", "http://host:port", "http+unix:/path")";
      const auto parsed = parse_upstream_url(upstream.url);
      if (!parsed.ok()) {
        // Text with an '@' may hold a password, which must not reach a log.
        const bool secret = upstream.url.find('@') != std::string::npos;
        add(key,
            upstream.url.empty() ? "is missing"
                                 : fmt::format("{} is not possible: {}",
                                               secret ? "this URL" : in_quotes(upstream.url),
                                               parsed.error().what.view()),
            kAllowed);
        continue;
      }
      const Upstream& p = parsed.value();
      if (!seen.insert(fmt::format("{} {} {}", p.host, p.port, p.unix_path)).second) {
        add(key, in_quotes(upstream.url) + " is there twice", "each upstream once, with a weight");
      }
    }
  }

  void check_redirect() {
    constexpr std::array<uint16_t, 5> kStatuses{301, 302, 303, 307, 308};
    if (std::find(kStatuses.begin(), kStatuses.end(), route_.redirect.status) == kStatuses.end()) {
      add(".redirect.status",
          route_.redirect.status == 0 ? "is missing"
                                      : fmt::format("cannot be {}", route_.redirect.status),
          "301, 302, 303, 307, 308");
    }
    constexpr std::string_view kAllowed =
        R"(a path or URL, in which $path, $query and $$ are replaced)";
    if (route_.redirect.location.empty()) return add(".redirect.location", "is missing", kAllowed);
    const auto parsed = parse_location(route_.redirect.location);
    if (!parsed.ok()) {
      add(".redirect.location",
          fmt::format("{} has {}", in_quotes(route_.redirect.location), parsed.error().what.view()),
          kAllowed);
    }
  }

  void check_rewriting() {
    if (!route_.rewrite.empty()) {
      constexpr std::string_view kAllowed = R"(a path such as "/v2/", without wildcards)";
      const auto path = normalize_literal_path(route_.rewrite);
      if (!path.ok()) {
        add(".rewrite",
            fmt::format("{} has {}", in_quotes(route_.rewrite), path.error().what.view()),
            kAllowed);
      } else if (route_.rewrite.find('*') != std::string::npos) {
        add(".rewrite", in_quotes(route_.rewrite) + " has a wildcard", kAllowed);
      }
      if (route_.strip_prefix) {
        add(".rewrite", "stands beside strip_prefix, which it includes", "one of the two");
      }
    }
    if (route_.host_mode != HostMode::literal) return;
    const auto parsed = parse_upstream_url("http://" + route_.host_literal);
    if (!parsed.ok() || route_.host_literal.ends_with('/')) {
      add(".host", in_quotes(route_.host_literal) + " is not a host", "\"literal NAME[:PORT]\"");
    }
  }

  void check_header_name(const std::string& key, std::string_view name) {
    if (!is_header_name(name)) {
      return add(key, in_quotes(name) + " is not a header name", kHeaderNameAllowed);
    }
    const std::string lower_name = to_lower(name);
    if (!is_reserved_header(lower_name)) return;
    add(key, in_quotes(name) + " is written by Weir itself",
        lower_name == "host" ? "the route's key \"host\"" : "other header names");
  }

  void check_header_pairs(const std::string& list, const Pairs& headers, bool once) {
    if (!check_count(list, headers.size(), kRulesPerRouteMax)) return;
    std::set<std::string> seen;
    for (const auto& [name, value] : headers) {
      const std::string key = fmt::format("{}.{}", list, plain(name));
      check_header_name(key, name);
      if (!is_header_value(value)) {
        add(key, in_quotes(value) + " is not a header value", kHeaderValueAllowed);
      }
      if (!seen.insert(to_lower(name)).second && once) add(key, "is there twice", "each name once");
    }
  }

  void check_header_rules(const std::string& table, const HeaderRules& rules) {
    check_header_pairs(table + ".set", rules.set, true);
    check_header_pairs(table + ".add", rules.add, false);
    if (!check_count(table + ".remove", rules.remove.size(), kRulesPerRouteMax)) return;
    for (size_t index = 0; index < rules.remove.size(); ++index) {
      check_header_name(fmt::format("{}.remove[{}]", table, index), rules.remove[index]);
    }
  }

  void check_cors() {
    const Cors& cors = route_.cors;
    if (!cors.enabled) return;
    constexpr std::string_view kAllowed = R"("*", or origins such as "https://app.example.com")";
    if (cors.origins.empty()) add(".cors.origins", "is missing", kAllowed);
    check_count(".cors.origins", cors.origins.size(), kHostsPerRouteMax);
    for (size_t index = 0; index < cors.origins.size(); ++index) {
      const std::string key = fmt::format(".cors.origins[{}]", index);
      const std::string& origin = cors.origins[index];
      if (origin == "*") {
        if (cors.origins.size() > 1) add(key, "\"*\" stands beside other origins", kAllowed);
        if (cors.credentials) {
          add(key, "\"*\" is not possible with credentials = true", "exact origins");
        }
      } else if (!is_origin(origin)) {
        add(key, in_quotes(origin) + " is not an origin", kAllowed);
      }
    }
    check_methods(cors.methods, key_ + ".cors.methods", findings_);
    if (!check_count(".cors.headers", cors.headers.size(), kRulesPerRouteMax)) return;
    for (size_t index = 0; index < cors.headers.size(); ++index) {
      if (is_token(cors.headers[index])) continue;
      add(fmt::format(".cors.headers[{}]", index),
          in_quotes(cors.headers[index]) + " is not a header name", kHeaderNameAllowed);
    }
  }

  // scheme://host[:port], or "null"; browsers send it in lower case and without a path.
  static bool is_origin(std::string_view origin) {
    if (origin == "null") return true;
    const size_t at = origin.find("://");
    if (at == std::string_view::npos || at == 0 || origin.ends_with('/')) return false;
    const std::string_view scheme = origin.substr(0, at);
    const bool scheme_ok = std::all_of(scheme.begin(), scheme.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || is_digit(c) || c == '+' || c == '-' || c == '.';
    });
    const auto parsed = parse_upstream_url("http://" + std::string{origin.substr(at + 3)});
    return scheme_ok && parsed.ok() && to_lower(origin) == origin;
  }

  void check_health() {
    if (route_.health.path.empty()) return;
    check_path_reference(route_.health.path, key_ + ".health.path", findings_);
    if (route_.health.timeout > route_.health.interval) {
      add(".health.timeout", "is longer than the interval", "at most health.interval");
    }
  }

  const Route& route_;
  const std::string& key_;
  Findings& findings_;
};

}  // namespace

bool is_header_name(std::string_view name) {
  constexpr size_t kBytesMax = 256;
  return is_token(name) && name.size() <= kBytesMax;
}

bool is_header_value(std::string_view value) {
  constexpr size_t kBytesMax = 4096;
  if (value.size() > kBytesMax) return false;
  if (!value.empty() && (value.front() == ' ' || value.front() == '\t' || value.back() == ' ' ||
                         value.back() == '\t')) {
    return false;
  }
  return std::none_of(value.begin(), value.end(),
                      [](char c) { return is_control(c) && c != '\t'; });
}

bool is_reserved_header(std::string_view lower_name) {
  constexpr std::array<std::string_view, 13> kReserved{
      "connection",        "content-length",   "expect", "host",    "http2-settings",
      "keep-alive",        "proxy-connection", "te",     "trailer", "trailers",
      "transfer-encoding", "upgrade",          "via"};
  return std::find(kReserved.begin(), kReserved.end(), lower_name) != kReserved.end();
}

bool is_id(std::string_view text) {
  return !text.empty() && text.size() <= 64 && !text.starts_with("__") &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (lower(c) >= 'a' && lower(c) <= 'z') || is_digit(c) || c == '.' || c == '_' ||
                  c == '-';
         });
}

void check_unique_id(const std::string& list, size_t index, std::string_view id,
                     std::map<std::string_view, size_t>& ids, Findings& findings) {
  const std::string key = fmt::format("{}[{}].id", list, index);
  if (!is_id(id)) {
    findings.add(key, id.empty() ? "is missing" : in_quotes(id) + " is not an id", kIdAllowed);
  } else if (const auto [other, is_new] = ids.emplace(id, index); !is_new) {
    findings.add(key,
                 fmt::format("{} is also the id of {}[{}]", in_quotes(id), list, other->second),
                 "each id once");
  }
}

void check_reason(std::string_view reason, const std::string& key, Findings& findings) {
  if (reason.size() <= kIpReasonBytesMax &&
      std::none_of(reason.begin(), reason.end(), is_control)) {
    return;
  }
  findings.add(key, in_quotes(reason) + " cannot be told to a client",
               fmt::format("at most {} bytes, no control characters", kIpReasonBytesMax));
}

bool check_count(const std::string& key, size_t count, size_t max, Findings& findings) {
  if (count <= max) return true;
  findings.add(key, fmt::format("has {} entries", count), fmt::format("at most {}", max));
  return false;
}

void check_pattern(std::string_view pattern, const std::string& key, Findings& findings) {
  constexpr std::string_view kAllowed =
      R"("/kv/*" (all below /kv/), "/v1/*/items" (one segment), "/**" (everything), "/exact")";
  if (pattern.empty()) return findings.add(key, "is missing", kAllowed);
  const auto parsed = parse_pattern(pattern);
  if (parsed.ok()) return;
  findings.add(key, fmt::format("{} has {}", in_quotes(pattern), parsed.error().what.view()),
               kAllowed);
}

void check_methods(const std::vector<std::string>& methods, const std::string& list,
                   Findings& findings) {
  if (!check_count(list, methods.size(), kRulesPerRouteMax, findings)) return;
  constexpr std::string_view kAllowed = R"(methods as they are sent: "GET", "POST", ...)";
  std::set<std::string_view> seen;
  for (size_t index = 0; index < methods.size(); ++index) {
    const std::string& method = methods[index];
    const std::string key = fmt::format("{}[{}]", list, index);
    const bool has_lower =
        std::any_of(method.begin(), method.end(), [](char c) { return c >= 'a' && c <= 'z'; });
    if (!is_token(method) || method.size() > 32) {
      findings.add(key, in_quotes(method) + " is not a method", kAllowed);
    } else if (has_lower) {
      findings.add(key, in_quotes(method) + " is not in upper case", kAllowed);
    } else if (method == "CONNECT" || method == "TRACE") {
      findings.add(key, method + " is always answered with 405", kAllowed);
    } else if (!seen.insert(method).second) {
      findings.add(key, in_quotes(method) + " is there twice", "each method once");
    }
  }
}

void check_path_reference(std::string_view path, const std::string& key, Findings& findings) {
  const bool valid = path.size() <= kUpstreamPathBytesMax && path.starts_with('/') &&
                     std::all_of(path.begin(), path.end(),
                                 [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
  if (!valid) findings.add(key, in_quotes(path) + " is not a path", "a path such as \"/health\"");
}

void check_route(const Config& config, const Route& route, const std::string& key,
                 Findings& findings) {
  RouteCheck{route, key, findings}.run();
  if (!route.rate_limit.empty()) {
    check_rate_limits(resolve_rate_limits(config, route, nullptr), key + ".rate_limit", findings);
  }
}

}  // namespace weir::config::internal
