// What single clients did, over events that a consumer stored.

#include "stats/client_stats.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "codec/iso_time.h"
#include "pipeline/testing/rig.h"
#include "sqlite/writer.h"
#include "stats/client_lists.h"

namespace weir::pipeline {
namespace {

using stats::ClientCounts;
using stats::ClientPart;
using stats::ClientsQuery;
using testing::kStream;
using testing::Rig;
using traffic::Event;

constexpr uint64_t kHigh = 0xfedcba9876543210;

struct Sent {
  uint64_t client = 1;
  std::string_view path = "/a";
  uint16_t status = 200;
  traffic::GeoAction geo = traffic::GeoAction::none;
  std::string_view country = "DE";
};

void send(Rig& rig, const Sent& sent, int count = 1) {
  for (; count > 0; --count) {
    Event event = rig.event(sent.path);
    event.client_hash = sent.client;
    event.client_ip = sent.client == 1 ? "192.0.2.1" : "";
    event.status = sent.status;
    event.geo = sent.geo;
    event.country = sent.country;
    rig.journal.append(kStream, event);
  }
}

int64_t today(const Rig& rig) {
  return codec::unix_day_of_ms(base::unix_ms(rig.clock.wall()));
}

// Everything is stored and derived.
void settle(Rig& rig) {
  ASSERT_TRUE(rig.drain());
  for (int pieces = 0; pieces < 20; ++pieces)
    ASSERT_TRUE(rig.stats->derive(stats::Flush::yes).ok());
}

void list_and_go_on(Rig& rig) {
  settle(rig);
  rig.clock.advance(std::chrono::hours{24});
  sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
  ASSERT_TRUE(reader.open().ok());
  sqlite::DirectWriter writer{*rig.database};
  ASSERT_TRUE(stats::list_clients(writer, reader, rig.clock.wall(), std::atomic<bool>{false}).ok());
}

stats::ClientsAnswer busiest(const Rig& rig, const ClientsQuery& query) {
  sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
  EXPECT_TRUE(reader.open().ok());
  auto answer = stats::busiest_clients(reader, rig.clock, query);
  EXPECT_TRUE(answer.ok()) << reader.message();
  return answer.ok() ? std::move(answer).value() : stats::ClientsAnswer{};
}

std::vector<uint64_t> hashes(const stats::ClientsAnswer& answer) {
  std::vector<uint64_t> out;
  for (const stats::ClientRowOfDays& row : answer.clients)
    out.push_back(row.client);
  return out;
}

TEST(ClientStatsTest, EachRequestIsOneOfSuccessOrErrorAndRefusalsAreCountedOnce) {
  Rig rig;
  send(rig, {}, 5);
  send(rig, {.status = 403}, 2);
  send(rig, {.status = 429}, 1);
  send(rig, {.status = 500}, 1);
  send(rig, {.status = 451, .geo = traffic::GeoAction::blocked});
  send(rig, {.status = 429, .geo = traffic::GeoAction::blocked});
  send(rig, {.status = 200, .geo = traffic::GeoAction::allowed});
  settle(rig);
  const stats::ClientsAnswer answer = busiest(rig, {.last_day = today(rig)});
  ASSERT_EQ(answer.clients.size(), 1U);
  const ClientCounts& counts = answer.clients[0].counts;
  EXPECT_EQ(counts, (ClientCounts{.requests = 12, .errors = 6, .blocked = 4, .throttled = 1}));
  EXPECT_EQ(counts.success(), 6U) << "403 and 429 are not subtracted once more";
  EXPECT_EQ(counts.percent(counts.errors), 50.0);
  EXPECT_EQ(counts.percent(counts.refused()), 41.7);
  EXPECT_EQ(answer.clients[0].ip, "192.0.2.1");
  EXPECT_EQ(rig.audit(), "");
}

TEST(ClientStatsTest, DaysHaveTwoEndsAndSortAndPrefixSelect) {
  Rig rig;
  send(rig, {.client = 1}, 9);
  list_and_go_on(rig);
  const int64_t second = today(rig);
  send(rig, {.client = 1}, 2);
  send(rig, {.client = kHigh}, 3);
  send(rig, {.client = 2, .status = 404}, 2);
  list_and_go_on(rig);
  send(rig, {.client = 3}, 50);
  settle(rig);

  EXPECT_EQ(hashes(busiest(rig, {.last_day = second})), (std::vector<uint64_t>{kHigh, 1, 2}));
  EXPECT_EQ(hashes(busiest(rig, {.last_day = second, .days = 2})),
            (std::vector<uint64_t>{1, kHigh, 2}));
  EXPECT_EQ(
      hashes(busiest(rig, {.last_day = second, .days = 7, .sort = stats::ClientSort::errors})),
      (std::vector<uint64_t>{2, 1, kHigh}));
  const stats::ClientsAnswer page = busiest(rig, {.last_day = second, .offset = 1, .limit = 1});
  EXPECT_EQ(hashes(page), (std::vector<uint64_t>{1}));
  EXPECT_EQ(page.total, 3U);
  EXPECT_TRUE(busiest(rig, {.last_day = second - 5}).clients.empty());

  ClientsQuery query{.last_day = second};
  ASSERT_TRUE(stats::search_clients("FEd", query));
  EXPECT_EQ(hashes(busiest(rig, query)), (std::vector<uint64_t>{kHigh}));
  ASSERT_TRUE(stats::search_clients("0000000000000002", query));
  EXPECT_EQ(hashes(busiest(rig, query)), (std::vector<uint64_t>{2}));
  for (const char* const bad : {"", "fe", "feg", "00000000000000000"})
    EXPECT_FALSE(stats::search_clients(bad, query)) << bad;
}

TEST(ClientStatsTest, WhatADayHasNoListsOfYetIsFromItsDetailRows) {
  Rig rig;
  send(rig, {.path = "/old"}, 4);
  send(rig, {.path = "/old2", .country = "FR"}, 1);
  send(rig, {.client = 2, .path = "/else"}, 1);
  list_and_go_on(rig);
  send(rig, {.path = "/old"}, 3);
  send(rig, {.path = "/b", .status = 403, .country = "FR"}, 5);
  send(rig, {.path = "/c", .country = "AT"}, 1);
  settle(rig);

  const stats::ClientsAnswer answer = busiest(rig, {.last_day = today(rig), .days = 2});
  ASSERT_EQ(answer.clients.size(), 2U);
  EXPECT_EQ(answer.clients[0].unique_paths, 3U) << "of the day with most";
  EXPECT_EQ(answer.clients[0].countries,
            (std::vector<ClientPart>{{"DE", 7}, {"FR", 6}, {"AT", 1}}));
  EXPECT_EQ(answer.clients[1].unique_paths, 1U);

  sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
  ASSERT_TRUE(reader.open().ok());
  const auto found = stats::client_detail(reader, rig.clock, 1, today(rig));
  ASSERT_TRUE(found.ok() && found.value()) << reader.message();
  const stats::ClientDetail& detail = *found.value();
  ASSERT_EQ(detail.days.size(), 2U);
  EXPECT_EQ(detail.days[0].day, today(rig) - 1);
  EXPECT_EQ(detail.days[0].counts.requests, 5U);
  EXPECT_EQ(detail.days[0].unique_paths, 2U);
  EXPECT_EQ(detail.days[1].counts, (ClientCounts{.requests = 9, .errors = 5, .blocked = 5}));
  EXPECT_EQ(detail.sum.counts.requests, 14U);
  EXPECT_LT(detail.sum.first_ms, detail.sum.last_ms);
  EXPECT_EQ(detail.paths,
            (std::vector<ClientPart>{{"/old", 7}, {"/b", 5}, {"/c", 1}, {"/old2", 1}}));
  EXPECT_EQ(detail.user_agents, (std::vector<ClientPart>{{"curl/8", 14}}));
  EXPECT_FALSE(stats::client_detail(reader, rig.clock, 99, today(rig)).value().has_value());
  EXPECT_FALSE(stats::client_detail(reader, rig.clock, 1, today(rig) - 2).value().has_value());
}

TEST(ClientStatsTest, SuspiciousBeginsOneBeyondTheLimits) {
  EXPECT_TRUE((ClientCounts{.requests = stats::kSuspiciousRequests}).suspicious().empty());
  EXPECT_EQ((ClientCounts{.requests = stats::kSuspiciousRequests + 1}).suspicious(),
            (std::vector<std::string>{"more than 10000 requests"}));
  EXPECT_TRUE((ClientCounts{.requests = 100, .errors = 100}).suspicious().empty());
  EXPECT_TRUE((ClientCounts{.requests = 102, .errors = 51}).suspicious().empty());
  EXPECT_EQ((ClientCounts{.requests = 101, .errors = 51}).suspicious(),
            (std::vector<std::string>{"more than 50 % errors"}));
  EXPECT_EQ((ClientCounts{.requests = 20'000, .errors = 20'000}).suspicious().size(), 2U);
}

TEST(ClientStatsTest, AReadLeavesNoTransactionOpen) {
  Rig rig;
  send(rig, {}, 3);
  settle(rig);
  sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
  ASSERT_TRUE(reader.open().ok());
  EXPECT_EQ(stats::busiest_clients(reader, rig.clock, {.last_day = today(rig)}).value().total, 1U);
  EXPECT_EQ(reader.query_int("SELECT 1").value(), 1) << "no transaction is left open";
  EXPECT_TRUE(reader.execute("BEGIN").ok());
}

}  // namespace
}  // namespace weir::pipeline
