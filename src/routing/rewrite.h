#pragma once
// What a route does to the path on its way to the upstream, or to the client in a redirect.

#include <string>
#include <string_view>

#include "base/thread_annotations.h"
#include "routing/route_table.h"

namespace weir::routing {

// The path for the upstream: `path` itself where the route changes nothing; without the pattern's
// literal prefix where it strips it ("/kv/*" makes "/a" of "/kv/a", "/" of "/kv/"); with `rewrite`
// in place of that prefix where it rewrites. Always begins with '/'. A prefix that ends with '/'
// and a rewrite that does not are joined by one: "/kv/*" with rewrite "/v2" makes "/v2/a". Requires
// that `route` matched `path`. The view is into `path`, `scratch`, or constant. Limits: grows
// `scratch` to the path's and the rewrite's bytes; it keeps its capacity.
std::string_view upstream_path(const Route& route, std::string_view path WEIR_LIFETIMEBOUND,
                               std::string& scratch WEIR_LIFETIMEBOUND);

struct RedirectTarget {
  std::string_view path;   // Normalised.
  std::string_view query;  // Without the '?'.
  bool has_query;          // "/a?" has an empty query, "/a" has none.
};

// The Location of the route's redirect, into `out` (which is replaced). Bytes that no URL contains,
// CR and LF among them, are percent-encoded; a request's path never becomes "//host/…", which
// browsers take for another site.
// Requires that the route redirects.
void redirect_location(const Route& route, const RedirectTarget& target, std::string& out);

}  // namespace weir::routing
