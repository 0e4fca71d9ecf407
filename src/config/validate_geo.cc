// The rules of [geo] and [[geo_rules]].

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include <fmt/format.h>

#include "config/internal/checks.h"
#include "config/internal/ranges.h"
#include "config/internal/schema.h"
#include "config/internal/suggest.h"
#include "config/internal/text.h"

namespace weir::config::internal {
namespace {

constexpr std::string_view kCountriesAllowed =
    R"(codes of ISO 3166-1 alpha-2 such as "DE"; "*": any; "unknown": none is known)";
constexpr std::string_view kContinentsAllowed = R"("AF", "AN", "AS", "EU", "NA", "OC", "SA")";

// Threading: one thread at a time.
class GeoCheck {
 public:
  GeoCheck(const Config& config, const RouteIds& routes, Findings& findings)
      : config_(config), findings_(findings), routes_(routes) {
    for (const GeoPreset& preset : geo_presets())
      groups_.push_back(preset.name);
  }

  void run() {
    if (!config_.geo.database.empty() && !is_absolute_path(config_.geo.database)) {
      add("geo.database", in_quotes(config_.geo.database) + " is not an absolute path",
          "an .mmdb file's absolute path, or empty for none");
    }
    check_country_header();
    if (!check_groups() || !check_counts()) return;
    for (size_t index = 0; index < config_.geo_rules.size(); ++index)
      check_rule(config_.geo_rules[index], fmt::format("geo_rules[{}]", index));
  }

 private:
  void add(std::string key, std::string message, std::string_view allowed) {
    findings_.add(std::move(key), std::move(message), allowed);
  }

  void check_country_header() {
    const std::string& name = config_.geo.country_header;
    if (name.empty()) return;
    if (!is_header_name(name) || is_reserved_header(to_lower(name))) {
      return add("geo.country_header", in_quotes(name) + " is not the name of such a header",
                 kHeaderNameAllowed);
    }
    const bool has_proxies =
        std::any_of(config_.traffic.begin(), config_.traffic.end(), [](const Listener& listener) {
          // Behind the PROXY protocol it is the client's own.
          return listener.client_address != ClientAddress::proxy_protocol &&
                 (!listener.trusted_proxies.empty() || listener.address.starts_with("unix:") ||
                  listener.address.starts_with("fd:"));
        });
    if (has_proxies) return;
    add("geo.country_header", "would be believed of nobody",
        "beside a listener with trusted_proxies and without the PROXY protocol, or on a Unix "
        "socket");
  }

  // False: there are too many to go on.
  bool check_groups() {
    std::set<std::string_view> names;
    for (const auto& [name, code] : config_.geo.groups) {
      const std::string key = "geo.groups." + plain(name);
      if (names.insert(name).second) check_group_name(name, key);
      if (names.size() > kGeoGroupsMax) break;
      if (!Country::of(code).is_known()) {
        add(key, in_quotes(code) + " is no country", R"(codes of ISO 3166-1 alpha-2 such as "DE")");
      }
    }
    groups_.insert(groups_.end(), names.begin(), names.end());
    if (names.size() <= kGeoGroupsMax) return true;
    add("geo.groups", "are too many", fmt::format("at most {}", kGeoGroupsMax));
    return false;
  }

  void check_group_name(std::string_view name, const std::string& key) {
    const bool is_preset =
        std::any_of(geo_presets().begin(), geo_presets().end(),
                    [&](const GeoPreset& preset) { return preset.name == name; });
    if (is_preset) {
      add(key, "is a group that is always there", "other names");
    } else if (!is_id(name)) {
      add(key, "is not a name", kIdAllowed);
    }
  }

  bool check_counts() {
    size_t values = 0;
    for (const GeoRule& rule : config_.geo_rules) {
      values += rule.countries.size() + rule.continents.size() + rule.groups.size() +
                rule.cities.size() + rule.routes.size() + rule.paths.size();
    }
    if (config_.geo_rules.size() <= kGeoRulesMax && values <= kGeoValuesMax) return true;
    add("geo_rules",
        fmt::format("has {} rules with {} entries in their lists", config_.geo_rules.size(),
                    values),
        fmt::format("at most {} and {}", kGeoRulesMax, kGeoValuesMax));
    return false;
  }

  void check_rule(const GeoRule& rule, const std::string& key) {
    if (!rule.id.empty()) check_id(rule.id, key);
    check_match(rule, key);
    check_scope(rule, key);
    check_limit(rule, key);
    check_response(rule, key);
    if (rule.starts && rule.expires && *rule.starts >= *rule.expires) {
      add(key + ".expires", "is not later than starts", "a later time");
    }
    check_text(key + ".reason", rule.reason, kGeoReasonBytesMax);
  }

  void check_id(const std::string& id, const std::string& key) {
    if (!is_id(id)) return add(key + ".id", in_quotes(id) + " is not an id", kIdAllowed);
    const auto [other, is_new] = ids_.emplace(id, key);
    if (!is_new) {
      add(key + ".id", fmt::format("{} is also the id of {}", in_quotes(id), other->second),
          "each id once");
    }
  }

  template <typename Good>
  void check_each(const std::vector<std::string>& values, const std::string& key,
                  std::string_view what, std::string_view allowed, Good good) {
    for (size_t at = 0; at < values.size(); ++at) {
      if (good(values[at])) continue;
      add(fmt::format("{}[{}]", key, at), fmt::format("{} {}", in_quotes(values[at]), what),
          allowed);
    }
  }

  void check_match(const GeoRule& rule, const std::string& key) {
    if (rule.countries.empty() && rule.continents.empty() && rule.groups.empty() &&
        rule.cities.empty()) {
      add(key, "matches nothing", "countries, continents, groups or cities");
    }
    check_each(rule.countries, key + ".countries", "is no country", kCountriesAllowed,
               [](const std::string& code) {
                 return code == "*" || code == "unknown" || Country::of(code).is_known();
               });
    check_each(rule.continents, key + ".continents", "is no continent", kContinentsAllowed,
               [](const std::string& code) { return parse_continent(code).has_value(); });
    check_each(rule.cities, key + ".cities", "is no city",
               R"("Berlin", "DE/Berlin"; at most 64 bytes)",
               [](const std::string& city) { return parse_city(city).has_value(); });
    for (size_t at = 0; at < rule.groups.size(); ++at) {
      const std::string& name = rule.groups[at];
      if (std::find(groups_.begin(), groups_.end(), name) != groups_.end()) continue;
      add(fmt::format("{}.groups[{}]", key, at),
          fmt::format("{} is no group{}", in_quotes(name), near(name, groups_)),
          R"("high-risk", "gdpr", "asia-pacific", "mainland-china", or a name of [geo.groups])");
    }
  }

  std::string near(std::string_view name, const std::vector<std::string_view>& names) const {
    if (findings_.count() >= kSuggestionsMax) return {};
    const std::string_view found = closest(name, names);
    return found.empty() ? std::string{} : fmt::format(", did you mean {}?", in_quotes(found));
  }

  void check_scope(const GeoRule& rule, const std::string& key) {
    for (size_t at = 0; at < rule.routes.size(); ++at) {
      const std::string& id = rule.routes[at];
      if (routes_.contains(id)) continue;
      add(fmt::format("{}.routes[{}]", key, at),
          fmt::format("{} is no route{}", in_quotes(id), near(id, route_names_)),
          "ids of [[routes]]");
    }
    for (size_t at = 0; at < rule.paths.size(); ++at)
      check_pattern(rule.paths[at], fmt::format("{}.paths[{}]", key, at), findings_);
  }

  void check_limit(const GeoRule& rule, const std::string& key) {
    if (rule.action == GeoAction::none) return;  // Which is said.
    if (rule.action == GeoAction::throttle) {
      if (rule.limit == 0) add(key + ".limit", "is missing", "1 to 1000000000");
      if (rule.window.count() == 0) {
        add(key + ".window", "is missing", duration_range({kSecond, 31 * kDay}));
      }
      return;
    }
    if (rule.limit != 0) add(key + ".limit", beside(rule), R"(only beside action = "throttle")");
    if (rule.window.count() != 0) {
      add(key + ".window", beside(rule), R"(only beside action = "throttle")");
    }
  }

  static std::string beside(const GeoRule& rule) {
    return fmt::format("stands beside action = \"{}\"", choice_name(kGeoActionNames, rule.action));
  }

  void check_response(const GeoRule& rule, const std::string& key) {
    const GeoResponse& response = rule.response;
    if (rule.action != GeoAction::block && rule.action != GeoAction::none &&
        response != GeoResponse{}) {
      add(key + ".response", beside(rule), R"(only beside action = "block")");
    }
    check_text(key + ".response.message", response.message, kGeoMessageBytesMax);
    if (response.body.size() > kGeoBodyBytesMax) {
      add(key + ".response.body", fmt::format("has {} bytes", response.body.size()),
          fmt::format("at most {}", kGeoBodyBytesMax));
    }
    if (response.content_type.empty() || !is_header_value(response.content_type)) {
      add(key + ".response.content_type",
          in_quotes(response.content_type) + " is not a header value", kHeaderValueAllowed);
    }
    if (response.headers.size() > kGeoHeadersMax) {
      return add(key + ".response.headers", fmt::format("has {} entries", response.headers.size()),
                 fmt::format("at most {}", kGeoHeadersMax));
    }
    std::set<std::string> seen;
    for (const auto& [name, value] : response.headers) {
      const std::string header_key = fmt::format("{}.response.headers.{}", key, plain(name));
      if (!is_header_name(name)) {
        add(header_key, "is not a header name", kHeaderNameAllowed);
      } else if (is_written_by_weir(to_lower(name))) {
        add(header_key, "is written by Weir itself", "other header names");
      } else if (!seen.insert(to_lower(name)).second) {
        add(header_key, "is there twice", "each name once");
      }
      if (!is_header_value(value)) {
        add(header_key, in_quotes(value) + " is not a header value", kHeaderValueAllowed);
      }
    }
  }

  static bool is_written_by_weir(std::string_view name) {
    constexpr std::array<std::string_view, 5> kOurs{"allow", "content-type", "date", "retry-after",
                                                    "x-request-id"};
    return is_reserved_header(name) || std::find(kOurs.begin(), kOurs.end(), name) != kOurs.end();
  }

  void check_text(std::string key, const std::string& text, size_t bytes_max) {
    if (text.size() <= bytes_max && std::none_of(text.begin(), text.end(), is_control)) return;
    add(std::move(key), in_quotes(text) + " cannot be told to a client",
        fmt::format("at most {} bytes, no control characters", bytes_max));
  }

  const Config& config_;
  Findings& findings_;
  std::vector<std::string_view> groups_;
  const RouteIds& routes_;
  const std::vector<std::string_view> route_names_{routes_.begin(), routes_.end()};
  std::map<std::string_view, std::string> ids_;
};

}  // namespace

void check_geo(const Config& config, const RouteIds& routes, Findings& findings) {
  GeoCheck{config, routes, findings}.run();
}

void complete_geo(Config& config) {
  const auto capital = [](std::string& code) {
    const Country country = Country::of(code);
    if (country.is_known()) code = country.code();
  };
  for (auto& [name, code] : config.geo.groups)
    capital(code);
  for (GeoRule& rule : config.geo_rules) {
    for (std::string& code : rule.countries)
      capital(code);
    for (std::string& code : rule.continents) {
      if (const auto continent = parse_continent(code)) {
        code = kContinentCodes[static_cast<size_t>(*continent)];
      }
    }
  }
}

}  // namespace weir::config::internal
