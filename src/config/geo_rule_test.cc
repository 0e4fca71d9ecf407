// How rules are read and how many there may be, presets, and the forms of cities' names. What is
// said of mistakes is in load_errors.txt.
#include "config/geo_rule.h"

#include <map>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "config/load.h"
#include "config/render.h"
#include "config/validate.h"

namespace weir::config {
namespace {

std::string key_of(std::string_view text) {
  std::string key;
  append_city_key(key, text);
  return key;
}

TEST(GeoRuleTest, IsReadWithAllItsKeys) {
  LoadResult loaded = load(R"(
[listen]
traffic = [{address = "127.0.0.1:80", trusted_proxies = ["10.0.0.0/8"]}]
[geo]
database = "/var/lib/weir/countries.mmdb"
database_refresh = "1m"
default_action = "block"
country_header = "CF-IPCountry"
[geo.groups]
dach = ["de", "AT", "CH"]
[[geo_rules]]
id = "sanctions"
enabled = false
priority = 7
action = "block"
countries = ["cn", "*", "unknown"]
continents = ["af"]
groups = ["gdpr", "dach"]
cities = ["DE/Berlin"]
routes = ["kv"]
paths = ["/kv/*"]
starts = "2026-11-30T23:59:59Z"
expires = "2026-12-01T00:00:00Z"
reason = "The law."
enforce = false
response = {status = 451, message = "Not here.", headers = {X-Law = "yes"}}
[[geo_rules]]
action = "throttle"
countries = ["FR"]
limit = 10
window = "1m"
[[routes]]
id = "kv"
pattern = "/kv/*"
upstreams = ["http://127.0.0.1:1"]
)",
                           "test", {});
  for (const Problem& problem : loaded.problems)
    ADD_FAILURE() << to_string(problem);
  const Config& config = loaded.config;
  const Geo geo{.database = "/var/lib/weir/countries.mmdb",
                .database_refresh = std::chrono::milliseconds{60'000},
                .default_action = GeoAction::block,
                .country_header = "CF-IPCountry",
                .groups = {{"dach", "DE"}, {"dach", "AT"}, {"dach", "CH"}}};
  EXPECT_EQ(config.geo, geo);
  const auto december = std::chrono::sys_days{std::chrono::year{2026} / 12 / 1};
  const std::vector<GeoRule> expected{
      {.id = "sanctions",
       .enabled = false,
       .priority = 7,
       .action = GeoAction::block,
       .countries = {"CN", "*", "unknown"},
       .continents = {"AF"},
       .groups = {"gdpr", "dach"},
       .cities = {"DE/Berlin"},
       .routes = {"kv"},
       .paths = {"/kv/*"},
       .starts = december - std::chrono::seconds{1},
       .expires = december,
       .response = {.status = 451, .message = "Not here.", .headers = {{"X-Law", "yes"}}},
       .reason = "The law.",
       .enforce = false},
      {.action = GeoAction::throttle,
       .limit = 10,
       .window = std::chrono::seconds{60},
       .countries = {"FR"}}};
  EXPECT_EQ(config.geo_rules, expected);
}

TEST(GeoRuleTest, TenThousandRulesWithAHundredThousandEntriesAreTheMost) {
  Config config;
  config.geo_rules.assign(kGeoRulesMax, {.action = GeoAction::block, .countries = {"CN"}});
  for (size_t at = kGeoRulesMax; at < kGeoValuesMax; ++at)
    config.geo_rules[0].countries.emplace_back("*");
  EXPECT_TRUE(validate(config).empty());
  config.geo_rules[0].countries.emplace_back("*");
  ASSERT_EQ(validate(config).size(), 1U);
  EXPECT_EQ(to_string(validate(config)[0]),
            "geo_rules: has 10000 rules with 100001 entries in their lists; allowed: at most 10000 "
            "and 100000");
  config.geo_rules.assign(kGeoRulesMax + 1, {.action = GeoAction::block, .countries = {"CN"}});
  EXPECT_EQ(validate(config).size(), 1U);
  config.geo_rules.clear();
  for (size_t i = 0; i < kGeoGroupsMax; ++i)
    config.geo.groups.emplace_back("g" + std::to_string(i), "DE");
  EXPECT_TRUE(validate(config).empty());
  config.geo.groups.emplace_back("one_more", "DE");
  EXPECT_EQ(validate(config).size(), 1U);
}

TEST(GeoRuleTest, TellsAtMost500BytesAndAReasonOf200) {
  Config config;
  config.geo_rules = {{.action = GeoAction::block,
                       .countries = {"CN"},
                       .response = {.message = std::string(kGeoMessageBytesMax, 'x')},
                       .reason = std::string(kGeoReasonBytesMax, 'x')}};
  EXPECT_TRUE(validate(config).empty());
  config.geo_rules[0].response.message += 'x';
  config.geo_rules[0].reason += 'x';
  EXPECT_EQ(validate(config).size(), 2U);
}

TEST(GeoRuleTest, StoredVersionsHoldRulesDefaultAndGroupsAndNotWhereCountriesAreFrom) {
  Config config;
  config.geo = {
      .database = "/places.mmdb", .default_action = GeoAction::block, .groups = {{"mine", "DE"}}};
  config.geo_rules = {{.action = GeoAction::allow, .groups = {"mine"}}};
  const std::string toml = rules_to_toml(config);
  EXPECT_EQ(toml.find("database"), std::string::npos);
  const LoadResult stored = load_rules(toml, "version 1");
  for (const Problem& problem : stored.problems)
    ADD_FAILURE() << to_string(problem);
  Config other;
  other.geo.database = "/others.mmdb";
  take_rules(other, stored.config);
  EXPECT_EQ(other.geo_rules, config.geo_rules);
  EXPECT_EQ(other.geo.groups, config.geo.groups);
  EXPECT_EQ(other.geo.default_action, GeoAction::block);
  EXPECT_EQ(other.geo.database, "/others.mmdb");
  EXPECT_FALSE(load_rules("[geo]\ndatabase = \"/x\"\n", "version 2").ok());
}

TEST(GeoPresetTest, HoldsTheFoundingSystemsGroups) {
  std::map<std::string_view, std::set<std::string_view>> groups;
  for (const GeoPreset& preset : geo_presets()) {
    for_each_country(preset, [&](std::string_view code) {
      EXPECT_EQ(Country::of(code).code(), code);
      EXPECT_TRUE(groups[preset.name].insert(code).second) << code;
    });
  }
  ASSERT_EQ(groups.size(), 4U);
  EXPECT_EQ(groups["high-risk"],
            (std::set<std::string_view>{"AF", "IQ", "SY", "KP", "IR", "LY", "SO", "YE"}));
  EXPECT_EQ(groups["gdpr"].size(), 27U);
  EXPECT_EQ(groups["asia-pacific"].size(), 12U);
  EXPECT_EQ(groups["mainland-china"], (std::set<std::string_view>{"CN"}));
}

TEST(CityTest, NamesAreComparedWithoutCaseMarksAndSpareSpaces) {
  EXPECT_EQ(key_of("Berlin"), "berlin");
  EXPECT_EQ(key_of("  NEW \t York "), "new york");
  EXPECT_EQ(key_of("S\u00e3o Paulo"), "sao paulo");
  EXPECT_EQ(key_of("SA\u0303O PAULO"), "sao paulo");
  EXPECT_EQ(key_of("D\u00fcsseldorf"), "dusseldorf");
  EXPECT_EQ(key_of("\u0141\u00f3d\u017a"), "lodz");
  EXPECT_EQ(key_of("\u0130stanbul"), key_of("Istanbul"));
  EXPECT_EQ(key_of("K\u00f8benhavn"), "kobenhavn");
  EXPECT_EQ(key_of("\u00c6r\u00f8, Gro\u00dfenhain"), "aero, grossenhain");
  EXPECT_EQ(key_of("\u5317\u4eac"), "\u5317\u4eac");
  EXPECT_EQ(key_of(" \n"), "");
  EXPECT_EQ(key_of("a \u0301"), "a");
  EXPECT_EQ(key_of("a \u0301 b"), "a b");
}

TEST(CityTest, BytesThatAreNoUtf8StayAsTheyAre) {
  EXPECT_EQ(key_of("A\xc3"), "a\xc3");
  EXPECT_EQ(key_of("\xff\xc3(B"), "\xff\xc3(b");
}

TEST(CityTest, IsNamedWithOrWithoutItsCountry) {
  const auto alone = parse_city("Berlin");
  ASSERT_TRUE(alone);
  EXPECT_FALSE(alone->country.is_known());
  EXPECT_EQ(alone->key, "berlin");
  const auto both = parse_city("de/Frankfurt  am Main");
  ASSERT_TRUE(both);
  EXPECT_EQ(both->country.code(), "DE");
  EXPECT_EQ(both->key, "frankfurt am main");
  for (const char* wrong : {"", " ", "DE/", "XX/Berlin", "DEU/Berlin", "/Berlin", "DE/Ber/lin"})
    EXPECT_FALSE(parse_city(wrong)) << wrong;
  EXPECT_TRUE(parse_city(std::string(64, 'x')));
  EXPECT_FALSE(parse_city(std::string(65, 'x')));
}

}  // namespace
}  // namespace weir::config
