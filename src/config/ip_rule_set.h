#pragma once
// Changes to a set of IP rules, entry by entry: an entry is one prefix and one action, of which a
// valid set has each at most once. "203.0.113.7" and "203.0.113.7/32" are one prefix.
//
// Entries that are equal in all but the prefix are kept in one rule, so that a list of a hundred
// thousand is a few lines of TOML; the order of rules has no meaning (access/ip_rules.h).

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "config/ip.h"
#include "config/ip_rule.h"

namespace weir::config {

size_t ip_entry_count(const std::vector<IpRule>& rules);

// Whether the rule has ceased to exist.
bool is_expired(const IpRule& rule, std::chrono::sys_seconds now);

// Which rule has an entry. Entries that are no prefixes are in none.
// Ownership: borrows nothing; a change to the rules makes it stale.
// Threading: immutable after construction.
class IpEntries {
 public:
  explicit IpEntries(const std::vector<IpRule>& rules);

  // The index of its rule; none: there is no such entry.
  std::optional<size_t> rule_of(const Cidr& prefix, IpAction action) const;

 private:
  using Key = std::pair<std::pair<IpAddress, uint8_t>, IpAction>;
  static Key key_of(const Cidr& prefix, IpAction action);
  std::map<Key, size_t> rules_;
};

struct IpAdditions {
  size_t added = 0;
  size_t present = 0;  // Left as they are: the entry is there already, and in force.
};

// Adds every entry of `additions` that `rules` has not. One that is there and has expired makes
// room for the new one, which would else be refused for the sake of a rule that does not exist.
// Requires valid rules in both.
IpAdditions add_ip_rules(std::vector<IpRule>& rules, const std::vector<IpRule>& additions,
                         std::chrono::sys_seconds now);

// Takes out the entries of `prefixes`: those of `action`, or of all actions. Rules that are left
// without any are gone. Returns the indices of those prefixes of which there was none.
std::vector<size_t> remove_ip_entries(std::vector<IpRule>& rules, const std::vector<Cidr>& prefixes,
                                      std::optional<IpAction> action);

// Takes out the rules of this reason, those of `action` or of all, and returns how many entries
// they had.
size_t remove_ip_rules_of(std::vector<IpRule>& rules, std::string_view reason,
                          std::optional<IpAction> action = {});

}  // namespace weir::config
