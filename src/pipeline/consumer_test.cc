#include "pipeline/consumer.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "pipeline/testing/rig.h"

namespace weir::pipeline {
namespace {

using base::LogLevel;
using journal::Stream;
using testing::kStream;
using testing::Rig;
using traffic::Event;
using traffic::EventFlag;

constexpr std::chrono::milliseconds kMs{1};

TEST(ConsumerTest, EventsBecomeRowsAndThenLeaveTheJournal) {
  Rig rig;
  for (int i = 0; i < 10; ++i)
    rig.journal.append(kStream, rig.event());
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT count(*) FROM traffic_events"), 10);
  EXPECT_EQ(rig.number("SELECT requests FROM path_stats_hourly"), 10);
  EXPECT_EQ(rig.journal.released(kStream), 10U);
  EXPECT_EQ(rig.audit(), "");
  EXPECT_EQ(rig.consumer->report().events, 10U);
}

TEST(ConsumerTest, ABatchWaitsUntilItIsFullOrOldEnough) {
  Rig rig{{.batch_events_max = 3, .batch_wait = 100 * kMs, .poll = 20 * kMs}};
  rig.journal.append(kStream, rig.event());
  EXPECT_EQ(rig.consumer->step().wait, 20 * kMs);
  EXPECT_EQ(rig.consumer->report().batches, 0U);
  rig.clock.advance(90 * kMs);
  EXPECT_EQ(rig.consumer->step().wait, 10 * kMs);
  rig.clock.advance(10 * kMs);
  rig.consumer->step();
  EXPECT_EQ(rig.consumer->report().batches, 1U);

  for (int i = 0; i < 4; ++i)
    rig.journal.append(kStream, rig.event());
  rig.consumer->step();
  EXPECT_EQ(rig.consumer->report().events, 4U) << "three fill a batch, at once";
  EXPECT_GT(rig.consumer->step().wait, 0 * kMs) << "the fourth waits";
}

TEST(ConsumerTest, BatchesOfManyStreamsAreFilledFairly) {
  Rig rig{{.batch_events_max = 10}};
  const Stream quiet{1, 1};
  for (int i = 0; i < 1000; ++i)
    rig.journal.append(kStream, rig.event());
  rig.journal.append(quiet, rig.event("/quiet"));
  rig.consumer->step(Consumer::Close::now);
  EXPECT_EQ(rig.number("SELECT count(*) FROM events WHERE loop = 1"), 1);
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 1001);
  EXPECT_EQ(rig.audit(), "");
}

TEST(ConsumerTest, RecordsDeliveredAgainAreNotCountedAgain) {
  Rig rig{{.batch_events_max = 7}};
  rig.journal.redeliver(5);
  for (int i = 0; i < 100; ++i)
    rig.journal.append(kStream, rig.event());
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 100);
  EXPECT_EQ(rig.number("SELECT count(*) FROM dead_letters"), 0);
  EXPECT_EQ(rig.audit(), "");
}

TEST(ConsumerTest, ARestartGoesOnWhereTheDatabaseStands) {
  Rig rig;
  for (int i = 0; i < 5; ++i)
    rig.journal.append(kStream, rig.event());
  rig.journal.fail_releases(true);
  ASSERT_TRUE(rig.drain());
  rig.crash();
  rig.journal.fail_releases(false);
  rig.journal.append(kStream, rig.event());
  rig.start();
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 6);
  EXPECT_EQ(rig.journal.released(kStream), 6U) << "what was committed before is released too";
  EXPECT_EQ(rig.audit(), "");
}

TEST(ConsumerTest, AFinishedStreamIsForgottenAndItsPositionKept) {
  Rig rig;
  rig.journal.append(kStream, rig.event());
  rig.journal.close(kStream);
  ASSERT_TRUE(rig.drain());
  EXPECT_TRUE(rig.journal.streams().empty());
  rig.journal.append({2, 0}, rig.event());
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT count(*) FROM positions"), 2);
  EXPECT_EQ(rig.audit(), "");
}

TEST(ConsumerTest, LostSequencesAreCountedExactly) {
  Rig rig;
  rig.journal.lose(kStream, 3);
  rig.journal.append(kStream, rig.event());
  rig.journal.lose(kStream, 2);
  rig.journal.append(kStream, rig.event());
  rig.journal.lose(kStream, 4);
  rig.journal.close(kStream);
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.text("SELECT sequence, inserted, lost FROM positions"), "11|2|9");
  EXPECT_EQ(rig.consumer->report().lost, 9U);
  EXPECT_EQ(rig.journal.released(kStream), 11U);
  EXPECT_EQ(rig.audit(), "");
  EXPECT_GT(rig.logger.count(LogLevel::error), 0U);
}

TEST(ConsumerTest, AStreamOfNothingButLossAdvances) {
  Rig rig;
  rig.journal.lose(kStream, 1000);
  rig.journal.close(kStream);
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.text("SELECT sequence, lost FROM positions"), "1000|1000");
  EXPECT_EQ(rig.audit(), "");
}

TEST(ConsumerTest, UndecodableRecordsBecomeDeadLetters) {
  Rig rig;
  rig.journal.append(kStream, rig.event());
  rig.journal.append_bytes(kStream, "rubbish");
  rig.journal.append_bytes(kStream, "");
  rig.journal.append(kStream, rig.event());
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 2);
  EXPECT_EQ(rig.text("SELECT sequence, reason, CAST(payload AS TEXT) FROM dead_letters"),
            "2|undecodable|rubbish");
  EXPECT_EQ(rig.number("SELECT count(*) FROM dead_letters"), 2);
  EXPECT_EQ(rig.audit(), "");
}

TEST(ConsumerTest, EventsThatNoTableCanHoldBecomeDeadLetters) {
  Rig rig;
  Event low = rig.event();
  low.status = 99;
  Event high = rig.event();
  high.status = 600;
  Event early = rig.event();
  early.arrival_us = -1;
  Event late = rig.event();
  late.arrival_us = 253'402'300'800'000'000;
  for (const Event& event : {low, high, early, late})
    rig.journal.append(kStream, event);
  Event least = rig.event();
  least.status = 100;
  least.arrival_us = 0;
  Event greatest = rig.event();
  greatest.status = 599;
  greatest.arrival_us = 253'402'300'799'999'999;
  for (const Event& event : {least, greatest})
    rig.journal.append(kStream, event);
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT count(*) FROM dead_letters WHERE reason = 'invalid_event'"), 4);
  EXPECT_EQ(rig.text("SELECT min(event_date), max(event_date), count(*) FROM traffic_events"),
            "1970-01-01|9999-12-31|2");
  EXPECT_EQ(rig.audit(), "");
}

TEST(ConsumerTest, AnIdThatComesAgainAtANewPositionIsADeadLetter) {
  Rig rig{{.batch_events_max = 4}};
  const Event event = rig.event();
  rig.journal.append(kStream, event);
  rig.journal.append(kStream, event);  // In the same batch.
  ASSERT_TRUE(rig.drain());
  rig.journal.append(kStream, event);  // In a later batch.
  ASSERT_TRUE(rig.drain());
  rig.crash();
  rig.start();
  rig.journal.append({2, 0}, event);  // After a restart, on another stream.
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 1);
  EXPECT_EQ(rig.number("SELECT count(*) FROM dead_letters WHERE reason = 'duplicate_id'"), 3);
  EXPECT_EQ(rig.audit(), "");
}

TEST(ConsumerTest, APoisonousEventIsHalvedOutAndTheOthersAreStored) {
  Rig rig;
  for (int i = 0; i < 100; ++i) {
    Event event = rig.event();
    if (i == 13 || i == 14 || i == 77) event.bytes_out = uint64_t{1} << 63U;
    rig.journal.append(kStream, event);
  }
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 97);
  EXPECT_EQ(rig.text("SELECT group_concat(sequence), min(reason) FROM dead_letters"),
            "14,15,78|value too big");
  EXPECT_EQ(rig.audit(), "");
  EXPECT_EQ(rig.sink.paths.size(), 97U);
  EXPECT_EQ(rig.consumer->report().store_failures, 0U);
}

TEST(ConsumerTest, ASumThatOverflowsIsADataErrorAndCountsNothingTwice) {
  Rig rig;
  Event half = rig.event();
  for (int i = 0; i < 3; ++i) {
    half = rig.event();
    half.bytes_in = uint64_t{1} << 62U;
    rig.journal.append(kStream, half);
    ASSERT_TRUE(rig.drain());  // Each in a batch of its own: the database's sum overflows.
  }
  EXPECT_EQ(rig.number("SELECT count(*) FROM dead_letters"), 2);
  EXPECT_EQ(rig.text("SELECT requests, bytes_in FROM hourly"), "1|4611686018427387904");
  EXPECT_EQ(rig.audit(), "");
}

TEST(ConsumerTest, SampledOutAndTotalsOnlyEventsAreCountedWithoutDetailRows) {
  Rig rig;
  Event sampled = rig.event();
  sampled.flags = EventFlag::kSampledOut;
  Event totals = rig.event("/looked/for");
  totals.flags = EventFlag::kTotalsOnly | EventFlag::kUnrouted;
  totals.route_id = {};
  Event malformed = rig.event("");
  malformed.flags = EventFlag::kMalformed | EventFlag::kTotalsOnly;
  malformed.status = 400;
  for (const Event& event : {rig.event(), sampled, totals, malformed}) {
    rig.journal.append(kStream, event);
  }
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 1);
  EXPECT_EQ(rig.text("SELECT inserted, sampled_out, totals_only FROM positions"), "1|1|2");
  EXPECT_EQ(rig.text("SELECT group_concat(path || requests || errors) FROM"
                     " (SELECT * FROM path_stats_hourly ORDER BY path)"),
            "/kv/a20,__malformed__11,__unrouted__10");
  EXPECT_EQ(rig.audit(), "");
  EXPECT_EQ(rig.sink.paths.size(), 4U);
}

TEST(ConsumerTest, HoursAreThoseOfTheArrival) {
  Rig rig;
  Event before = rig.event();
  before.arrival_us -= 1;
  rig.journal.append(kStream, before);
  rig.journal.append(kStream, rig.event());
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.text("SELECT group_concat(hour_bucket) FROM"
                     " (SELECT hour_bucket FROM path_stats_hourly ORDER BY 1)"),
            "2025-10-14T23,2025-10-15T00");
  EXPECT_EQ(rig.number("SELECT count(*) FROM day_ledger"), 2);
  EXPECT_EQ(rig.audit(), "");
}

TEST(ConsumerTest, PathsBeyondTheLimitAreCountedUnderOther) {
  Rig rig{{.paths = {.per_route = 5, .in_all = 100}}};
  std::vector<std::string> paths;
  for (int i = 0; i < 6; ++i)
    paths.push_back("/kv/" + std::to_string(i));
  for (int i = 0; i < 5; ++i)
    rig.journal.append(kStream, rig.event(paths[static_cast<size_t>(i)]));
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT count(*) FROM path_stats_hourly WHERE path = '__other__'"), 0);
  rig.crash();
  rig.start();  // The limit is that of the hour, not of the process.
  for (const std::string& path : paths)
    rig.journal.append(kStream, rig.event(path));
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT count(*) FROM path_stats_hourly"), 6);
  EXPECT_EQ(rig.number("SELECT requests FROM path_stats_hourly WHERE path = '__other__'"), 1);
  EXPECT_EQ(rig.text("SELECT path, raw_path FROM exchanges ORDER BY seq DESC LIMIT 1"),
            "__other__|/kv/5");
  EXPECT_EQ(rig.audit(), "");
}

TEST(ConsumerTest, DegradedSidesAreMergedOnceAndMarkTheirHoursPartial) {
  Rig rig;
  rig.journal.append(kStream, rig.event());
  const int64_t hour = base::unix_ms(rig.clock.wall()) / 3'600'000;
  const journal::DegradedSide newer{
      kStream, 2, {{"/kv/a", hour, false, 5, 1, 9000, 50, 60}, {"/b", hour, true, 2, 0, 10, 1, 1}}};
  rig.journal.add_side(newer);
  rig.journal.add_side({kStream, 1, {{"/kv/a", hour, false, 3, 0, 3000, 10, 20}}});
  rig.journal.fail_releases(true);
  ASSERT_TRUE(rig.drain());
  rig.clock.advance(std::chrono::seconds{5});
  ASSERT_TRUE(rig.drain());  // Both sides are still listed.
  rig.crash();
  rig.start();
  rig.journal.fail_releases(false);
  ASSERT_TRUE(rig.drain());
  EXPECT_TRUE(rig.journal.sides().empty());
  EXPECT_EQ(rig.text("SELECT requests, errors, us_sum, us_count, us_min, partial FROM hourly"
                     " JOIN paths USING (path_id) WHERE path = '/kv/a'"),
            "9|1|13500|9|1500|1");
  EXPECT_EQ(rig.text("SELECT requests, partial FROM hourly JOIN paths USING (path_id)"
                     " WHERE path = '/b'"),
            "2|0");
  EXPECT_EQ(rig.text("SELECT generation, requests FROM degraded_generations"), "2|10");
  EXPECT_EQ(rig.audit(), "");
}

TEST(ConsumerTest, DegradedCountsThatCannotBeAddedAreLeftAndDoNotStopTheRest) {
  Rig rig;
  const int64_t hour = base::unix_ms(rig.clock.wall()) / 3'600'000;
  rig.journal.add_side({kStream, 1, {{"/a", hour, false, uint64_t{1} << 63U, 0, 0, 0, 0}}});
  rig.journal.add_side({{1, 1}, 1, {{"/a", -5, false, 2, 0, 0, 0, 0}}});
  rig.journal.append(kStream, rig.event());
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.journal.sides().size(), 1U);
  EXPECT_EQ(rig.number("SELECT sum(requests) FROM totals"), 3);
  EXPECT_EQ(rig.audit(), "");
}

TEST(ConsumerTest, SinksSeeEveryCountedEventOnceInOrder) {
  Rig rig{{.batch_events_max = 4}};
  std::vector<std::string> expected;
  std::vector<std::string> paths;
  for (int i = 0; i < 20; ++i)
    paths.push_back("/p/" + std::to_string(i));
  for (size_t i = 0; i < paths.size(); ++i) {
    Event event = rig.event(paths[i]);
    if (i % 7 == 3) event.status = 0;
    if (i % 5 == 2) rig.journal.append_bytes(kStream, "rubbish");
    if (i % 7 != 3) expected.push_back(paths[i]);
    rig.journal.append(kStream, event);
  }
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.sink.paths, expected);
}

TEST(ConsumerTest, TheMarkersOfTheFoundingSystemAreLogged) {
  Rig rig;
  rig.journal.append(kStream, rig.event());
  ASSERT_TRUE(rig.drain());
  rig.consumer->request_snapshot();
  ASSERT_TRUE(rig.drain());
  for (const std::string_view marker :
       {"📦 Queue Batch", "📊 Grouped into", "✅ Aggregated", "💾 批量 upsert", "🔄 触发 KV 快照刷新"}) {
    EXPECT_TRUE(rig.logger.has_marker(marker)) << marker;
  }
}

TEST(ConsumerTest, TheHeartbeatIsWrittenWithBatchesAndWhenIdle) {
  Rig rig;
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.text("SELECT last_batch_size, total_processed, status FROM consumer_heartbeat"),
            "0|0|active");
  for (int i = 0; i < 3; ++i)
    rig.journal.append(kStream, rig.event());
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.text("SELECT last_batch_size, total_processed FROM consumer_heartbeat"), "3|3");
  rig.clock.advance(std::chrono::seconds{11});
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT last_heartbeat FROM consumer_heartbeat"),
            base::unix_ms(rig.clock.wall()));
  rig.consumer->stop();
  EXPECT_EQ(rig.text("SELECT status, total_processed FROM consumer_heartbeat"), "inactive|3");
}

TEST(ConsumerTest, ASnapshotIsPublishedEveryTenBatchesAndAtMostOnceASecond) {
  Rig rig;
  const auto batch = [&rig] {
    rig.journal.append(kStream, rig.event());
    rig.consumer->step(Consumer::Close::now);
  };
  for (int i = 0; i < 9; ++i)
    batch();
  EXPECT_EQ(rig.consumer->report().snapshots, 0U);
  batch();
  EXPECT_EQ(rig.consumer->report().snapshots, 0U) << "the only hour is read first";
  rig.consumer->step();
  EXPECT_EQ(rig.consumer->report().snapshots, 1U);
  for (int i = 0; i < 30; ++i)
    batch();
  EXPECT_EQ(rig.consumer->report().snapshots, 1U);
  rig.clock.advance(1000 * kMs);
  rig.consumer->step();
  EXPECT_EQ(rig.consumer->report().snapshots, 2U);
  batch();
  rig.clock.advance(std::chrono::hours{1});
  rig.consumer->step();
  EXPECT_EQ(rig.consumer->report().snapshots, 3U) << "a new hour begins";
}

TEST(ConsumerTest, AJournalThatCannotBeReadIsAnAlarmAndThenGoesOn) {
  Rig rig;
  rig.journal.append(kStream, rig.event());
  rig.journal.fail_reads(true);
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(rig.consumer->step(Consumer::Close::now).drained);
    rig.clock.advance(200 * kMs);
  }
  EXPECT_FALSE(rig.consumer->report().journal_alarm.empty());
  EXPECT_EQ(rig.logger.count(LogLevel::error), 1U) << "said once";
  rig.journal.fail_reads(false);
  ASSERT_TRUE(rig.drain());
  EXPECT_TRUE(rig.consumer->report().journal_alarm.empty());
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 1);
}

// Goal: whatever arrives, in whatever order and batches, every sum agrees with every other. Method:
// random events, rubbish, losses, repeated ids and restarts over three streams, then the audit; and
// the counts against those of the generator.
TEST(ConsumerTest, EverySumAgreesAfterRandomTraffic) {
  const char* const given = std::getenv("WEIR_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 20251015;
  SCOPED_TRACE(fmt::format("WEIR_SEED={}", seed));
  base::Random random{seed};
  Rig rig{{.batch_events_max = 37, .paths = {.per_route = 8, .in_all = 12}}};
  rig.journal.redeliver(3);
  std::vector<std::string> paths;
  for (int i = 0; i < 30; ++i)
    paths.push_back("/p/" + std::to_string(i));
  uint64_t requests = 0;
  uint64_t errors = 0;
  uint64_t bytes = 0;
  uint64_t dead = 0;
  uint64_t lost = 0;
  Event last = rig.event();
  for (int i = 0; i < 3000; ++i) {
    const Stream stream{1 + static_cast<uint32_t>(i / 1000),
                        static_cast<uint32_t>(random.below(3))};
    const uint64_t kind = random.below(100);
    if (kind == 0) {
      rig.journal.append_bytes(stream, "rubbish");
      ++dead;
    } else if (kind == 1) {
      const uint64_t count = 1 + random.below(5);
      rig.journal.lose(stream, count);
      rig.journal.append(stream, last = rig.event());
      lost += count;
      ++requests;
      bytes += last.bytes_in;
    } else if (kind == 2 && requests > 0 && last.flags == 0) {
      rig.journal.append(stream, last);
      ++dead;
    } else {
      Event event = rig.event(paths[random.below(paths.size())]);
      event.status = static_cast<uint16_t>(100 + random.below(500));
      event.route_id = random.below(3) == 0 ? "" : random.below(2) == 0 ? "one" : "two";
      event.flags = random.below(10) == 0 ? EventFlag::kSampledOut : 0;
      event.cache = static_cast<traffic::CacheStatus>(random.below(5));
      event.method = random.below(4) == 0 ? "PROPFIND" : "GET";
      event.duration_us = random.below(1'000'000);
      event.bytes_in = random.below(10'000);
      rig.journal.append(stream, event);
      ++requests;
      errors += event.is_error() ? 1U : 0U;
      bytes += event.bytes_in;
      last = event;
    }
    if (random.below(20) == 0) rig.consumer->step(Consumer::Close::now);
    if (random.below(200) == 0) rig.clock.advance(std::chrono::minutes{31});
    if (random.below(300) == 0) {
      rig.crash();
      rig.start();
    }
  }
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.audit(), "");
  EXPECT_EQ(rig.text("SELECT sum(requests), sum(errors), sum(bytes_in) FROM totals"),
            fmt::format("{}|{}|{}", requests, errors, bytes));
  EXPECT_EQ(rig.text("SELECT sum(dead), sum(lost) FROM positions"),
            fmt::format("{}|{}", dead, lost));
  EXPECT_LE(rig.number("SELECT max(n) FROM (SELECT count(*) AS n FROM hourly GROUP BY hour)"),
            12 + 8 + 1);
}

}  // namespace
}  // namespace weir::pipeline
