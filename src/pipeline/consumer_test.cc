#include "pipeline/consumer.h"

#include <gtest/gtest.h>

#include "kv/sqlite_kv.h"
#include "pipeline/testing/fake_journal.h"
#include "sqlite/testing/temp_directory.h"
#include "stats/sqlite_stats.h"

namespace weir::pipeline {
namespace {

using journal::Stream;
using testing::FakeJournal;

TEST(ConsumerTest, EventsBecomeRows) {
  sqlite::testing::TempDirectory directory;
  base::ManualClock clock;
  base::NullLogger logger;
  FakeJournal journal;
  sqlite::Database database{directory.file("weir.db"),
                            {.schemas = {kv::schema(), stats::schema()}}};
  stats::SqliteStats stats{database, 1};
  kv::SqliteKv kv{database, clock};
  Consumer consumer{journal, stats, kv, clock, logger, {}};
  for (int i = 0; i < 10; ++i) {
    traffic::Event event;
    event.id.unix_ms = static_cast<uint64_t>(base::unix_ms(clock.wall()));
    event.id.tail[9] = static_cast<uint8_t>(i);
    event.arrival_us = clock.wall().time_since_epoch().count();
    event.path = "/kv/a";
    event.method = "GET";
    event.route_id = "kv";
    event.status = 200;
    event.duration_us = 1500;
    event.client_ip = "192.168.1.200";
    journal.append({1, 0}, event);
  }
  consumer.step(Consumer::Close::now);
  EXPECT_EQ(database.query_int("SELECT count(*) FROM traffic_events").value(), 10)
      << consumer.report().store_alarm;
  EXPECT_EQ(database.query_int("SELECT requests FROM path_stats_hourly").value(), 10);
  EXPECT_EQ(journal.released({1, 0}), 10U);
  consumer.request_snapshot();
  EXPECT_TRUE(consumer.step(Consumer::Close::now).drained);
  EXPECT_TRUE(kv.get("snapshot:latest").value().has_value());
}

}  // namespace
}  // namespace weir::pipeline
