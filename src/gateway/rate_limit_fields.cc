#include "gateway/rate_limit_fields.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <string_view>

#include "base/assert.h"
#include "codec/iso_time.h"
#include "gateway/failure.h"

namespace weir::gateway {
namespace {

constexpr std::array<std::string_view, RateLimitFields::kCountMax> kNames{
    "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Client-IP",     "RateLimit-Policy",
    "RateLimit",         "X-RateLimit-Reset",     "X-RateLimit-Reset-Seconds", "Retry-After"};

// Texts and numbers, one behind the other. These fields and bodies go with every limited response:
// reading a format each time would cost as much as all guards together.
template <typename Out>
void put_one(Out& out, std::string_view text) {
  out.append(text);
}
template <typename Out, std::integral Number>
void put_one(Out& out, Number number) {
  std::array<char, 20> digits;
  const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(std::string_view{digits.data(), static_cast<size_t>(end - digits.data())});
}
template <typename Out, typename... Pieces>
void put(Out& out, const Pieces&... pieces) {
  (put_one(out, pieces), ...);
}

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
  http::Appender out{text_};
  const std::string_view requests = add(out, state.limit.requests);
  const std::string_view remaining = add(out, state.room.remaining);
  if (state.client_ip.empty()) {
    ++name_;
  } else {
    add(out, state.client_ip);
  }
  add(out, R"("default";q=)", requests, ";w=", state.limit.window.count());
  add(out, R"("default";r=)", remaining,
      ";t=", seconds_up(state.refused ? state.room.retry_after : state.room.reset_after));
  if (state.refused) {
    add(out, codec::IsoMs{reset_ms(state)}.view());
    add(out, state.retry_after_s());
    add(out, state.retry_after_s());
  }
  WEIR_ASSERT(!out.failed());
}

bool RateLimitFields::replaces(const http::Field& field) {
  return field.id == http::FieldName::other &&
         std::any_of(kNames.begin(), kNames.end() - 1, [&](std::string_view ours) {
           return http::equals_ignore_case(ours, field.name);
         });
}

template <typename... Pieces>
std::string_view RateLimitFields::add(http::Appender& out, const Pieces&... pieces) {
  const size_t begin = out.size();
  put(out, pieces...);
  const std::string_view value = out.view().substr(begin);
  fields_[count_++] = {kNames[name_++], value, http::FieldName::other};
  return value;
}

void append_rate_limit_body(std::string& out, const RateLimitState& state,
                            std::string_view request_id) {
  put(out, R"({"error":"Rate limit exceeded","message":"Too many requests. Limit: )",
      state.limit.requests, " per ", state.limit.window.count(), R"( seconds","retryAfter":)",
      state.retry_after_s(), R"(,"limit":)", state.limit.requests, R"(,"remaining":)",
      state.room.remaining, R"(,"resetAt":")", codec::IsoMs{reset_ms(state)}.view(),
      R"(","code":"rate_limited","requestId":")", request_id, "\"}");
}

void append_throttled_body(std::string& out, const RateLimitState& state, const ThrottleText& text,
                           std::string_view reason, std::string_view request_id) {
  put(out, R"({"error":"Rate limit exceeded","message":")", text.message, R"(","reason":")");
  append_json(out, reason.empty() ? text.reason : reason);
  put(out, R"(","limit":)", state.limit.requests, R"(,"window":)", state.limit.window.count(),
      R"(,"remaining":)", state.room.remaining, R"(,"retryAfter":)", state.retry_after_s(),
      R"(,"resetAt":")", codec::IsoMs{reset_ms(state)}.view(), R"(","code":")", text.code,
      R"(","requestId":")", request_id, "\"}");
}

}  // namespace weir::gateway
