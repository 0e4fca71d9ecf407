#include "alerts/rules.h"

#include <map>
#include <string>

#include <gtest/gtest.h>

#include "alerts/peak.h"

namespace weir::alerts {
namespace {

constexpr int64_t kNow = 1'760'486'400'000;
constexpr int64_t kMinute = 60'000;

Day quiet_day() {
  return {.requests = 1000,
          .requests_before = 1000,
          .whole_before = true,
          .error_rate = 1,
          .cache_hit_rate = 80,
          .trend = 0};
}
Live quiet_live() {
  return {.current_rpm = 1, .settled_peak_rpm = 1000, .window_requests = 5, .threshold = 10'000};
}
Figures quiet() {
  return {.now_ms = kNow,
          .day = quiet_day(),
          .live = quiet_live(),
          .clients = std::vector<BusyClient>{},
          .alarms = std::vector<NodeAlarm>{}};
}
Figures with(const Day& day) {
  Figures figures = quiet();
  figures.day = day;
  return figures;
}
Figures with(const Live& live) {
  Figures figures = quiet();
  figures.live = live;
  return figures;
}

// "high-error-rate critical", and so on.
std::vector<std::string> words(const Figures& figures, const Thresholds& thresholds = {}) {
  std::vector<std::string> words;
  for (const Alert& alert : firing(figures, thresholds))
    words.push_back(alert.id + " " + std::string{to_string(alert.severity)});
  return words;
}
using Words = std::vector<std::string>;

TEST(RulesTest, NothingFiresOnAQuietDay) {
  EXPECT_EQ(words(quiet(), {.global_rps = 1000, .ip_spike = 1}), Words{});
}

TEST(RulesTest, RatesFireBeyondTheirBoundsAndNotAtThem) {
  const auto errors = [](double rate) {
    Day day = quiet_day();
    day.error_rate = rate;
    return words(with(day));
  };
  EXPECT_EQ(errors(5), Words{});
  EXPECT_EQ(errors(5.01), Words{"high-error-rate warning"});
  EXPECT_EQ(errors(10), Words{"high-error-rate warning"});
  EXPECT_EQ(errors(10.01), Words{"high-error-rate critical"});
  const auto hits = [](double rate) {
    Day day = quiet_day();
    day.cache_hit_rate = rate;
    return words(with(day));
  };
  EXPECT_EQ(hits(60), Words{});
  EXPECT_EQ(hits(59.99), Words{"low-cache-hit-rate warning"});
  EXPECT_EQ(hits(40), Words{"low-cache-hit-rate warning"});
  EXPECT_EQ(hits(39.99), Words{"low-cache-hit-rate critical"});
  EXPECT_EQ(hits(0.01), Words{"low-cache-hit-rate critical"});
  EXPECT_EQ(hits(0), Words{});  // No cache is in use.
}

TEST(RulesTest, TrendsFireBeyondTheirBoundsAndNotAtThem) {
  const auto trend = [](double percent) {
    Day day = quiet_day();
    day.trend = percent;
    return words(with(day));
  };
  EXPECT_EQ(trend(100), Words{});
  EXPECT_EQ(trend(100.01), Words{"traffic-spike warning"});
  EXPECT_EQ(trend(200), Words{"traffic-spike warning"});
  EXPECT_EQ(trend(200.01), Words{"traffic-spike critical"});
  EXPECT_EQ(trend(-50), Words{});
  EXPECT_EQ(trend(-50.01), Words{"traffic-drop warning"});
  EXPECT_EQ(trend(-80), Words{"traffic-drop warning"});
  EXPECT_EQ(trend(-80.01), Words{"traffic-drop critical"});
}

TEST(RulesTest, AHundredRequestsSayNothing) {
  Day day{.requests = kMeaningfulRequests,
          .requests_before = 1,
          .whole_before = true,
          .error_rate = 100,
          .cache_hit_rate = 1,
          .trend = 9900};
  EXPECT_EQ(words(with(day)), Words{});
  ++day.requests;
  EXPECT_EQ(words(with(day)), (Words{"high-error-rate critical", "low-cache-hit-rate critical",
                                     "traffic-spike critical"}));
  day = {
      .requests = 0, .requests_before = kMeaningfulRequests, .whole_before = true, .trend = -100};
  EXPECT_EQ(words(with(day)), Words{});
  ++day.requests_before;
  EXPECT_EQ(words(with(day)), Words{"traffic-drop critical"});
}

TEST(RulesTest, ATrendNeedsAWholeDayToBeComparedWith) {
  for (const double trend : {5000.0, -99.0}) {
    Day day = quiet_day();
    day.trend = trend;
    EXPECT_EQ(words(with(day)).size(), 1U);
    day.whole_before = false;
    EXPECT_EQ(words(with(day)), Words{});
  }
}

TEST(RulesTest, HighRpmFiresNearAPeakThatMeansSomething) {
  const auto rpm = [](uint64_t current, std::optional<uint64_t> peak, uint64_t day_requests) {
    Figures figures = quiet();
    figures.live->current_rpm = current;
    figures.live->settled_peak_rpm = peak;
    figures.day->requests = day_requests;
    return words(figures);
  };
  EXPECT_EQ(rpm(800, 1000, 1000), Words{});
  EXPECT_EQ(rpm(801, 1000, 1000), Words{"high-rpm warning"});
  EXPECT_EQ(rpm(950, 1000, 1000), Words{"high-rpm warning"});
  EXPECT_EQ(rpm(951, 1000, 1000), Words{"high-rpm critical"});
  EXPECT_EQ(rpm(5000, 1000, 1000), Words{"high-rpm critical"});
  EXPECT_EQ(rpm(5000, std::nullopt, 1000), Words{});  // Right after the start.
  EXPECT_EQ(rpm(59, 59, 1000), Words{});
  EXPECT_EQ(rpm(60, 60, 1000), Words{"high-rpm critical"});
  EXPECT_EQ(rpm(1000, 1000, 500 * 1440), Words{"high-rpm critical"});
  EXPECT_EQ(rpm(1000, 1000, 501 * 1440), Words{});  // Even traffic.
  Figures figures = with(Live{.current_rpm = 1000, .settled_peak_rpm = 1000});
  figures.day.reset();
  EXPECT_EQ(words(figures), Words{});
}

TEST(RulesTest, RequestsASecondFireAtTheirThreshold) {
  const auto rps = [](uint64_t rpm, uint64_t threshold) {
    return words(with(Live{.current_rpm = rpm}), {.global_rps = threshold});
  };
  EXPECT_EQ(rps(599, 10), Words{});
  EXPECT_EQ(rps(600, 10), Words{"global-rps-threshold warning"});
  EXPECT_EQ(rps(719, 10), Words{"global-rps-threshold warning"});
  EXPECT_EQ(rps(720, 10), Words{"global-rps-threshold critical"});
  EXPECT_EQ(rps(1'000'000, 0), Words{});
}

TEST(RulesTest, EachClientThatReachesTheBoundFiresByItself) {
  Figures figures = quiet();
  figures.clients = {{.hash = 1, .requests = 1000, .errors = 99},
                     {.hash = 0xfedcba9876543210, .requests = 100, .errors = 10},
                     {.hash = 3, .requests = 99, .errors = 99}};
  EXPECT_EQ(words(figures, {.ip_spike = 100}),
            (Words{"ip-traffic-spike-fedcba9876543210 critical",
                   "ip-traffic-spike-0000000000000001 warning"}));
  EXPECT_EQ(words(figures), Words{});
  const std::vector<Alert> fired = firing(figures, {.ip_spike = 100});
  EXPECT_EQ(fired[0].key, "ip-spike-fedcba9876543210");
  EXPECT_EQ(fired[0].link, "/ip-monitor?search=fedcba9876543210");
  EXPECT_EQ(fired[0].value, 100);
}

TEST(RulesTest, TheMonitorsThresholdAndTheNodesAlarmsFire) {
  Figures figures = with(Live{.window_requests = 7, .threshold = 5, .threshold_exceeded = true});
  figures.alarms = std::vector<NodeAlarm>{{"store", "the disk is full"}, {"webhook", "no answer"}};
  EXPECT_EQ(words(figures), (Words{"alarm-store critical", "traffic-threshold warning"}));
  EXPECT_EQ(firing(figures, {})[0].message, "the disk is full");
}

TEST(RulesTest, EveryAlertIsCompleteAndLinksToItsPage) {
  Figures figures = quiet();
  figures.day = {.requests = 1000,
                 .requests_before = 100,
                 .whole_before = true,
                 .error_rate = 50,
                 .cache_hit_rate = 1,
                 .trend = 900};
  figures.live = {
      .current_rpm = 6000, .settled_peak_rpm = 6000, .threshold = 1, .threshold_exceeded = true};
  figures.clients = {{.hash = 1, .requests = 5}};
  figures.alarms = std::vector<NodeAlarm>{{"lost", "3 records are lost"}};
  std::map<std::string, std::string> links;
  for (const Alert& alert : firing(figures, {.global_rps = 1, .ip_spike = 1})) {
    EXPECT_FALSE(alert.title.empty() || alert.message.empty() || alert.key.empty()) << alert.id;
    EXPECT_EQ(alert.timestamp_ms, kNow);
    links[alert.id] = alert.link;
  }
  EXPECT_EQ(links, (std::map<std::string, std::string>{
                       {"high-error-rate", "/dashboard"},
                       {"low-cache-hit-rate", "/cache"},
                       {"traffic-spike", "/dashboard"},
                       {"high-rpm", "/dashboard"},
                       {"global-rps-threshold", "/dashboard"},
                       {"traffic-threshold", "/dashboard"},
                       {"ip-traffic-spike-0000000000000001", "/ip-monitor?search=0000000000000001"},
                       {"alarm-lost", "/dashboard"}}));
}

TEST(RulesTest, WhatIsNotKnownFiresNothingAndEndsNothing) {
  Figures none{.now_ms = kNow};
  EXPECT_EQ(words(none, {.global_rps = 1, .ip_spike = 1}), Words{});
  for (const Source source : {Source::day, Source::live, Source::clients, Source::alarms}) {
    EXPECT_FALSE(is_known(none, source));
    EXPECT_TRUE(is_known(quiet(), source));
  }
  none.day = quiet_day();  // high-rpm rests on both.
  EXPECT_FALSE(is_known(none, Source::day));
  Figures crowded = quiet();
  crowded.more_clients = true;
  EXPECT_FALSE(is_known(crowded, Source::clients)) << "the eleventh is as busy as ever";
}

TEST(SettledPeakTest, IsWhatWasKnownAnHourAgo) {
  SettledPeak peak;
  EXPECT_TRUE(peak.observe(10, kNow));
  EXPECT_FALSE(peak.observe(500, kNow + 59 * kMinute));
  EXPECT_EQ(peak.value(), std::nullopt);
  EXPECT_TRUE(peak.observe(500, kNow + 60 * kMinute));
  EXPECT_EQ(peak.value(), 10U);
  EXPECT_FALSE(peak.observe(500, kNow + 119 * kMinute));
  EXPECT_EQ(peak.value(), 10U);
  EXPECT_TRUE(peak.observe(500, kNow + 120 * kMinute));
  EXPECT_EQ(peak.value(), 500U);
}

TEST(SettledPeakTest, AClockThatWentBackBeginsTheHourAnew) {
  SettledPeak peak;
  peak.observe(10, kNow);
  EXPECT_TRUE(peak.observe(20, kNow - 600 * kMinute));
  EXPECT_FALSE(peak.observe(30, kNow - 541 * kMinute));
  EXPECT_TRUE(peak.observe(30, kNow - 540 * kMinute));
  EXPECT_EQ(peak.value(), 20U);
}

}  // namespace
}  // namespace weir::alerts
