#include "app/status.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/alert_commands.h"
#include "app/node.h"
#include "cli/table.h"
#include "codec/iso_time.h"

namespace weir::app {
namespace {

using Json = nlohmann::ordered_json;

Json routes_json(const config::Config& config) {
  Json routes = Json::array();
  for (const config::Route& route : config.routes) {
    Json upstreams = Json::array();
    for (const config::Upstream& upstream : route.upstreams)
      upstreams.push_back(upstream.url);
    routes.push_back({{"id", route.id},
                      {"pattern", route.pattern},
                      {"enabled", route.enabled},
                      {"priority", route.priority},
                      {"upstreams", upstreams}});
  }
  return routes;
}

Json upstreams_json(const gateway::EndpointTable& table, base::Monotonic now) {
  Json upstreams = Json::array();
  for (const auto& endpoint : table.endpoints()) {
    const char* health = endpoint->probed_down()  ? "down"
                         : endpoint->ejected(now) ? "ejected"
                                                  : "up";
    upstreams.push_back(
        {{"name", endpoint->name()}, {"health", health}, {"connections", endpoint->connections()}});
  }
  return upstreams;
}

Json journal_json(const journal::JournalStatus& status) {
  uint64_t written = 0;
  uint64_t synced = 0;
  for (const journal::RingStatus& ring : status.rings) {
    written += ring.written;
    synced += ring.synced;
  }
  return {{"epoch", status.epoch},
          // What the rings hold and the segments do not yet, too.
          {"backlog_records", status.backlog_records + (written - std::min(written, synced))},
          {"backlog_bytes", status.backlog_bytes},
          {"segments", status.segments},
          {"recovering", status.recovering},
          {"last_sync_age_ms", status.last_sync_age.count()},
          {"sync_duration_us", status.last_sync_duration.count()},
          {"sync_duration_max_us", status.sync_duration_max.count()},
          {"syncs", status.syncs},
          {"sync_failures", status.sync_failures},
          {"write_failures", status.write_failures},
          {"corrupt_bytes", status.corrupt_bytes},
          {"abandoned_segments", status.abandoned_segments},
          {"failing", status.failing},
          {"full", status.full}};
}

Json window_json(const state::TrafficView::Window& window) {
  return {{"start_ms", base::unix_ms(window.start)},
          {"requests", window.requests},
          {"cache_hits", window.cache_hits}};
}

// Null: nothing is loaded yet.
Json traffic_json(const std::optional<LiveState::View>& view) {
  if (!view) return nullptr;
  const state::TrafficView& traffic = view->traffic;
  Json window = window_json(traffic.current_window);
  window["threshold"] = traffic.current_window.threshold;
  window["threshold_exceeded"] = traffic.current_window.threshold_exceeded;
  Json history = Json::array();
  for (const state::TrafficView::Window& each : traffic.history)
    history.push_back(window_json(each));
  Json paths = Json::array();
  for (const state::PathCount& each : traffic.top_paths)
    paths.push_back({{"path", each.path}, {"requests", each.requests}});
  return {{"current_rpm", traffic.stats.current_rpm},
          {"peak_rpm", traffic.stats.peak_rpm},
          {"total_requests", traffic.stats.total_requests},
          {"cache_hit_rate", traffic.stats.cache_hit_rate},
          {"auto_cache", traffic.stats.auto_cache},
          {"window", window},
          {"history", history},
          {"top_paths", paths},
          {"other_requests", traffic.other_requests},
          {"clients",
           {{"clients", view->clients.clients},
            {"paths", view->clients.paths},
            {"requests", view->clients.total_requests},
            {"memory_bytes", view->clients.memory_usage},
            {"forgotten_clients", view->clients.forgotten_clients}}},
          {"missed", view->missed},
          {"save_failures", view->save_failures}};
}

Json geo_json(const config::Config& config, const PlacesState& places) {
  Json report{
      {"rules", config.geo_rules.size()},
      {"default_action", config.geo.default_action == config::GeoAction::block ? "block" : "allow"},
      {"database", places.path},
      {"loaded", places.database != nullptr},
      {"problem", places.problem}};
  if (places.database != nullptr) {
    report["type"] = places.database->type();
    report["built"] = codec::iso_ms(places.database->built_s() * 1000);
    report["bytes"] = places.database->identity().bytes;
  }
  return report;
}

// Empty before the state is loaded.
std::string traffic_text(const Json& traffic) {
  if (!traffic.is_object()) return {};
  cli::Table windows{{"five minutes from", "requests", "cache hits"}};
  const auto add = [&windows](const Json& window) {
    windows.add({codec::iso_ms(window["start_ms"].get<int64_t>()), window["requests"].dump(),
                 window["cache_hits"].dump()});
  };
  for (const auto& window : traffic["history"])
    add(window);
  add(traffic["window"]);
  return windows.text();
}

}  // namespace

std::string StatusReport::json() const {
  const journal::JournalStatus journal = node_.recording_->journal_status();
  const pipeline::ConsumerReport consumer = node_.recording_->consumer_report();
  const config::Config& config = *node_.config_;
  uint64_t answered = 0;
  uint64_t recorded = 0;
  uint64_t degraded = 0;
  uint64_t totals_only = 0;
  for (const journal::RingStatus& ring : journal.rings) {
    answered += ring.answered;
    recorded += ring.written;
    degraded += ring.degraded;
    totals_only += ring.totals_only;
  }
  uint64_t requests = 0;
  Json stalled = Json::array();
  const auto counts = node_.data_plane_->counts(DataPlane::kCountsPatience);
  for (size_t i = 0; i < counts.size(); ++i) {
    requests += counts[i].connections.requests;
    if (!counts[i].answered) stalled.push_back(fmt::format("loop-{}", i));
  }
  Json stalls = Json::array();
  for (const loop::Watchdog::Stalls& each : node_.watchdog_->stalls()) {
    const std::chrono::duration<double, std::milli> longest{each.longest};
    stalls.push_back({{"loop", each.name}, {"count", each.count}, {"longest_ms", longest.count()}});
  }
  Json listeners = Json::array();
  for (const config::Listener& listener : config.traffic)
    listeners.push_back(listener.address);
  Json alarms = Json::array();
  for (const Alarm& alarm : node_.alarms()) {
    alarms.push_back({{"name", alarm.name}, {"text", alarm.text}});
  }
  const AlertsView raised = node_.housekeeping_->alerts().view();
  const Json report{
      {"version", kVersion},
      {"node", config.server.node},
      {"start_ms", node_.start_ms_},
      {"configuration_version", node_.version_},
      {"rules_version", node_.rules_version_},
      {"rules_source", config.rules_source == config::RulesSource::store ? "store" : "file"},
      {"draining", node_.draining_},
      {"loops", node_.loop_count_},
      {"stalled_loops", stalled},
      {"stalls", stalls},
      {"listeners", {{"traffic", listeners}, {"admin", config.admin}}},
      {"connections", node_.data_plane_->open_connections()},
      {"followers", node_.followers_.followers()},
      {"requests", requests},
      {"answered", answered},
      {"recorded", recorded},
      {"degraded", degraded},
      {"totals_only", totals_only},
      {"lost", journal.lost},
      {"journal", journal_json(journal)},
      {"consumer",
       {{"events", consumer.events},
        {"batches", consumer.batches},
        {"dead_letters", consumer.dead_letters},
        {"store_failures", consumer.store_failures},
        {"snapshots", consumer.snapshots},
        {"damaged_sketches", consumer.damaged_sketches},
        {"flushed", consumer.flushed},
        {"letters",
         {{"waiting", consumer.letters_waiting},
          {"done_request", consumer.letters.done_request},
          {"replayed", consumer.letters.replayed},
          {"purged", consumer.letters.purged},
          {"refused", consumer.letters.refused}}}}},
      {"traffic", traffic_json(node_.recording_->live_state())},
      {"geo", geo_json(config, node_.places_)},
      {"routes", routes_json(config)},
      {"upstreams", upstreams_json(node_.endpoints_, node_.clock_.monotonic())},
      {"without_effect", config.without_effect},
      {"alerts", raised_json(raised)},
      {"webhook", webhook_json(raised)},
      {"alarms", alarms}};
  return report.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool print_status(const std::string& json, std::string& out) {
  const Json report = Json::parse(json, nullptr, false);
  if (!report.is_object() || !report.contains("journal")) return false;
  const auto text = [](const Json& value) {
    return value.is_string() ? value.get<std::string>() : value.dump();
  };
  cli::Table facts{{"", ""}};
  for (const char* name : {"version", "node", "start_ms", "configuration_version", "rules_version",
                           "rules_source", "draining", "loops", "connections", "requests",
                           "answered", "recorded", "degraded", "totals_only", "lost"}) {
    facts.add({name, text(report[name])});
  }
  for (const auto& listener : report["listeners"]["traffic"])
    facts.add({"traffic", text(listener)});
  facts.add({"admin", text(report["listeners"]["admin"])});
  for (const char* name : {"epoch", "backlog_records", "backlog_bytes", "last_sync_age_ms",
                           "sync_duration_us", "failing", "full"}) {
    facts.add({std::string{"journal "} + name, text(report["journal"][name])});
  }
  for (const char* name : {"events", "batches", "dead_letters", "store_failures", "snapshots"}) {
    facts.add({std::string{"consumer "} + name, text(report["consumer"][name])});
  }
  if (report["traffic"].is_object()) {
    for (const char* name : {"current_rpm", "peak_rpm", "total_requests", "auto_cache"})
      facts.add({std::string{"traffic "} + name, text(report["traffic"][name])});
  }
  const Json& geo = report["geo"];
  if (geo["rules"] != 0 || geo["database"] != "" || geo["default_action"] != "allow") {
    facts.add({"geo rules", text(geo["rules"])});
    facts.add({"geo default_action", text(geo["default_action"])});
    facts.add({"geo database", geo["loaded"] == true
                                   ? fmt::format("{} of {}, {}", text(geo["type"]),
                                                 text(geo["built"]), text(geo["database"]))
                                   : "none: no country is known"});
  }
  if (report["webhook"].is_object()) {
    const Json& last = report["webhook"]["last"];
    facts.add({"webhook", text(report["webhook"]["url"]) +
                              (last.is_object() ? ", " + text(last["text"]) : ", never asked")});
  }
  for (const auto& name : report["without_effect"])
    facts.add({"without effect", text(name)});
  for (const auto& stalls : report["stalls"]) {
    if (stalls["count"] == 0) continue;
    facts.add({"stalls of " + text(stalls["loop"]),
               fmt::format("{}, the longest {:.1f} ms", text(stalls["count"]),
                           stalls["longest_ms"].get<double>())});
  }
  for (const auto& name : report["stalled_loops"])
    facts.add({"STALLED", text(name)});
  const std::string lines = facts.text();
  out = lines.substr(lines.find('\n') + 1);
  const std::string windows = traffic_text(report["traffic"]);
  if (!windows.empty()) out += "\n" + windows;
  cli::Table routes{{"route", "pattern", "enabled", "upstreams"}};
  for (const auto& route : report["routes"]) {
    std::string upstreams;
    for (const auto& url : route["upstreams"])
      upstreams += (upstreams.empty() ? "" : " ") + text(url);
    routes.add({text(route["id"]), text(route["pattern"]), text(route["enabled"]), upstreams});
  }
  if (routes.rows() > 0) out += "\n" + routes.text();
  cli::Table upstreams{{"upstream", "health", "connections"}};
  for (const auto& upstream : report["upstreams"]) {
    upstreams.add(
        {text(upstream["name"]), text(upstream["health"]), text(upstream["connections"])});
  }
  if (upstreams.rows() > 0) out += "\n" + upstreams.text();
  cli::Table alerts{{"alert", "severity", "what"}};
  for (const auto& alert : report["alerts"]) {
    if (text(alert["id"]).starts_with("alarm-")) continue;  // They have a table of their own.
    alerts.add({text(alert["id"]), text(alert["severity"]), text(alert["message"])});
  }
  if (alerts.rows() > 0) out += "\n" + alerts.text();
  cli::Table alarms{{"alarm", "what"}};
  for (const auto& alarm : report["alarms"])
    alarms.add({text(alarm["name"]), text(alarm["text"])});
  out += alarms.rows() > 0 ? "\n" + alarms.text() : "\nno alarms\n";
  return true;
}

}  // namespace weir::app
