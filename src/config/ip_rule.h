#pragma once
// One of the configuration's [[ip_rules]]: what becomes of the requests of some addresses. Which
// rule decides about an address is access/ip_rules.h's matter.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weir::config {

// In the order in which they win where several rules match the same prefix.
enum class IpAction : uint8_t {
  block,
  throttle,
  allow,
  none,  // Nothing was said: never in a valid configuration.
};

inline constexpr size_t kIpMatchesMax = 100'000;  // Of all rules together.
inline constexpr size_t kIpReasonBytesMax = 200;

struct IpRule {
  std::vector<std::string> match;  // Addresses and CIDRs, at least one.
  IpAction action = IpAction::none;
  uint32_t limit = 0;              // Of `throttle`: requests of one client in any `window`.
  std::chrono::seconds window{0};  // Of `throttle`.
  // From this second on the rule does not exist. It stays in the configuration, which would
  // otherwise become another one by itself.
  std::optional<std::chrono::sys_seconds> expires;
  std::string reason;   // Told to those who are refused; empty: a general one.
  bool enforce = true;  // False: counted as it would have been, and nothing else.
  bool operator==(const IpRule&) const = default;
};

}  // namespace weir::config
