#pragma once
// Which alerts fire, given the figures. Pure: no clock, no memory of earlier evaluations but what
// is among the figures.
//
// Rules of spec 13.13, and how far each goes (percentages are of requests):
//
//   id                     fires                                            critical
//   high-error-rate        errors above 5 %                                 above 10 %
//   low-cache-hit-rate     hits above 0 % and below 60 %                    below 40 %
//   traffic-spike          trend above 100 %                                above 200 %
//   traffic-drop           trend below −50 %                                below −80 %
//   high-rpm               above 80 % of the peak                           above 95 %
//   global-rps-threshold   requests a second reach global_rps               1.2 times it
//   ip-traffic-spike-HASH  a client's requests of today reach ip_spike      10 % of them errors
//   traffic-threshold      the monitor's threshold is exceeded              never
//   alarm-NAME             an alarm of the node is raised                   always
//
// Where the founding system's rules cried wolf, these do not:
//   - The rules about a day need more than kMeaningfulRequests in the last 24 hours (a drop: in the
//     24 before): one failure of three requests is no error rate. The cache's rule had that bound.
//   - A trend needs a whole day to be compared with (Day::whole_before): on its second day, a node
//     would see a spike in every hour. A day without any request after one with some is a drop.
//   - high-rpm needs a peak that means something: known for an hour (peak.h), so that a new peak is
//     compared with an older one and not with itself; at least kMeaningfulRpm; and at least
//     kPeakOverAverage times the day's average, because even traffic is always near its peak.
//   - A client is told by its hash, and each one that reaches the bound fires its own alert, so
//     that two busy ones do not take turns.
//   - A source that is not known (none, below) fires nothing.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "alerts/alert.h"

namespace weir::alerts {

inline constexpr uint64_t kMeaningfulRequests = 100;
inline constexpr uint64_t kMeaningfulRpm = 60;
inline constexpr uint64_t kPeakOverAverage = 2;

// Alarms that fire no alert. A webhook that fails cannot be told that it does.
inline constexpr std::string_view kWebhookAlarm = "webhook";

struct Day {
  uint64_t requests = 0;         // Of the last 24 hours.
  uint64_t requests_before = 0;  // Of the 24 before.
  bool whole_before = false;     // Requests were counted throughout those.
  double error_rate = 0;         // Percent, as all below.
  double cache_hit_rate = 0;
  double trend = 0;
};

struct Live {
  uint64_t current_rpm = 0;
  std::optional<uint64_t> settled_peak_rpm;  // Of peak.h; none: not known for long enough.
  uint64_t window_requests = 0;              // Of the current five minutes.
  uint64_t threshold = 0;                    // Of five minutes.
  bool threshold_exceeded = false;           // With the monitor's hysteresis.
};

struct BusyClient {
  uint64_t hash = 0;
  uint64_t requests = 0;  // Of today, UTC.
  uint64_t errors = 0;
};

struct NodeAlarm {
  std::string name;
  std::string text;
};

struct Figures {
  int64_t now_ms = 0;
  std::optional<Day> day;
  std::optional<Live> live;
  std::optional<std::vector<BusyClient>> clients;  // The busiest; empty is known as well.
  bool more_clients = false;  // There may be others as busy: of who is not named, nothing is known.
  std::optional<std::vector<NodeAlarm>> alarms;
};

struct Thresholds {
  uint64_t global_rps = 0;  // 0: off.
  uint64_t ip_spike = 0;    // 0: off.
};

// Critical ones first, then warnings; within these, in the order of the table above.
std::vector<Alert> firing(const Figures& figures, const Thresholds& thresholds);

// Whether an alert of that source that does not fire is known not to.
bool is_known(const Figures& figures, Source source);

}  // namespace weir::alerts
