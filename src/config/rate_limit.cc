#include "config/rate_limit.h"

#include <fmt/format.h>

#include "config/internal/text.h"

namespace weir::config {

std::string rate_limit_id(const RateLimit& limit) {
  const int64_t window_s = limit.window.count();
  switch (limit.per) {
    case LimitPer::client:
      return fmt::format("{}s/client/{}", window_s, limit.ipv6_prefix_bits);
    case LimitPer::route:
      return fmt::format("{}s/route", window_s);
    case LimitPer::header:
      return fmt::format("{}s/header/{}", window_s, internal::to_lower(limit.header));
  }
  return {};
}

}  // namespace weir::config
