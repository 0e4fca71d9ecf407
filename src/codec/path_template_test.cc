#include "codec/path_template.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/random.h"

namespace weir::codec {
namespace {

using Rules = std::vector<PathRule>;

std::shared_ptr<const PathTemplates> templates(Rules rules = {}, bool built_in = true) {
  auto created = PathTemplates::create({built_in, std::move(rules)});
  EXPECT_TRUE(created.ok());
  return created.ok() ? std::move(created).value() : nullptr;
}

std::string of(const std::shared_ptr<const PathTemplates>& templates, std::string_view path) {
  std::string scratch;
  return std::string{templates->of(path, scratch)};
}

std::string of(std::string_view path) {
  return of(templates(), path);
}

TEST(PathTemplateTest, IdsOfTheFourKindsAreFound) {
  for (const char* const id :
       {"0", "42", "20251015", "18446744073709551616", "550e8400-e29b-41d4-a716-446655440000",
        "550E8400-E29B-41D4-A716-446655440000", "1f3870be", "1F3870BE", "a1b2c3d4e5",
        "507f1f77bcf86cd799439011", "d41d8cd98f00b204e9800998ecf8427e",
        "0123456789abcdef0123456789abcdef01234567", "3MtwBwLkdIwHu7ix28a3tqPa",
        "pi_3MtwBwLkdIwHu7ix28a3tqPa", "V1StGXR8_Z5jdHi6B-myT", "0ujtsYcgvSTl8PAuAdqWYSMnLOv",
        "1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms"}) {
    EXPECT_TRUE(is_id_segment(id)) << id;
  }
}

TEST(PathTemplateTest, NamesAreNoIds) {
  for (const char* const name : {"",
                                 "v1",
                                 "users",
                                 "a",
                                 "abc",
                                 "feb2024",
                                 "ed25519",
                                 "base64",
                                 "defaced",
                                 "feedface",
                                 "deadbeefcafebabe",
                                 "decade",
                                 "2fa",
                                 "404.html",
                                 "1.2.3",
                                 "-1",
                                 "12-34",
                                 "*",
                                 "..",
                                 "recommendations",
                                 "top-10-tips-for-2024",
                                 "Microsoft-Windows-Server-2022",
                                 "GetUserByNameV2Async",
                                 "getElementsByClassName2",
                                 "Content-Security-Policy-Level-3",
                                 "550e8400-e29b-41d4-a716-44665544000",
                                 "550e8400-e29b-41d4-a716-4466554400000",
                                 "550e8400-e29b-41d4-a716_446655440000",
                                 "550e8400ae29b-41d4-a716-44665544g000",
                                 "{id}",
                                 "%7Bid%7D",
                                 "42%2F43",
                                 "user%40example.com"}) {
    EXPECT_FALSE(is_id_segment(name)) << name;
  }
}

TEST(PathTemplateTest, LengthsDecideAtTheLimitAndOneBelow) {
  EXPECT_TRUE(is_id_segment("a000000b"));
  EXPECT_FALSE(is_id_segment("a00000b"));
  EXPECT_TRUE(is_id_segment("aB3dE6gH9jK2mN5pQ8sT"));
  EXPECT_FALSE(is_id_segment("aB3dE6gH9jK2mN5pQ8s"));
  // 20 characters in 8 words are a token, in 7 they are not.
  EXPECT_TRUE(is_id_segment("abDef7Ghi8JklmNopqr9"));
  EXPECT_FALSE(is_id_segment("abDef7Ghi8jklmNopqrs"));
}

TEST(PathTemplateTest, EachSegmentIsJudgedAlone) {
  EXPECT_EQ(of("/users/42/avatar"), "/users/{id}/avatar");
  EXPECT_EQ(of("/42"), "/{id}");
  EXPECT_EQ(of("/1/2/3/"), "/{id}/{id}/{id}/");
  EXPECT_EQ(of("/a//7"), "/a//{id}");
  EXPECT_EQ(of("/kv/a"), "/kv/a");
  EXPECT_EQ(of("/"), "/");
  EXPECT_EQ(of("//"), "//");
}

TEST(PathTemplateTest, WhatIsNoPathStaysAsItIs) {
  const auto ruled = templates({{".*", "{all}"}, {"[^/]*/?.*", "/{all}"}});
  for (const char* const name : {"__malformed__", "__unrouted__", "__other__", "*", "", "42"}) {
    EXPECT_EQ(of(name), name);
    EXPECT_EQ(of(ruled, name), name);
  }
}

TEST(PathTemplateTest, WhatAClientWritesInBracesIsLeftAlone) {
  EXPECT_EQ(of("/users/{id}"), "/users/{id}");
  EXPECT_EQ(of("/users/{id}/7"), "/users/{id}/{id}");
  EXPECT_EQ(of("/users/%7Bid%7D"), "/users/%7Bid%7D");
}

TEST(PathTemplateTest, BuiltInRulesCanBeSwitchedOff) {
  const auto off = templates({}, false);
  EXPECT_EQ(of(off, "/users/42"), "/users/42");
  EXPECT_FALSE(off->has_rules());
  EXPECT_EQ(of(templates({{"4.", "{four}"}}, false), "/42/52"), "/{four}/52");
}

TEST(PathTemplateTest, TheFirstRuleThatMatchesDecidesAndComesBeforeTheBuiltInOnes) {
  const auto ruled = templates({{"u[0-9]+", "{user}"}, {"[a-z][0-9]+", "{x}"}, {"7.*", "{seven}"}});
  EXPECT_EQ(of(ruled, "/u12/a12/77/8"), "/{user}/{x}/{seven}/{id}");
  EXPECT_EQ(of(ruled, "/xu12/u12x"), "/xu12/u12x") << "a whole segment, or nothing";
}

TEST(PathTemplateTest, GroupsStandInTheReplacement) {
  const auto ruled = templates({{R"((\w+)\.(jpg|png))", R"({image}.\2)"},
                                {R"(([a-z]{2})-\d+)", R"(\1-{number}\\\1)"},
                                {"(a)|(b)c", R"({x}\2)"},
                                {"q.*", R"({all}\0)"}});
  EXPECT_EQ(of(ruled, "/cat.jpg/dog.png"), "/{image}.jpg/{image}.png");
  EXPECT_EQ(of(ruled, "/de-12"), R"(/de-{number}\de)");
  EXPECT_EQ(of(ruled, "/a/bc"), "/{x}/{x}b");
  EXPECT_EQ(of(ruled, "/qed"), "/{all}qed");
}

TEST(PathTemplateTest, ARuleWithASlashIsForTheWholePath) {
  const auto ruled = templates({{"/static/.*", "/static/{file}"},
                                {R"(/(\w+)/by-name/[^/]+/(.*))", R"(/\1/by-name/{name}/\2)"}});
  EXPECT_EQ(of(ruled, "/static/js/app.js"), "/static/{file}");
  EXPECT_EQ(of(ruled, "/x/static/a"), "/x/static/a");
  EXPECT_EQ(of(ruled, "/dogs/by-name/rex/toys/9"), "/dogs/by-name/{name}/toys/{id}");
}

TEST(PathTemplateTest, ProblemsOfRulesAreNamed) {
  const auto problem = [](const std::string& pattern, const std::string& replace) {
    const auto found = find_problem({pattern, replace});
    if (!found) return std::string{"none"};
    return (found->in_replace ? "replace " : "pattern ") + found->message;
  };
  EXPECT_EQ(problem("a", "{a}"), "none");
  EXPECT_EQ(problem("", "{a}"), "pattern is missing");
  EXPECT_EQ(problem("a", ""), "replace is missing");
  EXPECT_EQ(problem("(", "{a}"), "pattern does not compile: missing ): (");
  EXPECT_EQ(problem("*a", "{a}"),
            "pattern does not compile: no argument for repetition operator: *");
  EXPECT_EQ(problem("(?=a)", "{a}"), "pattern does not compile: invalid perl operator: (?=");
  EXPECT_EQ(problem("((a{100}){100}){100}", "{a}"),
            "pattern does not compile: invalid repetition size: {100}");
  EXPECT_EQ(problem("é", "{a}"),
            "pattern has characters outside printable ASCII, which no path has");
  EXPECT_EQ(problem("a", "a"), "replace has no name in braces");
  EXPECT_EQ(problem("a", "{}{ }{"), "replace has no name in braces");
  EXPECT_EQ(problem("a", "{a}/"), "replace has a '/', but the pattern is for one segment");
  EXPECT_EQ(problem("/a", "{a}"),
            "replace does not begin with '/', as the pattern is for whole paths");
  EXPECT_EQ(problem("(a)", R"({a}\2)"), "replace uses group 2, but the pattern has 1");
  for (const char* const replace : {R"({a}\)", R"({a}\x)"}) {
    EXPECT_EQ(problem("a", replace), R"(replace has a '\' that is not followed by a digit or '\')");
  }
}

TEST(PathTemplateTest, SizesAreLimited) {
  const std::string most(kPathRuleBytesMax, 'a');
  EXPECT_FALSE(find_problem({most, "{" + std::string(kPathRuleBytesMax - 2, 'a') + "}"}));
  EXPECT_TRUE(find_problem({most + "a", "{a}"}));
  EXPECT_TRUE(find_problem({"a", "{" + most + "}"})->in_replace);
  EXPECT_TRUE(PathTemplates::create({.rules = Rules(kPathRulesMax, {"a", "{a}"})}).ok());
  const auto refused = PathTemplates::create({.rules = Rules(kPathRulesMax + 1, {"a", "{a}"})});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, base::ErrorCode::limit_exceeded);
  EXPECT_FALSE(PathTemplates::create({.rules = {{"(", "{a}"}}}).ok());
  // Much memory for few characters.
  EXPECT_FALSE(find_problem({".{999}", "{a}"}));
  std::string large;
  for (int i = 0; i < 32; ++i)
    large += ".{999}";
  const auto too_large = find_problem({large, "{a}"});
  ASSERT_TRUE(too_large);
  EXPECT_EQ(too_large->message, "does not compile: pattern too large - compile failed");
}

TEST(PathTemplateTest, TheSmallestOfManyRulesDecides) {
  Rules rules;
  for (size_t i = 0; i < kPathRulesMax; ++i) {
    rules.push_back({fmt::format("n{}|last", kPathRulesMax - i), fmt::format("{{rule{}}}", i)});
  }
  EXPECT_EQ(of(templates(rules), "/n1/n100/last/n101"), "/{rule99}/{rule0}/{rule0}/n101");
}

TEST(PathTemplateTest, ATemplateThatWouldBeTooLongLeavesThePathAlone) {
  const std::string name(900, 'n');
  const auto ruled = templates({{"x", "{" + name + "}"}, {"(y+)", R"({y}\1\1\1\1\1\1\1\1)"}});
  EXPECT_EQ(of(ruled, "/x"), "/{" + name + "}");
  EXPECT_EQ(of(ruled, "/x/x"), "/x/x");
  EXPECT_EQ(of(ruled, "/x/7/x"), "/x/7/x") << "as a whole";
  const std::string much = "/" + std::string(64 * 1024, 'y');
  EXPECT_EQ(of(ruled, much), much);
  EXPECT_EQ(of(templates({{"/(.*)", R"(/{a}\1\1\1\1)"}}), much), much);
}

TEST(PathTemplateTest, HostilePathsAreLinearAndHarmless) {
  const auto ruled = templates({{"(a*)*b", "{ab}"}, {"([a-z]+)+[0-9]", "{n}"}});
  const std::string long_id = "/" + std::string(64 * 1024, '7');
  EXPECT_EQ(of(long_id), "/{id}");
  const std::string long_name = "/" + std::string(64 * 1024, 'a');
  EXPECT_EQ(of(ruled, long_name), long_name);
  EXPECT_EQ(of(ruled, long_name + "b"), "/{ab}");
  std::string many;
  std::string expected;
  for (int i = 0; i < 30'000; ++i) {
    many += "/1";
    expected += "/{id}";
  }
  EXPECT_EQ(of(many), expected);
  EXPECT_EQ(of(std::string(64 * 1024, '/')), std::string(64 * 1024, '/'));
  using namespace std::string_view_literals;
  for (const std::string_view bytes :
       {"/\xff\xfe/7\x80/\xc3\x28"sv, "/\0/\0\0"sv, "/\xe2\x82/\xf0\x9f\x92"sv}) {
    EXPECT_EQ(of(bytes), bytes);
    EXPECT_EQ(of(ruled, bytes), bytes);
  }
  EXPECT_EQ(of(templates({{"/x/.*", "/x/{rest}"}}), "/x/\xff\xfe"), "/x/{rest}") << "bytes";
}

uint64_t seed() {
  const char* const given = std::getenv("WEIR_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 20251015;
}

// Of pieces that are ids, nearly ids, names, and rubbish.
std::string random_path(base::Random& random) {
  static constexpr std::array<std::string_view, 16> kPieces{"42",
                                                            "users",
                                                            "1f3870be",
                                                            "feedface",
                                                            "550e8400-e29b-41d4-a716-446655440000",
                                                            "{id}",
                                                            "%7B",
                                                            "V1StGXR8_Z5jdHi6B-myT",
                                                            "x7",
                                                            "x",
                                                            "\xff",
                                                            "",
                                                            "a.b",
                                                            "-",
                                                            "_",
                                                            "u9"};
  std::string path;
  const uint64_t segments = 1 + random.below(6);
  for (uint64_t i = 0; i < segments; ++i) {
    path += '/';
    const uint64_t pieces = random.below(3);
    for (uint64_t k = 0; k <= pieces; ++k)
      path += kPieces[random.below(kPieces.size())];
  }
  return path;
}

// Goal: a template is its own template; no two paths with different numbers of segments share one;
// where no rule matches, the path is unchanged. Method: random paths under several sets of rules.
TEST(PathTemplateTest, TemplatesAreStableAndKeepTheNumberOfSegments) {
  SCOPED_TRACE(fmt::format("WEIR_SEED={}", seed()));
  base::Random random{seed()};
  const Rules segment_rules{{"x.*", "{x}"}, {"u([0-9])", R"(user-{n}\1)"}, {".*-", R"(\0{dash})"}};
  const auto built_in = templates();
  const auto by_segment = templates(segment_rules, false);
  const auto both = templates(segment_rules);
  const auto whole = templates({{"/users/(.*)", R"(/users/{user}/\1)"}, {".*x", "{x}"}});
  const auto slashes = [](std::string_view text) {
    return std::count(text.begin(), text.end(), '/');
  };
  for (int i = 0; i < 5'000; ++i) {
    const std::string path = random_path(random);
    for (const auto& some : {built_in, by_segment, both, whole}) {
      const std::string once = of(some, path);
      ASSERT_EQ(of(some, once), once) << path;
      if (some != whole) {
        ASSERT_EQ(slashes(once), slashes(path)) << path;
      }
      if (once != path) {
        ASSERT_NE(once.find('{'), std::string::npos) << path;
      }
    }
    bool any = false;
    for (size_t begin = 1; begin <= path.size();) {
      const size_t end = std::min(path.find('/', begin), path.size());
      any = any || is_id_segment(std::string_view{path}.substr(begin, end - begin));
      begin = end + 1;
    }
    ASSERT_EQ(of(built_in, path) != path, any) << path;
  }
}

}  // namespace
}  // namespace weir::codec
