#pragma once
// Where addresses are, as the gateway asks: geo/database.h, or what a test says.

#include <string_view>

#include "base/thread_annotations.h"
#include "config/country.h"
#include "config/ip.h"

namespace weir::geo {

struct Place {
  config::Country country;  // Not known: nobody knows, or nobody says.
  std::string_view city;    // In English; empty: not known.
};

// Threading: any thread.
class Places {
 public:
  virtual ~Places() = default;
  // Never blocks or allocates. The city lives as long as this object.
  virtual Place find(const config::IpAddress& ip) const WEIR_LIFETIMEBOUND = 0;
};

}  // namespace weir::geo
