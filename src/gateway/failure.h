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
inline constexpr Failure kTotalTimeout{504, "total_timeout", "Gateway Timeout"};

Failure failure_of(http::Malformed kind);          // `code` is the kind's name; incomplete: 408.
Failure failure_of(net::UpstreamFailure failure);  // 502 or 504.

// {"error":"…","code":"…","message":"…","requestId":"…","route":"…"}; route only if not empty.
// Source: the founding system's shape (error, message, route, requestId), without its target URL.
void append_body(std::string& out, const Failure& failure, std::string_view request_id,
                 std::string_view route_pattern);

}  // namespace weir::gateway
