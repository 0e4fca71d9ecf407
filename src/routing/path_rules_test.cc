#include "routing/path_rules.h"

#include <array>
#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace weir::routing {
namespace {

config::PathRule rule(std::string id, std::string pattern, std::string route = {}) {
  return {.id = std::move(id), .pattern = std::move(pattern), .route = std::move(route)};
}

TEST(PathRulesTest, OneThatNamesItsRouteComesBeforeALongerOneThatNamesNone) {
  config::Config config;
  config.path_rules = {rule("any", "/a/b/c"), rule("named", "/a/*", "r"),
                       rule("of-another", "/**")};
  constexpr std::array<uint32_t, 2> kRules{0, 1};
  const PathRules rules{config, kRules};
  EXPECT_EQ(rules.match("GET", "/a/b/c"), 1U);
  EXPECT_EQ(rules.match("GET", "/b"), std::nullopt) << "the third rule is not among them";
}

TEST(PathRulesTest, ThenTheLongerLiteralPrefixAndThenTheSmallerId) {
  config::Config config;
  config.path_rules = {rule("z", "/a/*"), rule("y", "/a/b/*"), rule("x", "/a/*/c"),
                       rule("a", "/a/*")};
  constexpr std::array<uint32_t, 4> kRules{3, 2, 1, 0};
  const PathRules rules{config, kRules};
  EXPECT_EQ(rules.match("GET", "/a/b/c"), 2U) << "the place in the list, not in the configuration";
  EXPECT_EQ(rules.match("GET", "/a/d"), 0U);
}

TEST(PathRulesTest, MethodsAreThoseOfTheRule) {
  config::Config config;
  config.path_rules = {rule("read", "/a/*"), rule("write", "/a/b/*")};
  config.path_rules[1].methods = {"POST", "PUT"};
  constexpr std::array<uint32_t, 2> kRules{0, 1};
  const PathRules rules{config, kRules};
  EXPECT_EQ(rules.match("POST", "/a/b/c"), 1U);
  EXPECT_EQ(rules.match("GET", "/a/b/c"), 0U);
}

}  // namespace
}  // namespace weir::routing
