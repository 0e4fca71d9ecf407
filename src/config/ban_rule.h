#pragma once
// One of the configuration's [[ban_rules]]: who gets too many answers of some kind within a time is
// refused everything for another time. How it is counted: gateway/bans.h.

#include <bitset>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::config {

inline constexpr size_t kBanRulesMax = 16;

struct BanRule {
  std::string id;
  // Which answers count: "denied" (by IP rules, geographic rules and rate limits that are
  // enforced), "4xx", "5xx", or a status from "400" to "599", whoever gave it. At least one.
  std::vector<std::string> on;
  std::vector<std::string>
      routes;          // Ids of the only routes whose answers count; empty: any answer.
  uint32_t count = 0;  // So many of one client in any `window` start a ban.
  std::chrono::seconds window{60};
  std::chrono::seconds ban{600};
  std::string reason;   // Told to those who are refused; empty: a general one.
  bool enforce = true;  // False: counted as it would have been, and nothing else.
  bool operator==(const BanRule&) const = default;
};

// What `BanRule::on` comes to.
struct BanTriggers {
  bool denied = false;
  std::bitset<600> statuses;
};

// Nothing: one of the texts says nothing.
std::optional<BanTriggers> parse_ban_triggers(const std::vector<std::string>& on);

}  // namespace weir::config
