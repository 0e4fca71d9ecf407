#pragma once
// Every key of the configuration, once: its name, its place in the model, what range is allowed and
// whether a change needs a restart. Reading, range checks, rendering and differences are visitors
// of this description, so that they cannot disagree.
//
// A visitor V has: boolean, text, secret_url (a text that nobody is shown), texts, integer, real,
// size, duration, time, choice, pairs (a table of name = value), multi_pairs (name = value or array
// of values), table, and for the irregular ones: listeners, upstreams, path_templates, rate_limits,
// maybe (a key that may be absent), host, present, ip_rules, ban_rules, geo_rules, path_rules,
// routes, vars. restart(true) says that the keys that follow need a restart.

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <string_view>

#include "config/config.h"

namespace weir::config::internal {

// Both ends are allowed.
struct Range {
  int64_t min;
  int64_t max;
};

template <typename Enum>
struct Choice {
  std::string_view name;
  Enum value;
};

inline constexpr std::array<Choice<ClientAddress>, 6> kClientAddresses{
    {{"socket", ClientAddress::socket},
     {"x-forwarded-for", ClientAddress::x_forwarded_for},
     {"forwarded", ClientAddress::forwarded},
     {"cf-connecting-ip", ClientAddress::cf_connecting_ip},
     {"x-real-ip", ClientAddress::x_real_ip},
     {"proxy_protocol", ClientAddress::proxy_protocol}}};
inline constexpr std::array<Choice<RulesSource>, 2> kRulesSources{
    {{"file", RulesSource::file}, {"store", RulesSource::store}}};
inline constexpr std::array<Choice<Collect>, 2> kCollects{
    {{"routes", Collect::routes}, {"all", Collect::all}}};
inline constexpr std::array<Choice<ClientIpPrivacy>, 3> kClientIpPrivacies{
    {{"full", ClientIpPrivacy::full},
     {"truncated", ClientIpPrivacy::truncated},
     {"none", ClientIpPrivacy::none}}};
inline constexpr std::array<Choice<LogFormat>, 2> kLogFormats{
    {{"text", LogFormat::text}, {"json", LogFormat::json}}};
inline constexpr std::array<Choice<AccessLogFormat>, 2> kAccessLogFormats{
    {{"json", AccessLogFormat::json}, {"combined", AccessLogFormat::combined}}};

inline constexpr std::array<Choice<WhenFull>, 2> kWhenFull{
    {{"admit", WhenFull::admit}, {"refuse", WhenFull::refuse}}};
inline constexpr std::array<Choice<LimitPer>, 3> kLimitPers{
    {{"client", LimitPer::client}, {"route", LimitPer::route}, {"header", LimitPer::header}}};

inline constexpr std::array<Choice<IpAction>, 3> kIpActions{
    {{"block", IpAction::block}, {"throttle", IpAction::throttle}, {"allow", IpAction::allow}}};

inline constexpr std::array<Choice<GeoAction>, kGeoActions> kGeoActionNames{
    {{"block", GeoAction::block}, {"throttle", GeoAction::throttle}, {"allow", GeoAction::allow}}};
inline constexpr std::array<Choice<GeoAction>, 2> kGeoDefaults{
    {{"allow", GeoAction::allow}, {"block", GeoAction::block}}};

inline constexpr std::array<Choice<WebhookFormat>, 3> kWebhookFormats{
    {{"generic", WebhookFormat::generic},
     {"feishu", WebhookFormat::feishu},
     {"slack", WebhookFormat::slack}}};

inline constexpr int64_t kKiB = 1024;
inline constexpr int64_t kMiB = 1024 * kKiB;
inline constexpr int64_t kGiB = 1024 * kMiB;
inline constexpr int64_t kTiB = 1024 * kGiB;
inline constexpr int64_t kSecond = 1000;  // Durations count milliseconds.
inline constexpr int64_t kMinute = 60 * kSecond;
inline constexpr int64_t kHour = 60 * kMinute;
inline constexpr int64_t kDay = 24 * kHour;

inline constexpr Range kUpstreamWeights{1, 1000};

template <typename V, typename S>
void describe_server(V& v, S& s) {
  v.restart(true);
  v.integer("workers", s.workers, Range{0, 256});
  v.text("node", s.node);
  v.restart(false);
  v.duration("drain_timeout", s.drain_timeout, Range{0, kHour});
  v.duration("stall_threshold", s.stall_threshold, Range{0, kMinute});
}

template <typename V, typename C>
void describe_listen(V& v, C& c) {
  v.restart(true);
  v.listeners("traffic", c.traffic);
  v.text("admin", c.admin);
  v.restart(false);
  v.text("health_path", c.health_path);
}

template <typename V, typename L>
void describe_limits(V& v, L& l) {
  v.integer("connections_max", l.connections_max, Range{1, 10'000'000});
  v.size("header_bytes_max", l.header_bytes_max, Range{1 * kKiB, 1 * kMiB});
  v.integer("header_count_max", l.header_count_max, Range{8, 1000});
  v.size("target_bytes_max", l.target_bytes_max, Range{256, 1 * kMiB});
  v.integer("tunnels_max", l.tunnels_max, Range{0, 10'000'000});
  v.duration("header_timeout", l.header_timeout, Range{100, kHour});
  v.duration("body_timeout", l.body_timeout, Range{100, kHour});
  v.duration("keep_alive_timeout", l.keep_alive_timeout, Range{100, kDay});
  v.duration("write_timeout", l.write_timeout, Range{100, kHour});
  v.integer("requests_per_connection_max", l.requests_per_connection_max, Range{0, 1'000'000'000});
  v.integer("upstream_idle_max", l.upstream_idle_max, Range{0, 65536});
  v.duration("upstream_idle_timeout", l.upstream_idle_timeout, Range{100, kDay});
  v.integer("retry_budget_percent", l.retry_budget_percent, Range{0, 100});
  v.restart(true);
  v.integer("rate_limit_clients_max", l.rate_limit_clients_max, Range{1000, 100'000'000});
  v.duration("rate_limit_save_interval", l.rate_limit_save_interval, Range{0, kHour});
  v.restart(false);
  v.choice("rate_limit_when_full", l.rate_limit_when_full, kWhenFull);
}

template <typename V, typename J>
void describe_journal(V& v, J& j) {
  v.restart(true);
  v.text("ring_dir", j.ring_dir);
  v.size("ring_bytes", j.ring_bytes, Range{64 * kKiB, 16 * kGiB});
  v.duration("sync_interval", j.sync_interval, Range{1, 10 * kSecond});
  v.size("segment_bytes", j.segment_bytes, Range{64 * kKiB, 4 * kGiB});
  v.size("max_bytes", j.max_bytes, Range{1 * kMiB, 1024 * kTiB});
  v.restart(false);
}

template <typename V, typename S>
void describe_stats(V& v, S& s) {
  v.choice("collect", s.collect, kCollects);
  v.real("sampling_rate", s.sampling_rate, 0.0, 1.0);
  v.boolean("detail", s.detail);
  v.integer("max_paths_per_hour", s.max_paths_per_hour, Range{1, 1'000'000});
  v.integer("max_paths_per_hour_node", s.max_paths_per_hour_node, Range{1, 1'000'000});
  v.boolean("path_templates", s.path_templates);
  v.path_templates("path_rules", s.path_rules);
  v.restart(true);
  v.boolean("record", s.record);
  v.integer("batch_events_max", s.batch_events_max, Range{1, 1'000'000});
  v.duration("batch_wait", s.batch_wait, Range{1, kMinute});
  v.integer("traffic_threshold", s.traffic_threshold, Range{1, 1'000'000'000'000});
  v.size("disk_max", s.disk_max, Range{0, 1024 * kTiB});
  v.integer("hourly_days", s.hourly_days, Range{40, 36'500});
  v.restart(false);
}

template <typename V, typename A>
void describe_access_log(V& v, A& a) {
  v.restart(true);
  v.boolean("enabled", a.enabled);
  v.choice("format", a.format, kAccessLogFormats);
  v.text("target", a.target);
  v.restart(false);
}

template <typename V, typename A>
void describe_alerts(V& v, A& a) {
  v.duration("cooldown", a.cooldown, Range{kMinute, kHour});
  v.integer("global_rps", a.global_rps, Range{0, 1'000'000'000});
  v.integer("ip_spike", a.ip_spike, Range{0, 1'000'000'000'000});
  v.table("webhook", [&] {
    v.secret_url("url", a.webhook.url);
    v.choice("format", a.webhook.format, kWebhookFormats);
    v.boolean("allow_private", a.webhook.allow_private);
    v.duration("timeout", a.webhook.timeout, Range{100, 30 * kSecond});
  });
}

template <typename V, typename T>
void describe_timeouts(V& v, T& t) {
  v.duration("connect", t.connect, Range{1, 10 * kMinute});
  v.duration("first_byte", t.first_byte, Range{1, kDay});
  v.duration("idle", t.idle, Range{1, kDay});
  v.duration("total", t.total, Range{0, 7 * kDay});
  v.duration("tunnel_idle", t.tunnel_idle, Range{1, 7 * kDay});
  v.duration("tunnel_lifetime", t.tunnel_lifetime, Range{0, 365 * kDay});
}

template <typename V, typename H>
void describe_health(V& v, H& h) {
  v.text("path", h.path);
  v.duration("interval", h.interval, Range{100, kDay});
  v.duration("timeout", h.timeout, Range{10, kHour});
  v.integer("healthy_after", h.healthy_after, Range{1, 100});
  v.integer("unhealthy_after", h.unhealthy_after, Range{1, 100});
}

template <typename V, typename C>
void describe_cors(V& v, C& c) {
  v.present(c.enabled);  // The table switches it on, unless it says enabled = false.
  v.boolean("enabled", c.enabled);
  v.texts("origins", c.origins);
  v.texts("methods", c.methods);
  v.texts("headers", c.headers);
  v.boolean("credentials", c.credentials);
  v.duration("max_age", c.max_age, Range{0, kDay});
}

template <typename V, typename L>
void describe_rate_limit(V& v, L& l) {
  v.maybe("enabled", l.enabled, [&](auto& value) { v.boolean("enabled", value); });
  v.maybe("enforce", l.enforce, [&](auto& value) { v.boolean("enforce", value); });
  v.maybe("limit", l.limit, [&](auto& value) {
    v.integer("limit", value, Range{1, 1'000'000'000});
  });
  v.maybe("window", l.window, [&](auto& value) {
    v.duration("window", value, Range{kSecond, 31 * kDay});
  });
  v.maybe("per", l.per, [&](auto& value) { v.choice("per", value, kLimitPers); });
  v.maybe("header", l.header, [&](auto& value) { v.text("header", value); });
  v.maybe("ipv6_prefix_bits", l.ipv6_prefix_bits, [&](auto& value) {
    v.integer("ipv6_prefix_bits", value, Range{1, 128});
  });
}

template <typename V, typename R>
void describe_path_rule(V& v, R& r) {
  v.text("id", r.id);
  v.boolean("enabled", r.enabled);
  v.text("pattern", r.pattern);
  v.text("route", r.route);
  v.texts("methods", r.methods);
  v.rate_limits("rate_limit", r.rate_limit);
}

// For actions other than throttle, limit and window are 0: validate() sees to that.
template <typename V, typename R>
void describe_ip_rule(V& v, R& r) {
  v.texts("match", r.match);
  v.choice("action", r.action, kIpActions);
  v.integer("limit", r.limit, Range{0, 1'000'000'000});
  v.duration("window", r.window, Range{0, 31 * kDay});
  v.time("expires", r.expires);
  v.text("reason", r.reason);
  v.boolean("enforce", r.enforce);
}

// A count of 0 is one that is missing: validate() sees to that.
template <typename V, typename R>
void describe_ban_rule(V& v, R& r) {
  v.text("id", r.id);
  v.texts("on", r.on);
  v.texts("routes", r.routes);
  v.integer("count", r.count, Range{0, 1'000'000'000});
  v.duration("window", r.window, Range{kSecond, 31 * kDay});
  v.duration("ban", r.ban, Range{kSecond, 31 * kDay});
  v.text("reason", r.reason);
  v.boolean("enforce", r.enforce);
}

template <typename V, typename G>
void describe_geo_sources(V& v, G& g) {
  v.text("database", g.database);
  v.duration("database_refresh", g.database_refresh, Range{kSecond, kDay});
  v.text("country_header", g.country_header);
}

template <typename V, typename G>
void describe_geo(V& v, G& g) {
  v.choice("default_action", g.default_action, kGeoDefaults);
  v.multi_pairs("groups", g.groups);
}

// As for IP rules: limit and window are a throttle's.
template <typename V, typename R>
void describe_geo_rule(V& v, R& r) {
  v.text("id", r.id);
  v.boolean("enabled", r.enabled);
  v.integer("priority", r.priority, Range{0, 1000});
  v.choice("action", r.action, kGeoActionNames);
  v.integer("limit", r.limit, Range{0, 1'000'000'000});
  v.duration("window", r.window, Range{0, 31 * kDay});
  v.texts("countries", r.countries);
  v.texts("continents", r.continents);
  v.texts("groups", r.groups);
  v.texts("cities", r.cities);
  v.texts("routes", r.routes);
  v.texts("paths", r.paths);
  v.time("starts", r.starts);
  v.time("expires", r.expires);
  v.table("response", [&] {
    v.integer("status", r.response.status, Range{200, 599});
    v.text("message", r.response.message);
    v.text("body", r.response.body);
    v.text("content_type", r.response.content_type);
    v.pairs("headers", r.response.headers);
  });
  v.text("reason", r.reason);
  v.boolean("enforce", r.enforce);
}

template <typename V, typename H>
void describe_header_rules(V& v, H& h) {
  v.pairs("set", h.set);
  v.multi_pairs("add", h.add);
  v.texts("remove", h.remove);
}

template <typename V, typename R>
void describe_route(V& v, R& r) {
  v.text("id", r.id);
  v.boolean("enabled", r.enabled);
  v.integer("priority", r.priority,
            Range{std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()});
  v.text("pattern", r.pattern);
  v.texts("hosts", r.hosts);
  v.texts("methods", r.methods);
  v.pairs("headers", r.headers);
  v.upstreams("upstreams", r.upstreams);
  v.integer("max_connections", r.max_connections, Range{0, 1'000'000});
  v.integer("retry_attempts", r.retry_attempts, Range{1, 10});
  v.size("retry_buffer", r.retry_buffer_bytes, Range{0, 1 * kMiB});
  v.boolean("strip_prefix", r.strip_prefix);
  v.text("rewrite", r.rewrite);
  v.host("host", r.host_mode, r.host_literal);
  v.boolean("proxy_headers", r.proxy_headers);
  v.size("body_max", r.body_max_bytes, Range{0, 1024 * kTiB});
  v.texts("upgrade", r.upgrade);
  v.table("timeouts", [&] { describe_timeouts(v, r.timeouts); });
  v.table("health", [&] { describe_health(v, r.health); });
  v.table("passive_health", [&] {
    v.integer("failures", r.passive_health.failures, Range{0, 1000});
    v.duration("ejected_for", r.passive_health.ejected_for, Range{100, kDay});
  });
  v.table("request_headers", [&] { describe_header_rules(v, r.request_headers); });
  v.table("response_headers", [&] { describe_header_rules(v, r.response_headers); });
  v.table("redirect", [&] {
    v.integer("status", r.redirect.status, Range{0, 308});
    v.text("location", r.redirect.location);
  });
  v.table("cors", [&] { describe_cors(v, r.cors); });
  v.rate_limits("rate_limit", r.rate_limit);
}

// What stored versions hold (load_rules()); `whole`: also what stands in a table beside it. C is
// Config or const Config.
template <typename V, typename C>
void describe_rules(V& v, C& c, bool whole = false) {
  v.table("global", [&] { v.rate_limits("rate_limit", c.global.rate_limit); });
  v.ip_rules("ip_rules", c.ip_rules);
  v.ban_rules("ban_rules", c.ban_rules);
  v.table("geo", [&] {
    if (whole) describe_geo_sources(v, c.geo);
    describe_geo(v, c.geo);
  });
  v.geo_rules("geo_rules", c.geo_rules);
  v.path_rules("path_rules", c.path_rules);
  v.routes("routes", c.routes);
}

template <typename V, typename C>
void describe(V& v, C& c) {
  v.table("config", [&] {
    v.restart(true);
    v.choice("source", c.rules_source, kRulesSources);
    v.restart(false);
  });
  v.table("server", [&] { describe_server(v, c.server); });
  v.table("listen", [&] { describe_listen(v, c); });
  v.table("limits", [&] { describe_limits(v, c.limits); });
  v.table("journal", [&] { describe_journal(v, c.journal); });
  v.table("stats", [&] { describe_stats(v, c.stats); });
  v.table("privacy", [&] { v.choice("client_ip", c.client_ip, kClientIpPrivacies); });
  v.table("log", [&] {
    v.restart(true);
    v.choice("format", c.log_format, kLogFormats);
    v.restart(false);
  });
  v.table("access_log", [&] { describe_access_log(v, c.access_log); });
  v.table("alerts", [&] { describe_alerts(v, c.alerts); });
  v.table("triggers", [&] {
    v.restart(true);
    v.pairs("crons", c.crons);
    v.restart(false);
  });
  v.table("smoke", [&] { v.boolean("enabled", c.smoke); });
  v.table("jobs", [&] {
    v.restart(true);
    v.texts("disabled", c.jobs_disabled);
    v.restart(false);
  });
  v.table("dns", [&] { v.duration("refresh", c.dns_refresh, Range{kSecond, kDay}); });
  v.vars("vars", c.vars);
  describe_rules(v, c, /*whole=*/true);
}

}  // namespace weir::config::internal
