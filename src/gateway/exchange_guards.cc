// What keeps requests out: IP rules, by the address they come from; rate limits, by their number.
//
// The address is the one that identify_client() found: a header counts only where the listener's
// trusted proxy wrote it. What Weir answers about itself (the health path here, everything on the
// admin listener, which no Exchange serves) comes before or beside these stages, so that no rule
// can lock an operator or a load balancer's probe out.

#include <algorithm>
#include <array>
#include <optional>

#include "access/ip_rules.h"
#include "gateway/decisions.h"
#include "gateway/exchange.h"

namespace weir::gateway {

using config::IpAction;

namespace {

limit::Limit limit_of(const config::IpRule& rule) {
  return {.requests = rule.limit, .window = rule.window};
}

}  // namespace

// Rules begin with a version and only expire: whom none is about needs no second look before the
// next version.
access::Decision Exchange::decide_by_ip() {
  const Snapshot& snapshot = *active_->snapshot;
  if (connection_->unruled_by == snapshot.version) return {};
  const access::IpRules& rules = *snapshot.ip_rules;
  const config::IpAddress client{connection_->hashed_ip.bytes};
  // The peer of a Unix socket that nothing says more about has no address, and is under no rule.
  if (rules.empty() || client == config::IpAddress{}) return {};
  const access::Decision decision = rules.decide(client, arrived_at_);
  if (decision.enforced.action == IpAction::none && !decision.dry_run.exists())
    connection_->unruled_by = snapshot.version;
  return decision;
}

// Who is allowed, or under no rule, goes on without an allocation. Who is blocked is told of that,
// whether banned or not; who is banned is charged by no throttle, and told of the ban's end.
bool Exchange::check_address() {
  const access::IpRules& rules = *active_->snapshot->ip_rules;
  const access::Decision decision = decide_by_ip();
  if (decision.enforced.action == IpAction::block) {
    if (decision.dry_run.exists()) count_dry_run(decision.dry_run);
    refuse_blocked(rules.match(decision.enforced));
    return false;
  }
  if (decision.enforced.action != IpAction::allow && !check_bans()) return false;
  if (decision.dry_run.exists()) count_dry_run(decision.dry_run);
  if (decision.enforced.action != IpAction::throttle) return true;
  return admit_throttled(rules.match(decision.enforced));
}

limit::Verdict Exchange::charge_ip_rule(const access::Match& match, limit::Room& room) {
  const config::IpRule& rule = active_->snapshot->config.ip_rules[match.rule];
  return charge_throttle(limit::Rule{ThrottleId{match.prefix}.view()}, limit_of(rule), room);
}

limit::Verdict Exchange::charge_throttle(limit::Rule rule, const limit::Limit& limit,
                                         limit::Room& room) {
  limit::Limiter& limiter = gateway_.shared_.limiter;
  const limit::Charge charge{
      limiter.address_key(rule, connection_->hashed_ip.bytes, kThrottleIpv6Bits), limit};
  return limiter.admit({&charge, 1}, arrived_, {&room, 1});
}

void Exchange::refuse_throttled(const limit::Limit& limit, const limit::Room& room,
                                const ThrottleText& text, std::string_view reason) {
  rate_checked_ = rate_refused_ = denied_ = true;
  told_policy_ = policy_of(limit);
  room_ = room;
  const RateLimitFields told{rate_limit_state()};
  std::string& body = gateway_.text_scratch_;
  body.clear();
  append_throttled_body(body, told, text, reason, request_id_);
  respond_json(429, body, told.fields());
}

// A throttle has to count to know whom it would refuse; enforced later, it goes on from there.
void Exchange::count_dry_run(const access::Decider& decider) {
  if (decider.action == IpAction::throttle) {
    limit::Room room;
    const access::Match& match = active_->snapshot->ip_rules->match(decider);
    if (charge_ip_rule(match, room).answer != limit::Answer::refused) return;
  }
  if (decider.action != IpAction::allow) flags_ |= traffic::EventFlag::kWouldBeDenied;
  ++gateway_.counts_.ip_rule_dry_runs[static_cast<size_t>(decider.action)];
}

void Exchange::refuse_blocked(const access::Match& match) {
  ++gateway_.counts_.ip_rule_denied[static_cast<size_t>(IpAction::block)];
  denied_ = true;
  std::string& body = gateway_.text_scratch_;
  body.clear();
  append_blocked_body(body, active_->snapshot->config.ip_rules[match.rule].reason,
                      to_string(match.prefix), request_id_);
  respond_json(403, body);
}

bool Exchange::pass_uncounted() {
  if (active_->snapshot->config.limits.rate_limit_when_full == config::WhenFull::admit) {
    ++gateway_.counts_.rate_limit_unchecked;
    return true;
  }
  ++gateway_.counts_.rate_limit_full;
  refuse(kLimiterFull);
  return false;
}

// Who is admitted is told nothing: the fields of a response are those of its route's limit.
bool Exchange::admit_throttled(const access::Match& match) {
  const config::IpRule& rule = active_->snapshot->config.ip_rules[match.rule];
  limit::Room room;
  const limit::Verdict verdict = charge_ip_rule(match, room);
  if (verdict.answer == limit::Answer::no_room) return pass_uncounted();
  if (verdict.answer == limit::Answer::admitted) return true;
  ++gateway_.counts_.ip_rule_denied[static_cast<size_t>(IpAction::throttle)];
  refuse_throttled(limit_of(rule), room, kIpThrottle, rule.reason);
  return false;
}

// One request finds room in all limits of its route, or charges none of them. Limits that are not
// enforced come after those that are, as if they stood last, each by itself: what one of them would
// refuse must not depend on the others, nor they on it.
bool Exchange::limit_rate(const http::RequestHead& head) {
  const RequestRules& rules =
      rules_for(active_->snapshot->targets[entry_->index], head.method, path_);
  if (rules.rate_limits.empty()) return true;
  if (!charge_enforced(rules, head)) return false;
  charge_dry_runs(rules, head);
  return true;
}

// One request is counted once, however many would have refused it.
void Exchange::charge_dry_runs(const RequestRules& rules, const http::RequestHead& head) {
  bool would_be_refused = false;
  for (const RequestLimit& limit : rules.rate_limits) {
    if (limit.rule.enforce) continue;
    const std::optional<base::TableKey> key = rate_key(limit, head);
    if (!key) continue;
    const limit::Charge charge{*key, limit.limit};
    limit::Room room;
    const limit::Verdict verdict =
        gateway_.shared_.limiter.admit({&charge, 1}, arrived_, {&room, 1});
    would_be_refused = would_be_refused || verdict.answer == limit::Answer::refused;
  }
  if (!would_be_refused) return;
  ++gateway_.counts_.rate_limit_dry_runs;
  flags_ |= traffic::EventFlag::kWouldBeDenied;
}

bool Exchange::charge_enforced(const RequestRules& rules, const http::RequestHead& head) {
  limit::Limiter& limiter = gateway_.shared_.limiter;
  std::array<limit::Charge, config::kRateLimitsMax> charges;
  std::array<limit::Room, config::kRateLimitsMax> rooms;
  std::array<const RateLimitItem*, config::kRateLimitsMax> policies;
  size_t count = 0;
  for (const RequestLimit& limit : rules.rate_limits) {
    if (!limit.rule.enforce) continue;
    const std::optional<base::TableKey> key = rate_key(limit, head);
    if (!key) continue;
    charges[count] = {*key, limit.limit};
    policies[count++] = &limit.policy;
  }
  if (count == 0) return true;
  limit::Verdict verdict;
  for (bool unchecked = false;; unchecked = true) {
    verdict = limiter.admit({charges.data(), count}, arrived_, {rooms.data(), count});
    if (verdict.answer != limit::Answer::no_room) break;
    if (!unchecked && !pass_uncounted()) return false;
    // What cannot be counted by one limit is still under the others.
    const auto drop = [&verdict, count](auto& items) {
      std::copy(items.begin() + verdict.refused_by + 1, items.begin() + count,
                items.begin() + verdict.refused_by);
    };
    drop(charges);
    drop(policies);
    if (--count == 0) return true;
  }
  rate_checked_ = true;
  rate_refused_ = verdict.answer == limit::Answer::refused;
  // Told of: of those without room the last to have some, else who has least.
  size_t told = 0;
  for (size_t i = 1; i < count; ++i) {
    const bool more_to_tell = rate_refused_ ? rooms[i].retry_after > rooms[told].retry_after
                                            : rooms[i].remaining < rooms[told].remaining;
    if (more_to_tell) told = i;
  }
  told_policy_ = *policies[told];
  room_ = rooms[told];
  if (!rate_refused_) return true;
  denied_ = true;
  ++gateway_.counts_.rate_limited;
  const RateLimitFields fields{rate_limit_state()};
  std::string& body = gateway_.text_scratch_;
  body.clear();
  append_rate_limit_body(body, fields, request_id_);
  respond_json(429, body, fields.fields());
  return false;
}

// None: the request has no such header, and is under the limits beside this one alone.
std::optional<base::TableKey> Exchange::rate_key(const RequestLimit& limit,
                                                 const http::RequestHead& head) const {
  const limit::Limiter& limiter = gateway_.shared_.limiter;
  switch (limit.rule.per) {
    case config::LimitPer::client:
      return limiter.address_key(limit.limiter_rule, connection_->hashed_ip.bytes,
                                 limit.rule.ipv6_prefix_bits);
    case config::LimitPer::route:
      return limiter.value_key(limit.limiter_rule, {});
    case config::LimitPer::header:
      break;
  }
  const std::optional<std::string_view> value = limited_value(limit.rule, head);
  if (!value) return std::nullopt;
  return limiter.value_key(limit.limiter_rule, *value);
}

}  // namespace weir::gateway
