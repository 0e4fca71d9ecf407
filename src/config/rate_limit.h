#pragma once
// One rate limit of a route, as the configuration has it: never more than `limit` requests in any
// `window`, counted for each client, each value of a header, or all requests of the route together.
// How it is counted: limit/limiter.h.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace weir::config {

inline constexpr size_t kRateLimitsPerRouteMax = 4;

enum class LimitPer : uint8_t { client, route, header };

struct RateLimit {
  bool enabled = true;
  bool enforce = true;  // False: counted, and what it would refuse is counted too, but passes.
  uint32_t limit = 100;
  std::chrono::seconds window{60};
  LimitPer per = LimitPer::client;
  std::string header;             // With LimitPer::header: each value of it has a limit of its own.
  uint8_t ipv6_prefix_bits = 64;  // An IPv6 client is a network of this size.
  bool operator==(const RateLimit&) const = default;
};

// What tells the limit from others of its route, and stays the same when its number, its place or
// whether it is enforced changes: "60s/client/64", "1s/route", "60s/header/x-api-key".
std::string rate_limit_id(const RateLimit& limit);

}  // namespace weir::config
