// Who gets too many answers of some kind is refused for a while (bans.h).

#include <array>
#include <charconv>
#include <chrono>

#include "gateway/bans.h"
#include "gateway/exchange.h"

namespace weir::gateway {

using config::IpAction;
using http::FieldName;

// Who is not banned goes on without an allocation; while nobody is, without a look.
bool Exchange::check_bans() {
  const Snapshot& snapshot = *active_->snapshot;
  if (snapshot.bans.empty()) return true;
  if (arrived_ > gateway_.shared_.banned_until.get()) return true;
  const config::IpAddress client{connection_->hashed_ip.bytes};
  if (client == config::IpAddress{}) return true;
  limit::Limiter& limiter = gateway_.shared_.limiter;
  const config::BanRule* refuses = nullptr;  // Of several, the one that ends last.
  limit::Room longest;
  for (const Ban& ban : snapshot.bans) {
    const limit::Room room = limiter.look({ban_key(limiter, ban, client), ban.ban}, arrived_);
    if (room.remaining > 0) continue;
    const config::BanRule& rule = snapshot.config.ban_rules[ban.rule];
    if (!rule.enforce) {
      ++gateway_.counts_.ban_dry_runs;
      flags_ |= traffic::EventFlag::kWouldBeDenied;
      continue;
    }
    if (refuses != nullptr && room.retry_after <= longest.retry_after) continue;
    refuses = &rule;
    longest = room;
  }
  if (refuses != nullptr) refuse_banned(*refuses, longest);
  return refuses == nullptr;
}

void Exchange::refuse_banned(const config::BanRule& rule, const limit::Room& room) {
  ++gateway_.counts_.ban_denied;
  refused_by_ban_ = true;
  const int64_t seconds = std::chrono::ceil<std::chrono::seconds>(room.retry_after).count();
  std::array<char, 20> digits;
  const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), seconds).ptr;
  const std::string_view retry_after{digits.data(), static_cast<size_t>(end - digits.data())};
  std::string& body = gateway_.text_scratch_;
  body.clear();
  append_banned_body(body, rule.reason, retry_after, request_id_);
  const std::array<http::Field, 2> fields{
      {{http::text(FieldName::content_type), "application/json", FieldName::content_type},
       {http::text(FieldName::retry_after), retry_after, FieldName::retry_after}}};
  respond_fields(403, fields, body);
}

// Of every answer that is recorded, after its record. Without room in the limiter nothing is
// counted, and nobody banned: as everywhere, strangers are not made to pay for others.
void Exchange::count_for_bans() {
  const Snapshot& snapshot = *active_->snapshot;
  if (snapshot.bans.empty() || refused_by_ban_ || of_unknown_client_) return;
  // A rule's own answer to whom it denies may have any status.
  if ((status_ < 400 && !denied_) || status_ == kClientGone) return;
  const config::IpAddress client{connection_->hashed_ip.bytes};
  if (client == config::IpAddress{}) return;
  // Asked here, because some answers come before the rules are.
  if (decide_by_ip().enforced.action == IpAction::allow) return;
  const base::Monotonic now = gateway_.context_.loop.now();
  limit::Limiter& limiter = gateway_.shared_.limiter;
  const uint32_t* const route = entry_ != nullptr ? &entry_->index : nullptr;
  for (const Ban& ban : snapshot.bans) {
    if (!ban.counts(status_, denied_, route)) continue;
    limit::Room room;
    const limit::Charge offence{offences_key(limiter, ban, client), ban.offences};
    const limit::Verdict verdict = limiter.admit({&offence, 1}, now, {&room, 1});
    if (verdict.answer == limit::Answer::no_room) {
      ++gateway_.counts_.rate_limit_unchecked;
      continue;
    }
    if (room.remaining > 0) continue;
    const limit::Charge start{ban_key(limiter, ban, client), ban.ban};
    if (limiter.admit({&start, 1}, now, {&room, 1}).answer != limit::Answer::admitted) continue;
    gateway_.shared_.banned_until.extend(now + ban.ban.window);
    ++gateway_.counts_.bans_started;
    gateway_.started_bans_.add(client, snapshot.config.ban_rules[ban.rule],
                               gateway_.context_.loop.wall());
  }
}

}  // namespace weir::gateway
