#pragma once
// The effective configuration as text, and differences between two of them.

#include <cstdint>
#include <string>
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

// What load_rules() reads back to the same rules.
std::string rules_to_toml(const Config& config);

// [[ip_rules]] alone, without the keys that have their defaults: to be pasted into a file.
std::string ip_rules_to_toml(const std::vector<IpRule>& rules);

// The keys whose values differ, in order; a route that was added or removed is one key,
// "routes.ID"; so are all IP rules together, "ip_rules", because they have no names.
std::vector<std::string> changed_keys(const Config& before, const Config& after);

// Those of changed_keys() that cannot change at run time. A reload that meets any is refused by
// these names.
std::vector<std::string> restart_needed(const Config& before, const Config& after);

}  // namespace weir::config
