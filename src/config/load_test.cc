#include "config/load.h"

#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>

#include "config/render.h"
#include "config/resolve.h"
#include "config/validate.h"

namespace weir::config {
namespace {

constexpr std::string_view kRoute =
    "[[routes]]\nid = \"kv\"\npattern = \"/kv/*\"\nupstreams = [\"http://127.0.0.1:9000\"]\n";

// The problems of a file, one to a line, without the file's name.
std::string problems(std::string_view toml, const Environment& environment = {}) {
  std::string out;
  for (Problem problem : load(toml, "", environment).problems)
    out += to_string(problem) + "\n";
  return out;
}

Config loaded(std::string_view toml, const Environment& environment = {}) {
  LoadResult result = load(toml, "weir.toml", environment);
  for (const Problem& problem : result.problems)
    ADD_FAILURE() << to_string(problem);
  return std::move(result.config);
}

TEST(LoadTest, EmptyFileGivesTheDefaults) {
  EXPECT_EQ(loaded(""), Config{});
}

TEST(LoadTest, ReadsTheFirstConfiguration) {
  const Config config = loaded(R"(
[server]
workers = 0
[listen]
traffic = ["127.0.0.1:8787"]
admin = "127.0.0.1:8788"
[[routes]]
id = "kv"
pattern = "/kv/*"
upstreams = ["http://127.0.0.1:9000"]
strip_prefix = false
priority = 0
)");
  ASSERT_EQ(config.routes.size(), 1U);
  const Route& route = config.routes[0];
  EXPECT_EQ(route.id, "kv");
  EXPECT_EQ(route.pattern, "/kv/*");
  ASSERT_EQ(route.upstreams.size(), 1U);
  EXPECT_EQ(route.upstreams[0].host, "127.0.0.1");
  EXPECT_EQ(route.upstreams[0].port, 9000);
  EXPECT_EQ(config.traffic, std::vector<Listener>{Listener{.address = "127.0.0.1:8787"}});
}

TEST(LoadTest, ReadsEveryFormOfEveryKind) {
  const Config config = loaded(R"(
[server]
node = "gw-1.eu"
drain_timeout = "2m"
[listen]
traffic = ["[::1]:0", "unix:/run/weir.sock", {address = "0.0.0.0:80", client_address = "forwarded", trusted_proxies = ["10.0.0.0/8", "::1"]}]
health_path = ""
[limits]
header_timeout = 5
header_bytes_max = "32KiB"
target_bytes_max = 4096
[stats]
collect = "all"
sampling_rate = 0
max_paths_per_hour = 50
max_paths_per_hour_node = 500
path_templates = false
[[stats.path_rules]]
pattern = 'u\d+'
replace = '{user}'
[privacy]
client_ip = "truncated"
[log]
format = "json"
[access_log]
enabled = true
format = "combined"
target = "/var/log/weir.log"
[smoke]
enabled = true
[dns]
refresh = "1m"
)");
  EXPECT_EQ(config.server.node, "gw-1.eu");
  EXPECT_EQ(config.server.drain_timeout, milliseconds{120'000});
  ASSERT_EQ(config.traffic.size(), 3U);
  EXPECT_EQ(config.traffic[2].client_address, ClientAddress::forwarded);
  EXPECT_EQ(config.traffic[2].trusted_proxies, (std::vector<std::string>{"10.0.0.0/8", "::1"}));
  EXPECT_EQ(config.health_path, "");
  EXPECT_EQ(config.limits.header_timeout, milliseconds{5000});
  EXPECT_EQ(config.limits.header_bytes_max, 32768U);
  EXPECT_EQ(config.limits.target_bytes_max, 4096U);
  EXPECT_EQ(config.stats.collect, Collect::all);
  EXPECT_EQ(config.stats.sampling_rate, 0.0);
  EXPECT_EQ(config.stats.max_paths_per_hour, 50U);
  EXPECT_EQ(config.stats.max_paths_per_hour_node, 500U);
  EXPECT_FALSE(config.stats.path_templates);
  EXPECT_EQ(config.stats.path_rules, (std::vector<codec::PathRule>{{R"(u\d+)", "{user}"}}));
  EXPECT_EQ(config.client_ip, ClientIpPrivacy::truncated);
  EXPECT_EQ(config.log_format, LogFormat::json);
  EXPECT_TRUE(config.access_log.enabled);
  EXPECT_EQ(config.access_log.format, AccessLogFormat::combined);
  EXPECT_TRUE(config.smoke);
  EXPECT_EQ(config.dns_refresh, milliseconds{60'000});
}

TEST(LoadTest, ReadsIpRules) {
  const Config config = loaded(R"(
[[ip_rules]]
match = ["192.0.2.7", "2001:db8::/32"]
action = "block"
expires = "2026-12-01T00:00:00Z"
reason = "scanner"
enforce = false
[[ip_rules]]
match = ["192.0.2.7"]
action = "throttle"
limit = 10
window = "1m"
[[ip_rules]]
match = ["192.0.2.7"]
action = "allow"
expires = ""
)");
  const auto december = std::chrono::sys_days{std::chrono::year{2026} / 12 / 1};
  const std::vector<IpRule> expected{{.match = {"192.0.2.7", "2001:db8::/32"},
                                      .action = IpAction::block,
                                      .expires = december,
                                      .reason = "scanner",
                                      .enforce = false},
                                     {.match = {"192.0.2.7"},
                                      .action = IpAction::throttle,
                                      .limit = 10,
                                      .window = std::chrono::seconds{60}},
                                     {.match = {"192.0.2.7"}, .action = IpAction::allow}};
  EXPECT_EQ(config.ip_rules, expected);
}

TEST(LoadTest, ReadsARouteWithAllItsTables) {
  const Config config = loaded(R"(
[[routes]]
id = "all"
enabled = false
priority = -5
pattern = "/v1/*"
hosts = ["API.example.com", "*.example.org"]
methods = ["GET"]
headers = {X-Beta = "*"}
upstreams = ["http://a:1", {url = "http+unix:/run/b", weight = 3}]
host = "literal inner:81"
upgrade = ["websocket"]
body_max = "1GiB"
retry_buffer = 0
rewrite = "/caf%c3%a9"
timeouts = {connect = "250ms", total = "1h"}
health = {path = "/up?x=1", interval = "1s", timeout = "500ms"}
passive_health.failures = 0
request_headers = {set = {B = "2", A = "1"}, add = {C = ["x", "y"], D = "z"}, remove = ["E"]}
[routes.cors]
origins = ["https://app.example.com", "null"]
credentials = true
max_age = 5
[routes.rate_limit]
limit = 7
window = 90
per = "route"
)");
  ASSERT_EQ(config.routes.size(), 1U);
  const Route& route = config.routes[0];
  EXPECT_FALSE(route.enabled);
  EXPECT_EQ(route.priority, -5);
  EXPECT_EQ(route.hosts, (std::vector<std::string>{"api.example.com", "*.example.org"}));
  ASSERT_EQ(route.upstreams.size(), 2U);
  EXPECT_EQ(route.upstreams[0].weight, 1U);
  EXPECT_EQ(route.upstreams[1].unix_path, "/run/b");
  EXPECT_EQ(route.upstreams[1].weight, 3U);
  EXPECT_EQ(route.host_mode, HostMode::literal);
  EXPECT_EQ(route.host_literal, "inner:81");
  EXPECT_EQ(route.body_max_bytes, 1ULL << 30U);
  EXPECT_EQ(route.retry_buffer_bytes, 0U);
  EXPECT_EQ(route.rewrite, "/caf%C3%A9");
  EXPECT_EQ(route.timeouts.connect, milliseconds{250});
  EXPECT_EQ(route.timeouts.first_byte, milliseconds{30'000});
  EXPECT_EQ(route.health.path, "/up?x=1");
  EXPECT_EQ(route.passive_health.failures, 0U);
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  EXPECT_EQ(route.request_headers.set, (Pairs{{"A", "1"}, {"B", "2"}}));
  EXPECT_EQ(route.request_headers.add, (Pairs{{"C", "x"}, {"C", "y"}, {"D", "z"}}));
  EXPECT_TRUE(route.cors.enabled) << "the table switches it on";
  EXPECT_EQ(route.cors.max_age, std::chrono::seconds{5});
  EXPECT_EQ(route.rate_limit,
            (std::vector<RateLimitFields>{
                {.limit = 7, .window = std::chrono::seconds{90}, .per = LimitPer::route}}));
}

TEST(LoadTest, ARouteHasSeveralRateLimitsInAnArray) {
  const std::string text = std::string{kRoute} + R"(rate_limit = [
  {limit = 10, window = 1},
  {per = "header", header = "X-API-Key", enforce = false},
  {enabled = false, ipv6_prefix_bits = 48},
])";
  const Config config = loaded(text);
  EXPECT_EQ(config.routes[0].rate_limit,
            (std::vector<RateLimitFields>{
                {.limit = 10, .window = std::chrono::seconds{1}},
                {.enforce = false, .per = LimitPer::header, .header = "X-API-Key"},
                {.enabled = false, .ipv6_prefix_bits = 48}}));
  std::vector<std::string> ids;
  for (const EffectiveRateLimit& limit :
       resolve_rate_limits(config, config.routes[0], nullptr).limits)
    ids.push_back(rate_limit_id(limit.value));
  EXPECT_EQ(ids,
            (std::vector<std::string>{"1s/client/64", "60s/header/x-api-key", "60s/client/48"}));
  EXPECT_EQ(loaded(to_toml(config)), config);
}

TEST(LoadTest, CorsTableMaySayThatItIsOff) {
  EXPECT_FALSE(loaded(std::string{kRoute} + "cors = {enabled = false}\n").routes[0].cors.enabled);
}

TEST(LoadTest, NamesEveryProblemAtOnceInTheOrderOfTheFile) {
  EXPECT_EQ(problems(R"([server]
worker = 2
[limits]
connections_max = "many"
[[routes]]
id = "kv"
pattern = "/kv/*"
upstreams = ["https://x"]
)",
                     {{"PATH_COLLECTION_ENABLED", "maybe"}}),
            ":2:1: server.worker: is not a known key, did you mean \"workers\"?; allowed: workers, "
            "node, drain_timeout, stall_threshold\n"
            ":4:19: limits.connections_max: cannot be a string; allowed: 1 to 10000000\n"
            ":8:14: routes[0].upstreams[0].url: \"https://x\" is not possible: TLS to upstreams is "
            "not built yet; allowed: \"http://host\", \"http://host:port\", \"http+unix:/path\"\n"
            "environment: PATH_COLLECTION_ENABLED: cannot be \"maybe\"; allowed: \"true\" or "
            "\"false\"\n");
}

// Goal: the text of every problem is what a user should read. Method: load_errors.txt, reviewed by
// eye; run this test in the root folder of the sources.
TEST(LoadTest, SaysAboutEachMistakeWhatTheListOfErrorsSays) {
  std::ifstream file{"src/config/load_errors.txt"};
  ASSERT_TRUE(file) << "run from the root of the sources";
  std::string line;
  std::getline(file, line);
  std::getline(file, line);
  std::string toml;
  std::string expected;
  bool in_toml = true;
  int cases = 0;
  for (bool more = true; more;) {
    more = static_cast<bool>(std::getline(file, line));
    if (in_toml && line == "----") {
      in_toml = false;
    } else if (in_toml) {
      toml += line + "\n";
    } else if (more && !line.empty()) {
      expected += line + "\n";
    } else {
      EXPECT_EQ(problems(toml), expected) << toml;
      ++cases;
      toml.clear();
      expected.clear();
      in_toml = true;
    }
  }
  EXPECT_GT(cases, 100);
}

TEST(LoadTest, ProblemNamesTheFile) {
  const LoadResult result = load("[server]\nworkers = = 1\n", "weir.toml", {});
  ASSERT_EQ(result.problems.size(), 1U);
  EXPECT_TRUE(to_string(result.problems[0]).starts_with("weir.toml:2:11: is not valid TOML: "));
}

// Defect 51: defaultCache, defaultRateLimit and defaultGeoBlock were stored and ignored.
TEST(LoadTest, RefusesKeysThatNothingReads) {
  for (const char* key : {"defaultCache", "defaultRateLimit", "defaultGeoBlock", "defaultGeo"}) {
    const std::string toml = std::string{kRoute} + key + " = {enabled = true}\n";
    EXPECT_NE(problems(toml).find(std::string{"routes[0]."} + key + ": is not a known key"),
              std::string::npos);
  }
}

// Defect 55: an empty list of routes became a list of built-in ones.
TEST(LoadTest, EmptyListOfRoutesStaysEmpty) {
  EXPECT_TRUE(loaded("").routes.empty());
  EXPECT_TRUE(loaded("routes = []").routes.empty());
}

TEST(VariablesTest, EnvironmentWinsOverVarsAndBothOverTheKeys) {
  constexpr std::string_view kFile =
      "[stats]\nsampling_rate = 0.1\n[vars]\nTRAFFIC_SAMPLING_RATE = \"0.2\"\n";
  EXPECT_EQ(loaded("[stats]\nsampling_rate = 0.1\n").stats.sampling_rate, 0.1);
  EXPECT_EQ(loaded(kFile).stats.sampling_rate, 0.2);
  const Config config = loaded(kFile, {{"TRAFFIC_SAMPLING_RATE", "0.3"}});
  EXPECT_EQ(config.stats.sampling_rate, 0.3);
  EXPECT_EQ(config.vars.at("TRAFFIC_SAMPLING_RATE"), "0.3");
  EXPECT_EQ(loaded(kFile, {{"TRAFFIC_SAMPLING_RATE", ""}}).stats.sampling_rate, 0.2);
  EXPECT_EQ(loaded("", {{"PATH", "/bin"}, {"ENVIRONMENT", "dev"}}), Config{});
}

TEST(VariablesTest, EitherSwitchLeavesTotalsOnly) {
  EXPECT_TRUE(loaded("").stats.detail);
  EXPECT_TRUE(loaded("", {{"PATH_COLLECTION_ENABLED", "true"}}).stats.detail);
  EXPECT_FALSE(loaded("", {{"PATH_COLLECTION_ENABLED", "false"}}).stats.detail);
  EXPECT_FALSE(loaded("", {{"USE_TRAFFIC_QUEUE", "false"}}).stats.detail);
  EXPECT_FALSE(loaded("", {{"USE_TRAFFIC_QUEUE", "false"}, {"PATH_COLLECTION_ENABLED", "true"}})
                   .stats.detail);
  EXPECT_TRUE(loaded("[stats]\ndetail = false\n", {{"USE_TRAFFIC_QUEUE", "true"}}).stats.detail);
}

TEST(VariablesTest, TrafficThresholdOverridesTheFile) {
  EXPECT_EQ(loaded("").stats.traffic_threshold, 10'000U);
  EXPECT_EQ(loaded("[stats]\ntraffic_threshold = 5\n", {{"TRAFFIC_THRESHOLD", "1"}})
                .stats.traffic_threshold,
            1U);
  for (const char* text : {"0", "-1", "1e3", "7 ", "1000000000001"}) {
    EXPECT_FALSE(load("", "", {{"TRAFFIC_THRESHOLD", text}}).problems.empty()) << text;
  }
}

TEST(VariablesTest, ThoseWithoutEffectAreNamedWithTheReason) {
  const Config config = loaded("[vars]\nENVIRONMENT = \"dev\"\n",
                               {{"USE_ANALYTICS_ENGINE", "false"}, {"DEFAULT_CACHE_VERSION", "1"}});
  EXPECT_EQ(config.without_effect,
            (std::vector<std::string>{"USE_ANALYTICS_ENGINE: everything is in SQL here",
                                      "DEFAULT_CACHE_VERSION: arrives with the cache",
                                      "ENVIRONMENT: no variable of this name"}));
}

TEST(VariablesTest, RateLimitAndWindowAreThoseOfLimitsThatSayNone) {
  const Config config = loaded("[vars]\nDEFAULT_RATE_LIMIT = \"70\"\n" + std::string{kRoute} +
                                   "rate_limit = {per = \"route\"}\n",
                               {{"DEFAULT_RATE_WINDOW", "9"}});
  const EffectiveRateLimits limits = resolve_rate_limits(config, config.routes[0], nullptr);
  ASSERT_EQ(limits.limits.size(), 1U);
  EXPECT_EQ(limits.limits[0].value,
            (RateLimit{.limit = 70, .window = std::chrono::seconds{9}, .per = LimitPer::route}));
  EXPECT_EQ(config.without_effect, std::vector<std::string>{});
  for (const char* const wrong : {"0", "1000000001", "many", "1.5"}) {
    EXPECT_EQ(load("", "f", {{"DEFAULT_RATE_LIMIT", wrong}}).problems.size(), 1U) << wrong;
  }
}

TEST(LoadTest, APathRuleKeepsWhatItSays) {
  const Config config = loaded(std::string{kRoute} + R"(
[global]
rate_limit = {limit = 9}
[[path_rules]]
id = "search"
pattern = "/x/search/*"
route = "kv"
methods = ["GET"]
rate_limit = [{limit = 3}, {enabled = false, window = 1}]
[[path_rules]]
id = "rest"
enabled = false
pattern = "/**"
)");
  EXPECT_EQ(config.global.rate_limit, (std::vector<RateLimitFields>{{.limit = 9}}));
  ASSERT_EQ(config.path_rules.size(), 2U);
  EXPECT_EQ(config.path_rules[0],
            (PathRule{.id = "search",
                      .pattern = "/x/search/*",
                      .route = "kv",
                      .methods = {"GET"},
                      .rate_limit = {{.limit = 3},
                                     {.enabled = false, .window = std::chrono::seconds{1}}}}));
  EXPECT_FALSE(config.path_rules[1].enabled);
  EXPECT_EQ(loaded(to_toml(config)), config);
  Config changed = config;
  changed.path_rules[0].rate_limit[0].limit = 4;
  changed.path_rules.pop_back();
  EXPECT_EQ(changed_keys(config, changed),
            (std::vector<std::string>{"path_rules.search.rate_limit", "path_rules.rest"}));
}

TEST(LoadTest, ABanRuleKeepsWhatItSays) {
  const Config config = loaded(std::string{kRoute} + R"(
[[ban_rules]]
id = "guessing"
on = ["401", "denied", "5xx"]
routes = ["kv"]
count = 10
window = "5m"
ban = "1h"
reason = "guessed"
enforce = false
)");
  EXPECT_EQ(config.ban_rules, (std::vector<BanRule>{{.id = "guessing",
                                                     .on = {"401", "denied", "5xx"},
                                                     .routes = {"kv"},
                                                     .count = 10,
                                                     .window = std::chrono::minutes{5},
                                                     .ban = std::chrono::hours{1},
                                                     .reason = "guessed",
                                                     .enforce = false}}));
  EXPECT_EQ(loaded(to_toml(config)), config);
  Config changed = config;
  changed.ban_rules[0].count = 11;
  EXPECT_EQ(changed_keys(config, changed), std::vector<std::string>{"ban_rules.guessing.count"});
  Config rules = config;
  take_rules(rules, Config{});
  EXPECT_TRUE(rules.ban_rules.empty());
}

TEST(BanTriggersTest, AreOneKindAClassOrAStatus) {
  const std::optional<BanTriggers> triggers = parse_ban_triggers({"401", "5xx"});
  ASSERT_TRUE(triggers.has_value());
  EXPECT_FALSE(triggers->denied);
  EXPECT_EQ(triggers->statuses.count(), 101U);
  EXPECT_TRUE(triggers->statuses[401] && triggers->statuses[500] && triggers->statuses[599]);
  EXPECT_TRUE(parse_ban_triggers({"denied"})->denied);
  for (const char* text :
       {"", "Denied", "3xx", "399", "600", "4", "40", "4xxx", "0401", "4x1", "-04"})
    EXPECT_EQ(parse_ban_triggers({text}), std::nullopt) << text;
}

TEST(LoadLimitsTest, FileOfEightMebibytes) {
  std::string text = "#" + std::string(8 * 1024 * 1024 - 1, 'x');
  EXPECT_EQ(problems(text), "");
  text += 'x';
  EXPECT_EQ(problems(text), "is larger than 8 MiB; allowed: at most 8 MiB\n");
}

TEST(LoadLimitsTest, AHundredThousandAddressesInIpRules) {
  std::string text = "[[ip_rules]]\naction=\"block\"\nmatch=[";
  for (int index = 0; index < 100'000; ++index)
    text += "\"2001:db8::" + std::to_string(index / 10'000) + ":" + std::to_string(index % 10'000) +
            "\",";
  LoadResult full = load(text + "]\n", "weir.toml", {});
  EXPECT_TRUE(full.problems.empty()) << to_string(full.problems.front());
  ASSERT_EQ(full.config.ip_rules.size(), 1U);
  EXPECT_EQ(full.config.ip_rules[0].match.size(), 100'000U);
  full.config.ip_rules[0].match.emplace_back("192.0.2.1");
  const std::vector<Problem> beyond = validate(full.config);
  ASSERT_EQ(beyond.size(), 1U);
  EXPECT_EQ(
      to_string(beyond[0]),
      "ip_rules: has 1 rules with 100001 addresses and prefixes; allowed: at most 100000 of each");
}

TEST(LoadLimitsTest, AReasonOfTwoHundredBytes) {
  std::string text =
      "[[ip_rules]]\naction=\"block\"\nmatch=[\"192.0.2.1\"]\nreason=\"" + std::string(200, 'x');
  EXPECT_EQ(problems(text + "\"\n"), "");
  EXPECT_NE(problems(text + "x\"\n").find("ip_rules[0].reason: "), std::string::npos);
}

// A suggestion for each would look at two thousand names sixty thousand times.
TEST(LoadLimitsTest, ManyUnknownNamesAreRefusedAfterTheFirstThousand) {
  std::string text;
  for (int index = 0; index < 2'000; ++index) {
    text += "[[routes]]\nid=\"route-" + std::to_string(index) + "\"\npattern=\"/" +
            std::to_string(index) + "\"\nupstreams=[\"http://a\"]\n";
  }
  text += "[[geo_rules]]\naction=\"block\"\ncountries=[\"DE\"]\nroutes=[";
  for (int index = 0; index < 60'000; ++index)
    text += "\"raute-" + std::to_string(index) + "\",";
  text += "]\n[server]\n";
  for (int index = 0; index < 60'000; ++index)
    text += "worker" + std::to_string(index) + "=1\n";
  const std::string found = problems(text);
  EXPECT_EQ(std::count(found.begin(), found.end(), '\n'), 1001);
  EXPECT_NE(found.find("has these 1000 problems, and maybe more"), std::string::npos);
}

TEST(LoadLimitsTest, TenThousandRoutes) {
  std::string text;
  for (int index = 0; index < 10'000; ++index) {
    text += "[[routes]]\nid=\"r" + std::to_string(index) + "\"\npattern=\"/" +
            std::to_string(index) + "/**\"\nupstreams=[\"http://a\"]\n";
  }
  EXPECT_EQ(problems(text), "");
  text += "[[routes]]\nid=\"last\"\npattern=\"/**\"\nupstreams=[\"http://a\"]\n";
  EXPECT_EQ(problems(text), ":1:1: routes: has 10001 routes; allowed: at most 10000\n");
}

TEST(LoadLimitsTest, DotsAndDepthAreBounded) {
  std::string key = "a";
  for (int dots = 0; dots < 16; ++dots)
    key += ".a";
  EXPECT_NE(problems(key + " = 1").find("a: is not a known key"), std::string::npos);
  EXPECT_EQ(problems("\n" + key + ".a = 1"),
            ":2:1: a key has too many dots; allowed: at most 16\n");
  EXPECT_EQ(problems("[" + key + ".a]"), ":1:1: a key has too many dots; allowed: at most 16\n");
  EXPECT_EQ(problems("x = '''\n'a.a'''\n" + key + ".a = 1"),
            ":3:1: a key has too many dots; allowed: at most 16\n");
  const auto nested = [](size_t depth) {
    return problems("a = " + std::string(depth, '[') + std::string(depth, ']'));
  };
  EXPECT_NE(nested(24).find("a: is not a known key"), std::string::npos);
  EXPECT_NE(nested(25).find("is nested too deep"), std::string::npos);
  EXPECT_EQ(problems("vars.V = \"1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19\"\n"
                     "#1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19\n"),
            "");
}

// toml++ 3.3 is undefined for most characters above ASCII where it looks for white space.
TEST(LoadLimitsTest, CharactersAboveAsciiAreTextInStringsAndErrorsOutside) {
  EXPECT_EQ(load("[\xef\xbb\xb8x]", "f", {}).problems.size(), 1U);
  EXPECT_EQ(load("[20\"caf\xc3\xa9\" = 1", "f", {}).problems.size(), 1U);
  EXPECT_EQ(problems("\xef\xbb\xbf# caf\xc3\xa9 \xef\xbb\xb8\n[vars]\n"
                     "A = \"\xef\xbb\xb8\"\nB = '''\n\xef\xbb\xb8'''\n"
                     "C = \"\"\"\\\n  \xef\xbb\xb8\"\"\"\n"),
            "");
}

// A million dots would otherwise nest a million tables, and destroying those would use up the
// stack.
TEST(LoadLimitsTest, HostileNestingIsRefusedCheaply) {
  std::string dots = "a";
  for (int count = 0; count < 300'000; ++count)
    dots += ".a";
  EXPECT_EQ(load(dots + " = 1", "f", {}).problems.size(), 1U);
  EXPECT_EQ(load("a = " + std::string(500'000, '['), "f", {}).problems.size(), 1U);
  std::string tables = "a = ";
  for (int count = 0; count < 100'000; ++count)
    tables += "{a = ";
  EXPECT_EQ(load(tables, "f", {}).problems.size(), 1U);
}

TEST(LoadLimitsTest, ListsOfARoute) {
  const auto with_hosts = [](int count) {
    std::string text = std::string{kRoute} + "hosts = [";
    for (int index = 0; index < count; ++index)
      text += "\"h" + std::to_string(index) + "\",";
    return problems(text + "]\n");
  };
  EXPECT_EQ(with_hosts(256), "");
  EXPECT_EQ(with_hosts(257), ":5:9: routes[0].hosts: has 257 entries; allowed: at most 256\n");
}

TEST(LoadLimitsTest, ProblemsAreCutOffAtAThousand) {
  std::string text = "[server]\n";
  for (int index = 0; index < 3000; ++index)
    text += "k" + std::to_string(index) + " = 1\n";
  const std::vector<Problem> found = load(text, "f", {}).problems;
  ASSERT_EQ(found.size(), 1001U);
  EXPECT_EQ(to_string(found.back()), "f: has these 1000 problems, and maybe more");
}

TEST(ProblemTest, TextFromTheFileCannotForgeLines) {
  EXPECT_EQ(in_quotes("a\nb\x1b[31m\"c"), "\"a?b?[31m?c\"");
  EXPECT_EQ(in_quotes(std::string(80, 'x')), '"' + std::string(80, 'x') + '"');
  EXPECT_EQ(in_quotes(std::string(81, 'x')), '"' + std::string(80, 'x') + "...\"");
  EXPECT_EQ(plain(std::string(79, 'x') + "\xc3\xa9"), std::string(79, 'x') + "...");
  const std::string text = problems("\"a\\nb\" = 1");
  EXPECT_EQ(text.find('\n'), text.size() - 1);
}

}  // namespace
}  // namespace weir::config
