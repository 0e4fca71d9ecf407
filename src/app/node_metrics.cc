// What /metrics shows of a node.

#include <fmt/format.h>

#include "app/node.h"
#include "http/malformed.h"

namespace weir::app {
namespace {

using metrics::Emit;
using metrics::Kind;

double number(uint64_t value) {
  return static_cast<double>(value);
}

}  // namespace

void Node::declare_metrics() {
  declare_loop_metrics();
  declare_stall_metrics();
  declare_response_metrics();
  declare_journal_metrics();
  declare_consumer_metrics();
  declare_audit_metrics();
  declare_traffic_metrics();
  declare_alert_metrics();
}

void Node::declare_loop_metrics() {
  const auto of_loops = [this](const char* name, const char* help, Kind kind,
                               std::function<uint64_t(const LoopCounts&)> value) {
    metrics_.collect(name, help, kind, [this, value = std::move(value)](const Emit& emit) {
      const auto counts = data_plane_->counts(DataPlane::kCountsPatience);
      for (size_t i = 0; i < counts.size(); ++i) {
        if (counts[i].answered) emit({{"loop", std::to_string(i)}}, number(value(counts[i])));
      }
    });
  };
  of_loops("weir_requests_total", "Requests whose head, or what stood in its place, was read.",
           Kind::counter, [](const LoopCounts& c) { return c.connections.requests; });
  of_loops("weir_connections", "Open client connections.", Kind::gauge,
           [](const LoopCounts& c) { return uint64_t{c.open_connections}; });
  of_loops("weir_connections_accepted_total", "Client connections accepted.", Kind::counter,
           [](const LoopCounts& c) { return c.connections.accepted; });
  of_loops("weir_commit_then_abort_total", "Responses that failed after their event was committed.",
           Kind::counter, [](const LoopCounts& c) { return c.connections.commit_then_abort; });
  of_loops("weir_upstream_connects_total", "Connections opened to upstreams.", Kind::counter,
           [](const LoopCounts& c) { return c.connections.upstream_connects; });
  of_loops("weir_upstream_failures_total", "Attempts at an upstream that failed.", Kind::counter,
           [](const LoopCounts& c) { return c.gateway.upstream_failures; });
  of_loops("weir_retries_total", "Attempts after a first one.", Kind::counter,
           [](const LoopCounts& c) { return c.gateway.retries; });
  of_loops("weir_rate_limited_total", "Requests refused by a rate limit.", Kind::counter,
           [](const LoopCounts& c) { return c.gateway.rate_limited; });
  of_loops("weir_rate_limit_dry_run_total",
           "Requests that rate limits with enforce = false would have refused.", Kind::counter,
           [](const LoopCounts& c) { return c.gateway.rate_limit_dry_runs; });
  const auto of_saver = [this](const char* name, const char* help, Kind kind,
                               uint64_t LimitFile::Counts::*value) {
    metrics_.collect(name, help, kind, [this, value](const Emit& emit) {
      emit({}, number(limit_saver_->counts().*value));
    });
  };
  of_saver("weir_rate_limit_saves_total", "Times that what rate limits count was saved.",
           Kind::counter, &LimitFile::Counts::saves);
  of_saver("weir_rate_limit_save_failures_total", "Times that it could not be.", Kind::counter,
           &LimitFile::Counts::failures);
  of_saver("weir_rate_limit_file_bytes", "Size of the file that holds it.", Kind::gauge,
           &LimitFile::Counts::file_bytes);
  of_loops("weir_bans_started_total",
           "Bans that were started, those of rules with enforce = false included.", Kind::counter,
           [](const LoopCounts& c) { return c.gateway.bans_started; });
  of_loops("weir_ban_denied_total", "Requests refused because their client is banned.",
           Kind::counter, [](const LoopCounts& c) { return c.gateway.ban_denied; });
  of_loops("weir_ban_dry_run_total",
           "Requests that ban rules with enforce = false would have refused.", Kind::counter,
           [](const LoopCounts& c) { return c.gateway.ban_dry_runs; });
  of_loops("weir_rate_limit_unchecked_total",
           "Requests admitted because the limiter had no place left to count them in.",
           Kind::counter, [](const LoopCounts& c) { return c.gateway.rate_limit_unchecked; });
  of_loops("weir_rate_limit_full_total",
           "Requests refused because of that, with limits.rate_limit_when_full = \"refuse\".",
           Kind::counter, [](const LoopCounts& c) { return c.gateway.rate_limit_full; });
  const auto of_limiter = [this](const char* name, const char* help, Kind kind,
                                 uint64_t limit::Limiter::Counts::*count) {
    metrics_.collect(name, help, kind, [this, count](const Emit& emit) {
      emit({}, number(data_plane_->limiter().counts().*count));
    });
  };
  of_limiter("weir_rate_limit_entries", "Places of the limiter that are taken, expired ones too.",
             Kind::gauge, &limit::Limiter::Counts::entries);
  of_limiter("weir_rate_limit_shared_total",
             "Requests counted together with those of strangers, for want of a place.",
             Kind::counter, &limit::Limiter::Counts::shared);
  of_limiter("weir_rate_limit_rounded_total",
             "Requests whose times were rounded to a third of a window, for want of memory.",
             Kind::counter, &limit::Limiter::Counts::rounded);
}

void Node::declare_stall_metrics() {
  const auto of_stalls = [this](const char* name, const char* help, Kind kind,
                                std::function<double(const loop::Watchdog::Stalls&)> value) {
    metrics_.collect(name, help, kind, [this, value = std::move(value)](const Emit& emit) {
      const auto stalls = watchdog_->stalls();
      for (size_t i = 0; i < stalls.size(); ++i)
        emit({{"loop", std::to_string(i)}}, value(stalls[i]));
    });
  };
  of_stalls("weir_loop_stalls_total", "Turns of a data loop longer than server.stall_threshold.",
            Kind::counter, [](const auto& stalls) { return number(stalls.count); });
  of_stalls(
      "weir_loop_longest_stall_seconds", "The longest of them.", Kind::gauge,
      [](const auto& stalls) { return std::chrono::duration<double>{stalls.longest}.count(); });
}

void Node::declare_response_metrics() {
  metrics_.collect(
      "weir_responses_total", "Final responses by status class.", Kind::counter,
      [this](const Emit& emit) {
        std::array<uint64_t, 6> sum{};
        for (const LoopCounts& counts : data_plane_->counts(DataPlane::kCountsPatience)) {
          for (size_t i = 0; i < sum.size(); ++i) {
            sum[i] += counts.gateway.responses_by_class[i];
          }
        }
        for (size_t i = 1; i < sum.size(); ++i) {
          emit({{"class", fmt::format("{}xx", i)}}, number(sum[i]));
        }
      });
  metrics_.collect(
      "weir_malformed_total", "Requests refused because they are no valid HTTP.", Kind::counter,
      [this](const Emit& emit) {
        std::array<uint64_t, http::kMalformedCount> sum{};
        for (const LoopCounts& counts : data_plane_->counts(DataPlane::kCountsPatience)) {
          for (size_t i = 0; i < sum.size(); ++i)
            sum[i] += counts.gateway.malformed[i];
        }
        for (size_t i = 1; i < sum.size(); ++i) {
          const auto kind = static_cast<http::Malformed>(i);
          emit({{"kind", std::string{http::name(kind)}}}, number(sum[i]));
        }
      });
  declare_rule_metrics();
}

void Node::declare_rule_metrics() {
  // IP rules and geographic ones have the same actions, in the same order.
  using config::GeoAction;
  using config::IpAction;
  static_assert(static_cast<int>(IpAction::block) == static_cast<int>(GeoAction::block) &&
                static_cast<int>(IpAction::throttle) == static_cast<int>(GeoAction::throttle) &&
                static_cast<int>(IpAction::allow) == static_cast<int>(GeoAction::allow));
  using ByAction = std::array<uint64_t, 3>;
  const auto of_rules = [this](const char* name, const char* help, bool with_allow,
                               std::function<const ByAction&(const LoopCounts&)> counts_of) {
    metrics_.collect(
        name, help, Kind::counter,
        [this, with_allow, counts_of = std::move(counts_of)](const Emit& emit) {
          ByAction sum{};
          for (const LoopCounts& counts : data_plane_->counts(DataPlane::kCountsPatience)) {
            for (size_t i = 0; i < sum.size(); ++i)
              sum[i] += counts_of(counts)[i];
          }
          const auto emit_one = [&](const char* action, IpAction which) {
            emit({{"action", action}}, number(sum[static_cast<size_t>(which)]));
          };
          emit_one("block", IpAction::block);
          emit_one("throttle", IpAction::throttle);
          if (with_allow) emit_one("allow", IpAction::allow);
        });
  };
  of_rules("weir_ip_rules_denied_total", "Requests refused by an IP rule.", false,
           [](const LoopCounts& c) -> const ByAction& { return c.gateway.ip_rule_denied; });
  of_rules("weir_ip_rules_dry_run_total",
           "Requests that an IP rule with enforce = false would have refused or let pass.", true,
           [](const LoopCounts& c) -> const ByAction& { return c.gateway.ip_rule_dry_runs; });
  of_rules("weir_geo_denied_total", "Requests refused by a geographic rule or geo.default_action.",
           false, [](const LoopCounts& c) -> const ByAction& { return c.gateway.geo_denied; });
  of_rules("weir_geo_dry_run_total",
           "Requests that a geographic rule with enforce = false would have refused or let pass.",
           true, [](const LoopCounts& c) -> const ByAction& { return c.gateway.geo_dry_runs; });
  metrics_.collect("weir_geo_database_built_timestamp_seconds",
                   "When the database of places that is in use was made.", Kind::gauge,
                   [this](const Emit& emit) {
                     if (places_.database == nullptr) return;
                     emit({}, static_cast<double>(places_.database->built_s()));
                   });
}

void Node::declare_journal_metrics() {
  const auto of_journal = [this](const char* name, const char* help, Kind kind,
                                 std::function<double(const journal::JournalStatus&)> value) {
    metrics_.collect(name, help, kind, [this, value = std::move(value)](const Emit& emit) {
      emit({}, value(recording_->journal_status()));
    });
  };
  of_journal("weir_journal_backlog_records", "Synced records that the database does not hold yet.",
             Kind::gauge, [](const auto& status) { return number(status.backlog_records); });
  of_journal("weir_journal_sync_age_seconds", "Since the last sync of the journal that succeeded.",
             Kind::gauge, [](const auto& status) {
               return static_cast<double>(status.last_sync_age.count()) / 1e3;
             });
  of_journal("weir_journal_sync_failures_total", "Syncs of the journal that failed.", Kind::counter,
             [](const auto& status) { return number(status.sync_failures); });
  of_journal("weir_lost_total", "Records of which only a gap is left.", Kind::counter,
             [](const auto& status) { return number(status.lost); });
  of_journal("weir_answered_total", "Responses that ended, counted apart from their events.",
             Kind::counter, [](const auto& status) {
               uint64_t sum = 0;
               for (const auto& ring : status.rings)
                 sum += ring.answered;
               return number(sum);
             });
  of_journal("weir_recorded_total", "Events in the rings of this start.", Kind::counter,
             [](const auto& status) {
               uint64_t sum = 0;
               for (const auto& ring : status.rings)
                 sum += ring.written;
               return number(sum);
             });
  of_journal("weir_degraded_total", "Exchanges counted without an event, by need.", Kind::counter,
             [](const auto& status) {
               uint64_t sum = 0;
               for (const auto& ring : status.rings)
                 sum += ring.degraded;
               return number(sum);
             });
}

void Node::declare_consumer_metrics() {
  metrics_.collect(
      "weir_consumed_total", "Events committed to the database by this process.", Kind::counter,
      [this](const Emit& emit) { emit({}, number(recording_->consumer_report().events)); });
  metrics_.collect(
      "weir_dead_letters_total", "Events that can never be stored.", Kind::counter,
      [this](const Emit& emit) { emit({}, number(recording_->consumer_report().dead_letters)); });
  metrics_.collect("weir_dead_letters_waiting", "Dead letters in the database.", Kind::gauge,
                   [this](const Emit& emit) {
                     emit({}, number(recording_->consumer_report().letters_waiting));
                   });
  metrics_.collect(
      "weir_access_log_dropped_total", "Lines that could not be written.", Kind::counter,
      [this](const Emit& emit) { emit({}, number(recording_->access_log_dropped())); });
  metrics_.collect("weir_alarm", "1 for each alarm that is raised.", Kind::gauge,
                   [this](const Emit& emit) {
                     for (const Alarm& alarm : alarms())
                       emit({{"name", alarm.name}}, 1);
                   });
}

void Node::declare_audit_metrics() {
  metrics_.collect("weir_audit_sums", "What the last audit found, by verdict.", Kind::gauge,
                   [this](const Emit& emit) {
                     const auto audited = housekeeping_->audited();
                     if (!audited) return;
                     emit({{"verdict", "agrees"}}, number(audited->agrees));
                     emit({{"verdict", "differs"}}, number(audited->differs));
                     emit({{"verdict", "skipped"}}, number(audited->skipped));
                   });
  metrics_.collect("weir_audit_timestamp_seconds", "When it ended.", Kind::gauge,
                   [this](const Emit& emit) {
                     const auto audited = housekeeping_->audited();
                     if (audited) {
                       emit({}, static_cast<double>(base::unix_ms(audited->at)) / 1e3);
                     }
                   });
}

void Node::declare_traffic_metrics() {
  const auto of_state = [this](const char* name, const char* help, Kind kind,
                               std::function<uint64_t(const LiveState::View&)> value) {
    metrics_.collect(name, help, kind, [this, value = std::move(value)](const Emit& emit) {
      const auto view = recording_->live_state(0);
      if (view) emit({}, number(value(*view)));
    });
  };
  of_state("weir_traffic_rpm", "Requests of the last minute.", Kind::gauge,
           [](const auto& view) { return view.traffic.stats.current_rpm; });
  of_state("weir_traffic_peak_rpm", "Most requests within a minute, ever.", Kind::gauge,
           [](const auto& view) { return view.traffic.stats.peak_rpm; });
  of_state("weir_traffic_requests_total", "Requests ever, over all restarts.", Kind::counter,
           [](const auto& view) { return view.traffic.stats.total_requests; });
  of_state("weir_traffic_auto_cache", "1 while stats.traffic_threshold asks for caching.",
           Kind::gauge, [](const auto& view) { return uint64_t{view.traffic.stats.auto_cache}; });
  of_state("weir_recent_clients", "Clients whose paths are remembered.", Kind::gauge,
           [](const auto& view) { return uint64_t{view.clients.clients}; });
  of_state("weir_state_missed_total", "Events that came before the state was loaded.",
           Kind::counter, [](const auto& view) { return view.missed; });
  of_state("weir_state_save_failures_total", "Images of the state that could not be saved.",
           Kind::counter, [](const auto& view) { return view.save_failures; });
}

void Node::declare_alert_metrics() {
  metrics_.collect(
      "weir_alert", "1 for each alert that is raised.", Kind::gauge, [this](const Emit& emit) {
        for (const alerts::BookEntry& entry : housekeeping_->alerts().view().raised) {
          emit({{"id", entry.alert.id}, {"severity", std::string{to_string(entry.alert.severity)}}},
               1);
        }
      });
  metrics_.collect("weir_webhook_total", "Messages to the webhook of the alerts, by result.",
                   Kind::counter, [this](const Emit& emit) {
                     const AlertsView::Webhook webhook = housekeeping_->alerts().view().webhook;
                     emit({{"result", "delivered"}}, number(webhook.delivered));
                     emit({{"result", "refused"}}, number(webhook.refused));
                     emit({{"result", "unreachable"}}, number(webhook.unreachable));
                   });
}

}  // namespace weir::app
