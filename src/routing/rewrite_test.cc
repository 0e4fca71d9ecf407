#include "routing/rewrite.h"

#include <memory>

#include <gtest/gtest.h>

#include "config/validate.h"

namespace weir::routing {
namespace {

RouteTable table_of(config::Route route) {
  config::Config config;
  route.id = "r";
  config.routes = {std::move(route)};
  config::complete(config);
  for (const config::Problem& problem : config::validate(config)) {
    ADD_FAILURE() << config::to_string(problem);
  }
  return RouteTable{std::make_shared<const config::Config>(std::move(config))};
}

config::Route proxied(std::string pattern) {
  config::Route route;
  route.pattern = std::move(pattern);
  route.upstreams = {{.url = "http://a"}};
  return route;
}

std::string stripped(std::string pattern, std::string_view path) {
  config::Route route = proxied(std::move(pattern));
  route.strip_prefix = true;
  const RouteTable table = table_of(route);
  std::string scratch;
  return std::string{upstream_path(table.routes()[0], path, scratch)};
}

std::string rewritten(std::string pattern, std::string rewrite, std::string_view path) {
  config::Route route = proxied(std::move(pattern));
  route.rewrite = std::move(rewrite);
  const RouteTable table = table_of(route);
  std::string scratch;
  return std::string{upstream_path(table.routes()[0], path, scratch)};
}

std::string location(std::string text, const RedirectTarget& target) {
  config::Route route;
  route.pattern = "/**";
  route.redirect = {308, std::move(text)};
  const RouteTable table = table_of(route);
  std::string out = "what was there before";
  redirect_location(table.routes()[0], target, out);
  return out;
}

TEST(UpstreamPathTest, IsThePathItselfWithoutRules) {
  const RouteTable table = table_of(proxied("/kv/*"));
  std::string scratch;
  const std::string path = "/kv/a";
  EXPECT_EQ(upstream_path(table.routes()[0], path, scratch).data(), path.data());
}

TEST(UpstreamPathTest, StripsTheLiteralPrefixBeforeTheFirstWildcard) {
  EXPECT_EQ(stripped("/kv/*", "/kv/a/b"), "/a/b");
  EXPECT_EQ(stripped("/kv/*", "/kv/"), "/");
  EXPECT_EQ(stripped("/kv/*", "/kv//a"), "/a");
  EXPECT_EQ(stripped("/v1/*/items", "/v1/7/items"), "/7/items");
  EXPECT_EQ(stripped("/**", "/a"), "/a");
  EXPECT_EQ(stripped("/", "/"), "/");
  EXPECT_EQ(stripped("/exact", "/exact"), "/");
  EXPECT_EQ(stripped("/exact/", "/exact/"), "/");
}

TEST(UpstreamPathTest, RewriteTakesThePlaceOfThePrefix) {
  EXPECT_EQ(rewritten("/kv/*", "/v2/", "/kv/a"), "/v2/a");
  EXPECT_EQ(rewritten("/kv/*", "/v2", "/kv/a"), "/v2/a");
  EXPECT_EQ(rewritten("/kv/*", "/v2", "/kv/"), "/v2/");
  EXPECT_EQ(rewritten("/kv/*", "/", "/kv/a"), "/a");
  EXPECT_EQ(rewritten("/exact", "/other", "/exact"), "/other");
  EXPECT_EQ(rewritten("/v1/*/items", "/caf\xc3\xa9", "/v1/7/items"), "/caf%C3%A9/7/items");
}

TEST(RedirectLocationTest, ReplacesPathAndQuery) {
  EXPECT_EQ(location("https://new.example$path$query", {"/a/b", "x=1&y", true}),
            "https://new.example/a/b?x=1&y");
  EXPECT_EQ(location("https://new.example$path$query", {"/a", "", false}), "https://new.example/a");
  EXPECT_EQ(location("https://new.example$path$query", {"/a", "", true}), "https://new.example/a?");
  EXPECT_EQ(location("/fixed?price=$$5", {"/a", "q", true}), "/fixed?price=$5");
}

TEST(RedirectLocationTest, NeverCarriesABreakOrAControlIntoTheHeader) {
  EXPECT_EQ(location("/x$query", {"/", "a\r\nSet-Cookie: b", true}), "/x?a%0D%0ASet-Cookie:%20b");
  EXPECT_EQ(location("/x$query", {"/", std::string_view{"\0\x7f\xff\t\"<>\\", 8}, true}),
            "/x?%00%7F%FF%09%22%3C%3E%5C");
}

TEST(RedirectLocationTest, RequestNeverChoosesTheHost) {
  EXPECT_EQ(location("$path", {"//evil.example/x", "", false}), "/evil.example/x");
  EXPECT_EQ(location("/$path", {"/evil.example", "", false}), "/evil.example");
  EXPECT_EQ(location("$path/", {"///", "", false}), "/");
  EXPECT_EQ(location("//cdn.example$path", {"//evil.example", "", false}),
            "//cdn.example//evil.example");
}

}  // namespace
}  // namespace weir::routing
