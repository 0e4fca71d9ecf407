#pragma once
// The answers that Weir gives by itself: stable codes, statuses and JSON bodies.

#include <cstdint>
#include <string>
#include <string_view>

#include "http/malformed.h"
#include "net/exchange_stream.h"

namespace weir::gateway {

// What clients and scripts see. `code` never changes once released; `error` is for people.
struct Failure {
  int status;
  std::string_view code;
  std::string_view error;
};

inline constexpr Failure kNotFound{404, "no_route", "Not Found"};
inline constexpr Failure kMethodNotAllowed{405, "method_not_allowed", "Method Not Allowed"};
inline constexpr Failure kBodyTooLarge{413, "body_too_large", "Content Too Large"};
inline constexpr Failure kNoUpstream{503, "no_upstream", "Service Unavailable"};
inline constexpr Failure kUpstreamBusy{503, "upstream_busy", "Service Unavailable"};
inline constexpr Failure kTooManyTunnels{503, "too_many_tunnels", "Service Unavailable"};
inline constexpr Failure kLimiterFull{503, "limiter_full", "Service Unavailable"};
inline constexpr Failure kTotalTimeout{504, "total_timeout", "Gateway Timeout"};

Failure failure_of(http::Malformed kind);          // `code` is the kind's name; incomplete: 408.
Failure failure_of(net::UpstreamFailure failure);  // 502 or 504.

// {"error":"…","code":"…","message":"…","requestId":"…","route":"…"}; route only if not empty.
// Source: the founding system's shape (error, message, route, requestId), without its target URL.
void append_body(std::string& out, const Failure& failure, std::string_view request_id,
                 std::string_view route_pattern);

// {"error":"Forbidden","message":"Access denied by IP access control","reason":"…",
// "rulePattern":"203.0.113.0/24","code":"ip_blocked","requestId":"…"}
// The first four are the founding system's (spec 5.3). An empty `reason`: its general one.
void append_blocked_body(std::string& out, std::string_view reason, std::string_view prefix,
                         std::string_view request_id);

// {"error":"Forbidden","message":"Too many refused requests or errors from your IP","reason":"…",
// "retryAfter":600,"code":"banned","requestId":"…"}; an empty `reason` is left out. `retry_after`
// is a number.
void append_banned_body(std::string& out, std::string_view reason, std::string_view retry_after,
                        std::string_view request_id);

// {"error":"Access denied from your region","country":"CN","timestamp":"…","reason":"…",
// "code":"geo_blocked","requestId":"…"}
// The first three are the founding system's (spec 6.2); country is null where none is known, and an
// empty `reason` is left out.
struct RegionRefusal {
  std::string_view message;
  std::string_view country;
  std::string_view reason;
  int64_t unix_ms = 0;
};
void append_region_body(std::string& out, const RegionRefusal& refusal,
                        std::string_view request_id);

// `text`, which is UTF-8, as the inside of a JSON string.
void append_json(std::string& out, std::string_view text);

}  // namespace weir::gateway
