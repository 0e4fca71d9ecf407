#include "pipeline/dashboard.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "pipeline/day_window.h"
#include "pipeline/testing/rig.h"

namespace weir::pipeline {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using testing::kStream;
using traffic::Event;
using Json = nlohmann::ordered_json;

// A node at 10:20 that was asked things at other times.
struct Node {
  Node() { rig.clock.advance(hours{24 * 10 + 10} + minutes{20}); }

  Event at(milliseconds ago, std::string_view path = "/a", uint16_t status = 200) {
    Event event = rig.event(path);
    event.arrival_us -= std::chrono::microseconds{ago}.count();
    event.id.unix_ms = static_cast<uint64_t>(event.arrival_us / 1000);
    event.status = status;
    return event;
  }
  void send(const Event& event) { rig.journal.append(kStream, event); }
  void send(milliseconds ago, std::string_view path = "/a", uint16_t status = 200) {
    send(at(ago, path, status));
  }
  void exchange(milliseconds ago, std::string_view path, uint16_t status, uint64_t us,
                uint64_t client) {
    Event event = at(ago, path, status);
    event.duration_us = us;
    event.client_hash = client * 0x9e3779b97f4a7c15U;
    event.cache = us == 10 ? traffic::CacheStatus::hit : traffic::CacheStatus::miss;
    send(event);
  }

  // All that was sent is counted and derived.
  void settle() {
    // Steps without time: the borders of the windows are where the tests put them.
    for (int i = 0; i < 100 && !rig.consumer->step(Consumer::Close::now).drained; ++i) {
    }
    bool derived = false;
    while (!derived)
      derived = rig.stats->derive(stats::Flush::yes).value();
    ASSERT_TRUE(reader.open().ok());
  }
  base::Result<Dashboard> make(const DashboardInputs& inputs = {.rates = {{7, 30}}}) {
    return make_dashboard(reader, rig.clock, inputs, cancelled);
  }
  Json overview() { return Json::parse(make().value().overview); }
  int64_t now_ms() const { return base::unix_ms(rig.clock.wall()); }

  testing::Rig rig;
  sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
  std::atomic<bool> cancelled{false};
};

// The two windows and what is around them.
void send_two_days(Node& node) {
  node.exchange(hours{48} + milliseconds{1}, "/a", 200, 90, 9);
  node.exchange(hours{48}, "/a", 200, 90, 9);
  node.exchange(hours{40}, "/a", 500, 90, 9);
  node.exchange(hours{30}, "/c", 200, 90, 9);
  node.exchange(hours{24} + milliseconds{1}, "/b", 500, 15, 5);  // 10:19:59.999.
  node.exchange(hours{24}, "/a", 200, 10, 1);
  node.exchange(hours{23} + minutes{30}, "/b", 404, 20, 2);  // 10:50.
  node.exchange(hours{23} + minutes{20}, "/a", 503, 30, 3);  // 11:00.
  node.exchange(hours{5}, "/c", 500, 40, 1);
  node.exchange(hours{2}, "/b", 200, 70, 1);
  node.exchange(minutes{10}, "/b", 200, 60, 4);
  node.exchange(milliseconds{1}, "/a", 200, 50, 1);
  node.settle();
}

TEST(DashboardTest, BothWindowsOf24HoursAreCutAtTheMillisecond) {
  Node node;
  send_two_days(node);
  const Dashboard dashboard =
      node.make({.rates = {{7, 30}},
                 .configured = {.paths = 4, .with_cache = 3, .with_rate_limit = 2, .with_geo = 1}})
          .value();
  EXPECT_EQ(dashboard.requests, 7U);
  const std::string top = R"([{"path":"/a","requests":3,"errors":1,"errorRate":0.3333},)"
                          R"({"path":"/b","requests":3,"errors":1,"errorRate":0.3333},)"
                          R"({"path":"/c","requests":1,"errors":1,"errorRate":1.0}])";
  // 7 requests after 4. Sketches count the whole hour 24 hours ago, so the client of 10:19:59 too,
  // and its 15 us: the 95th percentile of 10, 15, 20, 30, 40, 50, 60, 70 has rank 6.
  EXPECT_EQ(dashboard.overview,
            R"({"traffic":{"totalRequests24h":7,"currentRpm":7,"peakRpm":30,"activeIPs24h":5,)"
            R"("trendVsPrevDay":75.0,"topPaths":)" +
                top +
                R"(},"reliability":{"cacheHitRate":14.29,"errorRate":42.86,)"
                R"("avgResponseTime":0.04,"p95ResponseTime":0.06},)"
                R"("configuration":{"totalPaths":4,"pathsWithCache":3,"pathsWithRateLimit":2,)"
                R"("pathsWithGeo":1},"topPaths":)" +
                top + fmt::format(R"(,"timestamp":{}}})", node.now_ms()));
}

DayFigures figures_of(Node& node) {
  return day_figures(node.reader, node.rig.clock, milliseconds{1000}, node.cancelled).value();
}

TEST(DashboardTest, TheFiguresAloneAreThoseOfTheOverview) {
  Node node;
  send_two_days(node);
  const DayFigures figures = figures_of(node);
  EXPECT_EQ(figures.requests, 7U);
  EXPECT_EQ(figures.requests_before, 4U);
  EXPECT_EQ(figures.error_rate, 42.86);
  EXPECT_EQ(figures.cache_hit_rate, 14.29);
  EXPECT_EQ(figures.trend, 75.0);
  node.cancelled = true;
  EXPECT_FALSE(day_figures(node.reader, node.rig.clock, milliseconds{1000}, node.cancelled).ok());
}

TEST(DashboardTest, TheDayBeforeIsWholeWhereSomethingCameInAnHourBeforeIt) {
  Node node;
  node.send(hours{1});
  node.settle();
  EXPECT_FALSE(figures_of(node).whole_before);
  node.send(hours{48} + minutes{20});  // 10:00 of the hour in which that day begins.
  node.settle();
  EXPECT_FALSE(figures_of(node).whole_before);
  node.send(hours{48} + minutes{20} + milliseconds{1});
  node.settle();
  EXPECT_TRUE(figures_of(node).whole_before);
}

TEST(DashboardTest, AtAFullHourTheWindowsBeginWithTheirFirstHours) {
  Node node;
  node.rig.clock.advance(minutes{40});
  node.send(hours{48} + milliseconds{1});
  node.send(hours{48});
  node.send(hours{24} + milliseconds{1});
  node.send(hours{24});
  node.send(hours{23});
  node.send(milliseconds{0});
  node.settle();
  const Json overview = node.overview();
  EXPECT_EQ(overview["traffic"]["totalRequests24h"], 3);
  EXPECT_EQ(overview["traffic"]["trendVsPrevDay"], 50.0);
  EXPECT_EQ(overview["topPaths"][0]["requests"], 3);
  EXPECT_FALSE(overview.contains("approximate"));
}

TEST(DashboardTest, OneMillisecondBeforeAFullHourTheLastOfTheEdgeHourCounts) {
  Node node;
  node.rig.clock.advance(minutes{40} - milliseconds{1});
  node.send(hours{24} + milliseconds{1});
  node.send(hours{24});
  node.send(hours{24} - milliseconds{1});  // The next hour.
  node.settle();
  const Json overview = node.overview();
  EXPECT_EQ(overview["traffic"]["totalRequests24h"], 2);
  EXPECT_EQ(overview["traffic"]["trendVsPrevDay"], 100.0);
  EXPECT_EQ(overview["topPaths"][0]["requests"], 2);
}

TEST(DashboardTest, WithoutTrafficEverythingIsZeroAndNothingDegraded) {
  Node node;
  node.settle();
  EXPECT_EQ(node.make({.rates = DashboardInputs::Rates{}}).value().overview,
            fmt::format(R"({{"traffic":{{"totalRequests24h":0,"currentRpm":0,"peakRpm":0,)"
                        R"("activeIPs24h":0,"trendVsPrevDay":0.0,"topPaths":[]}},)"
                        R"("reliability":{{"cacheHitRate":0.0,"errorRate":0.0,)"
                        R"("avgResponseTime":0.0,"p95ResponseTime":0.0}},)"
                        R"("configuration":{{"totalPaths":0,"pathsWithCache":0,)"
                        R"("pathsWithRateLimit":0,"pathsWithGeo":0}},"topPaths":[],)"
                        R"("timestamp":{}}})",
                        node.now_ms()));
}

TEST(DashboardTest, TheTrendIs100AfterADayOfNothing) {
  Node node;
  node.send(hours{1});
  node.settle();
  EXPECT_EQ(node.overview()["traffic"]["trendVsPrevDay"], 100.0);
}

TEST(DashboardTest, ADayOfNothingAfterADayOfSomethingIsMinus100) {
  Node node;
  node.send(hours{25});
  node.settle();
  EXPECT_EQ(node.overview()["traffic"]["trendVsPrevDay"], -100.0);
  EXPECT_EQ(node.overview()["topPaths"].size(), 0U);
}

TEST(DashboardTest, HoursAheadOfTheClockAreNotCounted) {
  Node node;
  node.send(hours{1});
  node.send(-hours{1});
  node.settle();
  EXPECT_EQ(node.overview()["traffic"]["totalRequests24h"], 1);
  EXPECT_EQ(node.overview()["traffic"]["activeIPs24h"], 1);
  EXPECT_EQ(node.overview()["topPaths"][0]["requests"], 1);
}

TEST(DashboardTest, ExchangesWithoutRowsInTheEdgeHourAreSharedOutByTime) {
  Node node;
  for (int i = 0; i < 3; ++i) {
    Event sampled = node.at(hours{24} - minutes{10});
    sampled.flags = traffic::EventFlag::kSampledOut;
    node.send(sampled);
  }
  node.send(hours{24} + minutes{1}, "/b");
  node.send(hours{24}, "/b");
  node.settle();
  const Json overview = node.overview();
  // 40 of 60 minutes are within: 2 of the 3, and one of the two with a row.
  EXPECT_EQ(overview["traffic"]["totalRequests24h"], 3);
  EXPECT_EQ(overview["traffic"]["trendVsPrevDay"], 50.0) << "3 after 2";
  EXPECT_EQ(overview["topPaths"][0]["path"], "/a");
  EXPECT_EQ(overview["topPaths"][0]["requests"], 2);
  EXPECT_TRUE(overview.value("approximate", false));
}

TEST(DashboardTest, AnEdgeHourOfTooManyZonesIsSharedOutByTime) {
  Node node;
  for (int i = 0; i < 6; ++i)
    node.send(hours{24} - minutes{10}, "/a", 500);
  node.send(hours{25});
  node.settle();
  const int64_t from = node.now_ms() - 24 * 3'600'000;
  const WindowEdge exact = window_edge(node.reader, from, {.zones_max = 1}).value();
  EXPECT_EQ(exact.sum.requests, 6U);
  EXPECT_FALSE(exact.approximate);
  const WindowEdge shared = window_edge(node.reader, from, {.zones_max = 0}).value();
  EXPECT_EQ(shared.sum.requests, 4U) << "40 of 60 minutes";
  EXPECT_EQ(shared.sum.errors, 4U);
  EXPECT_EQ(shared.sum.us_sum, 6000U);
  EXPECT_EQ(shared.paths.size(), 1U);
  EXPECT_TRUE(shared.approximate);
  const WindowTotals totals =
      window_totals(node.reader, node.now_ms(), shared, {.zones_max = 0}).value();
  EXPECT_EQ(totals.last.requests, 4U);
  EXPECT_EQ(totals.requests_before, 3U);
  EXPECT_TRUE(totals.approximate);
}

TEST(DashboardTest, EventsInZonesOfOtherTimesAreNotRead) {
  Node node;
  node.send(hours{24} - minutes{10});
  node.settle();
  ASSERT_TRUE(node.rig.database->execute("UPDATE event_zones SET ts_max = ts_min - 3600000").ok());
  EXPECT_EQ(node.overview()["traffic"]["totalRequests24h"], 0);
}

TEST(DashboardTest, TheTenPathsWithMostRequestsAreShown) {
  Node node;
  for (int path = 0; path < 12; ++path) {
    const std::string name = fmt::format("/p/{}", static_cast<char>('a' + path));
    for (int i = 0; i <= path; ++i) {
      Event event = node.at(i % 2 == 0 ? minutes{5} : minutes{24 * 60 - 5});
      event.path = name;
      node.send(event);
    }
  }
  node.settle();
  const Json top = node.overview()["topPaths"];
  ASSERT_EQ(top.size(), 10U);
  EXPECT_EQ(top[0]["path"], "/p/l");
  EXPECT_EQ(top[0]["requests"], 12);
  EXPECT_EQ(top[9]["path"], "/p/c");
  EXPECT_EQ(top[9]["requests"], 3);
}

TEST(DashboardTest, ASourceThatFailsMakesZerosAndIsNamed) {
  struct Case {
    const char* breaking;
    const char* errors;
    int requests, clients, paths;
  };
  for (const Case& each :
       {Case{"DROP TABLE sketches", R"(["estimates"])", 7, 0, 3},
        Case{"UPDATE sketches SET clients = x'00' WHERE path_id = 0", R"(["estimates"])", 7, 0, 3},
        Case{"ALTER TABLE totals RENAME TO gone", R"(["traffic","topPaths"])", 0, 5, 0},
        Case{"ALTER TABLE hourly RENAME TO gone", R"(["topPaths"])", 7, 5, 0},
        Case{"ALTER TABLE event_zones RENAME TO gone", R"(["traffic","topPaths"])", 0, 5, 0}}) {
    SCOPED_TRACE(each.breaking);
    Node node;
    send_two_days(node);
    // Views name the tables; a rename would change them, too.
    ASSERT_TRUE(
        node.rig.database->execute(std::string{"PRAGMA legacy_alter_table = ON;"} + each.breaking)
            .ok())
        << node.rig.database->message();
    const Dashboard dashboard = node.make().value();
    const Json overview = Json::parse(dashboard.overview);
    EXPECT_TRUE(overview.value("degraded", false));
    EXPECT_EQ(overview.value("errors", Json{}).dump(), each.errors);
    EXPECT_EQ(overview["traffic"]["totalRequests24h"], each.requests);
    EXPECT_EQ(overview["traffic"]["activeIPs24h"], each.clients);
    EXPECT_EQ(overview["topPaths"].size(), static_cast<size_t>(each.paths));
    EXPECT_EQ(overview["traffic"]["peakRpm"], 30);
    EXPECT_EQ(overview["timestamp"], node.now_ms());
  }
}

TEST(DashboardTest, WithoutTheLiveRatesItIsDegraded) {
  Node node;
  send_two_days(node);
  const Json overview = Json::parse(node.make({}).value().overview);
  EXPECT_EQ(overview.value("errors", Json{}).dump(), R"(["live"])");
  EXPECT_TRUE(overview.value("degraded", false));
  EXPECT_EQ(overview["traffic"]["peakRpm"], 0);
  EXPECT_EQ(overview["traffic"]["totalRequests24h"], 7);
}

TEST(DashboardTest, RaisingTheFlagEndsItInsteadOfDegradingIt) {
  Node node;
  send_two_days(node);
  node.cancelled = true;
  const base::Result<Dashboard> made = node.make();
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, base::ErrorCode::cancelled);
}

TEST(DashboardTest, BothKeysArePublishedAndExpireTogether) {
  Node node;
  send_two_days(node);
  const Dashboard dashboard = node.make().value();
  const base::Wall expires = node.rig.clock.wall() + minutes{40};
  ASSERT_TRUE(publish_dashboard(*node.rig.kv, dashboard, expires).ok());
  const auto snapshot = node.rig.kv->get("dashboard:snapshot:latest").value();
  const auto overview = node.rig.kv->get("dashboard:overview:v1").value();
  ASSERT_TRUE(snapshot && overview);
  EXPECT_EQ(overview->value, dashboard.overview);
  EXPECT_EQ(snapshot->value, fmt::format(R"({{"data":{},"timestamp":{},"version":"1.0"}})",
                                         dashboard.overview, node.now_ms()));
  EXPECT_EQ(snapshot->expires, expires);
  node.rig.clock.advance(minutes{40} - milliseconds{1});
  EXPECT_TRUE(node.rig.kv->get("dashboard:snapshot:latest").value());
  EXPECT_TRUE(node.rig.kv->get("dashboard:overview:v1").value());
  node.rig.clock.advance(milliseconds{1});
  EXPECT_FALSE(node.rig.kv->get("dashboard:snapshot:latest").value());
  EXPECT_FALSE(node.rig.kv->get("dashboard:overview:v1").value());
}

// Goal: readers never see one key without the other. Method: operation 0, 1, ... of the disk fails.
TEST(DashboardTest, AWriteThatFailsPublishesNeitherKey) {
  bool struck = true;
  int64_t nth = 0;
  for (; struck; ++nth) {
    SCOPED_TRACE(nth);
    Node node;
    node.settle();
    const Dashboard dashboard = node.make().value();
    node.rig.vfs.fail_at(nth, sqlite::testing::Fault::io_error, sqlite::testing::Spell::once);
    const bool published =
        publish_dashboard(*node.rig.kv, dashboard, node.rig.clock.wall() + minutes{40}).ok();
    struck = node.rig.vfs.struck();
    node.rig.vfs.heal();
    const int64_t keys = node.rig.number("SELECT count(*) FROM kv WHERE key LIKE 'dashboard:%'");
    EXPECT_TRUE(keys == 0 || keys == 2) << keys;
    EXPECT_TRUE(!published || keys == 2);
    if (HasFailure()) return;
  }
  EXPECT_GT(nth, 2) << "the loop above must have failed several operations";
}

}  // namespace
}  // namespace weir::pipeline
