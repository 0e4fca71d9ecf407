#pragma once
// The one model of the configuration, and the only place where its defaults stand.
//
// A Config is what the rest of the program reads: complete (every default filled in), valid (every
// rule of validate() holds) and immutable once published. `config/load.h` makes one out of
// weir.toml and the environment. Paths, durations and sizes carry their unit in the type or name.
// The keys of the file are named, ranged and marked (restart needed or not) in internal/schema.h.

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codec/path_template.h"
#include "config/ban_rule.h"
#include "config/geo_rule.h"
#include "config/ip_rule.h"
#include "config/path_rule.h"
#include "config/rate_limit.h"
#include "config/webhook.h"

namespace weir::config {

using std::chrono::milliseconds;

// Where the client's address comes from (design: one source per listener).
enum class ClientAddress : uint8_t {
  socket,
  x_forwarded_for,
  forwarded,
  cf_connecting_ip,
  x_real_ip,
  proxy_protocol,  // Mandatory on the connection, from trusted proxies.
};

// `address` is "127.0.0.1:8787", "[::1]:8787", "unix:/path" or "fd:NAME" (LISTEN_FDS, by name);
// port 0 lets the kernel choose. `parse_listen_address()` takes it apart.
struct Listener {
  std::string address;
  ClientAddress client_address = ClientAddress::socket;
  std::vector<std::string> trusted_proxies;  // Addresses and CIDRs.
  bool operator==(const Listener&) const = default;
};

struct Upstream {
  std::string url;   // As written: "http://host:port".
  std::string host;  // Name or address, lower case; IPv6 without brackets.
  uint16_t port = 80;
  std::string unix_path;  // "http+unix:/path"; then host and port are unused.
  uint32_t weight = 1;    // 1 to 1000.
  bool operator==(const Upstream&) const = default;
};

enum class HostMode : uint8_t { upstream, preserve, literal };

struct HeaderRules {
  std::vector<std::pair<std::string, std::string>> set;
  std::vector<std::pair<std::string, std::string>> add;
  std::vector<std::string> remove;
  bool operator==(const HeaderRules&) const = default;
};

struct Redirect {
  uint16_t status = 0;   // 301, 302, 303, 307, 308; 0: the route does not redirect.
  std::string location;  // "$path" and "$query" ("?…" or empty) are replaced; "$$" is one "$".
  bool operator==(const Redirect&) const = default;
};

struct Cors {
  bool enabled = false;
  std::vector<std::string> origins;  // "*" or exact origins.
  std::vector<std::string> methods;  // Empty: GET, HEAD, POST, PUT, PATCH, DELETE.
  std::vector<std::string> headers;  // Empty: those asked for are echoed.
  bool credentials = false;
  std::chrono::seconds max_age{600};
  bool operator==(const Cors&) const = default;
};

struct HealthCheck {
  std::string path;  // Empty: no active probes.
  milliseconds interval{5000};
  milliseconds timeout{2000};
  uint32_t healthy_after = 2;    // Probes in a row.
  uint32_t unhealthy_after = 3;  // Probes in a row.
  bool operator==(const HealthCheck&) const = default;
};

// Connection failures in a row take an endpoint out for a while.
struct PassiveHealth {
  uint32_t failures = 3;  // 0: never.
  milliseconds ejected_for{10000};
  bool operator==(const PassiveHealth&) const = default;
};

struct Timeouts {
  milliseconds connect{2000};
  milliseconds first_byte{30000};  // Request sent until response head.
  milliseconds idle{30000};        // Between two reads or writes while streaming.
  milliseconds total{0};           // Arrival to end; 0: none.
  milliseconds tunnel_idle{300000};
  milliseconds tunnel_lifetime{0};  // 0: none.
  bool operator==(const Timeouts&) const = default;
};

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): ordered by meaning; there are few.
// What Weir answers by itself on a traffic listener, through the same stages as every route.
enum class BuiltIn : uint8_t {
  none,
  smoke,  // `smoke.enabled`: 200 and a little JSON, for `weir smoke`.
};

struct Route {
  std::string id;
  bool enabled = true;
  int32_t priority = 0;              // Lowest first.
  std::string pattern;               // "/kv/*", "/v1/*/items", "/**".
  std::vector<std::string> hosts;    // Lower case: "example.com", "*.example.com".
  std::vector<std::string> methods;  // As sent: case matters.
  std::vector<std::pair<std::string, std::string>> headers;  // Name, exact value; "*" = present.

  std::vector<Upstream> upstreams;
  uint32_t max_connections = 0;  // Per endpoint, node-wide; 0: no limit.
  HealthCheck health;
  PassiveHealth passive_health;
  Timeouts timeouts;
  uint32_t retry_attempts = 3;  // First attempt included; 1 to 10.
  uint64_t retry_buffer_bytes = 64ULL * 1024;

  bool strip_prefix = false;
  std::string rewrite;  // Replaces the literal prefix by this one; empty: no rewrite.
  HostMode host_mode = HostMode::upstream;
  std::string host_literal;
  HeaderRules request_headers;
  HeaderRules response_headers;
  bool proxy_headers = false;  // The founding system's x-proxy-* response headers.
  Redirect redirect;
  Cors cors;
  // A request needs room in each that is enforced; then all are charged, else none. Empty: the
  // route says nothing about it (resolve.h).
  std::vector<RateLimitFields> rate_limit;
  uint64_t body_max_bytes = 100ULL * 1024 * 1024;
  std::vector<std::string> upgrade;  // Only "websocket".
  BuiltIn built_in = BuiltIn::none;  // Never from a configuration: see gateway/endpoint_table.h.
  bool operator==(const Route&) const = default;
};

struct Server {
  uint32_t workers = 0;  // Data loops; 0: one per core.
  std::string node;      // Goes into events; default: the host name.
  milliseconds drain_timeout{30000};
  milliseconds stall_threshold{10};  // A longer turn of a data loop is a stall; 0: not watched.
  bool operator==(const Server&) const = default;
};

// What becomes of requests that the limiter has no place to count in.
enum class WhenFull : uint8_t { admit, refuse };

struct Limits {
  uint32_t connections_max = 65536;  // Client connections of the node.
  uint32_t header_bytes_max = 16 * 1024;
  uint32_t header_count_max = 100;
  uint32_t target_bytes_max = 8 * 1024;
  uint32_t tunnels_max = 4096;
  milliseconds header_timeout{10000};        // First byte of a head until its end.
  milliseconds body_timeout{30000};          // Between two reads of a request body.
  milliseconds keep_alive_timeout{75000};    // Between exchanges.
  milliseconds write_timeout{30000};         // Without progress towards the client.
  uint32_t requests_per_connection_max = 0;  // 0: no limit.
  uint32_t upstream_idle_max = 128;          // Idle connections kept per endpoint and loop.
  milliseconds upstream_idle_timeout{55000};
  uint32_t retry_budget_percent = 20;
  uint32_t rate_limit_clients_max = 1'000'000;  // Of the node; beyond, strangers share limits.
  WhenFull rate_limit_when_full = WhenFull::admit;
  // How often what they count is saved, for the next start; 0: it is not.
  milliseconds rate_limit_save_interval{1000};
  bool operator==(const Limits&) const = default;
};

enum class ClientIpPrivacy : uint8_t { full, truncated, none };
enum class LogFormat : uint8_t { text, json };
enum class Collect : uint8_t { routes, all };

struct Journal {
  std::string ring_dir;                       // Empty: the data directory.
  uint64_t ring_bytes = 64ULL * 1024 * 1024;  // Per loop.
  milliseconds sync_interval{50};
  uint64_t segment_bytes = 64ULL * 1024 * 1024;
  uint64_t max_bytes = 8ULL * 1024 * 1024 * 1024;
  bool operator==(const Journal&) const = default;
};

struct Stats {
  Collect collect = Collect::routes;
  uint32_t batch_events_max = 16384;
  milliseconds batch_wait{100};
  double sampling_rate = 1.0;  // TRAFFIC_SAMPLING_RATE: share of events that keep a detail row.
  uint32_t max_paths_per_hour = 10'000;        // Distinct ones of a route; then __other__.
  uint32_t max_paths_per_hour_node = 100'000;  // Of all routes.
  bool path_templates = true;                  // The built-in rules for ids in paths.
  std::vector<codec::PathRule> path_rules;     // Come before those.
  bool record = true;  // Off for measurements only: nothing is counted at all.
  bool detail = true;  // False with PATH_COLLECTION_ENABLED=false or USE_TRAFFIC_QUEUE=false:
                       // totals only, through the PathCollector.
  uint64_t traffic_threshold = 10'000;  // Requests in five minutes that switch auto-cache on.
  uint64_t disk_max = 64ULL * 1024 * 1024 * 1024;  // Of the database; beyond: an alarm. 0: none.
  uint32_t hourly_days = 400;  // How long hourly rows, totals and rows of clients are kept.
  bool operator==(const Stats&) const = default;
};

enum class AccessLogFormat : uint8_t { json, combined };
struct AccessLog {
  bool enabled = false;
  AccessLogFormat format = AccessLogFormat::json;
  std::string target = "stdout";  // "stdout", "syslog" or a file's path.
  bool operator==(const AccessLog&) const = default;
};

// What a node does by itself (app/housekeeping.h).
inline constexpr std::array<std::string_view, 11> kJobNames{
    "archive",         "clean_up",      "audit",   "client_lists",
    "capacity_report", "retention",     "compact", "dashboard_snapshot",
    "geo_snapshot",    "path_snapshot", "alerts"};

// The built-in route that `weir smoke` asks by default, and its id.
inline constexpr std::string_view kSmokePath = "/__weir/smoke";
inline constexpr std::string_view kSmokeRouteId = "__smoke";

// What holds for every route that does not say otherwise (resolve.h).
struct Global {
  std::vector<RateLimitFields> rate_limit;
  bool operator==(const Global&) const = default;
};

// Where the rules (`global`, `ip_rules`, `ban_rules`, `geo_rules` with `geo.default_action` and
// `geo.groups`, `path_rules`, `routes`) are from.
enum class RulesSource : uint8_t {
  file,
  store,  // The newest stored version; the file's are the first one.
};

struct Config {
  RulesSource rules_source = RulesSource::file;
  Server server;
  std::vector<Listener> traffic{{.address = "0.0.0.0:8787"}};
  std::string admin = "127.0.0.1:8788";
  std::string health_path = "/api/health";  // Empty: off.
  Limits limits;
  Journal journal;
  Stats stats;
  ClientIpPrivacy client_ip = ClientIpPrivacy::full;
  LogFormat log_format = LogFormat::text;
  AccessLog access_log;
  Alerts alerts;
  milliseconds dns_refresh{30000};
  std::vector<std::pair<std::string, std::string>>
      crons;                               // [triggers]: when jobs run, where not at their times.
  bool smoke = false;                      // Whether kSmokePath is answered.
  std::vector<std::string> jobs_disabled;  // Of kJobNames: run by hand only.
  std::vector<IpRule> ip_rules;            // For every route, and where none matches.
  std::vector<BanRule> ban_rules;
  Geo geo;
  std::vector<GeoRule> geo_rules;  // Of every scope.
  Global global;
  std::vector<PathRule> path_rules;
  std::vector<Route> routes;
  RateLimit rate_limit_default;             // DEFAULT_RATE_LIMIT and DEFAULT_RATE_WINDOW.
  std::map<std::string, std::string> vars;  // [vars]
  std::vector<std::string> without_effect;  // Names accepted but meaningless here, for `status`.
  bool operator==(const Config&) const = default;
};

}  // namespace weir::config
