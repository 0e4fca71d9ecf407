// The rules of [[ip_rules]].

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "config/internal/checks.h"
#include "config/internal/ranges.h"
#include "config/internal/schema.h"
#include "config/internal/text.h"
#include "config/ip.h"

namespace weir::config::internal {
namespace {

constexpr std::string_view kMatchAllowed =
    R"("203.0.113.7", "203.0.113.0/24", "2001:db8::/32"; no bits after the prefix)";

// Threading: one thread at a time.
class IpRulesCheck {
 public:
  explicit IpRulesCheck(Findings& findings) : findings_(findings) {}

  void check(const IpRule& rule, const std::string& key) {
    if (rule.match.empty()) findings_.add(key + ".match", "is missing", kMatchAllowed);
    for (size_t at = 0; at < rule.match.size(); ++at)
      check_match(rule, rule.match[at], fmt::format("{}.match[{}]", key, at));
    check_limit(rule, key);
    check_reason(rule.reason, key + ".reason", findings_);
  }

 private:
  void check_match(const IpRule& rule, const std::string& text, std::string key) {
    const std::optional<Cidr> prefix = parse_cidr(text);
    if (!prefix) {
      const std::optional<Cidr> network = network_of(text);
      return findings_.add(std::move(key),
                           network ? fmt::format("{} has bits after its prefix; the network is {}",
                                                 in_quotes(text), to_string(*network))
                                   : in_quotes(text) + " is not an address or prefix",
                           kMatchAllowed);
    }
    const auto [other, is_new] =
        seen_.emplace(std::tuple{prefix->network.bytes, prefix->prefix_bits, rule.action}, key);
    if (!is_new && rule.action != IpAction::none) {
      findings_.add(std::move(key), fmt::format("{} is also {}", in_quotes(text), other->second),
                    "each prefix once for each action");
    }
  }

  void check_limit(const IpRule& rule, const std::string& key) {
    if (rule.action == IpAction::none) return;  // Which is said.
    if (rule.action == IpAction::throttle) {
      if (rule.limit == 0) findings_.add(key + ".limit", "is missing", "1 to 1000000000");
      if (rule.window.count() == 0) {
        findings_.add(key + ".window", "is missing", duration_range({kSecond, 31 * kDay}));
      }
      return;
    }
    const std::string message =
        fmt::format("stands beside action = \"{}\"", choice_name(kIpActions, rule.action));
    constexpr std::string_view kAllowed = R"(only beside action = "throttle")";
    if (rule.limit != 0) findings_.add(key + ".limit", message, kAllowed);
    if (rule.window.count() != 0) findings_.add(key + ".window", message, kAllowed);
  }

  Findings& findings_;
  std::map<std::tuple<std::array<uint8_t, 16>, uint8_t, IpAction>, std::string> seen_;
};

}  // namespace

void check_ip_rules(const std::vector<IpRule>& rules, Findings& findings) {
  size_t count = 0;
  for (const IpRule& rule : rules)
    count += rule.match.size();
  if (count > kIpMatchesMax || rules.size() > kIpMatchesMax) {
    return findings.add(
        "ip_rules", fmt::format("has {} rules with {} addresses and prefixes", rules.size(), count),
        fmt::format("at most {} of each", kIpMatchesMax));
  }
  IpRulesCheck check{findings};
  for (size_t index = 0; index < rules.size(); ++index)
    check.check(rules[index], fmt::format("ip_rules[{}]", index));
}

}  // namespace weir::config::internal
