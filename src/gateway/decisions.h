#pragma once
// What the stages decide about a request, without what follows from it: the Exchange acts on these,
// explain() tells them. Pure; any thread.

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

#include "access/geo_rules.h"
#include "base/clock.h"
#include "config/config.h"
#include "config/country.h"
#include "gateway/snapshot.h"
#include "http/head_scanner.h"
#include "http/request_head.h"
#include "net/exchange_stream.h"
#include "routing/route_table.h"

namespace weir::gateway {

// What a codec accepts as a head.
http::RequestLimits request_limits(const config::Limits& limits);

// The request's fields, as the route table asks about them.
// Ownership: borrows them.
// Threading: any thread.
class HeaderMatch final : public routing::HeaderLookup {
 public:
  explicit HeaderMatch(http::Fields fields) : fields_(fields) {}
  bool has(std::string_view name, std::string_view value) const override;

 private:
  http::Fields fields_;
};

// An IPv6 client is the network that it was given: who has one address has all of them.
inline constexpr uint8_t kThrottleIpv6Bits = 64;

// What the limiter knows a throttle by, whatever its place in the list: a reload that keeps the
// prefix keeps its counts. How it begins keeps it apart from the limits of routes
// (RequestLimit::id).
// Threading: any thread.
class ThrottleId {
 public:
  explicit ThrottleId(const config::Cidr& prefix) {
    constexpr std::string_view kName = "ip_rule/";
    static_assert(kName.size() + 16 + 1 == kBytes);
    auto* const end = std::copy(kName.begin(), kName.end(), bytes_.data());
    std::copy(prefix.network.bytes.begin(), prefix.network.bytes.end(), end);
    bytes_.back() = static_cast<char>(prefix.prefix_bits);
  }
  std::string_view view() const { return {bytes_.data(), bytes_.size()}; }

 private:
  static constexpr size_t kBytes = 25;
  std::array<char, kBytes> bytes_{};
};

// What the limiter knows a throttle by: the rule's id, so that a reload keeps its counts, else its
// place in the list, which begins like no id. How it begins keeps it apart from all other limits.
// Threading: any thread.
class GeoThrottleId {
 public:
  GeoThrottleId(const config::GeoRule& rule, uint32_t index) {
    auto* end = std::copy(kName.begin(), kName.end(), bytes_.data());
    if (rule.id.empty()) {
      *end++ = '#';
      end = std::to_chars(end, bytes_.data() + bytes_.size(), index).ptr;
    } else {
      end = std::copy_n(rule.id.begin(), std::min(rule.id.size(), kIdBytesMax), end);
    }
    count_ = static_cast<size_t>(end - bytes_.data());
  }
  std::string_view view() const { return {bytes_.data(), count_}; }

 private:
  static constexpr std::string_view kName = "geo_rule/";
  static constexpr size_t kIdBytesMax = 64;
  std::array<char, kName.size() + kIdBytesMax> bytes_{};
  size_t count_ = 0;
};

// CONNECT and TRACE.
bool is_refused_method(const http::RequestHead& head);

// Weir answers it itself. `path` is normalised.
bool is_health_request(const config::Config& config, const http::RequestHead& head,
                       std::string_view path);

// The country that a trusted proxy says the client is in; not known: none does. Of two fields
// nobody knows which one the proxy wrote; what is no country ("XX", "T1") says nothing.
config::Country said_country(const Snapshot& snapshot, const net::ClientConnection& connection,
                             const http::RequestHead& head);

// Nobody: who is allowed, because there is no rule, or because the peer of a Unix socket has no
// address and nothing says more about it, as with IP rules.
access::GeoDecision decide_by_place(const Snapshot& snapshot, const config::IpAddress& client,
                                    const access::GeoRequest& request, base::Wall now);

// What a block answers: the rule's response, or that of a rule that says nothing of its own.
const config::GeoRule& blocking_rule(const Snapshot& snapshot, const access::GeoDecider& decider);

// A CORS preflight that the route answers.
bool is_preflight(const config::Route& route, const http::RequestHead& head);

// By Content-Length alone: of what is chunked nothing is known yet.
bool is_body_too_large(const config::Route& route, const http::RequestHead& head);

// Of the path rule that the request takes, else of its route. By the path that the client sent,
// which is what patterns are about, not the upstream's.
const RequestRules& rules_for(const RouteTargets& targets, std::string_view method,
                              std::string_view path);

// What the limit is counted under beside its id, with LimitPer::header: the field's value. None:
// the request has no such field, and is under the limits beside this one alone. Empty: it has
// several.
std::optional<std::string_view> limited_value(const config::RateLimit& limit,
                                              const http::RequestHead& head);

}  // namespace weir::gateway
