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
#include "limit/limiter.h"

namespace weir::gateway {

// The value of RateLimit-Policy, `"default";q=100;w=60`, or of RateLimit, `"default";r=57;t=12`.
// Both numbers are values of other fields too, and are written once.
// Threading: immutable after construction.
class RateLimitItem {
 public:
  RateLimitItem() = default;
  RateLimitItem(char first_key, uint32_t first, char second_key, uint32_t second);

  std::string_view whole() const { return {text_.data(), size_}; }
  std::string_view first() const { return whole().substr(kHeadBytes, first_bytes_); }
  std::string_view second() const { return whole().substr(kHeadBytes + first_bytes_ + 3U); }

 private:
  static constexpr size_t kHeadBytes = 12;
  std::array<char, kHeadBytes + 10 + 3 + 10> text_{};
  uint8_t first_bytes_ = 0;
  uint8_t size_ = 0;
};

// What a limit says of itself to everybody: for a route's limit made once.
inline RateLimitItem policy_of(const limit::Limit& limit) {
  return {'q', limit.requests, 'w', static_cast<uint32_t>(limit.window.count())};
}

struct RateLimitState {
  const RateLimitItem& policy;
  limit::Room room;
  bool refused = false;
  std::string_view client_ip;  // May be empty: unknown.
  base::Wall now;
};

// Times are rounded up, so that whoever waits as long as told is admitted.
// Ownership: borrows the policy and the client's address. The fields point into it.
// Threading: one thread.
class RateLimitFields {
 public:
  static constexpr size_t kCountMax = 8;

  explicit RateLimitFields(const RateLimitState& state);
  RateLimitFields(const RateLimitFields&) = delete;
  RateLimitFields& operator=(const RateLimitFields&) = delete;

  http::Fields fields() const { return {fields_.data(), count_}; }
  // Whether an upstream's field of this name would contradict ours.
  static bool replaces(const http::Field& field);

  std::string_view requests() const { return policy_.first(); }
  std::string_view window_s() const { return policy_.second(); }
  std::string_view remaining() const { return item_.first(); }
  // Of a refusal.
  std::string_view retry_after_s() const { return item_.second(); }
  std::string_view reset_at() const { return {reset_at_.data(), reset_at_.size()}; }

 private:
  const RateLimitItem& policy_;
  const RateLimitItem item_;
  std::array<char, 24> reset_at_;  // ISO 8601, of a refusal.
  std::array<http::Field, kCountMax> fields_;
  size_t count_ = 0;
};

// {"error":"Rate limit exceeded","message":"Too many requests. Limit: 100 per 60 seconds",
// "retryAfter":12,"limit":100,"remaining":0,"resetAt":"…","code":"rate_limited","requestId":"…"}
// The first six are the founding system's (spec 5.1).
void append_rate_limit_body(std::string& out, const RateLimitFields& told,
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
void append_throttled_body(std::string& out, const RateLimitFields& told, const ThrottleText& text,
                           std::string_view reason, std::string_view request_id);

}  // namespace weir::gateway
