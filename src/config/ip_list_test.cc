#include "config/ip_list.h"

#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "config/ip.h"
#include "config/ip_rule_set.h"
#include "config/load.h"
#include "config/render.h"

namespace weir::config {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

const IpRule kBlock{.action = IpAction::block};

IpList parse(std::string_view text, IpListFormat format = IpListFormat::automatic,
             const IpRule& otherwise = kBlock) {
  return parse_ip_list(text, "list", format, otherwise);
}

std::string problems(const IpList& list) {
  std::string out;
  for (const Problem& problem : list.problems)
    out += to_string(problem) + "\n";
  return out;
}

std::vector<IpRule> good(const IpList& list) {
  EXPECT_TRUE(list.ok()) << problems(list);
  return list.rules;
}

TEST(IpListTest, APlainListIsWhatPublicListsLookLike) {
  const IpList list = parse(
      "\xef\xbb\xbf; Spamhaus DROP List\r\n1.10.16.0/20 ; SBL256894\r\n\r\n# FireHOL\n"
      "  2001:db8::/32\t\n192.0.2.7#x\n192.0.2.7/32");
  EXPECT_EQ(good(list),
            (std::vector<IpRule>{{.match = {"1.10.16.0/20", "2001:db8::/32", "192.0.2.7"},
                                  .action = IpAction::block}}));
  EXPECT_EQ(list.repeated, 1U) << "an address is the prefix of all its bits";
}

TEST(IpListTest, LinesOfNginxHaveTheirOwnAction) {
  IpRule throttle{.action = IpAction::throttle, .limit = 5, .window = seconds{60}};
  const IpList list = parse("deny 203.0.113.0/24;\nallow\t203.0.113.7 ; # us\n198.51.100.1\n",
                            IpListFormat::plain, throttle);
  throttle.match = {"198.51.100.1"};
  EXPECT_EQ(good(list),
            (std::vector<IpRule>{{.match = {"203.0.113.0/24"}, .action = IpAction::block},
                                 {.match = {"203.0.113.7"}, .action = IpAction::allow},
                                 throttle}));
}

TEST(IpListTest, EveryBadLineIsNamedWithWhatIsAllowed) {
  const IpList list =
      parse("192.0.2.1\nexample.com\n 10.0.0.1/8\ndeny all;\ndeny 192.0.2.2\n192.0.2.3 x\n");
  EXPECT_EQ(
      problems(list),
      "list:2:1: \"example.com\" is not an address or prefix; allowed: \"203.0.113.7\", "
      "\"203.0.113.0/24\", \"2001:db8::/32\"; no bits after the prefix\n"
      "list:3:2: \"10.0.0.1/8\" has bits after its prefix; the network is 10.0.0.0/8; allowed: "
      "\"203.0.113.7\", \"203.0.113.0/24\", \"2001:db8::/32\"; no bits after the prefix\n"
      "list:4:6: \"all\" is nginx's last resort: there the first line that matches decides, "
      "here the longest prefix; allowed: \"0.0.0.0/0\" and \"::/0\", if everybody is meant\n"
      "list:5:6: \"deny 192.0.2.2\" has no semicolon at its end; allowed: \"203.0.113.7\", "
      "\"2001:db8::/32\", \"deny 203.0.113.0/24;\", \"allow 203.0.113.7;\"\n"
      "list:6:1: \"192.0.2.3 x\" has more than an address or prefix; allowed: "
      "\"203.0.113.7\", \"2001:db8::/32\", \"deny 203.0.113.0/24;\", "
      "\"allow 203.0.113.7;\"\n");
}

TEST(IpListTest, ProblemsBeyondTheMostAreCounted) {
  std::string text;
  for (size_t line = 0; line < kIpListProblemsMax + 7; ++line)
    text += "x\n";
  const IpList list = parse(text);
  EXPECT_EQ(list.problems.size(), kIpListProblemsMax);
  EXPECT_EQ(list.more_problems, 7U);
}

TEST(IpListTest, ColumnsMayBeInAnyOrderAndWhatTheyLeaveOutIsTheOptions) {
  IpRule otherwise{.action = IpAction::throttle,
                   .limit = 9,
                   .window = seconds{60},
                   .expires = sys_seconds{seconds{1'900'000'000}},
                   .reason = "label",
                   .enforce = false};
  const IpList list = parse(
      "Reason, match ,enforce,action,expires,limit,window\r\n"
      "\"a \"\"b\"\",\", 192.0.2.1,true,block,2026-12-01T00:00:00Z,,\r\n"
      "# a comment\r\n\r\n"
      ",192.0.2.2,,,,,\r\n"
      ",192.0.2.3,,,,7,1h",
      IpListFormat::automatic, otherwise);
  IpRule second = otherwise;
  second.match = {"192.0.2.2"};
  IpRule third = second;
  third.match = {"192.0.2.3"};
  third.limit = 7;
  third.window = seconds{3600};
  EXPECT_EQ(good(list), (std::vector<IpRule>{{.match = {"192.0.2.1"},
                                              .action = IpAction::block,
                                              .expires = sys_seconds{seconds{1'796'083'200}},
                                              .reason = "a \"b\","},
                                             second,
                                             third}));
}

TEST(IpListTest, FieldsThatMakeNoSenseAreNamedByTheirColumn) {
  const std::string header = "match,action,limit,window,expires,reason,enforce\n";
  for (const auto& [line, expected] : std::map<std::string, std::string>{
           {"10.0.0.1,deny,,,,,", "list:2:10: action: \"deny\" is no action; allowed: \"block\""},
           {"10.0.0.1,throttle,0,1m,,,", "list:2:19: limit: \"0\" is no limit"},
           {"10.0.0.1,throttle,1,,,,", "list:2:21: window: is missing"},
           {"10.0.0.1,throttle,1,1500ms,,,", "list:2:21: window: \"1500ms\" is no window"},
           {"10.0.0.1,block,1,1m,,,", "list:2:16: limit: stands beside action = \"block\""},
           {"10.0.0.1,block,,,tomorrow,,", "list:2:18: expires: \"tomorrow\" is not a time"},
           {"10.0.0.1,block,,,,\"a\nb\",", "list:2:19: reason: \"a?b\" cannot be told"},
           {"10.0.0.1,block,,,,,no", "list:2:20: enforce: \"no\" is neither"},
           {"10.0.0.1,block,,,,caf\xe9,", "list:2:19: reason: "},
           {",block,,,,,", "list:2:1: match: \"\" is not an address"},
           {"10.0.0.1,block", "list:2:1: has 2 fields; allowed: 7"},
           {"10.0.0.1,block,,,,\"x\"y,", "list:2:1: has text after a closing quote"},
           {"10.0.0.1,block,,,,x\"y,", "list:2:1: has a quote within a field"},
           {"10.0.0.1,block,,,,\"x,", "list:2:1: has a quote that nothing ends"}}) {
    const IpList list = parse(header + line + "\n", IpListFormat::csv, {});
    EXPECT_EQ(problems(list).substr(0, expected.size()), expected) << line;
  }
  EXPECT_EQ(problems(parse("match,match\n", IpListFormat::csv)).substr(0, 8), "list:1:7");
  EXPECT_NE(problems(parse("match,note\n")).find("\"note\" is no column"), std::string::npos);
  EXPECT_NE(problems(parse("action\nblock\n", IpListFormat::csv)).find("has no column \"match\""),
            std::string::npos);
  EXPECT_NE(problems(parse("10.0.0.1\n", IpListFormat::plain, {})).find("has no action"),
            std::string::npos);
}

TEST(IpListTest, TomlHasItsOwnPlacesAndNoOtherRules) {
  const IpList bad = parse("[[ip_rules]]\nmatch = [\"x\"]\naction = \"block\"\n");
  EXPECT_EQ(problems(bad).substr(0, 28), "list:2:10: ip_rules[0].match");
  const IpList other = parse("[global]\nrate_limit = {limit = 1, window = 1}\n");
  EXPECT_NE(problems(other).find("[[ip_rules]] alone"), std::string::npos);
  const IpList list = parse("[[ip_rules]]\nmatch = [\"::1\"]\naction = \"allow\"\n",
                            IpListFormat::automatic, {.reason = "label", .enforce = false});
  EXPECT_EQ(
      good(list),
      (std::vector<IpRule>{
          {.match = {"::1"}, .action = IpAction::allow, .reason = "label", .enforce = false}}));
}

TEST(IpListTest, AsManyAsThereMayBeAreOneRuleAndOneMoreIsRefused) {
  std::string text;
  for (uint32_t entry = 0; entry < kIpMatchesMax; ++entry)
    text += fmt::format("{}\n", to_string(IpAddress::from_v4(0x0a000000 + entry)));
  const std::vector<IpRule> rules = good(parse(text));
  ASSERT_EQ(rules.size(), 1U);
  EXPECT_EQ(rules[0].match.size(), kIpMatchesMax);
  EXPECT_LT(ip_rules_to_toml(rules).size(), kFileBytesMax / 2);
  EXPECT_EQ(problems(parse(text + "192.0.2.1\n")),
            "list:100001:1: is one entry too many; allowed: 100000\n");
}

// Any rules that a configuration may have.
class Dice {
 public:
  explicit Dice(uint32_t seed) : random_(seed) {}

  size_t below(size_t end) { return std::uniform_int_distribution<size_t>{0, end - 1}(random_); }

  std::vector<IpRule> rules() {
    std::vector<IpRule> rules(below(6));
    std::set<std::string> used;
    for (IpRule& rule : rules) {
      rule.action = std::array{IpAction::block, IpAction::throttle, IpAction::allow}[below(3)];
      for (size_t count = 1 + below(4); count > 0; --count) {
        const std::string match = prefix();
        const std::string entry =
            to_string(*parse_cidr(match)) + std::string{to_string(rule.action)};
        if (used.insert(entry).second) rule.match.push_back(match);
      }
      if (rule.action == IpAction::throttle) {
        rule.limit = static_cast<uint32_t>(1 + below(1'000'000'000));
        rule.window = seconds{1 + below(31 * 86'400)};
      }
      if (below(2) == 0) rule.expires = sys_seconds{seconds{below(4'000'000'000)}};
      rule.reason = reason();
      rule.enforce = below(3) != 0;
    }
    std::erase_if(rules, [](const IpRule& rule) { return rule.match.empty(); });
    return rules;
  }

 private:
  std::string prefix() {
    const bool is_v4 = below(2) == 0;
    std::string text;
    if (is_v4) {
      text = to_string(IpAddress::from_v4(static_cast<uint32_t>(below(1ULL << 32))));
    } else {
      for (int group = 0; group < 8; ++group)
        text += fmt::format("{}{:x}", group == 0 ? "" : ":", below(0x10000) * below(2));
    }
    if (below(3) == 0) return text;
    text = fmt::format("{}/{}", text, below(is_v4 ? 33 : 129));
    const auto network = network_of(text);
    return network ? to_string(*network) : "::/0";
  }

  std::string reason() {
    constexpr std::string_view kLetters = "ab, \"#;=\\'";
    std::string text = below(4) == 0 ? "\u00e9\u5143" : "";
    for (size_t count = below(8); count > 0; --count)
      text += kLetters[below(kLetters.size())];
    return text;
  }

  std::mt19937 random_;
};

uint32_t seed() {
  const char* const given = std::getenv("WEIR_SEED");  // NOLINT(concurrency-mt-unsafe)
  return given != nullptr ? static_cast<uint32_t>(std::strtoul(given, nullptr, 10)) : 20'261'126;
}

// In the one order and spelling that all sets of the same entries have.
std::vector<std::string> entries(const std::vector<IpRule>& rules) {
  std::vector<std::string> out;
  for (const IpRule& rule : rules) {
    IpRule rest = rule;
    rest.match.clear();
    const std::string tail = ip_rules_to_toml({rest});
    for (const std::string& match : rule.match)
      out.push_back(to_string(*parse_cidr(match)) + tail);
  }
  std::sort(out.begin(), out.end());
  return out;
}

// Goal: what is exported and imported again is the same rules, in every form that can say them.
// Method: random rules; TOML and CSV carry all, a plain list the prefixes of one action.
TEST(IpListTest, WhatIsExportedReadsBackToEqualRules) {
  Dice dice{seed()};
  size_t seen = 0;
  for (int round = 0; round < 500; ++round) {
    SCOPED_TRACE(fmt::format("WEIR_SEED={}, round {}", seed(), round));
    const std::vector<IpRule> rules = dice.rules();
    seen += rules.size();
    const std::string toml = ip_rules_to_toml(rules);
    ASSERT_EQ(good(parse(toml, IpListFormat::toml, {})), rules) << toml;
    const std::string csv = ip_list_to_csv(rules);
    ASSERT_EQ(entries(good(parse(csv, IpListFormat::automatic, {}))), entries(rules)) << csv;
    for (const IpAction action : {IpAction::block, IpAction::allow}) {
      std::vector<IpRule> of_action;
      for (const IpRule& rule : rules) {
        if (rule.action == action) of_action.push_back({.match = rule.match, .action = action});
      }
      const std::string plain = ip_list_to_plain(rules, action);
      ASSERT_EQ(entries(good(parse(plain, IpListFormat::automatic, {.action = action}))),
                entries(of_action))
          << plain;
    }
  }
  EXPECT_GT(seen, 500U);
}

}  // namespace
}  // namespace weir::config
