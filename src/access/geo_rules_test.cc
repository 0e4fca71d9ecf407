// Which rule decides: of what it matches, where it holds, when. Random lists against a look at
// every rule.
#include "access/geo_rules.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "config/load.h"
#include "config/validate.h"

namespace weir::access {
namespace {

using config::Config;
using config::Country;
using config::GeoAction;
using config::GeoRule;

constexpr base::Wall kNow{std::chrono::sys_days{std::chrono::year{2026} / 11 / 26}};

Config with(std::vector<GeoRule> rules, GeoAction otherwise = GeoAction::allow) {
  Config config;
  for (const char* id : {"kv", "shop"}) {
    config::Route& route = config.routes.emplace_back();
    route.id = id;
    route.pattern = "/" + route.id + "/*";
    route.upstreams = {{.url = "http://127.0.0.1:1"}};
  }
  config.geo.default_action = otherwise;
  config.geo.groups = {{"dach", "AT"}, {"dach", "CH"}, {"dach", "DE"}};
  config.geo_rules = std::move(rules);
  config::complete(config);
  for (const config::Problem& problem : config::validate(config))
    ADD_FAILURE() << config::to_string(problem);
  return config;
}

struct Asked {
  std::string_view country;
  std::string_view path = "/elsewhere";
  uint32_t route = GeoRequest::kNoRoute;
  std::string_view city;
  base::Wall now = kNow;
};

GeoDecision decide(const GeoRules& rules, const Asked& asked) {
  std::string scratch;
  const Country country = Country::of(asked.country);
  return rules.decide({.country = country,
                       .city = rules.city(country, asked.city, scratch),
                       .route = asked.route,
                       .path = asked.path},
                      asked.now);
}
GeoAction action(const GeoRules& rules, const Asked& asked) {
  return decide(rules, asked).enforced.action;
}
uint32_t rule(const GeoRules& rules, const Asked& asked) {
  return decide(rules, asked).enforced.rule;
}

GeoRule block(std::vector<std::string> countries, int priority = 0) {
  return {.priority = priority, .action = GeoAction::block, .countries = std::move(countries)};
}
GeoRule allow(std::vector<std::string> countries, int priority = 0) {
  return {.priority = priority, .action = GeoAction::allow, .countries = std::move(countries)};
}

TEST(GeoRulesTest, ACountryIsBlockedAndOthersAreNot) {
  const GeoRules rules{with({block({"CN", "RU"})})};
  EXPECT_EQ(action(rules, {"CN"}), GeoAction::block);
  EXPECT_EQ(action(rules, {"RU"}), GeoAction::block);
  EXPECT_EQ(action(rules, {"DE"}), GeoAction::allow);
  EXPECT_TRUE(decide(rules, {"DE"}).enforced.is_default());
  EXPECT_EQ(rule(rules, {"CN"}), 0U);
}

TEST(GeoRulesTest, AStarIsAnyKnownCountryAndUnknownIsNone) {
  const GeoRules any{with({block({"*"})})};
  EXPECT_EQ(action(any, {"XK"}), GeoAction::block);
  EXPECT_EQ(action(any, {"ZW"}), GeoAction::block);
  EXPECT_EQ(action(any, {""}), GeoAction::allow);
  const GeoRules none{with({block({"unknown"})})};
  EXPECT_EQ(action(none, {"ZW"}), GeoAction::allow);
  EXPECT_EQ(action(none, {""}), GeoAction::block);
}

TEST(GeoRulesTest, GroupsArePresetsAndOwnOnes) {
  const GeoRules rules{with({{.action = GeoAction::block, .groups = {"high-risk", "dach"}}})};
  for (const char* code : {"AF", "YE", "AT", "CH", "DE"})
    EXPECT_EQ(action(rules, {code}), GeoAction::block) << code;
  EXPECT_EQ(action(rules, {"FR"}), GeoAction::allow);
}

TEST(GeoRulesTest, ARuleMatchesByAnyOfItsLists) {
  const GeoRules rules{with({{.action = GeoAction::block,
                              .countries = {"US"},
                              .continents = {"AF"},
                              .groups = {"mainland-china"},
                              .cities = {"Berlin"}}})};
  EXPECT_EQ(action(rules, {"US"}), GeoAction::block);
  EXPECT_EQ(action(rules, {"NG"}), GeoAction::block);
  EXPECT_EQ(action(rules, {"CN"}), GeoAction::block);
  EXPECT_EQ(action(rules, {.country = "DE", .city = "berlin"}), GeoAction::block);
  EXPECT_EQ(action(rules, {.country = "DE", .city = "Bonn"}), GeoAction::allow);
}

TEST(GeoRulesTest, TheSmallestPriorityDecidesAndOfEqualOnesTheFirst) {
  const GeoRules rules{with({block({"CN"}, 10), allow({"CN"}, 5), block({"CN"}, 5)})};
  EXPECT_EQ(rule(rules, {"CN"}), 1U);
  EXPECT_EQ(rule(GeoRules{with({block({"CN"}, 5), allow({"CN"}, 5)})}, {"CN"}), 0U);
}

TEST(GeoRulesTest, PathsComeBeforeRoutesBeforeEverythingWhateverThePriority) {
  GeoRule route = allow({"CN"}, 500);
  route.routes = {"kv"};
  GeoRule path = block({"CN"}, 1000);
  path.paths = {"/kv/secret/*"};
  const GeoRules rules{with({block({"CN"}, 0), route, path})};
  EXPECT_EQ(rule(rules, {"CN", "/elsewhere"}), 0U);
  EXPECT_EQ(rule(rules, {"CN", "/shop/a", 1}), 0U);
  EXPECT_EQ(rule(rules, {"CN", "/kv/a", 0}), 1U);
  EXPECT_EQ(rule(rules, {"CN", "/kv/secret/a", 0}), 2U);
  EXPECT_EQ(rule(rules, {"DE", "/kv/secret/a", 0}), GeoDecider::kDefault);
}

TEST(GeoRulesTest, OfSeveralPatternsTheSmallestPriorityDecidesNotTheLongest) {
  GeoRule wide = allow({"CN"}, 1);
  wide.paths = {"/**"};
  GeoRule middle = block({"CN"}, 2);
  middle.paths = {"/v1/*/items", "/a"};
  const GeoRules rules{with({middle, wide})};
  EXPECT_EQ(rule(rules, {"CN", "/v1/7/items"}), 1U);
  wide.priority = 3;
  const GeoRules others{with({middle, wide})};
  EXPECT_EQ(rule(others, {"CN", "/v1/7/items"}), 0U);
  EXPECT_EQ(rule(others, {"CN", "/a"}), 0U);
  EXPECT_EQ(rule(others, {"CN", "/a/"}), 1U);
  EXPECT_EQ(rule(others, {"CN", "/v1/7/other"}), 1U);
  EXPECT_EQ(rule(others, {"CN", "/"}), 1U);
}

TEST(GeoRulesTest, ARuleOfPathsAndRoutesNeedsBoth) {
  GeoRule both = block({"CN"});
  both.routes = {"shop", "kv"};
  both.paths = {"/kv/*"};
  const GeoRules rules{with({both})};
  EXPECT_EQ(action(rules, {"CN", "/kv/a", 0}), GeoAction::block);
  EXPECT_EQ(action(rules, {"CN", "/kv/a", 1}), GeoAction::block);
  EXPECT_EQ(action(rules, {"CN", "/kv/a"}), GeoAction::allow);
  EXPECT_EQ(action(rules, {"CN", "/shop/a", 1}), GeoAction::allow);
}

TEST(GeoRulesTest, ARuleLastsFromItsStartToItsEndToTheSecond) {
  const auto second = std::chrono::floor<std::chrono::seconds>(kNow);
  GeoRule timed = block({"CN"});
  timed.starts = second;
  timed.expires = second + std::chrono::seconds{10};
  const GeoRules rules{with({timed, allow({"CN"}, 1)})};
  const auto at = [&](int64_t ms) {
    return action(rules, {.country = "CN", .now = kNow + std::chrono::milliseconds{ms}});
  };
  EXPECT_EQ(at(-1), GeoAction::allow);
  EXPECT_EQ(at(0), GeoAction::block);
  EXPECT_EQ(at(9999), GeoAction::block);
  EXPECT_EQ(at(10'000), GeoAction::allow);
}

TEST(GeoRulesTest, ADisabledRuleDoesNotExist) {
  GeoRule off = block({"CN"});
  off.enabled = false;
  const GeoRules rules{with({off})};
  EXPECT_TRUE(rules.empty());
  EXPECT_EQ(action(rules, {"CN"}), GeoAction::allow);
}

TEST(GeoRulesTest, ADryRunIsNamedWhereItWouldHaveDecided) {
  GeoRule dry = block({"CN"});
  dry.enforce = false;
  {
    const GeoRules rules{with({dry, allow({"CN"}, 1)})};
    const GeoDecision decision = decide(rules, {"CN"});
    EXPECT_EQ(decision.enforced.action, GeoAction::allow);
    EXPECT_EQ(decision.dry_run.action, GeoAction::block);
    EXPECT_EQ(decision.dry_run.rule, 0U);
    EXPECT_FALSE(decide(rules, {"DE"}).dry_run.exists());
  }
  dry.priority = 2;
  EXPECT_FALSE(decide(GeoRules{with({dry, allow({"CN"}, 1)})}, {"CN"}).dry_run.exists());
  // Of a narrower scope it would decide in spite of its priority.
  dry.paths = {"/kv/*"};
  EXPECT_TRUE(decide(GeoRules{with({dry, allow({"CN"}, 1)})}, {"CN", "/kv/a"}).dry_run.exists());
  // Nor does one of another pattern count, behind the rule that decides.
  GeoRule first = allow({"CN"}, 1);
  first.paths = {"/**"};
  EXPECT_FALSE(decide(GeoRules{with({dry, first})}, {"CN", "/kv/a"}).dry_run.exists());
}

TEST(GeoRulesTest, CitiesAreComparedWithoutCaseAndMarksAndMayNameTheirCountry) {
  GeoRule rule = {.action = GeoAction::block, .cities = {"S\u00e3o Paulo", "DE/Berlin"}};
  GeoRule any = {.priority = 1,
                 .action = GeoAction::throttle,
                 .limit = 1,
                 .window = std::chrono::seconds{1},
                 .cities = {"BERLIN"}};
  const GeoRules rules{with({any, rule})};
  EXPECT_EQ(action(rules, {.country = "BR", .city = "SAO  PAULO"}), GeoAction::block);
  EXPECT_EQ(action(rules, {.country = "DE", .city = "Berlin"}), GeoAction::block);
  EXPECT_EQ(action(rules, {.country = "US", .city = "Berlin"}), GeoAction::throttle);
  EXPECT_EQ(action(rules, {.country = "", .city = "Berlin"}), GeoAction::throttle);
  EXPECT_EQ(action(rules, {.country = "US", .city = "Berlin Heights"}), GeoAction::allow);
  EXPECT_EQ(rules.city_count(), 3U);
}

// Defect 78: cities, throttles, paths, own groups and the default action could be written down, and
// were refused or did nothing.
TEST(GeoDefectTest, CitiesThrottlesPathsGroupsAndTheDefaultActionWork) {
  GeoRule city{.action = GeoAction::block, .cities = {"Berlin"}, .paths = {"/kv/*"}};
  GeoRule throttle{.action = GeoAction::throttle,
                   .limit = 1,
                   .window = std::chrono::seconds{1},
                   .groups = {"dach"}};
  const GeoRules rules{with({city, throttle}, GeoAction::block)};
  EXPECT_EQ(rule(rules, {"DE", "/kv/a", 0, "Berlin"}), 0U);
  EXPECT_EQ(action(rules, {"DE", "/a", 0, "Berlin"}), GeoAction::throttle);
  EXPECT_EQ(action(rules, {"FR"}), GeoAction::block);
}

// Defect 79: Russia, Ukraine, Taiwan, Hong Kong, Central America and most of Africa were on no
// continent, and no country in Antarctica.
TEST(GeoDefectTest, EveryCountryIsOnAContinent) {
  std::vector<std::string> all{config::kContinentCodes.begin(), config::kContinentCodes.end()};
  GeoRule rule{.action = GeoAction::block, .continents = all};
  const GeoRules rules{with({rule})};
  for (size_t number = 1; number <= Country::kKnown; ++number) {
    const std::string_view code = Country::at(number).code();
    EXPECT_EQ(action(rules, {code}), GeoAction::block) << code;
  }
  rule.continents = {"AN"};
  EXPECT_EQ(action(GeoRules{with({rule})}, {"AQ"}), GeoAction::block);
}

// Defect 80: codes in lower case were accepted and never matched.
TEST(GeoDefectTest, CodesInLowerCaseMatch) {
  const GeoRules rules{with({block({"cn"})})};
  EXPECT_EQ(action(rules, {"CN"}), GeoAction::block);
}

// Defect 81.
TEST(GeoDefectTest, ADefaultActionOfBlockHoldsForAnEmptyListToo) {
  const GeoRules rules{with({}, GeoAction::block)};
  EXPECT_FALSE(rules.empty());
  EXPECT_EQ(action(rules, {"DE"}), GeoAction::block);
  EXPECT_EQ(action(rules, {""}), GeoAction::block);
  EXPECT_TRUE(decide(rules, {"DE"}).enforced.is_default());
}

TEST(GeoRulesTest, ATableOfNothingAllowsEverything) {
  const GeoRules rules;
  EXPECT_TRUE(rules.empty());
  EXPECT_EQ(action(rules, {"DE", "/kv/a", 0, "Berlin"}), GeoAction::allow);
}

// ---- Against a look at every rule ----

int scope_of(const GeoRule& rule) {
  return !rule.paths.empty() ? 0 : !rule.routes.empty() ? 1 : 2;
}

bool contains(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

bool holds(const Config& config, const GeoRule& rule, const Asked& asked) {
  if (!rule.enabled) return false;
  if (rule.starts && asked.now < *rule.starts) return false;
  if (rule.expires && asked.now >= *rule.expires) return false;
  if (!rule.routes.empty() && (asked.route >= config.routes.size() ||
                               !contains(rule.routes, config.routes[asked.route].id))) {
    return false;
  }
  return rule.paths.empty() ||
         std::any_of(rule.paths.begin(), rule.paths.end(), [&](const std::string& path) {
           return config::matches(config::parse_pattern(path).value(), asked.path);
         });
}

bool matches(const GeoRule& rule, const Asked& asked) {
  const Country country = Country::of(asked.country);
  if (contains(rule.countries, country.is_known() ? asked.country : "unknown")) return true;
  if (country.is_known() && contains(rule.countries, "*")) return true;
  if (country.is_known() &&
      contains(rule.continents,
               config::kContinentCodes[static_cast<size_t>(country.continent())])) {
    return true;
  }
  return !asked.city.empty() &&
         (contains(rule.cities, asked.city) ||
          contains(rule.cities, std::string{asked.country} + "/" + std::string{asked.city}));
}

GeoDecision expected(const Config& config, const Asked& asked) {
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < config.geo_rules.size(); ++i) {
    const GeoRule& each = config.geo_rules[i];
    if (holds(config, each, asked) && matches(each, asked)) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    const GeoRule& left = config.geo_rules[a];
    const GeoRule& right = config.geo_rules[b];
    return std::pair{scope_of(left), left.priority} < std::pair{scope_of(right), right.priority};
  });
  GeoDecision decision{{config.geo.default_action}, {}};
  for (const uint32_t i : order) {
    const GeoDecider decider{config.geo_rules[i].action, i};
    if (config.geo_rules[i].enforce) {
      decision.enforced = decider;
      break;
    }
    if (!decision.dry_run.exists()) decision.dry_run = decider;
  }
  return decision;
}

GeoRule random_rule(base::Random& random) {
  const auto one_of = [&](std::vector<std::string> choices) {
    return choices[random.below(choices.size())];
  };
  GeoRule rule;
  rule.enabled = random.below(10) > 0;
  rule.enforce = random.below(3) > 0;
  rule.priority = static_cast<int32_t>(random.below(5));
  rule.action = random.below(2) == 0 ? GeoAction::block : GeoAction::allow;
  if (random.below(2) == 0)
    rule.countries = {one_of({"*", "unknown", "DE", "CN", "US"}), one_of({"FR", "DE"})};
  if (random.below(3) == 0) rule.continents = {one_of({"EU", "AS", "NA"})};
  if (random.below(3) == 0) rule.cities = {one_of({"berlin", "DE/berlin", "US/berlin", "bonn"})};
  if (rule.countries.empty() && rule.continents.empty() && rule.cities.empty())
    rule.countries = {"CN"};
  if (random.below(3) == 0) rule.routes = {one_of({"kv", "shop"})};
  if (random.below(3) == 0)
    rule.paths = {one_of({"/**", "/kv/*", "/kv/a"}), one_of({"/*/a", "/kv/a/b", "/kv/*/b"})};
  const auto second = std::chrono::floor<std::chrono::seconds>(kNow);
  if (random.below(5) == 0) rule.starts = second + std::chrono::seconds{random.below(2)};
  if (random.below(5) == 0) rule.expires = second + std::chrono::seconds{2 + random.below(2)};
  return rule;
}

// Goal: the table decides as the rules say. Method: lists of 1 to 200 random rules, each asked
// about every place, path, route and time of a few.
TEST(GeoRulesTest, DecidesAsALookAtEveryRuleDoes) {
  base::Random random{20261126};
  for (const size_t count : {1U, 2U, 5U, 20U, 63U, 64U, 65U, 200U}) {
    for (int round = 0; round < 2; ++round) {
      std::vector<GeoRule> rules;
      for (size_t i = 0; i < count; ++i)
        rules.push_back(random_rule(random));
      const Config config =
          with(std::move(rules), random.below(2) == 0 ? GeoAction::allow : GeoAction::block);
      const GeoRules table{config};
      for (const char* country : {"DE", "CN", "US", "FR", "BR", ""}) {
        for (const char* path : {"/", "/kv/", "/kv/a", "/kv/a/b", "/x/a", "*"}) {
          for (const uint32_t route : {0U, 1U, GeoRequest::kNoRoute}) {
            for (const char* city : {"", "berlin", "bonn", "ulm"}) {
              const Asked asked{country, path, route, city,
                                kNow + std::chrono::milliseconds{random.below(4000)}};
              const GeoDecision is = decide(table, asked);
              const GeoDecision should = expected(config, asked);
              ASSERT_EQ(is.enforced.action, should.enforced.action);
              ASSERT_EQ(is.enforced.rule, should.enforced.rule)
                  << count << " rules, " << country << " " << path << " " << city;
              ASSERT_EQ(is.dry_run.action, should.dry_run.action);
              ASSERT_EQ(is.dry_run.rule, should.dry_run.rule);
            }
          }
        }
      }
    }
  }
}

TEST(GeoRulesTest, TenThousandRulesTakeLittleMemory) {
  std::vector<GeoRule> rules(config::kGeoRulesMax, block({"CN"}));
  for (size_t i = 0; i < rules.size(); ++i)
    rules[i].cities = {"city " + std::to_string(i)};
  const GeoRules table{with(std::move(rules))};
  EXPECT_EQ(table.rule_count(), config::kGeoRulesMax);
  EXPECT_EQ(rule(table, {.country = "DE", .city = "City 9999"}), 9999U);
  EXPECT_LT(table.bytes(), 2U << 20U);
}

}  // namespace
}  // namespace weir::access
