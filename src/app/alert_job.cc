#include "app/alert_job.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "codec/iso_time.h"
#include "kv/sqlite_kv.h"
#include "pipeline/dashboard.h"
#include "webhook/payload.h"

namespace weir::app {
namespace {

using alerts::Sent;

std::string_view format_word(config::WebhookFormat format) {
  constexpr std::array<std::string_view, 3> kWords{"generic", "feishu", "slack"};
  return kWords[static_cast<size_t>(format)];
}

base::LogLevel level_of(alerts::Severity severity) {
  switch (severity) {
    case alerts::Severity::critical:
      return base::LogLevel::error;
    case alerts::Severity::warning:
      return base::LogLevel::warning;
    case alerts::Severity::info:
      break;
  }
  return base::LogLevel::info;
}

alerts::Live live_figures(const state::TrafficView& traffic) {
  return {.current_rpm = traffic.stats.current_rpm,
          .settled_peak_rpm = {},
          .window_requests = traffic.current_window.requests,
          .threshold = traffic.current_window.threshold,
          .threshold_exceeded = traffic.current_window.threshold_exceeded};
}

}  // namespace

AlertJob::AlertJob(const config::Config& config, sqlite::Writer& writer, sqlite::Database& reader,
                   const base::Clock& clock, base::Logger& logger, LiveFigures live)
    : writer_(writer),
      reader_(reader),
      clock_(clock),
      logger_(logger),
      live_(std::move(live)),
      watch_(*this, clock) {
  apply(config);
}

void AlertJob::apply(const config::Config& config) {
  const base::MutexLock lock{mutex_};
  // What came of another webhook says nothing about this one.
  if (config.alerts.webhook != configured_.webhook) {
    view_.webhook.last_ms.reset();
    view_.webhook.last_text.clear();
  }
  configured_ = config.alerts;
  node_name_ = config.server.node;
  view_.webhook.url = config::shown_url(configured_.webhook.url);
  view_.webhook.format = format_word(configured_.webhook.format);
}

void AlertJob::note_alarms(const std::vector<alerts::NodeAlarm>& raised) {
  const base::MutexLock lock{mutex_};
  alarms_known_ = true;
  alarms_now_ = raised;
  for (const alerts::NodeAlarm& alarm : raised)
    alarms_[alarm.name] = alarm.text;
}

uint64_t AlertJob::request_test() {
  const base::MutexLock lock{mutex_};
  return ++view_.test.asked;
}

AlertsView AlertJob::view() const {
  const base::MutexLock lock{mutex_};
  return view_;
}

std::string AlertJob::alarm() const {
  const base::MutexLock lock{mutex_};
  const AlertsView::Webhook& webhook = view_.webhook;
  if (webhook.url.empty() || !webhook.last_ms || webhook.last_delivered) return {};
  return fmt::format("alerts do not reach {}: {}", webhook.url, webhook.last_text);
}

base::Result<std::string> AlertJob::run(jobs::JobContext& context) {
  {
    const base::MutexLock lock{mutex_};
    alerts_ = configured_;
    node_ = node_name_;
  }
  cancelled_ = &context.cancelled;
  const std::optional<LiveState::View> live = live_();
  alerts::Figures gathered = figures(context.cancelled);
  if (live && live->is_current) {
    gathered.live = live_figures(live->traffic);
  } else {
    // Traffic that waits to be counted has not ended.
    gathered.day.reset();
    gathered.clients.reset();
  }
  const alerts::WatchOptions options{
      .thresholds = {.global_rps = alerts_.global_rps, .ip_spike = alerts_.ip_spike},
      .cooldown = alerts_.cooldown,
      .webhook = !alerts_.webhook.url.empty()};
  const alerts::Watched watched = watch_.evaluate(
      std::move(gathered), live ? live->traffic.stats.peak_rpm : 0, options, context.cancelled);
  send_test();
  publish();
  if (context.cancelled) return base::cancelled("evaluating alerts");
  std::string summary = fmt::format("{} alerts are raised, {} messages were delivered, {} not",
                                    watched.raised, watched.delivered, watched.failed);
  if (watched.waiting > 0) summary += fmt::format(", {} wait", watched.waiting);
  if (!watched.kept) summary += "; what was told could not be stored";
  return summary;
}

// A source that cannot be read is not known.
alerts::Figures AlertJob::figures(const std::atomic<bool>& cancelled) {
  alerts::Figures figures{.now_ms = base::unix_ms(clock_.wall()),
                          .day = {},
                          .live = {},
                          .clients = {},
                          .alarms = take_alarms()};
  if (!reader_.open().ok()) return figures;
  const auto day = pipeline::day_figures(reader_, clock_, kReadMax, cancelled);
  if (day.ok()) {
    figures.day = {.requests = day.value().requests,
                   .requests_before = day.value().requests_before,
                   .whole_before = day.value().whole_before,
                   .error_rate = day.value().error_rate,
                   .cache_hit_rate = day.value().cache_hit_rate,
                   .trend = day.value().trend};
  }
  figures.clients = busy_clients(cancelled);
  figures.more_clients = figures.clients && figures.clients->size() == size_t{kClientsMax};
  return figures;
}

// Client 0 stands for those that found no place of their own.
std::optional<std::vector<alerts::BusyClient>> AlertJob::busy_clients(
    const std::atomic<bool>& cancelled) {
  std::vector<alerts::BusyClient> clients;
  if (alerts_.ip_spike == 0) return clients;
  reader_.set_deadline(clock_, clock_.monotonic() + kReadMax, &cancelled);
  const auto read = [&]() -> base::Status {
    sqlite::Statement query = WEIR_TRY(reader_.prepare(
        "SELECT client, requests, errors FROM client_daily"
        " WHERE day = ?1 AND client <> 0 AND requests >= ?2 ORDER BY requests DESC LIMIT ?3"));
    query.bind(1, codec::unix_day_of_ms(base::unix_ms(clock_.wall())));
    query.bind(2, static_cast<int64_t>(alerts_.ip_spike));
    query.bind(3, int64_t{kClientsMax});
    while (WEIR_TRY(query.step())) {
      clients.push_back({.hash = static_cast<uint64_t>(query.column_int(0)),
                         .requests = query.column_unsigned(1),
                         .errors = query.column_unsigned(2)});
    }
    return {};
  };
  const base::Status status = read();
  reader_.clear_deadline();
  return status.ok() ? std::optional{std::move(clients)} : std::nullopt;
}

std::optional<std::vector<alerts::NodeAlarm>> AlertJob::take_alarms() {
  const base::MutexLock lock{mutex_};
  if (!alarms_known_) return std::nullopt;
  std::vector<alerts::NodeAlarm> alarms;
  for (auto& [name, text] : alarms_)
    alarms.push_back({name, std::move(text)});
  alarms_.clear();
  for (const alerts::NodeAlarm& alarm : alarms_now_)
    alarms_[alarm.name] = alarm.text;
  return alarms;
}

void AlertJob::send_test() {
  uint64_t number = 0;
  {
    const base::MutexLock lock{mutex_};
    if (view_.test.done == view_.test.asked) return;
    number = view_.test.asked;
  }
  const bool webhook = !alerts_.webhook.url.empty();
  const Sent sent =
      webhook ? send(alerts::test_message(base::unix_ms(clock_.wall()))) : Sent::unreachable;
  const base::MutexLock lock{mutex_};
  view_.test.done = number;
  view_.test.delivered = sent == Sent::delivered;
  view_.test.text = webhook ? view_.webhook.last_text : "alerts.webhook.url is empty";
}

void AlertJob::publish() {
  std::vector<alerts::BookEntry> raised;
  for (const auto& [key, entry] : watch_.book().entries()) {
    if (entry.raised) raised.push_back(entry);
  }
  std::stable_sort(raised.begin(), raised.end(), [](const auto& a, const auto& b) {
    return a.alert.severity > b.alert.severity;
  });
  const base::MutexLock lock{mutex_};
  view_.raised = std::move(raised);
  view_.evaluated_ms = base::unix_ms(clock_.wall());
}

base::Result<std::optional<std::string>> AlertJob::load() {
  kv::SqliteKv store{reader_, clock_};
  std::optional<kv::Entry> entry = WEIR_TRY(store.get(kAlertsKey));
  if (!entry) return std::optional<std::string>{};
  return std::optional{std::move(entry->value)};
}

base::Status AlertJob::put(std::string_view key, std::string_view value) {
  return writer_.run([&](sqlite::Database& database) {
    kv::SqliteKv store{database, clock_};
    return store.put(key, value);
  });
}

base::Status AlertJob::save(std::string_view image) {
  return put(kAlertsKey, image);
}

base::Status AlertJob::set_aside(std::string_view image) {
  logger_.log(base::LogLevel::error,
              "alerts: what was told before cannot be read: it is put aside as {}",
              kAlertsAsideKey);
  return put(kAlertsAsideKey, image);
}

Sent AlertJob::send(const alerts::Message& message) {
  const std::string body = webhook::payload(alerts_.webhook.format, message, node_);
  const webhook::Delivery delivery = sender_.send(alerts_.webhook, body, *cancelled_);
  if (*cancelled_ && delivery.sent != Sent::delivered) return delivery.sent;
  const base::MutexLock lock{mutex_};
  AlertsView::Webhook& shown = view_.webhook;
  switch (delivery.sent) {
    case Sent::delivered:
      ++shown.delivered;
      break;
    case Sent::refused:
      ++shown.refused;
      break;
    case Sent::unreachable:
      ++shown.unreachable;
      break;
  }
  if (alerts_.webhook != configured_.webhook) return delivery.sent;  // Another one meanwhile.
  shown.last_ms = base::unix_ms(clock_.wall());
  shown.last_delivered = delivery.sent == Sent::delivered;
  shown.last_text = delivery.text;
  return delivery.sent;
}

// Alarms have lines of their own, at the moment they come and go.
void AlertJob::changed(const alerts::BookChange& change) {
  using Kind = alerts::BookChange::Kind;
  const alerts::Alert& alert = change.alert;
  if (change.kind == Kind::refused) {
    return logger_.log(base::LogLevel::warning, "alert {}: too many are raised; left out: {}",
                       alert.id, alert.message);
  }
  if (alert.source == alerts::Source::alarms) return;
  if (change.kind == Kind::raised) {
    logger_.log(level_of(alert.severity), "alert {}: {}: {}", alert.id, to_string(alert.severity),
                alert.message);
  } else {
    logger_.log(base::LogLevel::info, "alert {}: over", alert.id);
  }
}

}  // namespace weir::app
