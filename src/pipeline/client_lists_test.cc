// What clients asked for, by day: the lists of stats/client_lists.h over events that a consumer
// stored.

#include "stats/client_lists.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "pipeline/testing/rig.h"
#include "sqlite/writer.h"

namespace weir::pipeline {
namespace {

using sqlite::testing::Fault;
using sqlite::testing::Spell;
using testing::kStream;
using testing::Rig;
using traffic::Event;

// An event of one of a few clients.
void send(Rig& rig, uint64_t client, std::string_view path, std::string_view country = "DE") {
  Event event = rig.event(path);
  event.client_hash = client;
  event.country = country;
  event.city = country == "DE" ? "Bremen" : "Lyon";
  rig.journal.append(kStream, event);
}

base::Result<stats::ListOutcome> list(Rig& rig) {
  sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
  EXPECT_TRUE(reader.open().ok());
  sqlite::DirectWriter writer{*rig.database};
  return stats::list_clients(writer, reader, rig.clock.wall(), std::atomic<bool>{false});
}

void next_day(Rig& rig) {
  rig.clock.advance(std::chrono::hours{24});
}

constexpr const char* kPathsOfClient =
    "SELECT group_concat(path || '=' || request_count) FROM (SELECT * FROM ip_path_daily"
    " WHERE ip_hash = '0000000000000001' ORDER BY request_count DESC, path)";

TEST(ClientListsTest, ADayIsListedOnceItIsOver) {
  Rig rig;
  for (int i = 0; i < 3; ++i)
    send(rig, 1, "/a");
  send(rig, 1, "/b", "FR");
  send(rig, 2, "/b", "FR");
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(list(rig).value().days, 0U) << "today is not over";
  next_day(rig);
  const stats::ListOutcome outcome = list(rig).value();
  EXPECT_EQ(outcome.days, 1U);
  EXPECT_EQ(outcome.clients, 2U);
  EXPECT_EQ(rig.text(kPathsOfClient), "/a=3,/b=1");
  EXPECT_EQ(rig.text("SELECT total_requests, unique_paths, top_paths, countries, last_seen_city"
                     " FROM ip_traffic_daily WHERE ip_hash = '0000000000000001'"),
            R"(4|2|[{"path":"/a","count":3},{"path":"/b","count":1}]|)"
            R"([{"code":"DE","count":3},{"code":"FR","count":1}]|Bremen)");
  EXPECT_EQ(rig.text("SELECT user_agents FROM ip_traffic_daily LIMIT 1"),
            R"([{"ua":"curl/8","count":4}])");
  EXPECT_EQ(list(rig).value().days, 0U) << "nothing came since";
  EXPECT_EQ(rig.audit(), "");
}

TEST(ClientListsTest, RarerPathsAndRequestsWithoutRowsAreInOther) {
  Rig rig;
  for (size_t i = 0; i < stats::kListedPaths + 5; ++i) {
    const std::string path = fmt::format("/p{}q", i);
    send(rig, 1, path);
    if (i < stats::kListedPaths) send(rig, 1, path);
  }
  Event sampled = rig.event("/p0q");
  sampled.client_hash = 1;
  sampled.flags = traffic::EventFlag::kSampledOut;
  rig.journal.append(kStream, sampled);
  ASSERT_TRUE(rig.drain());
  next_day(rig);
  ASSERT_TRUE(list(rig).ok());
  EXPECT_EQ(rig.number("SELECT request_count FROM ip_path_daily WHERE path = '__other__'"), 6);
  EXPECT_EQ(rig.number("SELECT sum(request_count) FROM ip_path_daily"),
            rig.number("SELECT sum(total_requests) FROM ip_traffic_daily"));
  EXPECT_EQ(rig.number("SELECT unique_paths FROM ip_traffic_daily"), 25);
  EXPECT_EQ(rig.number("SELECT count(*) FROM client_paths"), 20);
  EXPECT_EQ(rig.audit(), "");
}

TEST(ClientListsTest, LateEventsListTheirDayAgainUntilItIsCleaned) {
  Rig rig;
  send(rig, 1, "/a");
  Event late = rig.event("/late");
  late.client_hash = 1;
  Event later = rig.event("/later");
  later.client_hash = 1;
  ASSERT_TRUE(rig.drain());
  next_day(rig);
  ASSERT_EQ(list(rig).value().days, 1U);
  rig.journal.append(kStream, late);
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT request_count FROM ip_path_daily WHERE path = '__other__'"), 1);
  EXPECT_EQ(list(rig).value().days, 1U);
  EXPECT_EQ(rig.text(kPathsOfClient), "/a=1,/late=1");
  ASSERT_TRUE(rig.database
                  ->execute("INSERT INTO archive_parts SELECT min(day), 1, 'k', 0, 1, 1, 0, 0, 0,"
                            " 'completed', NULL, 0, 0, x'00', 1, 1, 0, 0 FROM day_ledger;"
                            "DELETE FROM events WHERE seq = 1")
                  .ok());
  rig.journal.append(kStream, later);
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(list(rig).value().days, 0U) << "half of the day would replace the whole of it";
  EXPECT_EQ(rig.text(kPathsOfClient), "/a=1,/late=1,__other__=1");
  EXPECT_EQ(rig.audit(), "");
}

TEST(ClientListsTest, PathsBeyondTheLimitAreCountedOnceInOther) {
  Rig rig{{.paths = {.per_route = 1, .in_all = 100}}};
  for (const char* const path : {"/a", "/b", "/c"})
    send(rig, 1, path);
  ASSERT_TRUE(rig.drain());
  next_day(rig);
  ASSERT_TRUE(list(rig).ok());
  EXPECT_EQ(rig.text(kPathsOfClient), "__other__=2,/a=1");
}

// Goal: a run that dies anywhere is made good by the next. Method: operation 0, 1, ... of the
// writing connection's disk fails for good.
TEST(ClientListsTest, ARunKilledAtAnyOperationIsMadeGoodByTheNext) {
  bool struck = true;
  int64_t nth = 0;
  for (; struck; ++nth) {
    SCOPED_TRACE(nth);
    Rig rig;
    for (uint64_t client = 1; client <= 3; ++client) {
      send(rig, client, "/a");
      send(rig, client, "/b");
    }
    ASSERT_TRUE(rig.drain());
    next_day(rig);
    rig.vfs.fail_at(nth, Fault::io_error, Spell::for_ever);
    const bool listed = list(rig).ok();
    struck = rig.vfs.struck();
    EXPECT_EQ(listed, !struck);
    rig.crash();
    rig.vfs.heal();
    rig.start();
    ASSERT_TRUE(rig.drain());
    ASSERT_TRUE(list(rig).ok());
    EXPECT_EQ(rig.number("SELECT count(*) FROM client_paths"), 6);
    EXPECT_EQ(rig.number("SELECT count(*) FROM ip_path_daily"), 6);
    EXPECT_EQ(rig.number("SELECT count(*) FROM listed_days"), 1);
    EXPECT_EQ(rig.audit(), "");
    if (HasFailure()) return;
  }
  EXPECT_GT(nth, 3) << "the loop above must have failed many operations";
}

TEST(ClientListsTest, RaisingTheFlagEndsIt) {
  Rig rig;
  send(rig, 1, "/a");
  ASSERT_TRUE(rig.drain());
  next_day(rig);
  sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
  ASSERT_TRUE(reader.open().ok());
  sqlite::DirectWriter writer{*rig.database};
  const auto outcome =
      stats::list_clients(writer, reader, rig.clock.wall(), std::atomic<bool>{true});
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code, base::ErrorCode::cancelled);
  EXPECT_EQ(rig.number("SELECT count(*) FROM listed_days"), 0);
}

}  // namespace
}  // namespace weir::pipeline
