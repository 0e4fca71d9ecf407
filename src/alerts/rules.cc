#include "alerts/rules.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace weir::alerts {
namespace {

constexpr const char* kDashboard = "/dashboard";
constexpr double kMinutesOfDay = 24 * 60;

// Collects what fires at one moment.
// Threading: one thread at a time.
class Judge {
 public:
  Judge(const Figures& figures, const Thresholds& thresholds)
      : figures_(figures), thresholds_(thresholds) {}

  void day(const Day& day) {
    const bool meaningful = day.requests > kMeaningfulRequests;
    if (meaningful && day.error_rate > 5) {
      fire("high-error-rate", severity(day.error_rate > 10), Source::day, "High error rate",
           fmt::format("{:.2f} % of {} requests in 24 hours failed.", day.error_rate, day.requests),
           day.error_rate);
    }
    if (meaningful && day.cache_hit_rate > 0 && day.cache_hit_rate < 60) {
      fire("low-cache-hit-rate", severity(day.cache_hit_rate < 40), Source::day,
           "Low cache hit rate",
           fmt::format("The cache answered {:.2f} % of {} requests in 24 hours.",
                       day.cache_hit_rate, day.requests),
           day.cache_hit_rate, "/cache");
    }
    if (day.whole_before) trend(day);
  }

  void live(const Live& live) {
    high_rpm(live);
    const double rps = static_cast<double>(live.current_rpm) / 60;
    const auto threshold = static_cast<double>(thresholds_.global_rps);
    if (thresholds_.global_rps > 0 && rps >= threshold) {
      fire("global-rps-threshold", severity(live.current_rpm * 10 >= thresholds_.global_rps * 720),
           Source::live, "Many requests a second",
           fmt::format("{:.1f} requests a second in the last minute; alerts.global_rps is {}.", rps,
                       thresholds_.global_rps),
           rps, kDashboard, "global-rps");
    }
    if (live.threshold_exceeded) {
      fire("traffic-threshold", Severity::warning, Source::live, "Traffic above its threshold",
           fmt::format("{} requests in the current five minutes; stats.traffic_threshold, {}, was"
                       " reached and traffic has not been under 80 % of it for five minutes since.",
                       live.window_requests, live.threshold),
           static_cast<double>(live.window_requests));
    }
  }

  void clients(const std::vector<BusyClient>& clients) {
    if (thresholds_.ip_spike == 0) return;
    for (const BusyClient& client : clients) {
      if (client.requests < thresholds_.ip_spike) continue;
      const std::string hash = fmt::format("{:016x}", client.hash);
      fire("ip-traffic-spike-" + hash, severity(client.errors * 10 >= client.requests),
           Source::clients, "Many requests of one client",
           fmt::format("Client {} sent {} requests today, {} of them failed; alerts.ip_spike is"
                       " {}.",
                       hash, client.requests, client.errors, thresholds_.ip_spike),
           static_cast<double>(client.requests), "/ip-monitor?search=" + hash, "ip-spike-" + hash);
    }
  }

  void alarms(const std::vector<NodeAlarm>& alarms) {
    for (const NodeAlarm& alarm : alarms) {
      if (alarm.name == kWebhookAlarm) continue;
      fire("alarm-" + alarm.name, Severity::critical, Source::alarms, "Alarm " + alarm.name,
           alarm.text, 1);
    }
  }

  std::vector<Alert> take() {
    std::stable_sort(fired_.begin(), fired_.end(),
                     [](const Alert& a, const Alert& b) { return a.severity > b.severity; });
    return std::move(fired_);
  }

 private:
  static Severity severity(bool critical) {
    return critical ? Severity::critical : Severity::warning;
  }

  void trend(const Day& day) {
    if (day.requests > kMeaningfulRequests && day.trend > 100) {
      fire("traffic-spike", severity(day.trend > 200), Source::day, "Traffic has risen",
           fmt::format("{} requests in 24 hours, {:.2f} % more than in the 24 before.",
                       day.requests, day.trend),
           day.trend);
    }
    if (day.requests_before > kMeaningfulRequests && day.trend < -50) {
      fire("traffic-drop", severity(day.trend < -80), Source::day, "Traffic has fallen",
           fmt::format("{} requests in 24 hours, {:.2f} % less than in the 24 before.",
                       day.requests, -day.trend),
           day.trend);
    }
  }

  // Its average is the day's, so without the day nothing is known.
  void high_rpm(const Live& live) {
    if (!live.settled_peak_rpm || !figures_.day) return;
    const uint64_t peak = *live.settled_peak_rpm;
    const double average = static_cast<double>(figures_.day->requests) / kMinutesOfDay;
    if (peak < kMeaningfulRpm || static_cast<double>(peak) < average * kPeakOverAverage) return;
    const double share = static_cast<double>(live.current_rpm) * 100 / static_cast<double>(peak);
    if (share <= 80) return;
    fire("high-rpm", severity(share > 95), Source::day, "Traffic near its peak",
         fmt::format("{} requests in the last minute, {:.0f} % of the peak before, {}.",
                     live.current_rpm, share, peak),
         static_cast<double>(live.current_rpm));
  }

  void fire(std::string id, Severity severity, Source source, std::string title,
            std::string message, double value, std::string link = kDashboard,
            std::string key = {}) {
    if (key.empty()) key = id;
    fired_.push_back({.id = std::move(id),
                      .key = std::move(key),
                      .severity = severity,
                      .source = source,
                      .title = std::move(title),
                      .message = std::move(message),
                      .value = value,
                      .timestamp_ms = figures_.now_ms,
                      .link = std::move(link)});
  }

  const Figures& figures_;
  const Thresholds& thresholds_;
  std::vector<Alert> fired_;
};

}  // namespace

std::vector<Alert> firing(const Figures& figures, const Thresholds& thresholds) {
  Judge judge{figures, thresholds};
  if (figures.day) judge.day(*figures.day);
  if (figures.live) judge.live(*figures.live);
  if (figures.clients) judge.clients(*figures.clients);
  if (figures.alarms) judge.alarms(*figures.alarms);
  return judge.take();
}

bool is_known(const Figures& figures, Source source) {
  switch (source) {
    case Source::day:  // One of its rules, high-rpm, needs both.
      return figures.day.has_value() && figures.live.has_value();
    case Source::live:
      return figures.live.has_value();
    case Source::clients:
      return figures.clients.has_value() && !figures.more_clients;
    case Source::alarms:
      return figures.alarms.has_value();
  }
  return false;
}

}  // namespace weir::alerts
