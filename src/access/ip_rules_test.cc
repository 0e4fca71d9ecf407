#include "access/ip_rules.h"

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "base/random.h"

namespace weir::access {
namespace {

using config::Cidr;
using config::IpAction;
using config::IpAddress;
using config::IpRule;

constexpr std::chrono::sys_seconds kNow{std::chrono::seconds{1'760'000'000}};

IpRule rule(IpAction action, std::vector<std::string> match) {
  return {.match = std::move(match), .action = action};
}
IpRule block(const std::string& match) {
  return rule(IpAction::block, {match});
}
IpRule allow(const std::string& match) {
  return rule(IpAction::allow, {match});
}
IpRule throttle(const std::string& match) {
  return rule(IpAction::throttle, {match});
}
IpRule until(IpRule of, std::chrono::sys_seconds expires) {
  of.expires = expires;
  return of;
}
IpRule dry(IpRule of) {
  of.enforce = false;
  return of;
}

std::string name(const IpRules& table, const Decider& decider) {
  if (!decider.exists()) return "none";
  const Match& match = table.match(decider);
  EXPECT_EQ(match.action, decider.action);
  constexpr const char* kNames[] = {"block", "throttle", "allow", "?"};
  return std::string{kNames[static_cast<size_t>(match.action)]} + " " + to_string(match.prefix) +
         " [" + std::to_string(match.rule) + "]";
}

// "block 10.0.0.0/8 [0]", and " (dry run: ...)" where there is one.
std::string decision(const std::vector<IpRule>& rules, std::string_view ip, base::Wall now = kNow) {
  const IpRules table{rules};
  const Decision decided = table.decide(config::parse_ip(ip).value(), now);
  std::string text = name(table, decided.enforced);
  if (decided.dry_run.exists()) text += " (dry run: " + name(table, decided.dry_run) + ")";
  return text;
}

TEST(IpRulesTest, WithoutRulesNothingIsDecided) {
  EXPECT_EQ(decision({}, "192.0.2.1"), "none");
  EXPECT_FALSE(IpRules{}.decide({}, kNow).enforced.exists());
  EXPECT_TRUE(IpRules{}.empty());
}

TEST(IpRulesTest, APrefixEndsWhereItEnds) {
  const std::vector<IpRule> rules{block("192.0.2.64/26")};
  EXPECT_EQ(decision(rules, "192.0.2.63"), "none");
  EXPECT_EQ(decision(rules, "192.0.2.64"), "block 192.0.2.64/26 [0]");
  EXPECT_EQ(decision(rules, "192.0.2.127"), "block 192.0.2.64/26 [0]");
  EXPECT_EQ(decision(rules, "192.0.2.128"), "none");
  const std::vector<IpRule> v6{block("2001:db8:0:8000::/49"), block("2001:db8::1:0/112")};
  EXPECT_EQ(decision(v6, "2001:db8:0:7fff:ffff:ffff:ffff:ffff"), "none");
  EXPECT_EQ(decision(v6, "2001:db8:0:8000::"), "block 2001:db8:0:8000::/49 [0]");
  EXPECT_EQ(decision(v6, "2001:db8:0:ffff:ffff:ffff:ffff:ffff"), "block 2001:db8:0:8000::/49 [0]");
  EXPECT_EQ(decision(v6, "2001:db8:1::"), "none");
  EXPECT_EQ(decision(v6, "2001:db8::ffff"), "none");
  EXPECT_EQ(decision(v6, "2001:db8::1:ffff"), "block 2001:db8::1:0/112 [1]");
  EXPECT_EQ(decision(v6, "2001:db8::2:0"), "none");
}

TEST(IpRulesTest, TheFirstAndTheLastAddressOfAFamilyCanBeMatched) {
  const std::vector<IpRule> rules{block("0.0.0.0"), allow("255.255.255.255"), block("::"),
                                  allow("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")};
  EXPECT_EQ(decision(rules, "0.0.0.0"), "block 0.0.0.0/32 [0]");
  EXPECT_EQ(decision(rules, "0.0.0.1"), "none");
  EXPECT_EQ(decision(rules, "255.255.255.254"), "none");
  EXPECT_EQ(decision(rules, "255.255.255.255"), "allow 255.255.255.255/32 [1]");
  EXPECT_EQ(decision(rules, "::"), "block ::/128 [2]");
  EXPECT_EQ(decision(rules, "::1"), "none");
  EXPECT_EQ(decision(rules, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            "allow ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128 [3]");
}

TEST(IpRulesTest, AMappedAddressIsTheIpv4Address) {
  EXPECT_EQ(decision({block("192.0.2.0/24")}, "::ffff:192.0.2.9"), "block 192.0.2.0/24 [0]");
  EXPECT_EQ(decision({block("::ffff:192.0.2.0/120")}, "192.0.2.9"), "block 192.0.2.0/24 [0]");
}

TEST(IpRulesTest, EveryIpv6AddressIsNoIpv4Address) {
  const std::vector<IpRule> rules{block("::/0")};
  EXPECT_EQ(decision(rules, "2001:db8::1"), "block ::/0 [0]");
  EXPECT_EQ(decision(rules, "192.0.2.1"), "none");
  EXPECT_EQ(decision({block("0.0.0.0/0")}, "192.0.2.1"), "block 0.0.0.0/0 [0]");
  EXPECT_EQ(decision({block("0.0.0.0/0")}, "2001:db8::1"), "none");
}

TEST(IpRulesTest, TheLongestPrefixDecidesWhateverItsActionAndPlace) {
  const std::vector<IpRule> rules{block("10.0.0.0/8"), allow("10.1.0.0/16"), block("10.1.2.0/24"),
                                  throttle("10.1.2.3")};
  EXPECT_EQ(decision(rules, "10.9.9.9"), "block 10.0.0.0/8 [0]");
  EXPECT_EQ(decision(rules, "10.1.9.9"), "allow 10.1.0.0/16 [1]");
  EXPECT_EQ(decision(rules, "10.1.2.2"), "block 10.1.2.0/24 [2]");
  EXPECT_EQ(decision(rules, "10.1.2.3"), "throttle 10.1.2.3/32 [3]");
  EXPECT_EQ(decision(rules, "10.1.2.4"), "block 10.1.2.0/24 [2]");
  EXPECT_EQ(decision(rules, "10.1.3.0"), "allow 10.1.0.0/16 [1]");
  EXPECT_EQ(decision(rules, "10.2.0.0"), "block 10.0.0.0/8 [0]");
  EXPECT_EQ(decision(rules, "11.0.0.0"), "none");
}

TEST(IpRulesTest, PrefixesThatBeginOrEndTogetherNest) {
  const std::vector<IpRule> rules{block("10.0.0.0/8"), allow("10.0.0.0/16"), allow("10.255.0.0/16"),
                                  block("10.255.255.255")};
  EXPECT_EQ(decision(rules, "10.0.0.0"), "allow 10.0.0.0/16 [1]");
  EXPECT_EQ(decision(rules, "10.1.0.0"), "block 10.0.0.0/8 [0]");
  EXPECT_EQ(decision(rules, "10.255.255.254"), "allow 10.255.0.0/16 [2]");
  EXPECT_EQ(decision(rules, "10.255.255.255"), "block 10.255.255.255/32 [3]");
  EXPECT_EQ(decision(rules, "11.0.0.0"), "none");
}

TEST(IpRulesTest, OnOnePrefixBlockWinsOverThrottleOverAllow) {
  const std::vector<IpRule> all{allow("192.0.2.1"), throttle("192.0.2.1"), block("192.0.2.1")};
  EXPECT_EQ(decision(all, "192.0.2.1"), "block 192.0.2.1/32 [2]");
  EXPECT_EQ(decision({all[0], all[1]}, "192.0.2.1"), "throttle 192.0.2.1/32 [1]");
}

TEST(IpRulesTest, OfEqualRulesTheFirstDecides) {
  EXPECT_EQ(decision({block("192.0.2.1"), block("192.0.2.1")}, "192.0.2.1"),
            "block 192.0.2.1/32 [0]");
}

TEST(IpRulesTest, AnExpiredRuleDoesNotExist) {
  using std::chrono::seconds;
  const std::vector<IpRule> rules{until(block("192.0.2.1"), kNow), allow("192.0.2.1"),
                                  block("192.0.2.0/24")};
  EXPECT_EQ(decision(rules, "192.0.2.1", kNow - std::chrono::microseconds{1}),
            "block 192.0.2.1/32 [0]");
  EXPECT_EQ(decision(rules, "192.0.2.1", kNow), "allow 192.0.2.1/32 [1]") << "to the second";
  const std::vector<IpRule> nested{until(allow("192.0.2.1"), kNow + seconds{1}),
                                   until(block("192.0.2.0/24"), kNow + seconds{2}),
                                   allow("192.0.0.0/16")};
  EXPECT_EQ(decision(nested, "192.0.2.1", kNow), "allow 192.0.2.1/32 [0]");
  EXPECT_EQ(decision(nested, "192.0.2.1", kNow + seconds{1}), "block 192.0.2.0/24 [1]");
  EXPECT_EQ(decision(nested, "192.0.2.1", kNow + seconds{2}), "allow 192.0.0.0/16 [2]");
  EXPECT_EQ(decision({until(block("192.0.2.1"), kNow)}, "192.0.2.1"), "none");
}

TEST(IpRulesTest, ADryRunIsNamedBesideTheDecisionWithoutChangingIt) {
  EXPECT_EQ(decision({dry(block("192.0.2.1"))}, "192.0.2.1"),
            "none (dry run: block 192.0.2.1/32 [0])");
  EXPECT_EQ(decision({dry(block("192.0.2.1")), allow("192.0.2.0/24")}, "192.0.2.1"),
            "allow 192.0.2.0/24 [1] (dry run: block 192.0.2.1/32 [0])");
  EXPECT_EQ(decision({dry(allow("192.0.2.1")), block("192.0.2.0/24")}, "192.0.2.1"),
            "block 192.0.2.0/24 [1] (dry run: allow 192.0.2.1/32 [0])");
  EXPECT_EQ(decision({dry(block("192.0.2.1")), allow("192.0.2.1")}, "192.0.2.1"),
            "allow 192.0.2.1/32 [1] (dry run: block 192.0.2.1/32 [0])");
}

TEST(IpRulesTest, ADryRunThatWouldNotHaveDecidedIsNotNamed) {
  EXPECT_EQ(decision({dry(block("192.0.2.0/24")), allow("192.0.2.1")}, "192.0.2.1"),
            "allow 192.0.2.1/32 [1]");
  EXPECT_EQ(decision({dry(allow("192.0.2.1")), block("192.0.2.1")}, "192.0.2.1"),
            "block 192.0.2.1/32 [1]");
  EXPECT_EQ(decision({until(dry(block("192.0.2.1")), kNow)}, "192.0.2.1"), "none");
}

TEST(IpRulesTest, OfSeveralDryRunsTheOneThatWouldHaveDecidedIsNamed) {
  EXPECT_EQ(decision({dry(block("192.0.2.0/24")), dry(allow("192.0.2.1"))}, "192.0.2.1"),
            "none (dry run: allow 192.0.2.1/32 [1])");
}

TEST(IpRulesTest, ARuleOfSeveralPrefixesIsOneRule) {
  const std::vector<IpRule> rules{allow("198.51.100.1"),
                                  rule(IpAction::block, {"192.0.2.0/24", "2001:db8::/32"})};
  EXPECT_EQ(decision(rules, "192.0.2.1"), "block 192.0.2.0/24 [1]");
  EXPECT_EQ(decision(rules, "2001:db8::1"), "block 2001:db8::/32 [1]");
  EXPECT_EQ(IpRules{rules}.prefix_count(), 3U);
}

TEST(IpRulesTest, WhatValidationRefusesIsLeftOut) {
  EXPECT_TRUE(IpRules{std::vector<IpRule>{block("192.0.2.1/24")}}.empty());
  EXPECT_TRUE(IpRules{std::vector<IpRule>{rule(IpAction::none, {"192.0.2.1"})}}.empty());
}

// ---- Against looking at every rule ----

uint64_t seed() {
  const char* const given = std::getenv("WEIR_SEED");  // NOLINT(concurrency-mt-unsafe)
  uint64_t value = 20'261'126;
  if (given != nullptr) std::from_chars(given, given + std::strlen(given), value);
  return value;
}

// An address of a small world, in which prefixes meet: some bits are drawn, the others zero.
IpAddress random_ip(base::Random& random, bool v4) {
  IpAddress ip = v4 ? IpAddress::from_v4(0) : IpAddress{};
  const size_t first = v4 ? 12 : 0;
  for (size_t byte = first; byte < 16; ++byte) {
    constexpr uint8_t kBytes[] = {0x00, 0x00, 0x01, 0x80, 0xff, 0xfe, 0x7f, 0x00};
    ip.bytes[byte] = kBytes[random.below(8)];
  }
  return ip;
}

Cidr random_prefix(base::Random& random, bool v4) {
  const auto bits = static_cast<uint8_t>(v4 ? 96 + random.below(33) : random.below(129));
  Cidr prefix{random_ip(random, v4), bits};
  for (unsigned bit = bits; bit < 128; ++bit)
    prefix.network.bytes[bit / 8] &= static_cast<uint8_t>(~(0x80U >> bit % 8));
  return prefix;
}

std::vector<IpRule> random_rules(base::Random& random) {
  std::vector<IpRule> rules(1 + random.below(60));
  std::vector<std::string> used;
  for (IpRule& rule : rules) {
    rule.action = static_cast<IpAction>(random.below(3));
    rule.enforce = random.below(3) > 0;
    if (random.below(2) == 0) {
      rule.expires = kNow + std::chrono::seconds{static_cast<int64_t>(random.below(5)) - 2};
    }
    for (uint64_t more = 1 + random.below(3); more > 0;) {
      std::string text = !used.empty() && random.below(4) == 0
                             ? used[random.below(used.size())]
                             : to_string(random_prefix(random, random.below(2) == 0));
      if (!config::parse_cidr(text)) continue;  // IPv6 that looks like mapped IPv4.
      used.push_back(text);
      rule.match.push_back(std::move(text));
      --more;
    }
  }
  return rules;
}

struct Found {
  unsigned bits;
  IpAction action;
  bool dry;
  size_t rule;
};

// Whether `a` decides before `b`.
bool decides_before(const Found& a, const Found& b) {
  if (a.bits != b.bits) return a.bits > b.bits;
  if (a.action != b.action) return a.action < b.action;
  if (a.dry != b.dry) return b.dry;
  return a.rule < b.rule;
}

// Every rule's prefixes, parsed.
using Prefixes = std::vector<std::vector<Cidr>>;

Prefixes prefixes_of(const std::vector<IpRule>& rules) {
  Prefixes prefixes;
  for (const IpRule& rule : rules) {
    std::vector<Cidr>& of_rule = prefixes.emplace_back();
    for (const std::string& text : rule.match)
      of_rule.push_back(config::parse_cidr(text).value());
  }
  return prefixes;
}

struct Expected {
  std::optional<Found> enforced;
  std::optional<Found> dry_run;
};

Expected oracle(const std::vector<IpRule>& rules, const Prefixes& prefixes, const IpAddress& ip,
                base::Wall now) {
  Expected expected;
  std::optional<Found> any;
  for (size_t index = 0; index < rules.size(); ++index) {
    const IpRule& rule = rules[index];
    if (rule.expires && *rule.expires <= now) continue;
    for (const Cidr& prefix : prefixes[index]) {
      if (!prefix.contains(ip)) continue;
      const Found found{prefix.prefix_bits, rule.action, !rule.enforce, index};
      if (!any || decides_before(found, *any)) any = found;
      if (!rule.enforce) continue;
      if (!expected.enforced || decides_before(found, *expected.enforced)) {
        expected.enforced = found;
      }
    }
  }
  if (any && any->dry) expected.dry_run = any;
  return expected;
}

bool is_same(const IpRules& table, const Decider& decider, const std::optional<Found>& found) {
  if (!decider.exists() || !found) return decider.exists() == found.has_value();
  const Match& match = table.match(decider);
  return decider.action == found->action && match.rule == found->rule &&
         match.action == found->action && match.prefix.prefix_bits == found->bits;
}

// Goal: the table decides as a look at every rule does. Method: random rules of a world so small
// that prefixes nest, touch and repeat; random addresses of it, and those at and just beyond the
// ends of each prefix; at the moments around every expiry.
TEST(IpRulesTest, DecidesAsALookAtEveryRuleDoes) {
  base::Random random{seed()};
  size_t decided = 0;
  size_t dry_runs = 0;
  for (int round = 0; round < 150; ++round) {
    const std::vector<IpRule> rules = random_rules(random);
    const Prefixes prefixes = prefixes_of(rules);
    const IpRules table{rules};
    std::vector<IpAddress> ips;
    for (int i = 0; i < 40; ++i)
      ips.push_back(random_ip(random, i % 2 == 0));
    for (const std::vector<Cidr>& of_rule : prefixes) {
      const Cidr& prefix = of_rule.front();
      IpAddress ip = prefix.network;
      ips.push_back(ip);
      for (unsigned bit = prefix.prefix_bits; bit < 128; ++bit)
        ip.bytes[bit / 8] |= static_cast<uint8_t>(0x80U >> bit % 8);
      ips.push_back(ip);
      for (size_t byte = 16; byte-- > 0;) {  // One beyond.
        if (++ip.bytes[byte] != 0) break;
      }
      ips.push_back(ip);
    }
    for (const IpAddress& ip : ips) {
      const base::Wall now =
          kNow + std::chrono::milliseconds{static_cast<int64_t>(random.below(7000)) - 3500};
      const Expected expected = oracle(rules, prefixes, ip, now);
      const Decision decision = table.decide(ip, now);
      ASSERT_TRUE(is_same(table, decision.enforced, expected.enforced) &&
                  is_same(table, decision.dry_run, expected.dry_run))
          << to_string(ip) << ", round " << round << ", WEIR_SEED=" << seed();
      decided += expected.enforced ? 1U : 0U;
      dry_runs += expected.dry_run ? 1U : 0U;
    }
  }
  EXPECT_GT(decided, 5000U) << "WEIR_SEED=" << seed();
  EXPECT_GT(dry_runs, 1000U) << "WEIR_SEED=" << seed();
}

// Goal: the same where the index has several levels. Method: many rules, both families; few
// addresses, because the oracle is slow.
TEST(IpRulesTest, ManyRulesDecideAsALookAtEveryRuleDoes) {
  base::Random random{seed() + 1};
  std::vector<IpRule> rules(20'000);
  std::vector<Cidr> prefixes;
  for (IpRule& rule : rules) {
    Cidr prefix;
    if (random.below(2) == 0) {
      const auto bits = static_cast<uint8_t>(8 + random.below(25));
      const auto mask = static_cast<uint32_t>(UINT64_MAX << (32U - bits));
      prefix = {IpAddress::from_v4(static_cast<uint32_t>(random.next()) & mask),
                static_cast<uint8_t>(bits + 96U)};
    } else {
      prefix = random_prefix(random, false);
      if (!config::parse_cidr(to_string(prefix))) prefix = {IpAddress{}, 128};
    }
    rule = {.match = {to_string(prefix)}, .action = static_cast<IpAction>(random.below(3))};
    prefixes.push_back(prefix);
  }
  const IpRules table{rules};
  for (int i = 0; i < 600; ++i) {
    IpAddress ip = i % 3 == 0 ? IpAddress::from_v4(static_cast<uint32_t>(random.next()))
                              : prefixes[random.below(prefixes.size())].network;
    if (i % 3 == 2) ip.bytes[15] ^= 1U;
    std::optional<Found> first;
    for (size_t index = 0; index < prefixes.size(); ++index) {
      if (!prefixes[index].contains(ip)) continue;
      const Found found{prefixes[index].prefix_bits, rules[index].action, false, index};
      if (!first || decides_before(found, *first)) first = found;
    }
    ASSERT_TRUE(is_same(table, table.decide(ip, kNow).enforced, first))
        << to_string(ip) << ", WEIR_SEED=" << seed();
  }
}

}  // namespace
}  // namespace weir::access
