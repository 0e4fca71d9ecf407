#pragma once
// The effective configuration as text, and differences between two of them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace weir::config {

// One key of a Config: "limits.header_timeout", "routes.kv.timeouts.connect" (routes by their id).
struct Setting {
  std::string key;
  std::string value;  // As TOML.
  bool restart;       // A change takes effect only after a restart.
  bool operator==(const Setting&) const = default;
};

// Every key with its value, defaults included, sections in the order of the documentation. Secrets
// are hidden.
std::vector<Setting> settings(const Config& config);

enum class Secrets : uint8_t {
  hidden,  // What stands in their place is refused by load(), so that nobody takes it for the
           // value.
  shown,
};

// A file that load() reads back to the same Config (without [vars] that changed nothing, and unless
// a secret is hidden).
std::string to_toml(const Config& config, Secrets secrets = Secrets::hidden);

// What load_rules() reads back to the same rules, without the keys that have their defaults.
std::string rules_to_toml(const Config& config);

// [[ip_rules]] alone, without the keys that have their defaults: to be pasted into a file.
std::string ip_rules_to_toml(const std::vector<IpRule>& rules);

// What the keys of one of a list's members begin with: "routes." and "kv" make "routes.kv", and a
// name with dots stands in quotes.
std::string member_key(std::string_view list, std::string_view id);

// The keys whose values differ, in order; a route that was added or removed is one key,
// "routes.ID"; so are all IP rules together, "ip_rules", because they have no names.
std::vector<std::string> changed_keys(const Config& before, const Config& after);

// One of these, with what was and what is.
struct Difference {
  std::string key;
  std::string before;  // As TOML; empty: it was not there.
  std::string after;   // As TOML; empty: it is not there.
  bool restart;
  bool operator==(const Difference&) const = default;
};

// What changed_keys() names, one by one: an address or prefix of the IP rules has a row
// ("ip_rules.192.0.2.0/24"), a geographic rule one under its id, or, without an id, one where it
// stands on one side alone; a route and a rule that was added or removed has one of its pattern.
// Secrets are hidden. Limits: of the IP rules the first kDifferencesMax, and how many more.
inline constexpr size_t kDifferencesMax = 1000;
std::vector<Difference> differences(const Config& before, const Config& after);

// Those of changed_keys() that cannot change at run time. A reload that meets any is refused by
// these names.
std::vector<std::string> restart_needed(const Config& before, const Config& after);

}  // namespace weir::config
