#include "gateway/limit_use.h"

#include <functional>
#include <set>
#include <utility>

#include "access/ip_rules.h"
#include "gateway/bans.h"
#include "gateway/decisions.h"

namespace weir::gateway {
namespace {

// Threading: one thread at a time.
class EachLimit {
 public:
  // Of a limit: its use without its room, and its entry.
  using Visit = std::function<void(LimitUse use, const base::TableKey& key)>;

  EachLimit(const limit::Limiter& limiter, const config::IpAddress& client, Visit visit)
      : limiter_(limiter), client_(client), visit_(std::move(visit)) {}

  void run(const Snapshot& snapshot, base::Wall wall) {
    visit_ip_rule(snapshot, wall);
    visit_geo_rules(snapshot.config);
    visit_bans(snapshot);
    for (const RouteTargets& targets : snapshot.targets) {
      visit_rules(targets.rules);
      for (const RequestRules& rules : targets.path_rule_rules)
        visit_rules(rules);
    }
  }

 private:
  void visit_ip_rule(const Snapshot& snapshot, base::Wall wall) {
    if (client_ == config::IpAddress{}) return;
    const access::Decision decision = snapshot.ip_rules->decide(client_, wall);
    for (const access::Decider& decider : {decision.enforced, decision.dry_run}) {
      if (decider.action != config::IpAction::throttle) continue;
      const access::Match& match = snapshot.ip_rules->match(decider);
      const config::IpRule& rule = snapshot.config.ip_rules[match.rule];
      visit_({.id = "ip_rule/" + config::to_string(match.prefix),
              .enforced = rule.enforce,
              .limit = {.requests = rule.limit, .window = rule.window}},
             limiter_.address_key(limit::Rule{ThrottleId{match.prefix}.view()}, client_.bytes,
                                  kThrottleIpv6Bits));
    }
  }

  // All: which one a request is under depends on its path, too.
  void visit_geo_rules(const config::Config& config) {
    for (uint32_t index = 0; index < config.geo_rules.size(); ++index) {
      const config::GeoRule& rule = config.geo_rules[index];
      if (!rule.enabled || rule.action != config::GeoAction::throttle) continue;
      const GeoThrottleId id{rule, index};
      visit_({.id = std::string{id.view()},
              .enforced = rule.enforce,
              .limit = {.requests = rule.limit, .window = rule.window}},
             limiter_.address_key(limit::Rule{id.view()}, client_.bytes, kThrottleIpv6Bits));
    }
  }

  void visit_bans(const Snapshot& snapshot) {
    for (const Ban& ban : snapshot.bans) {
      const bool enforced = snapshot.config.ban_rules[ban.rule].enforce;
      visit_({.id = ban.offences_id, .enforced = enforced, .limit = ban.offences},
             offences_key(limiter_, ban, client_));
      visit_({.id = ban.id, .enforced = enforced, .limit = ban.ban},
             ban_key(limiter_, ban, client_));
    }
  }

  void visit_rules(const RequestRules& rules) {
    for (const RequestLimit& limit : rules.rate_limits) {
      const config::RateLimit& rule = limit.rule;
      if (rule.per == config::LimitPer::header || !seen_.insert(limit.id).second) continue;
      const bool own = rule.per == config::LimitPer::client;
      visit_({.id = limit.id, .own = own, .enforced = rule.enforce, .limit = limit.limit},
             own ? limiter_.address_key(limit.limiter_rule, client_.bytes, rule.ipv6_prefix_bits)
                 : limiter_.value_key(limit.limiter_rule, {}));
    }
  }

  const limit::Limiter& limiter_;
  const config::IpAddress client_;
  const Visit visit_;
  std::set<std::string_view> seen_;  // A path rule is for several routes.
};

}  // namespace

std::vector<LimitUse> limits_of(const Snapshot& snapshot, limit::Limiter& limiter,
                                const config::IpAddress& client, base::Monotonic now,
                                base::Wall wall) {
  std::vector<LimitUse> uses;
  EachLimit{limiter, client,
            [&](LimitUse use, const base::TableKey& key) {
              use.room = limiter.look({key, use.limit}, now);
              uses.push_back(std::move(use));
            }}
      .run(snapshot, wall);
  return uses;
}

bool is_in_force(const Snapshot& snapshot, limit::Limiter& limiter, const StartedBan& started,
                 base::Monotonic now) {
  for (const Ban& ban : snapshot.bans) {
    if (snapshot.config.ban_rules[ban.rule].id != started.rule()) continue;
    return limiter.look({ban_key(limiter, ban, started.client), ban.ban}, now).remaining == 0;
  }
  return false;
}

size_t reset_limits_of(const Snapshot& snapshot, limit::Limiter& limiter,
                       const config::IpAddress& client, base::Wall wall) {
  size_t count = 0;
  EachLimit{limiter, client,
            [&](const LimitUse& use, const base::TableKey& key) {
              if (!use.own) return;
              limiter.reset(key);
              ++count;
            }}
      .run(snapshot, wall);
  return count;
}

}  // namespace weir::gateway
