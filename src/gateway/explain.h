#pragma once
// What would become of a request, and why, without sending or counting anything: the stages of
// gateway/exchange.cc, told instead of acted on. Both ask the same functions (decisions.h,
// config/resolve.h); explain_test.cc compares them on random requests and configurations.
//
// Rate limits and throttles are taken to have room: what they have counted is no matter of the
// configuration.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "access/geo_rules.h"
#include "access/ip_rules.h"
#include "base/clock.h"
#include "config/resolve.h"
#include "gateway/snapshot.h"
#include "http/malformed.h"
#include "net/socket_address.h"

namespace weir::gateway {

// The stage that ends it.
enum class Answer : uint8_t {
  malformed,       // No request that has exactly one reading.
  refused_method,  // CONNECT, TRACE.
  health,
  ip_blocked,
  geo_blocked,
  no_route,
  preflight,
  redirect,
  built_in,
  body_too_large,
  upstream,  // Weir does not answer it.
};

std::string_view to_string(Answer answer);

struct Explanation {
  Answer answer = Answer::upstream;
  int status = 0;  // What Weir answers; 0 with Answer::upstream.
  http::Malformed malformed = http::Malformed::none;
  config::IpAddress client;  // Zero: none is known.
  std::string path;          // Normalised; empty: the request has none.
  // Beyond where an answer was found nothing is filled in.
  access::Match ip_rule;                        // Action none: no rule decides.
  access::Match ip_dry_run;                     // Action none: no other one would.
  config::Country country;                      // Not known: nobody says.
  std::string city;                             // Empty: not known.
  access::GeoDecider geo;                       // Does not exist: no geographic rule is asked.
  access::GeoDecider geo_dry_run;               // Does not exist: no other one would decide.
  const config::Route* route = nullptr;         // The snapshot's.
  const config::PathRule* path_rule = nullptr;  // The snapshot's.
  config::Level rate_limit_level = config::Level::built_in;
  struct Limit {
    config::EffectiveRateLimit effective;
    bool counts = false;  // It is enabled, and the request has its header.
  };
  std::vector<Limit> rate_limits;
  std::string location;         // Of a redirect.
  std::string upstream_target;  // Path and query that the upstream would see.
};

// Who asks, and how.
struct Asker {
  net::SocketAddress peer;
  uint32_t listener = 0;  // Index in the configuration.
};

// `head` is a request's head as HTTP/1.1 writes it, with its empty line. The explanation borrows
// from the snapshot.
// Threading: any thread.
Explanation explain(const Snapshot& snapshot, std::string_view head, const Asker& asker,
                    base::Wall now);

}  // namespace weir::gateway
