#include "config/resolve.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "config/pattern.h"

namespace weir::config {
namespace {

using std::chrono::seconds;

TEST(ResolveTest, EachFieldIsThatOfTheMostSpecificLevelThatSaysIt) {
  Config config;
  config.rate_limit_default = {.limit = 60, .window = seconds{60}};
  config.global.rate_limit = {{.limit = 500, .window = seconds{10}, .ipv6_prefix_bits = 56}};
  const Route route{.rate_limit = {{.limit = 100, .per = LimitPer::route}}};
  const PathRule rule{.rate_limit = {{.limit = 5}}};
  const EffectiveRateLimits limits = resolve_rate_limits(config, route, &rule);
  EXPECT_EQ(limits.level, Level::path);
  ASSERT_EQ(limits.limits.size(), 1U);
  const EffectiveRateLimit& only = limits.limits[0];
  EXPECT_EQ(
      only.value,
      (RateLimit{
          .limit = 5, .window = seconds{10}, .per = LimitPer::route, .ipv6_prefix_bits = 56}));
  EXPECT_EQ(only.limit, Level::path);
  EXPECT_EQ(only.per, Level::route);
  EXPECT_EQ(only.window, Level::global);
  EXPECT_EQ(only.ipv6_prefix_bits, Level::global);
  EXPECT_EQ(only.enforce, Level::built_in);
}

TEST(ResolveTest, ALevelThatSaysNothingLeavesTheOneBelow) {
  Config config;
  Route route;
  PathRule rule;
  EXPECT_EQ(resolve_rate_limits(config, route, &rule).level, Level::built_in);
  EXPECT_TRUE(resolve_rate_limits(config, route, &rule).limits.empty());
  config.global.rate_limit = {{.limit = 7}, {.limit = 70, .window = seconds{600}}};
  const EffectiveRateLimits limits = resolve_rate_limits(config, route, &rule);
  EXPECT_EQ(limits.level, Level::global);
  ASSERT_EQ(limits.limits.size(), 2U);
  EXPECT_EQ(limits.limits[1].value.limit, 70U);
}

TEST(ResolveTest, WhoWritesALimitMeansItThoughTheLevelBelowIsSwitchedOff) {
  Config config;
  config.global.rate_limit = {{.enabled = false, .limit = 7}};
  Route route;
  EXPECT_FALSE(resolve_rate_limits(config, route, nullptr).limits[0].value.enabled);
  route.rate_limit = {{.window = seconds{1}}};
  const RateLimit limit = resolve_rate_limits(config, route, nullptr).limits[0].value;
  EXPECT_TRUE(limit.enabled);
  EXPECT_EQ(limit.limit, 7U);
  const PathRule off{.rate_limit = {{.enabled = false}}};
  EXPECT_FALSE(resolve_rate_limits(config, route, &off).limits[0].value.enabled);
}

TEST(ResolveTest, TheMostSpecificLevelDecidesHowManyThereAre) {
  const Config config;
  const Route route{.rate_limit = {{.limit = 1}, {.limit = 2, .window = seconds{2}}}};
  const PathRule one{.rate_limit = {{.window = seconds{9}}}};
  const EffectiveRateLimits fewer = resolve_rate_limits(config, route, &one);
  ASSERT_EQ(fewer.limits.size(), 1U);
  EXPECT_EQ(fewer.limits[0].value, (RateLimit{.limit = 1, .window = seconds{9}}));
  const PathRule three{.rate_limit = {{}, {}, {.limit = 3, .window = seconds{3}}}};
  const EffectiveRateLimits more = resolve_rate_limits(config, route, &three);
  ASSERT_EQ(more.limits.size(), 3U);
  EXPECT_EQ(more.limits[1].value.limit, 2U);
  EXPECT_EQ(more.limits[2].value.limit, 3U);
}

TEST(ResolveTest, AHeaderGoesWithThePerThatItBelongsTo) {
  const Config config;
  const Route route{.rate_limit = {{.per = LimitPer::header, .header = "x-key"}}};
  const PathRule rule{.rate_limit = {{.per = LimitPer::client}}};
  const EffectiveRateLimits limits = resolve_rate_limits(config, route, &rule);
  EXPECT_EQ(limits.limits[0].value.header, "");
  EXPECT_EQ(limits.limits[0].header, Level::path);
}

// Goal: whatever a rule and a route are, a path that both match finds the rule with the route.
// Method: random patterns and paths over few segments; matches() is the reference.
TEST(ResolveTest, ARuleIsWithEveryRouteThatSharesAPathWithIt) {
  base::Random random{20261126};
  const auto pattern = [&random] {
    std::string text;
    for (uint64_t left = random.below(4); left > 0; --left) {
      constexpr std::array<std::string_view, 4> kSegments{"/a", "/b", "/ab", "/*"};
      text += kSegments[random.below(kSegments.size())];
    }
    return text.empty() || random.below(3) == 0 ? text + "/**" : text;
  };
  size_t together = 0;
  size_t apart = 0;
  for (int round = 0; round < 300; ++round) {
    Config config;
    for (int i = 0; i < 6; ++i) {
      config.routes.push_back(
          {.id = std::string(1, static_cast<char>('a' + i)), .pattern = pattern()});
      config.path_rules.push_back({.id = std::to_string(i),
                                   .enabled = random.below(8) != 0,
                                   .pattern = pattern(),
                                   .route = random.below(4) == 0 ? "b" : ""});
    }
    const auto uses = path_rules_by_route(config);
    ASSERT_EQ(uses.size(), config.routes.size());
    for (size_t route = 0; route < uses.size(); ++route) {
      for (uint32_t rule = 0; rule < config.path_rules.size(); ++rule) {
        const PathRule& each = config.path_rules[rule];
        const bool found =
            std::find(uses[route].begin(), uses[route].end(), rule) != uses[route].end();
        ++(found ? together : apart);
        if (!each.enabled || (!each.route.empty() && each.route != config.routes[route].id)) {
          EXPECT_FALSE(found);
          continue;
        }
        if (found) continue;
        for (const char* const path : {"/a", "/b", "/ab", "/a/b", "/a/", "/ab/a", "/b/b/b", "/"}) {
          EXPECT_FALSE(matches(parse_pattern(each.pattern).value(), path) &&
                       matches(parse_pattern(config.routes[route].pattern).value(), path))
              << each.pattern << " and " << config.routes[route].pattern << " at " << path;
        }
      }
    }
  }
  EXPECT_GT(together, 1000U);
  EXPECT_GT(apart, 1000U);
}

TEST(ResolveTest, PairsOfRulesAndRoutesHaveAnEnd) {
  Config config;
  for (int i = 0; i < 400; ++i) {
    config.routes.push_back({.id = std::to_string(i), .pattern = "/**"});
    config.path_rules.push_back({.id = std::to_string(i), .pattern = "/**"});
  }
  size_t uses = 0;
  for (const auto& rules : path_rules_by_route(config))
    uses += rules.size();
  EXPECT_EQ(uses, kPathRuleUsesMax + 1);
}

}  // namespace
}  // namespace weir::config
