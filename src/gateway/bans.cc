#include "gateway/bans.h"

#include <algorithm>

#include "gateway/decisions.h"

namespace weir::gateway {

std::vector<Ban> bans_of(const config::Config& config) {
  std::vector<Ban> bans;
  for (uint32_t index = 0; index < config.ban_rules.size(); ++index) {
    const config::BanRule& rule = config.ban_rules[index];
    Ban ban{.rule = index,
            .triggers = config::parse_ban_triggers(rule.on).value_or(config::BanTriggers{}),
            .offences_id = "ban_rule/" + rule.id + "/answers",
            .id = "ban_rule/" + rule.id + "/ban",
            .offences = {.requests = rule.count, .window = rule.window},
            .ban = {.requests = 1, .window = rule.ban}};
    if (!rule.routes.empty()) {
      for (const config::Route& route : config.routes) {
        ban.routes.push_back(std::find(rule.routes.begin(), rule.routes.end(), route.id) !=
                             rule.routes.end());
      }
    }
    bans.push_back(std::move(ban));
  }
  return bans;
}

base::TableKey offences_key(const limit::Limiter& limiter, const Ban& ban,
                            const config::IpAddress& client) {
  return limiter.lone_address_key(ban.offences_rule, client.bytes, kThrottleIpv6Bits);
}

base::TableKey ban_key(const limit::Limiter& limiter, const Ban& ban,
                       const config::IpAddress& client) {
  return limiter.lone_address_key(ban.ban_rule, client.bytes, kThrottleIpv6Bits);
}

std::string_view StartedBan::rule() const {
  const auto* const end = std::find(rule_id.begin(), rule_id.end(), '\0');
  return {rule_id.data(), static_cast<size_t>(end - rule_id.begin())};
}

void StartedBans::add(const config::IpAddress& client, const config::BanRule& rule, base::Wall at) {
  StartedBan ban{.client = client, .at = at, .until = at + rule.ban, .enforced = rule.enforce};
  std::copy_n(rule.id.begin(), std::min(rule.id.size(), ban.rule_id.size()), ban.rule_id.begin());
  if (bans_.size() < kMax) {
    bans_.push_back(ban);
    return;
  }
  bans_[next_] = ban;
  next_ = (next_ + 1) % kMax;
}

}  // namespace weir::gateway
