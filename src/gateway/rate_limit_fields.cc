#include "gateway/rate_limit_fields.h"

#include <algorithm>
#include <charconv>
#include <span>

#include "codec/iso_time.h"
#include "gateway/failure.h"
#include "http/writer.h"

namespace weir::gateway {
namespace {

enum class Name : uint8_t {
  limit,
  remaining,
  client_ip,
  policy,
  item,
  reset,
  reset_seconds,
  retry_after,
};
constexpr std::array<std::string_view, RateLimitFields::kCountMax> kNames{
    "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Client-IP",     "RateLimit-Policy",
    "RateLimit",         "X-RateLimit-Reset",     "X-RateLimit-Reset-Seconds", "Retry-After"};

uint32_t seconds_up(std::chrono::microseconds time) {
  return static_cast<uint32_t>(std::chrono::ceil<std::chrono::seconds>(time).count());
}

// These fields and bodies go with every limited response: reading a format each time, or growing
// the text by its pieces, would cost as much as all guards together.
template <typename... Pieces>
void append_all(std::string& out, const Pieces&... pieces) {
  const size_t begin = out.size();
  out.resize(begin + http::Appender::total_bytes(pieces...));
  http::Appender{std::span{out}.subspan(begin)}.append_all(pieces...);
}

}  // namespace

RateLimitItem::RateLimitItem(char first_key, uint32_t first, char second_key, uint32_t second) {
  constexpr std::string_view kHead = R"("default";?=)";
  static_assert(kHead.size() == kHeadBytes);
  char* at = std::copy(kHead.begin(), kHead.end(), text_.data());
  at[-2] = first_key;
  char* const end = text_.data() + text_.size();
  const char* const begin = at;
  at = std::to_chars(at, end, first).ptr;
  first_bytes_ = static_cast<uint8_t>(at - begin);
  *at++ = ';';
  *at++ = second_key;
  *at++ = '=';
  size_ = static_cast<uint8_t>(std::to_chars(at, end, second).ptr - text_.data());
}

RateLimitFields::RateLimitFields(const RateLimitState& state)
    : policy_(state.policy),
      item_('r', state.room.remaining, 't',
            seconds_up(state.refused ? state.room.retry_after : state.room.reset_after)) {
  const auto add = [this](Name name, std::string_view value) {
    fields_[count_++] = {kNames[static_cast<size_t>(name)], value, http::FieldName::other};
  };
  add(Name::limit, requests());
  add(Name::remaining, item_.first());
  if (!state.client_ip.empty()) add(Name::client_ip, state.client_ip);
  add(Name::policy, policy_.whole());
  add(Name::item, item_.whole());
  if (!state.refused) return;
  const auto unix_ms = std::chrono::ceil<std::chrono::milliseconds>(
      (state.now + state.room.retry_after).time_since_epoch());
  codec::IsoMs{unix_ms.count()}.view().copy(reset_at_.data(), reset_at_.size());
  add(Name::reset, reset_at());
  add(Name::reset_seconds, retry_after_s());
  add(Name::retry_after, retry_after_s());
}

bool RateLimitFields::replaces(const http::Field& field) {
  return field.id == http::FieldName::other &&
         std::any_of(kNames.begin(), kNames.end() - 1, [&](std::string_view ours) {
           return http::equals_ignore_case(ours, field.name);
         });
}

void append_rate_limit_body(std::string& out, const RateLimitFields& told,
                            std::string_view request_id) {
  append_all(out, R"({"error":"Rate limit exceeded","message":"Too many requests. Limit: )",
             told.requests(), " per ", told.window_s(), R"( seconds","retryAfter":)",
             told.retry_after_s(), R"(,"limit":)", told.requests(), R"(,"remaining":)",
             told.remaining(), R"(,"resetAt":")", told.reset_at(),
             R"(","code":"rate_limited","requestId":")", request_id, "\"}");
}

void append_throttled_body(std::string& out, const RateLimitFields& told, const ThrottleText& text,
                           std::string_view reason, std::string_view request_id) {
  append_all(out, R"({"error":"Rate limit exceeded","message":")", text.message, R"(","reason":")");
  append_json(out, reason.empty() ? text.reason : reason);
  append_all(out, R"(","limit":)", told.requests(), R"(,"window":)", told.window_s(),
             R"(,"remaining":)", told.remaining(), R"(,"retryAfter":)", told.retry_after_s(),
             R"(,"resetAt":")", told.reset_at(), R"(","code":")", text.code, R"(","requestId":")",
             request_id, "\"}");
}

}  // namespace weir::gateway
