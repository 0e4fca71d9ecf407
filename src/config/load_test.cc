#include "config/load.h"

#include <gtest/gtest.h>

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

TEST(LoadTest, NamesEveryProblemAtOnceWithItsPlace) {
  EXPECT_EQ(
      problems(R"([server]
worker = 2
[limits]
header_timeout = "5 s"
connections_max = "many"
[[routes]]
id = "a b"
pattern = "kv"
upstreams = ["https://x"]
)"),
      R"(:2:1: server.worker: is not a known key, did you mean "workers"?; allowed: workers, node, drain_timeout
:4:18: limits.header_timeout: "5 s" is not a duration in range; allowed: 100ms to 1h, as seconds or "250ms", "5s", "2m", "1h", "1d"
:5:19: limits.connections_max: cannot be a string; allowed: 1 to 10000000
:7:6: routes[0].id: "a b" is not an id; allowed: 1 to 64 of A-Z a-z 0-9 . _ -, not beginning with "__"
:8:11: routes[0].pattern: "kv" has no '/' at its beginning; allowed: "/kv/*" (all below /kv/), "/v1/*/items" (one segment), "/**" (everything), "/exact"
:9:14: routes[0].upstreams[0].url: "https://x" is not possible: TLS to upstreams is not built yet; allowed: "http://host", "http://host:port", "http+unix:/path"
)");
}

TEST(LoadTest, NamesTheFileAndTheSyntaxErrorsPlace) {
  const LoadResult result = load("[server]\nworkers = = 1\n", "weir.toml", {});
  ASSERT_EQ(result.problems.size(), 1U);
  EXPECT_EQ(result.problems[0].file, "weir.toml");
  EXPECT_EQ(result.problems[0].line, 2U);
  EXPECT_TRUE(result.problems[0].message.starts_with("is not valid TOML: "));
}

}  // namespace
}  // namespace weir::config
