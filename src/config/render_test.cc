#include "config/render.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "config/load.h"
#include "config/validate.h"

namespace weir::config {
namespace {

using Keys = std::vector<std::string>;

Config loaded(std::string_view toml) {
  LoadResult result = load(toml, "weir.toml", {});
  for (const Problem& problem : result.problems)
    ADD_FAILURE() << to_string(problem);
  return std::move(result.config);
}

Route route(const std::string& id) {
  Route out;
  out.id = id;
  out.pattern = "/" + id + "/*";
  out.upstreams = {{.url = "http://a", .host = "a"}};
  return out;
}

TEST(RenderTest, DefaultsAreWrittenInFullAndReadBack) {
  EXPECT_EQ(loaded(to_toml(Config{})), Config{});
}

TEST(RenderTest, EveryTextSurvives) {
  Config config;
  config.routes = {route("a.b"), route("c")};
  config.routes[0].request_headers.set = {{"A", "quote \" tab \t backslash \\"}};
  config.routes[0].response_headers.add = {{"B", "1"}, {"B", "2"}};
  config.routes[0].headers = {{"x-y", "*"}};
  config.routes[0].host_mode = HostMode::literal;
  config.routes[0].host_literal = "caf\x65";
  config.routes[1].timeouts.connect = milliseconds{1};
  config.server.drain_timeout = milliseconds{0};
  config.ip_rules = {{.match = {"192.0.2.0/24", "::1"},
                      .action = IpAction::throttle,
                      .limit = 5,
                      .window = std::chrono::seconds{60},
                      .expires = std::chrono::sys_seconds{std::chrono::seconds{1'764'547'201}},
                      .reason = "caf\xc3\xa9 \"x\"",
                      .enforce = false},
                     {.match = {"10.0.0.1"}, .action = IpAction::allow}};
  config.geo = {.database = "/a\"b.mmdb",
                .default_action = GeoAction::block,
                .groups = {{"mine", "AT"}, {"mine", "DE"}, {"other", "FR"}}};
  config.geo_rules = {
      {.id = "first",
       .priority = 1000,
       .action = GeoAction::block,
       .countries = {"*", "unknown"},
       .groups = {"mine"},
       .cities = {"S\u00e3o Paulo"},
       .routes = {"a.b"},
       .paths = {"/x/*"},
       .starts = std::chrono::sys_seconds{std::chrono::seconds{1'764'547'201}},
       .response = {.status = 451, .message = "\"No\"", .headers = {{"X-A", "1"}, {"X-B", "2"}}}},
      {.action = GeoAction::throttle,
       .limit = 5,
       .window = std::chrono::seconds{60},
       .continents = {"AF"}}};
  config.alerts = {.cooldown = std::chrono::minutes{7},
                   .global_rps = 1,
                   .ip_spike = 2,
                   .webhook = {.url = "https://a/b?c=%22",
                               .format = WebhookFormat::feishu,
                               .allow_private = true,
                               .timeout = milliseconds{100}}};
  config.stats.path_rules = {{R"((\d+)\.json"?)", R"({id}.json\1)"}, {"a", "{a}"}};
  EXPECT_EQ(loaded(to_toml(config, Secrets::shown)), config);
}

TEST(RenderTest, SettingsNameKeysAsInTheFileAndRoutesByTheirId) {
  Config config;
  config.routes = {route("kv")};
  config.ip_rules = {{.match = {"10.0.0.1"},
                      .action = IpAction::block,
                      .expires = std::chrono::sys_days{std::chrono::year{2026} / 12 / 1}}};
  config.geo_rules = {{.action = GeoAction::block, .countries = {"CN"}}};
  const std::vector<Setting> all = settings(config);
  const auto find = [&](std::string_view key) {
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const Setting& s) { return s.key == key; });
    return found == all.end() ? Setting{} : *found;
  };
  EXPECT_EQ(find("server.workers"), (Setting{"server.workers", "0", true}));
  EXPECT_EQ(find("limits.header_timeout"), (Setting{"limits.header_timeout", "\"10s\"", false}));
  EXPECT_EQ(find("routes.kv.timeouts.connect"),
            (Setting{"routes.kv.timeouts.connect", "\"2s\"", false}));
  EXPECT_EQ(find("ip_rules[0].action"), (Setting{"ip_rules[0].action", "\"block\"", false}));
  EXPECT_EQ(find("ip_rules[0].expires"),
            (Setting{"ip_rules[0].expires", "\"2026-12-01T00:00:00Z\"", false}));
  EXPECT_EQ(find("geo_rules[0].response.status"),
            (Setting{"geo_rules[0].response.status", "403", false}));
}

TEST(RulesTest, AreWrittenWithoutDefaultsAndReadBack) {
  Config config;
  EXPECT_EQ(rules_to_toml(config), "");
  config.routes = {route("a.b"), route("c")};
  config.routes[1].timeouts.connect = milliseconds{1};
  config.routes[1].enabled = false;
  // A table of CORS that is there means that it is enabled, if it does not say otherwise.
  config.routes[0].cors.origins = {"https://a.example"};
  config.routes[1].cors.methods = {"GET"};
  config.global.rate_limit = {{.limit = 5}};
  config.geo.groups = {{"alps", "AT"}, {"alps", "CH"}};
  config.ip_rules = {{.match = {"192.0.2.0/24"}, .action = IpAction::block, .enforce = false}};
  config.geo_rules = {{.action = GeoAction::block, .countries = {"CN"}}};
  config.ban_rules = {{.id = "b", .on = {"denied"}, .count = 9}};
  config.path_rules = {{.id = "p", .pattern = "/c/x", .route = "c"}};
  complete(config);
  const std::string toml = rules_to_toml(config);
  EXPECT_EQ(toml.find("body_max"), std::string::npos) << toml;
  const LoadResult read = load_rules(toml, "rules", {});
  for (const Problem& problem : read.problems)
    ADD_FAILURE() << to_string(problem);
  EXPECT_TRUE(same_rules(config, read.config)) << toml;
}

// What is accepted can be stored, and read at the next start.
TEST(RulesTest, TenThousandRoutesAreNoLargerThanAFileMayBe) {
  Config config;
  for (int index = 0; index < 10'000; ++index)
    config.routes.push_back(
        route("a-route-with-a-name-of-the-usual-length-" + std::to_string(index)));
  EXPECT_LT(rules_to_toml(config).size(), kFileBytesMax / 4);
}

TEST(ChangesTest, NamesWithDotsAreNotTakenForKeysOfOthers) {
  Config before;
  before.routes = {route("kv"), route("kv.cors")};
  Config after = before;
  after.routes[0].cors.enabled = true;
  EXPECT_EQ(changed_keys(before, after), Keys{"routes.kv.cors.enabled"});
  after = before;
  after.routes[1].enabled = false;
  EXPECT_EQ(changed_keys(before, after), Keys{"routes.\"kv.cors\".enabled"});
}

TEST(DifferencesTest, HaveARowForEachAddressAndEachGeographicRule) {
  Config before;
  before.ip_rules = {{.match = {"192.0.2.1", "192.0.2.2"}, .action = IpAction::block},
                     {.match = {"192.0.2.3"}, .action = IpAction::allow}};
  before.geo_rules = {{.action = GeoAction::block, .countries = {"CN"}},
                      {.id = "slow", .action = GeoAction::block, .countries = {"FR"}}};
  before.routes = {route("a")};
  Config after = before;
  after.ip_rules[0].match = {"192.0.2.2", "192.0.2.4"};
  after.ip_rules[1].reason = "ours";
  after.geo_rules[0].countries = {"KP"};
  after.geo_rules[1].countries = {"DE"};
  after.routes = {route("b")};
  after.server.workers = 3;
  EXPECT_EQ(
      differences(before, after),
      (std::vector<Difference>{{"ip_rules.192.0.2.1", R"(action = "block")", "", false},
                               {"ip_rules.192.0.2.3", R"(action = "allow")",
                                R"(action = "allow", reason = "ours")", false},
                               {"ip_rules.192.0.2.4", "", R"(action = "block")", false},
                               {"geo_rules.slow", R"(action = "block", countries = ["FR"])",
                                R"(action = "block", countries = ["DE"])", false},
                               {"geo_rules", R"(action = "block", countries = ["CN"])", "", false},
                               {"geo_rules", "", R"(action = "block", countries = ["KP"])", false},
                               {"server.workers", "0", "3", true},
                               {"routes.b", "", "\"/b/*\"", false},
                               {"routes.a", "\"/a/*\"", "", false}}));
  std::swap(before.geo_rules[0], before.geo_rules[1]);
  after = before;
  std::swap(after.geo_rules[0], after.geo_rules[1]);
  ASSERT_EQ(differences(before, after).size(), 1U);
  EXPECT_EQ(differences(before, after)[0].key, "geo_rules");
}

TEST(DifferencesTest, OfManyAddressesTheFirstThousandAndHowManyMore) {
  Config before;
  Config after;
  after.ip_rules = {{.match = {}, .action = IpAction::block}};
  for (int index = 0; index < 3000; ++index)
    after.ip_rules[0].match.push_back("2001:db8::" + std::to_string(index));
  const std::vector<Difference> found = differences(before, after);
  ASSERT_EQ(found.size(), kDifferencesMax + 1);
  EXPECT_EQ(found.back().key, "and 2000 more");
}

TEST(ChangesTest, NothingChangedIsNoKey) {
  Config config;
  config.routes = {route("kv")};
  EXPECT_EQ(changed_keys(config, config), Keys{});
  EXPECT_EQ(restart_needed(config, config), Keys{});
}

TEST(ChangesTest, NamesChangedAddedAndRemoved) {
  Config before;
  before.routes = {route("same"), route("changed"), route("removed")};
  before.vars = {{"A", "1"}, {"B", "1"}};
  Config after = before;
  after.routes = {route("added"), route("changed"), route("same")};
  after.routes[1].timeouts.connect = milliseconds{1};
  after.routes[1].upstreams[0].weight = 2;
  after.vars = {{"B", "2"}};
  after.limits.header_timeout = milliseconds{1234};
  EXPECT_EQ(changed_keys(before, after),
            (Keys{"limits.header_timeout", "vars.\"B\"", "routes.added", "routes.changed.upstreams",
                  "routes.changed.timeouts.connect", "vars.\"A\"", "routes.removed"}));
  EXPECT_EQ(restart_needed(before, after), Keys{});
}

TEST(ChangesTest, GeographicRulesAreOneKeyAndNeedNoRestart) {
  Config before;
  before.geo_rules = {{.action = GeoAction::block, .countries = {"CN"}}};
  Config after = before;
  EXPECT_EQ(changed_keys(before, after), Keys{});
  after.geo_rules[0].countries = {"DE"};
  after.geo.database = "/new.mmdb";
  EXPECT_EQ(changed_keys(before, after), (Keys{"geo_rules", "geo.database"}));
  EXPECT_EQ(restart_needed(before, after), Keys{});
}

TEST(ChangesTest, IpRulesAreOneKeyAndNeedNoRestart) {
  Config before;
  before.ip_rules = {{.match = {"10.0.0.1"}, .action = IpAction::allow}};
  before.routes = {route("kv")};
  Config after = before;
  EXPECT_EQ(changed_keys(before, after), Keys{});
  after.ip_rules.insert(after.ip_rules.begin(), {.match = {"::1"}, .action = IpAction::block});
  after.routes[0].enabled = false;
  EXPECT_EQ(changed_keys(before, after), (Keys{"ip_rules", "routes.kv.enabled"}));
  EXPECT_EQ(restart_needed(before, after), Keys{});
}

// The first of several that refuse a client answers it.
TEST(ChangesTest, AnotherOrderOfBanRulesIsAChange) {
  Config before;
  before.ban_rules = {{.id = "a", .on = {"4xx"}, .count = 2},
                      {.id = "b", .on = {"5xx"}, .count = 3}};
  Config after = before;
  EXPECT_EQ(changed_keys(before, after), Keys{});
  std::swap(after.ban_rules[0], after.ban_rules[1]);
  EXPECT_EQ(changed_keys(before, after), Keys{"ban_rules"});
  after.ban_rules.push_back({.id = "c", .on = {"404"}, .count = 4});
  EXPECT_EQ(changed_keys(before, after), Keys{"ban_rules.c"}) << "named by what is new";
}

TEST(ChangesTest, NamesWhatNeedsARestart) {
  const Config before;
  Config after;
  after.server.workers = 3;
  after.server.drain_timeout = milliseconds{1};
  after.traffic.push_back({.address = "127.0.0.1:1"});
  after.admin = "127.0.0.1:2";
  after.health_path = "";
  after.journal.sync_interval = milliseconds{10};
  after.log_format = LogFormat::json;
  EXPECT_EQ(restart_needed(before, after), (Keys{"server.workers", "listen.traffic", "listen.admin",
                                                 "journal.sync_interval", "log.format"}));
}

}  // namespace
}  // namespace weir::config
