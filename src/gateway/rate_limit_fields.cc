#include "gateway/rate_limit_fields.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "base/assert.h"
#include "codec/iso_time.h"
#include "gateway/failure.h"

namespace weir::gateway {
namespace {

constexpr std::array<std::string_view, RateLimitFields::kCountMax> kNames{
    "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Client-IP",     "RateLimit-Policy",
    "RateLimit",         "X-RateLimit-Reset",     "X-RateLimit-Reset-Seconds", "Retry-After"};

int64_t seconds_up(std::chrono::microseconds time) {
  return std::chrono::ceil<std::chrono::seconds>(time).count();
}

int64_t reset_ms(const RateLimitState& state) {
  return base::unix_ms(state.now + state.room.retry_after);
}

}  // namespace

int64_t RateLimitState::retry_after_s() const {
  return seconds_up(room.retry_after);
}

RateLimitFields::RateLimitFields(const RateLimitState& state) {
  add(kNames[0], "{}", state.limit.requests);
  add(kNames[1], "{}", state.room.remaining);
  if (!state.client_ip.empty()) add(kNames[2], "{}", state.client_ip);
  add(kNames[3], R"("default";q={};w={})", state.limit.requests, state.limit.window.count());
  add(kNames[4], R"("default";r={};t={})", state.room.remaining,
      seconds_up(state.refused ? state.room.retry_after : state.room.reset_after));
  if (!state.refused) return;
  add(kNames[5], "{}", codec::iso_ms(reset_ms(state)));
  add(kNames[6], "{}", state.retry_after_s());
  add(kNames[7], "{}", state.retry_after_s());
}

bool RateLimitFields::replaces(std::string_view name) {
  return std::any_of(kNames.begin(), kNames.end() - 1,
                     [&](std::string_view ours) { return http::equals_ignore_case(ours, name); });
}

template <typename... Arguments>
void RateLimitFields::add(std::string_view name, const char* format,
                          const Arguments&... arguments) {
  char* begin = text_.data() + used_;
  const size_t left = text_.size() - used_;
  const auto written = fmt::format_to_n(begin, left, fmt::runtime(format), arguments...);
  WEIR_ASSERT(written.size <= left);
  used_ += written.size;
  fields_[count_++] = {name, {begin, written.size}, http::FieldName::other};
}

void append_rate_limit_body(std::string& out, const RateLimitState& state,
                            std::string_view request_id) {
  fmt::format_to(std::back_inserter(out),
                 R"({{"error":"Rate limit exceeded","message":"Too many requests. Limit: {} per {})"
                 R"( seconds","retryAfter":{},"limit":{},"remaining":{},"resetAt":"{}",)"
                 R"("code":"rate_limited","requestId":"{}"}})",
                 state.limit.requests, state.limit.window.count(), state.retry_after_s(),
                 state.limit.requests, state.room.remaining, codec::iso_ms(reset_ms(state)),
                 request_id);
}

void append_throttled_body(std::string& out, const RateLimitState& state, const ThrottleText& text,
                           std::string_view reason, std::string_view request_id) {
  fmt::format_to(std::back_inserter(out),
                 R"({{"error":"Rate limit exceeded","message":"{}","reason":")", text.message);
  append_json(out, reason.empty() ? text.reason : reason);
  fmt::format_to(std::back_inserter(out),
                 R"(","limit":{},"window":{},"remaining":{},"retryAfter":{},"resetAt":"{}",)"
                 R"("code":"{}","requestId":"{}"}})",
                 state.limit.requests, state.limit.window.count(), state.room.remaining,
                 state.retry_after_s(), codec::iso_ms(reset_ms(state)), text.code, request_id);
}

}  // namespace weir::gateway
