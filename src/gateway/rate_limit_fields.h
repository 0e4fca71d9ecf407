#pragma once
// What a response says of its route's rate limit, or, refused by one, of a rule's throttle:
//
//   X-RateLimit-Limit, -Remaining, -Client-IP      always (the founding system's, spec 5.1)
//   RateLimit-Policy, RateLimit                    always (draft-ietf-httpapi-ratelimit-headers-10)
//   X-RateLimit-Reset, -Reset-Seconds, Retry-After on a refusal: when one more would be admitted

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/field.h"
#include "http/writer.h"
#include "limit/limiter.h"

namespace weir::gateway {

struct RateLimitState {
  limit::Limit limit;
  limit::Room room;
  bool refused = false;
  std::string_view client_ip;  // May be empty: unknown.
  base::Wall now;

  // Rounded up, so that whoever waits as long as told is admitted.
  int64_t retry_after_s() const;
};

// Threading: one thread. The fields point into it.
class RateLimitFields {
 public:
  static constexpr size_t kCountMax = 8;

  explicit RateLimitFields(const RateLimitState& state);
  http::Fields fields() const { return {fields_.data(), count_}; }
  // Whether an upstream's field of this name would contradict ours.
  static bool replaces(const http::Field& field);

 private:
  // The value of the next field; what it is.
  template <typename... Pieces>
  std::string_view add(http::Appender& out, const Pieces&... pieces);

  std::array<char, 320> text_;
  size_t name_ = 0;  // Of the next field, in the order of their names.
  std::array<http::Field, kCountMax> fields_{};
  size_t count_ = 0;
};

// {"error":"Rate limit exceeded","message":"Too many requests. Limit: 100 per 60 seconds",
// "retryAfter":12,"limit":100,"remaining":0,"resetAt":"…","code":"rate_limited","requestId":"…"}
// The first six are the founding system's (spec 5.1).
void append_rate_limit_body(std::string& out, const RateLimitState& state,
                            std::string_view request_id);

// What a kind of throttle says where its rule gives no reason.
struct ThrottleText {
  std::string_view message;
  std::string_view reason;
  std::string_view code;
};
inline constexpr ThrottleText kIpThrottle{"Global IP rate limit exceeded",
                                          "Too many requests from your IP", "ip_throttled"};
inline constexpr ThrottleText kGeoThrottle{"Regional rate limit exceeded",
                                           "Too many requests from your region", "geo_throttled"};

// {"error":"Rate limit exceeded","message":"Global IP rate limit
// exceeded","reason":"…","limit":100,
// "window":60,"remaining":0,"retryAfter":12,"resetAt":"…","code":"ip_throttled","requestId":"…"}
// The first eight are the founding system's (spec 5.3). An empty `reason`: the general one.
void append_throttled_body(std::string& out, const RateLimitState& state, const ThrottleText& text,
                           std::string_view reason, std::string_view request_id);

}  // namespace weir::gateway
