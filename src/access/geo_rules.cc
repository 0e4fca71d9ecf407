#include "access/geo_rules.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

namespace weir::access {
namespace {

using config::Country;
using config::GeoAction;
using config::GeoRule;

constexpr uint32_t kNone = UINT32_MAX;
constexpr size_t kRows = Country::kKnown + 1;

// Source: FNV-1a, 64 bits. Nobody but the operator chooses the patterns, so no path can make their
// chains longer.
constexpr uint64_t kHashSeed = 0xcbf29ce484222325;
constexpr uint64_t hash_on(uint64_t hash, char c) {
  return (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
}
uint64_t hash_of(std::string_view text) {
  return std::accumulate(text.begin(), text.end(), kHashSeed, hash_on);
}

int64_t unix_s(std::optional<std::chrono::sys_seconds> time, int64_t otherwise) {
  return time ? time->time_since_epoch().count() : otherwise;
}

std::string city_name(const config::City& city) {
  return std::string{city.country.code()} + "/" + city.key;
}

}  // namespace

// Threading: one thread at a time.
class GeoRules::Builder {
 public:
  Builder(GeoRules& out, const config::Config& config) : out_(out), config_(config) {
    for (uint32_t index = 0; index < config.routes.size(); ++index)
      route_indexes_.emplace(config.routes[index].id, index);
  }

  void build() {
    out_.default_action_ = config_.geo.default_action;
    std::vector<uint32_t> order;
    for (uint32_t index = 0; index < config_.geo_rules.size(); ++index) {
      const GeoRule& rule = config_.geo_rules[index];
      if (rule.enabled && rule.action != GeoAction::none) order.push_back(index);
    }
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return config_.geo_rules[a].priority < config_.geo_rules[b].priority;
    });
    out_.words_ = (order.size() + 63) / 64;
    out_.rows_.resize(kRows * out_.words_);
    for (uint32_t rank = 0; rank < order.size(); ++rank)
      add(rank, order[rank]);
    finish();
  }

 private:
  using Ranks = std::vector<uint32_t>;  // Ascending.

  void add(uint32_t rank, uint32_t index) {
    const GeoRule& rule = config_.geo_rules[index];
    Ranks routes;
    for (const std::string& id : rule.routes) {
      if (const auto found = route_indexes_.find(id); found != route_indexes_.end())
        routes.push_back(found->second);
    }
    std::sort(routes.begin(), routes.end());
    routes.erase(std::unique(routes.begin(), routes.end()), routes.end());
    Entry entry{.starts_s = unix_s(rule.starts, std::numeric_limits<int64_t>::min()),
                .expires_s = unix_s(rule.expires, std::numeric_limits<int64_t>::max()),
                .rule = index,
                .action = rule.action,
                .enforce = rule.enforce};
    entry.routes_begin = static_cast<uint32_t>(out_.routes_.size());
    if (!rule.paths.empty()) {
      out_.routes_.insert(out_.routes_.end(), routes.begin(), routes.end());
      for (const std::string& path : rule.paths)
        put(by_path_[path], rank);
    } else if (!rule.routes.empty()) {
      for (const uint32_t route : routes)
        put(by_route_[route], rank);
    } else {
      put(everywhere_, rank);
    }
    entry.routes_end = static_cast<uint32_t>(out_.routes_.size());
    out_.entries_.push_back(entry);
    match(rank, rule);
  }

  static void put(Ranks& ranks, uint32_t rank) {
    if (ranks.empty() || ranks.back() != rank) ranks.push_back(rank);
  }

  void match(uint32_t rank, const GeoRule& rule) {
    const auto mark = [&](Country country) {
      out_.rows_[country.number() * out_.words_ + rank / 64] |= uint64_t{1} << rank % 64;
    };
    const auto mark_if = [&](const auto& matches) {
      for (size_t number = 1; number < kRows; ++number) {
        if (matches(Country::at(number))) mark(Country::at(number));
      }
    };
    for (const std::string& code : rule.countries) {
      if (code == "*") {
        mark_if([](Country) { return true; });
      } else if (code == "unknown") {
        mark(Country{});
      } else if (const Country country = Country::of(code); country.is_known()) {
        mark(country);
      }
    }
    for (const std::string& code : rule.continents) {
      const auto continent = config::parse_continent(code);
      mark_if([&](Country country) { return country.continent() == continent; });
    }
    for (const std::string& group : rule.groups) {
      for (const config::GeoPreset& preset : config::geo_presets()) {
        if (preset.name != group) continue;
        config::for_each_country(preset, [&](std::string_view code) { mark(Country::of(code)); });
      }
      for (const auto& [name, code] : config_.geo.groups) {
        if (name == group && Country::of(code).is_known()) mark(Country::of(code));
      }
    }
    for (const std::string& text : rule.cities) {
      if (const auto city = config::parse_city(text)) put(by_city_[city_name(*city)], rank);
    }
  }

  void finish() {
    out_.everywhere_ = slice_of(everywhere_);
    if (!by_route_.empty()) out_.by_route_.resize(by_route_.rbegin()->first + 1);
    for (const auto& [route, ranks] : by_route_)
      out_.by_route_[route] = slice_of(ranks);
    finish_cities();
    for (const auto& [text, ranks] : by_path_) {
      const auto pattern = config::parse_pattern(text);
      if (!pattern.ok()) continue;
      const std::string& prefix = pattern.value().literal_prefix;
      out_.prefix_bytes_max_ = std::max(out_.prefix_bytes_max_, prefix.size());
      out_.paths_.push_back({pattern.value(), hash_of(prefix), slice_of(ranks), kNone});
    }
    if (out_.paths_.empty()) return;
    out_.buckets_.assign(std::bit_ceil(2 * out_.paths_.size()), kNone);
    for (uint32_t i = 0; i < out_.paths_.size(); ++i) {
      PathScope& scope = out_.paths_[i];
      uint32_t& bucket = out_.buckets_[scope.hash & (out_.buckets_.size() - 1)];
      scope.next = std::exchange(bucket, i);
    }
  }

  // What a rule says of a city in any country holds for that city of one country too.
  void finish_cities() {
    out_.by_city_.resize(1);
    for (const auto& [name, own] : by_city_) {
      Ranks ranks = own;
      const size_t slash = name.find('/');
      if (const auto any = by_city_.find(name.substr(slash)); slash > 0 && any != by_city_.end()) {
        ranks.clear();
        std::set_union(own.begin(), own.end(), any->second.begin(), any->second.end(),
                       std::back_inserter(ranks));
      }
      out_.cities_.emplace(name, static_cast<uint32_t>(out_.by_city_.size()));
      out_.by_city_.push_back(slice_of(ranks));
    }
  }

  Slice slice_of(const Ranks& ranks) {
    std::vector<Block>& blocks = out_.blocks_;
    const auto begin = static_cast<uint32_t>(blocks.size());
    for (const uint32_t rank : ranks) {
      if (blocks.size() == begin || blocks.back().word != rank / 64)
        blocks.push_back({rank / 64, 0});
      blocks.back().bits |= uint64_t{1} << rank % 64;
    }
    return {begin, static_cast<uint32_t>(blocks.size())};
  }

  GeoRules& out_;
  const config::Config& config_;
  std::map<std::string_view, uint32_t> route_indexes_;
  Ranks everywhere_;
  std::map<uint32_t, Ranks> by_route_;
  std::map<std::string, Ranks> by_city_;
  std::map<std::string, Ranks> by_path_;
};

GeoRules::GeoRules(const config::Config& config) {
  Builder{*this, config}.build();
}

uint32_t GeoRules::city(Country country, std::string_view name, std::string& scratch) const {
  if (cities_.empty() || name.empty()) return 0;
  scratch = country.code();
  const size_t slash = scratch.size();
  scratch += '/';
  config::append_city_key(scratch, name);
  auto found = cities_.find(scratch);
  if (found == cities_.end()) found = cities_.find(std::string_view{scratch}.substr(slash));
  return found == cities_.end() ? 0 : found->second;
}

GeoDecision GeoRules::decide(const GeoRequest& request, base::Wall now) const {
  const int64_t now_s = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  GeoDecision decision;
  Found found;
  search_paths(request, now_s, found);
  if (settle(found, decision)) return decision;
  if (request.route < by_route_.size()) {
    found = {};
    search(by_route_[request.route], request, now_s, found);
    if (settle(found, decision)) return decision;
  }
  found = {};
  search(everywhere_, request, now_s, found);
  if (!settle(found, decision)) decision.enforced.action = default_action_;
  return decision;
}

// True: a rule that is enforced decides.
bool GeoRules::settle(const Found& found, GeoDecision& decision) const {
  if (found.dry_run < found.enforced && !decision.dry_run.exists()) {
    decision.dry_run = {entries_[found.dry_run].action, entries_[found.dry_run].rule};
  }
  if (found.enforced == kNone) return false;
  decision.enforced = {entries_[found.enforced].action, entries_[found.enforced].rule};
  return true;
}

bool GeoRules::is_on_route(const Entry& entry, uint32_t route) const {
  const auto begin = routes_.begin();
  return entry.routes_begin == entry.routes_end ||
         std::binary_search(begin + entry.routes_begin, begin + entry.routes_end, route);
}

// Improves `found` by what this scope has.
void GeoRules::search(Slice scope, const GeoRequest& request, int64_t now_s, Found& found) const {
  const uint64_t* const row = rows_.data() + request.country.number() * words_;
  std::span<const Block> city;
  if (request.city != 0) city = blocks(by_city_[request.city]);
  for (const Block& block : blocks(scope)) {
    uint64_t matching = row[block.word];
    while (!city.empty() && city.front().word < block.word)
      city = city.subspan(1);
    if (!city.empty() && city.front().word == block.word) matching |= city.front().bits;
    for (matching &= block.bits; matching != 0; matching &= matching - 1) {
      const auto bit = static_cast<uint32_t>(std::countr_zero(matching));
      const uint32_t rank = block.word * 64 + bit;
      if (rank >= found.enforced) return;
      const Entry& entry = entries_[rank];
      if (now_s < entry.starts_s || now_s >= entry.expires_s) continue;
      if (!is_on_route(entry, request.route)) continue;
      if (entry.enforce) {
        found.enforced = rank;
        return;
      }
      found.dry_run = std::min(found.dry_run, rank);
    }
  }
}

// A pattern's literal beginning ends with a '/' of the path, or is all of it.
void GeoRules::search_paths(const GeoRequest& request, int64_t now_s, Found& found) const {
  if (paths_.empty()) return;
  uint64_t hash = kHashSeed;
  for (size_t at = 0; at < request.path.size(); ++at) {
    if (at == prefix_bytes_max_) return;
    hash = hash_on(hash, request.path[at]);
    if (request.path[at] == '/' || at + 1 == request.path.size()) {
      search_bucket(hash, request, now_s, found);
    }
  }
}

void GeoRules::search_bucket(uint64_t hash, const GeoRequest& request, int64_t now_s,
                             Found& found) const {
  for (uint32_t i = buckets_[hash & (buckets_.size() - 1)]; i != kNone; i = paths_[i].next) {
    const PathScope& scope = paths_[i];
    if (scope.hash == hash && config::matches(scope.pattern, request.path)) {
      search(scope.rules, request, now_s, found);
    }
  }
}

size_t GeoRules::bytes() const {
  return rows_.size() * sizeof(uint64_t) + entries_.size() * sizeof(Entry) +
         routes_.size() * sizeof(uint32_t) + blocks_.size() * sizeof(Block) +
         (by_route_.size() + by_city_.size()) * sizeof(Slice) + paths_.size() * sizeof(PathScope) +
         buckets_.size() * sizeof(uint32_t);
}

}  // namespace weir::access
