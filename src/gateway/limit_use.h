#pragma once
// What one client has left of every limit that is kept for it, and forgetting what it was charged:
// for operators. A limit of a whole route is shown, too, but is nobody's own, so resetting a client
// leaves it; values of headers are known to nobody, and not shown.

#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.h"
#include "gateway/snapshot.h"
#include "limit/limiter.h"

namespace weir::gateway {

struct LimitUse {
  // "route/kv/60s/client/64", "path_rule/…", "ip_rule/203.0.113.0/24", "geo_rule/…", and of a ban
  // rule "ban_rule/{id}/answers" and "ban_rule/{id}/ban": used up for as long as a ban lasts.
  std::string id;
  bool own = true;  // False: of all clients together.
  bool enforced = true;
  limit::Limit limit;
  limit::Room room;  // As if one more request came: `remaining` counts without it.
};

// Every limit of the snapshot that may be charged for `client`, in the order of the configuration.
// Threading: any thread; takes the limiter's locks one at a time.
std::vector<LimitUse> limits_of(const Snapshot& snapshot, limit::Limiter& limiter,
                                const config::IpAddress& client, base::Monotonic now,
                                base::Wall wall);

// Whether a ban still refuses its client: its rule is there, and it has not ended or been lifted.
// Threading: as limits_of().
bool is_in_force(const Snapshot& snapshot, limit::Limiter& limiter, const StartedBan& ban,
                 base::Monotonic now);

// Forgets what `client` was charged under its own limits; returns how many there are.
size_t reset_limits_of(const Snapshot& snapshot, limit::Limiter& limiter,
                       const config::IpAddress& client, base::Wall wall);

}  // namespace weir::gateway
