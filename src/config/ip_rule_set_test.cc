#include "config/ip_rule_set.h"

#include <gtest/gtest.h>

namespace weir::config {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr sys_seconds kNow{seconds{1'800'000'000}};

IpRule block(std::vector<std::string> match, std::string reason = {}) {
  return {.match = std::move(match), .action = IpAction::block, .reason = std::move(reason)};
}

std::vector<Cidr> prefixes(const std::vector<std::string>& texts) {
  std::vector<Cidr> out;
  for (const std::string& text : texts)
    out.push_back(*parse_cidr(text));
  return out;
}

TEST(IpRuleSetTest, EntriesOfEqualPropertiesAreOneRule) {
  std::vector<IpRule> rules{block({"192.0.2.1"}, "a")};
  const auto [added, present] = add_ip_rules(
      rules, {block({"192.0.2.2"}, "a"), block({"192.0.2.3"}, "b"), block({"192.0.2.4"}, "a")},
      kNow);
  EXPECT_EQ(added, 3U);
  EXPECT_EQ(present, 0U);
  EXPECT_EQ(rules, (std::vector<IpRule>{block({"192.0.2.1", "192.0.2.2", "192.0.2.4"}, "a"),
                                        block({"192.0.2.3"}, "b")}));
}

TEST(IpRuleSetTest, AnEntryThatIsThereStaysAsItIs) {
  std::vector<IpRule> rules{block({"192.0.2.1/32"}, "old")};
  const std::vector<IpRule> before = rules;
  const auto [added, present] = add_ip_rules(rules, {block({"192.0.2.1"}, "new")}, kNow);
  EXPECT_EQ(added, 0U);
  EXPECT_EQ(present, 1U);
  EXPECT_EQ(rules, before);
  IpRule allow = block({"192.0.2.1"});
  allow.action = IpAction::allow;
  EXPECT_EQ(add_ip_rules(rules, {allow}, kNow).added, 1U) << "another action is another entry";
}

TEST(IpRuleSetTest, AnExpiredEntryMakesRoomAndNoOtherDoes) {
  IpRule expired = block({"192.0.2.1", "192.0.2.2"}, "old");
  expired.expires = kNow;
  IpRule last_second = block({"192.0.2.3"}, "old");
  last_second.expires = kNow + seconds{1};
  std::vector<IpRule> rules{expired, last_second};
  const auto [added, present] =
      add_ip_rules(rules, {block({"192.0.2.1", "192.0.2.3"}, "new")}, kNow);
  EXPECT_EQ(added, 1U);
  EXPECT_EQ(present, 1U);
  expired.match = {"192.0.2.2"};
  EXPECT_EQ(rules, (std::vector<IpRule>{expired, last_second, block({"192.0.2.1"}, "new")}));
}

TEST(IpRuleSetTest, WhatIsLeftOfARuleStaysAndMissingOnesAreNamed) {
  IpRule allow = block({"192.0.2.1"});
  allow.action = IpAction::allow;
  const std::vector<IpRule> all{block({"192.0.2.1", "2001:db8::/32"}), allow};

  std::vector<IpRule> rules = all;
  EXPECT_TRUE(remove_ip_entries(rules, prefixes({"192.0.2.1/32"}), {}).empty());
  EXPECT_EQ(rules, (std::vector<IpRule>{block({"2001:db8::/32"})}));

  rules = all;
  EXPECT_TRUE(remove_ip_entries(rules, prefixes({"192.0.2.1"}), IpAction::block).empty());
  EXPECT_EQ(rules, (std::vector<IpRule>{block({"2001:db8::/32"}), allow}));

  rules = all;
  EXPECT_EQ(remove_ip_entries(rules, prefixes({"192.0.2.9", "192.0.2.1", "192.0.2.0/24"}), {}),
            (std::vector<size_t>{0, 2}));
}

TEST(IpRuleSetTest, AReasonIsALabelOfAllRulesThatHaveIt) {
  std::vector<IpRule> rules{block({"192.0.2.1", "192.0.2.2"}, "list"), block({"192.0.2.3"}, "x"),
                            block({"192.0.2.4"}, "list")};
  EXPECT_EQ(remove_ip_rules_of(rules, "list", IpAction::allow), 0U);
  EXPECT_EQ(remove_ip_rules_of(rules, "list"), 3U);
  EXPECT_EQ(rules, (std::vector<IpRule>{block({"192.0.2.3"}, "x")}));
}

}  // namespace
}  // namespace weir::config
