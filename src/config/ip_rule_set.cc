#include "config/ip_rule_set.h"

#include <algorithm>
#include <string>
#include <tuple>

namespace weir::config {
namespace {

// All of a rule but its prefixes.
using Properties = std::tuple<IpAction, uint32_t, int64_t, std::optional<std::chrono::sys_seconds>,
                              std::string, bool>;

Properties properties_of(const IpRule& rule) {
  return {rule.action, rule.limit, rule.window.count(), rule.expires, rule.reason, rule.enforce};
}

// Takes out the matches that `is_out`, and the rules that are left without any.
template <typename IsOut>
void remove_matches(std::vector<IpRule>& rules, IsOut is_out) {
  std::vector<IpRule> kept;
  for (IpRule& rule : rules) {
    std::erase_if(rule.match, [&](const std::string& match) { return is_out(rule, match); });
    if (!rule.match.empty()) kept.push_back(std::move(rule));
  }
  rules = std::move(kept);
}

}  // namespace

size_t ip_entry_count(const std::vector<IpRule>& rules) {
  size_t count = 0;
  for (const IpRule& rule : rules)
    count += rule.match.size();
  return count;
}

bool is_expired(const IpRule& rule, std::chrono::sys_seconds now) {
  return rule.expires && *rule.expires <= now;
}

IpEntries::Key IpEntries::key_of(const Cidr& prefix, IpAction action) {
  return {{prefix.network, prefix.prefix_bits}, action};
}

IpEntries::IpEntries(const std::vector<IpRule>& rules) {
  for (size_t index = 0; index < rules.size(); ++index) {
    for (const std::string& match : rules[index].match) {
      if (const auto prefix = parse_cidr(match))
        rules_.emplace(key_of(*prefix, rules[index].action), index);
    }
  }
}

std::optional<size_t> IpEntries::rule_of(const Cidr& prefix, IpAction action) const {
  const auto found = rules_.find(key_of(prefix, action));
  if (found == rules_.end()) return std::nullopt;
  return found->second;
}

IpAdditions add_ip_rules(std::vector<IpRule>& rules, const std::vector<IpRule>& additions,
                         std::chrono::sys_seconds now) {
  IpAdditions out;
  const IpEntries entries{rules};
  std::vector<IpRule> added;
  for (const IpRule& addition : additions) {
    IpRule rest = addition;
    std::erase_if(rest.match, [&](const std::string& match) {
      const auto prefix = parse_cidr(match);
      const auto found = prefix ? entries.rule_of(*prefix, addition.action) : std::nullopt;
      return found && !is_expired(rules[*found], now);
    });
    out.present += addition.match.size() - rest.match.size();
    out.added += rest.match.size();
    if (!rest.match.empty()) added.push_back(std::move(rest));
  }
  const IpEntries instead{added};
  remove_matches(rules, [&](const IpRule& rule, const std::string& match) {
    if (!is_expired(rule, now)) return false;
    const auto prefix = parse_cidr(match);
    return prefix && instead.rule_of(*prefix, rule.action);
  });

  std::map<Properties, size_t> known;
  for (size_t index = 0; index < rules.size(); ++index)
    known.emplace(properties_of(rules[index]), index);
  for (IpRule& rule : added) {
    const auto [found, is_new] = known.emplace(properties_of(rule), rules.size());
    if (is_new) {
      rules.push_back(std::move(rule));
    } else {
      std::vector<std::string>& match = rules[found->second].match;
      match.insert(match.end(), rule.match.begin(), rule.match.end());
    }
  }
  return out;
}

std::vector<size_t> remove_ip_entries(std::vector<IpRule>& rules, const std::vector<Cidr>& prefixes,
                                      std::optional<IpAction> action) {
  using Key = std::pair<IpAddress, uint8_t>;
  std::map<Key, bool> asked;  // True: one was there.
  for (const Cidr& prefix : prefixes)
    asked.emplace(Key{prefix.network, prefix.prefix_bits}, false);
  remove_matches(rules, [&](const IpRule& rule, const std::string& match) {
    if (action && rule.action != *action) return false;
    const auto prefix = parse_cidr(match);
    if (!prefix) return false;
    const auto found = asked.find(Key{prefix->network, prefix->prefix_bits});
    if (found == asked.end()) return false;
    found->second = true;
    return true;
  });
  std::vector<size_t> missing;
  for (size_t index = 0; index < prefixes.size(); ++index) {
    if (!asked[Key{prefixes[index].network, prefixes[index].prefix_bits}]) missing.push_back(index);
  }
  return missing;
}

size_t remove_ip_rules_of(std::vector<IpRule>& rules, std::string_view reason,
                          std::optional<IpAction> action) {
  const size_t before = ip_entry_count(rules);
  std::erase_if(rules, [&](const IpRule& rule) {
    return rule.reason == reason && (!action || rule.action == *action);
  });
  return before - ip_entry_count(rules);
}

}  // namespace weir::config
