#include "gateway/limit_use.h"

#include <functional>
#include <optional>
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

  EachLimit(const limit::Limiter& limiter, const LimitSubject& subject, Visit visit)
      : limiter_(limiter), subject_(subject), visit_(std::move(visit)) {
    if (const auto* const client = std::get_if<LimitedClient>(&subject)) client_ = client->ip;
  }

  void run(const Snapshot& snapshot, base::Wall wall) {
    if (std::holds_alternative<LimitedClient>(subject_)) {
      visit_ip_rule(snapshot, wall);
      visit_geo_rules(snapshot.config);
      visit_bans(snapshot);
    }
    const auto* const route = std::get_if<LimitedRoute>(&subject_);
    for (size_t index = 0; index < snapshot.config.routes.size(); ++index) {
      if (route != nullptr && snapshot.config.routes[index].id != route->id) continue;
      const RouteTargets& targets = snapshot.targets[index];
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
      const std::optional<base::TableKey> key = key_of(limit);
      if (!key || !seen_.insert(limit.id).second) continue;
      const bool shared = std::holds_alternative<LimitedClient>(subject_) &&
                          limit.rule.per == config::LimitPer::route;
      visit_({.id = limit.id, .own = !shared, .enforced = limit.rule.enforce, .limit = limit.limit},
             *key);
    }
  }

  // None: the limit is not about such a subject.
  std::optional<base::TableKey> key_of(const RequestLimit& limit) const {
    switch (limit.rule.per) {
      case config::LimitPer::client:
        if (!std::holds_alternative<LimitedClient>(subject_)) return std::nullopt;
        return limiter_.address_key(limit.limiter_rule, client_.bytes, limit.rule.ipv6_prefix_bits);
      case config::LimitPer::route:
        if (std::holds_alternative<LimitedValue>(subject_)) return std::nullopt;
        return limiter_.value_key(limit.limiter_rule, {});
      case config::LimitPer::header:
        break;
    }
    const auto* const value = std::get_if<LimitedValue>(&subject_);
    if (value == nullptr) return std::nullopt;
    return limiter_.value_key(limit.limiter_rule, value->value);
  }

  const limit::Limiter& limiter_;
  const LimitSubject& subject_;
  config::IpAddress client_{};  // Of a client.
  const Visit visit_;
  std::set<std::string_view> seen_;  // A path rule is for several routes.
};

}  // namespace

std::vector<LimitUse> limits_of(const Snapshot& snapshot, limit::Limiter& limiter,
                                const LimitSubject& subject, base::Monotonic now, base::Wall wall) {
  std::vector<LimitUse> uses;
  EachLimit{limiter, subject,
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
                       const LimitSubject& subject, base::Wall wall) {
  size_t count = 0;
  EachLimit{limiter, subject,
            [&](const LimitUse& use, const base::TableKey& key) {
              if (!use.own) return;
              limiter.reset(key);
              ++count;
            }}
      .run(snapshot, wall);
  return count;
}

}  // namespace weir::gateway
