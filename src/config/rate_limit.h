#pragma once
// Rate limits, as the configuration has them: never more than `limit` requests in any `window`,
// counted for each client, each value of a header, or all requests together. How it is counted:
// limit/limiter.h. Which level of the configuration decides: config/resolve.h.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace weir::config {

inline constexpr size_t kRateLimitsMax = 4;  // Of one level.

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

// What one level of the configuration says about one limit.
struct RateLimitFields {
  std::optional<bool> enabled;
  std::optional<bool> enforce;
  std::optional<uint32_t> limit;
  std::optional<std::chrono::seconds> window;
  std::optional<LimitPer> per;
  std::optional<std::string> header;
  std::optional<uint8_t> ipv6_prefix_bits;
  bool operator==(const RateLimitFields&) const = default;
};

// What tells the limit from others of its route, and stays the same when its number, its place or
// whether it is enforced changes: "60s/client/64", "1s/route", "60s/header/x-api-key".
std::string rate_limit_id(const RateLimit& limit);

}  // namespace weir::config
