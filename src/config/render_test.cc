#include "config/render.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "config/load.h"

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
