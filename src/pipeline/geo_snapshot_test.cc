#include "pipeline/geo_snapshot.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "pipeline/testing/rig.h"

namespace weir::pipeline {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using testing::kStream;
using traffic::Event;

constexpr int64_t kZoneSeqs = 8192;

// A node that was asked things at other times.
struct Node {
  Event at(milliseconds ago, std::string_view country, std::string_view colo,
           uint16_t status = 200) {
    Event event = rig.event();
    event.arrival_us -= std::chrono::microseconds{ago}.count();
    event.id.unix_ms = static_cast<uint64_t>(event.arrival_us / 1000);
    event.country = country;
    event.colo = colo;
    event.status = status;
    return event;
  }
  void send(milliseconds ago, std::string_view country, std::string_view colo,
            uint16_t status = 200) {
    rig.journal.append(kStream, at(ago, country, colo, status));
  }
  void settle() {
    // Steps without time: the window's borders are where the tests put them.
    for (int i = 0; i < 100 && !rig.consumer->step(Consumer::Close::now).drained; ++i) {
    }
    ASSERT_TRUE(reader.open().ok());
  }
  // `zones` whole zones of one event each minute, from the minute `first_ago` ago on, oldest first.
  void fill_zones(int64_t zones, int64_t first_ago) {
    const std::string sql = fmt::format(
        "INSERT INTO events SELECT (n.value / 8192 + 1) * 8192 + n.value % 8192, 1, 0, n.value,"
        " printf('t%d', n.value), {0} - ({1} - n.value / 8192) * 60000, 0, 1, NULL, NULL, 200, 0,"
        " 0, NULL, NULL, NULL, NULL, 'bre', NULL, 0, 0, 0, 0, 0, 0, 0, 0"
        " FROM (WITH RECURSIVE i(value) AS (SELECT 0 UNION ALL SELECT value + 1 FROM i"
        " WHERE value + 1 < {2}) SELECT value FROM i) n;"
        "INSERT OR REPLACE INTO event_zones SELECT seq / 8192, min(ts_ms), max(ts_ms) FROM events"
        " GROUP BY 1",
        now_ms(), first_ago, zones * kZoneSeqs);
    ASSERT_TRUE(rig.database->execute(sql).ok()) << rig.database->message();
  }
  GeoTraffic traffic(const GeoOptions& options = {}) {
    return geo_traffic(reader, rig.clock.wall(), cancelled, options).value();
  }
  int64_t now_ms() const { return base::unix_ms(rig.clock.wall()); }

  testing::Rig rig;
  sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
  std::atomic<bool> cancelled{false};
};

TEST(GeoSnapshotTest, EventsOfTheLastHalfHourAreCountedByCountryAndColo) {
  Node node;
  node.send(minutes{30} + milliseconds{1}, "DE", "bre");
  node.send(minutes{30}, "DE", "bre");
  node.send(minutes{10}, "DE", "bre", 404);
  node.send(minutes{5}, "FR", "bre", 500);
  node.send(minutes{5}, "DE", "lyo");
  node.send(minutes{1}, "DE", "bre");
  node.send(milliseconds{0}, "", "bre");
  node.send(-milliseconds{1}, "DE", "bre");
  node.settle();
  const GeoTraffic traffic = node.traffic();
  EXPECT_EQ(traffic.edges, (std::vector<GeoEdge>{{"DE", "bre", 3, 1},
                                                 {std::nullopt, "bre", 1, 0},
                                                 {"DE", "lyo", 1, 0},
                                                 {"FR", "bre", 1, 1}}));
  EXPECT_EQ(traffic.timestamp_ms, node.now_ms());
  EXPECT_EQ(traffic.since_ms, node.now_ms() - 30 * 60'000);
}

TEST(GeoSnapshotTest, EventsThatNameNoNodeAreNotEdges) {
  Node node;
  node.send(minutes{1}, "DE", "");
  node.settle();
  EXPECT_TRUE(node.traffic().edges.empty());
}

TEST(GeoSnapshotTest, NamesBeyondTheDictionaryAreReadFromTheirRows) {
  Node node;
  node.send(minutes{1}, "DE", "bre");
  node.send(minutes{1}, "DE", "bre");
  node.settle();
  // As they stand where the dictionary is full, of one event: a number among them.
  ASSERT_TRUE(
      node.rig.database->execute("UPDATE events SET country = '12', colo = 'far' WHERE seq = 1")
          .ok());
  EXPECT_EQ(node.traffic().edges, (std::vector<GeoEdge>{{"12", "far", 1, 0}, {"DE", "bre", 1, 0}}));
}

TEST(GeoSnapshotTest, TheHundredEdgesWithMostRequestsAreKept) {
  Node node;
  for (int colo = 0; colo < 103; ++colo) {
    const std::string name = fmt::format("n{:03}", colo);
    for (int i = 0; i < (colo < 3 ? 1 : 2); ++i)
      node.send(minutes{1}, "DE", name);
  }
  node.settle();
  const GeoTraffic traffic = node.traffic();
  ASSERT_EQ(traffic.edges.size(), kGeoEdges);
  EXPECT_EQ(traffic.edges.front(), (GeoEdge{"DE", "n003", 2, 0}));
  EXPECT_EQ(traffic.edges.back(), (GeoEdge{"DE", "n102", 2, 0}));
}

TEST(GeoSnapshotTest, OnlyZonesOfTheHalfHourAreRead) {
  Node node;
  node.settle();
  node.fill_zones(8, 34);  // From 34 to 27 minutes ago.
  const GeoTraffic traffic = node.traffic();
  EXPECT_EQ(traffic.zones, 4U) << "30, 29, 28 and 27 minutes ago";
  ASSERT_EQ(traffic.edges.size(), 1U);
  EXPECT_EQ(traffic.edges[0].requests, 4U * kZoneSeqs);
}

TEST(GeoSnapshotTest, OfTooManyZonesTheNewestAreReadAndSinceSaysSo) {
  Node node;
  node.settle();
  node.fill_zones(8, 10);  // From 10 to 3 minutes ago.
  const GeoTraffic all = node.traffic({.zones_max = 8});
  EXPECT_EQ(all.zones, 8U);
  EXPECT_EQ(all.since_ms, node.now_ms() - 30 * 60'000);
  const GeoTraffic newest = node.traffic({.zones_max = 3});
  EXPECT_EQ(newest.zones, 3U);
  EXPECT_EQ(newest.edges[0].requests, 3U * kZoneSeqs);
  EXPECT_EQ(newest.since_ms, node.now_ms() - 6 * 60'000 + 1) << "after the last that is left out";
}

TEST(GeoSnapshotTest, RaisingTheFlagEndsIt) {
  Node node;
  node.send(minutes{1}, "DE", "bre");
  node.settle();
  node.cancelled = true;
  const auto traffic = geo_traffic(node.reader, node.rig.clock.wall(), node.cancelled);
  ASSERT_FALSE(traffic.ok());
  EXPECT_EQ(traffic.error().code, base::ErrorCode::cancelled);
}

TEST(GeoSnapshotTest, ItIsPublishedUntilItExpires) {
  Node node;
  node.send(minutes{1}, "DE", "bre", 500);
  node.send(minutes{1}, "", "bre");
  node.settle();
  ASSERT_TRUE(publish_geo(*node.rig.kv, node.traffic(), node.rig.clock.wall() + minutes{20}).ok());
  EXPECT_EQ(node.rig.kv->get("geo:traffic:latest").value()->value,
            fmt::format(R"({{"edges":[{{"country":null,"edge_colo":"bre","request_count":1,)"
                        R"("error_count":0}},{{"country":"DE","edge_colo":"bre","request_count":1,)"
                        R"("error_count":1}}],"timestamp":{},"since":{}}})",
                        node.now_ms(), node.now_ms() - 30 * 60'000));
  node.rig.clock.advance(minutes{20} - milliseconds{1});
  EXPECT_TRUE(node.rig.kv->get("geo:traffic:latest").value());
  node.rig.clock.advance(milliseconds{1});
  EXPECT_FALSE(node.rig.kv->get("geo:traffic:latest").value());
}

TEST(GeoSnapshotTest, WithoutTrafficTheListIsEmpty) {
  Node node;
  node.settle();
  ASSERT_TRUE(publish_geo(*node.rig.kv, node.traffic(), node.rig.clock.wall() + minutes{20}).ok());
  EXPECT_EQ(node.rig.kv->get("geo:traffic:latest").value()->value.substr(0, 11), R"({"edges":[])");
}

}  // namespace
}  // namespace weir::pipeline
