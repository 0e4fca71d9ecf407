#pragma once
// What is left of limits, and forgetting what they were charged: for operators. Of a client, of a
// header's value (a key), or of a route as a whole. A client is shown the limits that it shares
// with all others, too; they are not its own, so that resetting it leaves them.

#include <cstddef>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "gateway/snapshot.h"
#include "limit/limiter.h"

namespace weir::gateway {

struct LimitUse {
  // "route/kv/60s/client/64", "path_rule/…", "ip_rule/203.0.113.0/24", "geo_rule/…", and of a ban
  // rule "ban_rule/{id}/answers" and "ban_rule/{id}/ban": used up for as long as a ban lasts.
  std::string id;
  bool own = true;  // False: the subject's and others' together.
  bool enforced = true;
  limit::Limit limit;
  limit::Room room;  // As if one more request came: `remaining` counts without it.
};

struct LimitedClient {
  config::IpAddress ip;
};
struct LimitedValue {
  std::string value;  // Not empty. Of whichever header a limit is about.
};
struct LimitedRoute {
  std::string id;
};
using LimitSubject = std::variant<LimitedClient, LimitedValue, LimitedRoute>;

// Every limit of the snapshot that may be charged for the subject, in the order of the
// configuration.
// Threading: any thread; takes the limiter's locks one at a time.
std::vector<LimitUse> limits_of(const Snapshot& snapshot, limit::Limiter& limiter,
                                const LimitSubject& subject, base::Monotonic now, base::Wall wall);

// Whether a ban still refuses its client: its rule is there, and it has not ended or been lifted.
// Threading: as limits_of().
bool is_in_force(const Snapshot& snapshot, limit::Limiter& limiter, const StartedBan& ban,
                 base::Monotonic now);

// Forgets what the subject was charged under its own limits; returns how many there are.
size_t reset_limits_of(const Snapshot& snapshot, limit::Limiter& limiter,
                       const LimitSubject& subject, base::Wall wall);

}  // namespace weir::gateway
