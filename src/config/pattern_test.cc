#include "config/pattern.h"

#include <gtest/gtest.h>

namespace weir::config {
namespace {

bool match(std::string_view pattern, std::string_view path) {
  const auto parsed = parse_pattern(pattern);
  EXPECT_TRUE(parsed.ok()) << pattern;
  return parsed.ok() && matches(parsed.value(), path);
}

std::string refusal(std::string_view pattern) {
  const auto parsed = parse_pattern(pattern);
  return parsed.ok() ? "accepted" : std::string{parsed.error().what.view()};
}

TEST(PatternTest, TrailingStarMatchesBelowThePrefixAndNotThePrefixItself) {
  for (const char* pattern : {"/kv/*", "/kv/**"}) {
    EXPECT_TRUE(match(pattern, "/kv/"));
    EXPECT_TRUE(match(pattern, "/kv/a"));
    EXPECT_TRUE(match(pattern, "/kv/a/b"));
    EXPECT_FALSE(match(pattern, "/kv"));
    EXPECT_FALSE(match(pattern, "/kvx"));
    EXPECT_FALSE(match(pattern, "/kvx/a"));
    EXPECT_FALSE(match(pattern, "/KV/a"));
  }
}

TEST(PatternTest, RestAloneMatchesEveryPath) {
  for (const char* pattern : {"/*", "/**"}) {
    EXPECT_TRUE(match(pattern, "/"));
    EXPECT_TRUE(match(pattern, "/a"));
    EXPECT_TRUE(match(pattern, "//a//"));
  }
}

TEST(PatternTest, InnerStarIsExactlyOneSegment) {
  EXPECT_TRUE(match("/v1/*/items", "/v1/7/items"));
  EXPECT_FALSE(match("/v1/*/items", "/v1//items"));
  EXPECT_FALSE(match("/v1/*/items", "/v1/7/8/items"));
  EXPECT_FALSE(match("/v1/*/items", "/v1/7/items/"));
  EXPECT_TRUE(match("/*/a/*", "/x/a/"));
  EXPECT_FALSE(match("/*/a/*", "/x/a"));
}

TEST(PatternTest, LiteralMatchesItselfOnly) {
  EXPECT_TRUE(match("/", "/"));
  EXPECT_FALSE(match("/", "/a"));
  EXPECT_TRUE(match("/a/", "/a/"));
  EXPECT_FALSE(match("/a/", "/a"));
  EXPECT_FALSE(match("/a", "/a/"));
}

// Defect 50 of the founding gateway: two matchers disagreed, and `.` and `**` were half-escaped
// regular expressions.
TEST(PatternTest, NoCharacterIsSpecialButTheStarSegment) {
  EXPECT_TRUE(match("/v1.0/*", "/v1.0/a"));
  EXPECT_FALSE(match("/v1.0/*", "/v1x0/a"));
  EXPECT_TRUE(match("/a+(b)/*", "/a+(b)/c"));
  EXPECT_EQ(refusal("/v1.*"), "'*' beside other characters of its segment");
  EXPECT_EQ(refusal("/api*"), "'*' beside other characters of its segment");
}

TEST(PatternTest, LiteralPrefixEndsBeforeTheFirstWildcard) {
  EXPECT_EQ(parse_pattern("/kv/*").value().literal_prefix, "/kv/");
  EXPECT_EQ(parse_pattern("/v1/*/items").value().literal_prefix, "/v1/");
  EXPECT_EQ(parse_pattern("/v1/*/items/**").value().literal_prefix, "/v1/");
  EXPECT_EQ(parse_pattern("/**").value().literal_prefix, "/");
  EXPECT_EQ(parse_pattern("/a/b").value().literal_prefix, "/a/b");
  EXPECT_EQ(parse_pattern("/").value().literal_prefix, "/");
  EXPECT_FALSE(parse_pattern("/a/b").value().has_wildcard());
  EXPECT_TRUE(parse_pattern("/*/b").value().has_wildcard());
}

TEST(PatternTest, LiteralTextIsNormalisedLikeAPath) {
  EXPECT_EQ(parse_pattern("/%41%7e/*").value().literal_prefix, "/A~/");
  EXPECT_EQ(parse_pattern("/a%2fb").value().literal_prefix, "/a%2Fb");
  EXPECT_EQ(parse_pattern("/caf\xc3\xa9/*").value().literal_prefix, "/caf%C3%A9/");
  EXPECT_EQ(parse_pattern("/a b|c").value().literal_prefix, "/a%20b%7Cc");
  EXPECT_EQ(parse_pattern("/%2a").value().literal_prefix, "/%2A");
}

TEST(PatternTest, RefusesWhatNoPathContains) {
  EXPECT_EQ(refusal(""), "no '/' at its beginning");
  EXPECT_EQ(refusal("kv/*"), "no '/' at its beginning");
  EXPECT_EQ(refusal("/a/**/b"), "'**' before its end");
  EXPECT_EQ(refusal("/a/../b"), "a '.' or '..' segment");
  EXPECT_EQ(refusal("/a/%2e/b"), "a '.' or '..' segment");
  EXPECT_EQ(refusal("/a/..;x/b"), "a '.' or '..' segment");
  EXPECT_EQ(refusal("/a?b"), "a query or fragment; only paths are matched");
  EXPECT_EQ(refusal("/a%4"), "an incomplete %-escape");
  EXPECT_EQ(refusal("/a%zz"), "an invalid %-escape");
  EXPECT_EQ(refusal("/a%00"), "an escaped control character");
  EXPECT_EQ(refusal("/a%5c"), "an escaped backslash");
  EXPECT_EQ(refusal("/a/x%2F..;y"), "a '.' or '..' segment");
  EXPECT_EQ(refusal("/a/..%3Bx/b"), "a '.' or '..' segment");
  EXPECT_EQ(refusal("/a\\b"), "a backslash");
  EXPECT_EQ(refusal("/a\tb"), "a control character");
}

TEST(PatternTest, LimitsBytesAndSegments) {
  EXPECT_EQ(refusal("/" + std::string(1023, 'a')), "accepted");
  EXPECT_EQ(refusal("/" + std::string(1024, 'a')), "more than 1024 bytes");
  std::string segments;
  for (int count = 0; count < 64; ++count)
    segments += "/a";
  EXPECT_EQ(refusal(segments), "accepted");
  EXPECT_EQ(refusal(segments + "/**"), "accepted");
  EXPECT_EQ(refusal(segments + "/a"), "more than 64 segments");
}

}  // namespace
}  // namespace weir::config
