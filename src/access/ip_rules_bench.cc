// What a decision costs: nanoseconds a look-up in a table of 100 000 prefixes (70 % IPv4, 60 % of
// them whole addresses), for addresses that match and for random ones, and for the worst place of
// IPv4 rules, all in one /15. Also what building the table takes. Usage: access_ip_rules_bench;
// prints the median of nine runs, and the least and the most.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "access/ip_rules.h"
#include "base/random.h"

namespace {

using weir::access::IpRules;
using weir::base::Random;
using weir::config::Cidr;
using weir::config::IpAction;
using weir::config::IpAddress;
using weir::config::IpRule;

constexpr size_t kPrefixes = 100'000;
constexpr size_t kAddresses = 1'000'000;  // Each asked once a run.
constexpr weir::base::Wall kNow{std::chrono::seconds{1'760'000'000}};

uint32_t v4_mask(unsigned bits) {
  return static_cast<uint32_t>(UINT64_MAX << (32U - bits));
}

IpAddress random_v6(Random& random) {
  IpAddress ip;
  for (uint8_t& byte : ip.bytes)
    byte = static_cast<uint8_t>(random.next());
  ip.bytes[0] = 0x20 + static_cast<uint8_t>(random.below(2));  // 2000::/7, as most of the world.
  return ip;
}

Cidr random_v4_prefix(Random& random) {
  constexpr std::array<unsigned, 10> kBits{32, 32, 32, 32, 32, 32, 24, 24, 20, 16};
  const unsigned bits = kBits[random.below(kBits.size())];
  return {IpAddress::from_v4(static_cast<uint32_t>(random.next()) & v4_mask(bits)),
          static_cast<uint8_t>(bits + 96)};
}

Cidr random_v6_prefix(Random& random) {
  constexpr std::array<size_t, 4> kBytes{16, 8, 6, 4};
  const size_t bytes = kBytes[random.below(kBytes.size())];
  Cidr prefix{random_v6(random), static_cast<uint8_t>(8 * bytes)};
  std::fill(prefix.network.bytes.begin() + static_cast<ptrdiff_t>(bytes),
            prefix.network.bytes.end(), uint8_t{0});
  return prefix;
}

std::vector<IpRule> rules_of(const std::vector<Cidr>& prefixes) {
  std::vector<IpRule> rules;
  for (const Cidr& prefix : prefixes)
    rules.push_back({.match = {to_string(prefix)}, .action = IpAction::block});
  return rules;
}

void measure(const char* what, const IpRules& table, const std::vector<IpAddress>& addresses) {
  std::array<double, 9> runs{};
  size_t matched = 0;
  for (double& run : runs) {
    matched = 0;
    const auto begun = std::chrono::steady_clock::now();
    for (const IpAddress& ip : addresses)
      matched += table.decide(ip, kNow).enforced.exists() ? 1U : 0U;
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begun;
    run = took.count() / static_cast<double>(addresses.size());
  }
  std::sort(runs.begin(), runs.end());
  std::printf("%-34s %5.0f ns (%.0f to %.0f), %.0f %% match\n", what, runs[4], runs.front(),
              runs.back(),
              100 * static_cast<double>(matched) / static_cast<double>(addresses.size()));
}

template <typename Make>
std::vector<IpAddress> addresses(Make make) {
  std::vector<IpAddress> all(kAddresses);
  for (IpAddress& ip : all)
    ip = make();
  return all;
}

}  // namespace

int main() {
  Random random{42};
  std::vector<Cidr> prefixes;
  for (size_t i = 0; i < kPrefixes; ++i)
    prefixes.push_back(i % 10 < 7 ? random_v4_prefix(random) : random_v6_prefix(random));
  const std::vector<IpRule> rules = rules_of(prefixes);
  const auto begun = std::chrono::steady_clock::now();
  const IpRules table{rules};
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begun;
  std::printf("%zu prefixes: built in %.0f ms, %zu bytes each\n", table.prefix_count(),
              took.count(), table.bytes() / table.prefix_count());
  const auto hit = [&](size_t first, size_t count) {
    const size_t at = random.below(kPrefixes / 10) * 10 + first + random.below(count);
    IpAddress ip = prefixes[at].network;
    for (size_t byte = prefixes[at].prefix_bits / 8U; byte < 16; ++byte)
      ip.bytes[byte] |= static_cast<uint8_t>(random.next() & 0xfU);
    return ip;
  };
  measure("IPv4, matching", table, addresses([&] { return hit(0, 7); }));
  measure("IPv4, random", table,
          addresses([&] { return IpAddress::from_v4(static_cast<uint32_t>(random.next())); }));
  measure("IPv6, matching", table, addresses([&] { return hit(7, 3); }));
  measure("IPv6, random", table, addresses([&] { return random_v6(random); }));
  measure("both, half of them matching", table, addresses([&] {
            const uint64_t kind = random.below(4);
            if (kind == 0) return hit(0, 7);
            if (kind == 1) return hit(7, 3);
            return kind == 2 ? IpAddress::from_v4(static_cast<uint32_t>(random.next()))
                             : random_v6(random);
          }));

  std::vector<Cidr> dense;
  for (uint32_t i = 0; i < kPrefixes; ++i)
    dense.push_back({IpAddress::from_v4(0x0a00'0000U + i), 128});
  const IpRules dense_table{rules_of(dense)};
  measure(
      "IPv4, 100000 neighbours in a /15", dense_table, addresses([&] {
        return IpAddress::from_v4(0x0a00'0000U + static_cast<uint32_t>(random.below(1U << 17U)));
      }));
}
