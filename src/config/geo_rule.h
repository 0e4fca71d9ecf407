#pragma once
// The configuration's [geo] and [[geo_rules]]: what becomes of the requests from some countries,
// continents and cities. Which rule decides about a request is access/geo_rules.h's matter; where
// an address is, geo/database.h's.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/country.h"

namespace weir::config {

enum class GeoAction : uint8_t {
  block,
  throttle,
  allow,
  none,  // Nothing was said: never in a valid configuration.
};
inline constexpr size_t kGeoActions = 3;  // Without `none`.

inline constexpr size_t kGeoRulesMax = 10'000;
inline constexpr size_t kGeoValuesMax = 100'000;  // Entries of all lists of all rules together.
inline constexpr size_t kGeoGroupsMax = 1'000;
inline constexpr size_t kGeoGroupNameBytesMax = 64;
inline constexpr size_t kGeoCityBytesMax = 64;  // Also what an event holds of a city.
inline constexpr size_t kGeoMessageBytesMax = 500;
inline constexpr size_t kGeoBodyBytesMax = 8192;
inline constexpr size_t kGeoReasonBytesMax = 200;
inline constexpr size_t kGeoHeadersMax = 8;  // Of one rule's response.

// What a rule that blocks answers.
struct GeoResponse {
  uint16_t status = 403;                                   // 200 to 599.
  std::string message = "Access denied from your region";  // In Weir's own JSON.
  std::string body;  // In place of that JSON, as it is; empty: none.
  std::string content_type = "text/plain; charset=utf-8";  // Of `body`.
  std::vector<std::pair<std::string, std::string>> headers;
  bool operator==(const GeoResponse&) const = default;
};

struct GeoRule {
  std::string id;  // May be empty. A throttle that has one keeps its counts wherever it stands.
  bool enabled = true;
  int32_t priority = 0;  // 0 to 1000, smallest first; equal ones in the order of the list.
  GeoAction action = GeoAction::none;
  uint32_t limit = 0;              // Of `throttle`: requests of one client in any `window`.
  std::chrono::seconds window{0};  // Of `throttle`.
  // A place matches that is in any of these.
  std::vector<std::string> countries;   // ISO 3166-1 alpha-2; "*": any; "unknown": none is known.
  std::vector<std::string> continents;  // AF AN AS EU NA OC SA.
  std::vector<std::string> groups;      // Presets, and [geo.groups].
  std::vector<std::string> cities;      // "Berlin", "DE/Berlin".
  // Both empty: every request. Both given: requests of one of these routes to one of these paths.
  std::vector<std::string> routes;  // Ids.
  std::vector<std::string> paths;   // Patterns (config/pattern.h).
  // The rule exists from `starts` on and, from `expires` on, no more.
  std::optional<std::chrono::sys_seconds> starts;
  std::optional<std::chrono::sys_seconds> expires;
  GeoResponse response;  // Of `block`.
  std::string reason;    // Told to those who are refused; empty: nothing is said of it.
  bool enforce = true;   // False: counted as it would have been, and nothing else.
  bool operator==(const GeoRule&) const = default;
};

struct Geo {
  std::string database;  // An .mmdb file's absolute path; empty: none.
  std::chrono::milliseconds database_refresh{30'000};  // How often that file is looked at.
  GeoAction default_action = GeoAction::allow;         // Or block: where no rule matches.
  std::string country_header;  // Names the country; believed of trusted proxies only.
  // (name, country), those of one name in a row.
  std::vector<std::pair<std::string, std::string>> groups;
  bool operator==(const Geo&) const = default;
};

// A group that is always there. Source: spec 6.3.
struct GeoPreset {
  std::string_view name;
  std::string_view countries;  // Codes, one space between them.
};
std::span<const GeoPreset> geo_presets();

// Calls `visit` with the code of each country of a preset.
template <typename Visit>
void for_each_country(const GeoPreset& preset, Visit visit) {
  for (size_t at = 0; at < preset.countries.size(); at += 3)
    visit(preset.countries.substr(at, 2));
}

// The form in which names of cities are compared, appended to `out`: letters without case and
// marks (of Latin letters up to U+017F; others stay as they are), one space between words. "São
// Paulo", "SAO  PAULO" and "Sa\u0303o Paulo" are one. Writes at most `text.size()` * 2 bytes.
void append_city_key(std::string& out, std::string_view text);

// A city as a rule names it.
struct City {
  Country country;  // Not known: any.
  std::string key;  // Of append_city_key(); not empty.
};
// Nothing: not "City" or "CC/City", or too long.
std::optional<City> parse_city(std::string_view text);

}  // namespace weir::config
