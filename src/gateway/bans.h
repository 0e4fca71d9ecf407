#pragma once
// Bans: a client that gets `count` answers of some kind in any `window` is refused for `ban`. The
// limiter counts both: the answers as a limit of `count` in `window`, the ban itself as a limit of
// one in `ban`, which is exhausted for as long as it lasts. So bans are exact across loops, need no
// memory of their own, and end by themselves.
//
//   answer of a counted kind ─► charge {count, window} ─ last one, or none left ─► charge {1, ban}
//   request ─► any ban charged? ─► 403
//
// What a ban refuses does not count: a ban ends, however often its client asks meanwhile. Who is
// allowed by an IP rule is never banned. A rule that is not enforced counts all the same, and those
// whom it would refuse are counted; enforced later, it goes on from there.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "config/ban_rule.h"
#include "config/config.h"
#include "config/ip.h"
#include "limit/limiter.h"

namespace weir::gateway {

// What one rule comes to.
struct Ban {
  uint32_t rule = 0;  // Of config.ban_rules.
  config::BanTriggers triggers;
  std::vector<bool> routes;  // By index in config.routes; empty: any answer.
  std::string offences_id;   // What the limiter knows the answers by.
  std::string id;            // And the ban.
  limit::Rule offences_rule{offences_id};
  limit::Rule ban_rule{id};
  limit::Limit offences;
  limit::Limit ban;

  bool counts(int status, bool denied, const uint32_t* route) const {
    if (!(denied && triggers.denied) &&
        (status >= static_cast<int>(triggers.statuses.size()) || status < 0 ||
         !triggers.statuses[static_cast<size_t>(status)])) {
      return false;
    }
    return routes.empty() || (route != nullptr && routes[*route]);
  }
};

// Requires a valid configuration.
std::vector<Ban> bans_of(const config::Config& config);

// The entries of a client, an IPv6 one being its network of kThrottleIpv6Bits.
base::TableKey offences_key(const limit::Limiter& limiter, const Ban& ban,
                            const config::IpAddress& client);
base::TableKey ban_key(const limit::Limiter& limiter, const Ban& ban,
                       const config::IpAddress& client);

// Nobody is banned after this moment: what keeps requests from looking for bans when there are
// none. Threading: any thread; relaxed: who reads an older moment lets one request through, as if
// it had come before.
class BannedUntil {
 public:
  base::Monotonic get() const { return of(until_.load(std::memory_order_relaxed)); }
  void extend(base::Monotonic until) {
    const int64_t wanted = until.time_since_epoch().count();
    int64_t known = until_.load(std::memory_order_relaxed);
    while (known < wanted &&
           !until_.compare_exchange_weak(known, wanted, std::memory_order_relaxed)) {
    }
  }

 private:
  static base::Monotonic of(int64_t ticks) {
    return base::Monotonic{base::Monotonic::duration{ticks}};
  }
  std::atomic<int64_t> until_{std::numeric_limits<int64_t>::min()};
};

// One ban that was started, for operators.
struct StartedBan {
  config::IpAddress client;
  std::array<char, 64> rule_id{};  // Ends with a NUL, or is full.
  base::Wall at;
  base::Wall until;
  bool enforced = true;

  std::string_view rule() const;
};

// The newest kMax bans that one loop started.
// Threading: home loop only.
class StartedBans {
 public:
  static constexpr size_t kMax = 1024;  // 112 KiB.

  void add(const config::IpAddress& client, const config::BanRule& rule, base::Wall at);
  // In no order.
  const std::vector<StartedBan>& all() const { return bans_; }

 private:
  std::vector<StartedBan> bans_;
  size_t next_ = 0;  // The oldest one, once all places are taken.
};

}  // namespace weir::gateway
