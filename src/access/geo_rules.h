#pragma once
// Which geographic rule decides about a request.
//
// A rule's scope is its paths, else its routes, else everything; the most specific scope in which a
// rule matches decides: paths before routes before everything. Within a scope the smallest priority
// decides, of equal ones the earlier in the list. Where no rule matches, the default action does. A
// rule that has not started or has expired does not exist. A rule that is not enforced changes no
// decision; it is named beside it where it would have decided, were it enforced.
//
//   rules in the order in which they decide     1 2 3 4 5 6 ... 500
//   those that match in the country "DE"        0 1 0 0 1 1     0     one row of bits a country
//   those of the route "kv"                     0 0 1 0 1 0     0     the words that are not zero
//                                               ─────────── and ──    the first bit decides
//
// The obvious alternative, to look at one rule after another, costs a request the length of the
// list. Cities have the words of their rules in the same way, or-ed with their country's; patterns
// of paths are found by their literal beginning, at each '/' of the path.
//
// Where an address is, is geo/database.h's matter; the limiter and metrics are the gateway's.
//
// Source: spec 6.2, corrected (there: no scopes, and a default action that an empty list disables).

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/thread_annotations.h"
#include "config/config.h"
#include "config/country.h"
#include "config/geo_rule.h"
#include "config/pattern.h"

namespace weir::access {

// Who decides: a rule, or the default action, which is no rule.
struct GeoDecider {
  static constexpr uint32_t kDefault = UINT32_MAX;

  config::GeoAction action = config::GeoAction::none;  // none: nobody does.
  uint32_t rule = kDefault;                            // Its index in the list.

  bool exists() const { return action != config::GeoAction::none; }
  bool is_default() const { return rule == kDefault; }
};

struct GeoDecision {
  GeoDecider enforced;  // Always exists.
  // Exists when a rule that is not enforced would have decided in place of `enforced`.
  GeoDecider dry_run;
};

// What rules see of a request.
struct GeoRequest {
  static constexpr uint32_t kNoRoute = UINT32_MAX;

  config::Country country;    // Not known: nobody says where the client is.
  uint32_t city = 0;          // Of GeoRules::city().
  uint32_t route = kNoRoute;  // Its index in the configuration.
  std::string_view path;      // Normalised, without query.
};

// Ownership: owns copies of all that it needs of the configuration.
// Threading: immutable after construction: any thread. decide() never blocks or allocates.
// Limits: those of config/geo_rule.h: with 10 000 rules 320 KiB for countries, and up to 16 bytes
//   for each entry of a rule's lists. A decision reads a word for each 64 rules of its scope, and
//   after that each rule that matches and is not enforced or out of its time.
class GeoRules {
 public:
  GeoRules() = default;
  // Skips what validate() refuses. O(rules * countries + entries * log entries).
  explicit GeoRules(const config::Config& config);

  GeoDecision decide(const GeoRequest& request, base::Wall now) const;

  // What rules know a city by; 0: none names it. `scratch` is used.
  uint32_t city(config::Country country, std::string_view name, std::string& scratch) const;

  // True where every request is allowed.
  bool empty() const { return entries_.empty() && default_action_ == config::GeoAction::allow; }
  size_t rule_count() const { return entries_.size(); }
  size_t city_count() const { return cities_.size(); }
  size_t bytes() const;

 private:
  class Builder;

  // Rules that are worth looking at, by their rank: bit `i` of `bits` is rank 64 * word + i.
  struct Block {
    uint32_t word;
    uint64_t bits;
  };
  struct Slice {  // Of blocks_, in the order of their words.
    uint32_t begin = 0;
    uint32_t end = 0;
  };

  // A rule, at its rank: its place in the order in which rules decide.
  struct Entry {
    int64_t starts_s;  // Unix time; INT64_MIN: always.
    int64_t expires_s;
    uint32_t rule;
    uint32_t routes_begin;  // Of routes_: a rule of paths on these routes only.
    uint32_t routes_end;
    config::GeoAction action;
    bool enforce;
  };

  struct PathScope {
    config::Pattern pattern;
    uint64_t hash;  // Of its literal beginning.
    Slice rules;
    uint32_t next;  // With the same bucket.
  };

  // The first rules of a scope that exist and match: ranks.
  struct Found {
    uint32_t enforced = UINT32_MAX;
    uint32_t dry_run = UINT32_MAX;
  };

  std::span<const Block> blocks(Slice slice) const {
    return std::span{blocks_}.subspan(slice.begin, slice.end - slice.begin);
  }
  bool is_on_route(const Entry& entry, uint32_t route) const;
  void search(Slice scope, const GeoRequest& request, int64_t now_s, Found& found) const;
  void search_paths(const GeoRequest& request, int64_t now_s, Found& found) const;
  void search_bucket(uint64_t hash, const GeoRequest& request, int64_t now_s, Found& found) const;
  bool settle(const Found& found, GeoDecision& decision) const;

  config::GeoAction default_action_ = config::GeoAction::allow;
  size_t words_ = 0;            // Of a row.
  std::vector<uint64_t> rows_;  // Of each country by number, the unknown one first.
  std::vector<Entry> entries_;  // By rank.
  std::vector<uint32_t> routes_;
  std::vector<Block> blocks_;
  Slice everywhere_;
  std::vector<Slice> by_route_;  // By index; as long as the last route that a rule names.
  std::vector<Slice> by_city_;   // By number; [0] is empty.
  std::map<std::string, uint32_t, std::less<>> cities_;  // "DE/berlin", "/berlin".
  std::vector<PathScope> paths_;
  std::vector<uint32_t> buckets_;  // Of paths_; a power of two, or empty.
  size_t prefix_bytes_max_ = 0;    // Of the literal beginnings.
};

}  // namespace weir::access
