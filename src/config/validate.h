#pragma once
// The rules that a Config must keep, wherever it came from.

#include <vector>

#include "config/config.h"
#include "config/problem.h"

namespace weir::config {

inline constexpr size_t kRoutesMax = 10'000;
inline constexpr size_t kListenersMax = 64;
inline constexpr size_t kTrustedProxiesMax = 1000;  // Per listener.
inline constexpr size_t kHostsPerRouteMax = 256;
inline constexpr size_t kUpstreamsPerRouteMax = 256;
inline constexpr size_t kRulesPerRouteMax = 64;  // Methods, headers, header rules: each.

// Everything that is wrong; no places. Empty: the rest of the program may rely on `config`.
std::vector<Problem> validate(const Config& config);

// Fills in what follows from what is written: the parts of each upstream's URL, lower-case hosts,
// the normal form of `rewrite`. What cannot be parsed stays as it is, for validate() to name.
void complete(Config& config);

}  // namespace weir::config
