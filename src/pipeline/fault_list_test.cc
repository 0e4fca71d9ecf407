// The faults that the recording chain is promised to survive, one test each. After each of them the
// books balance, what was promised is counted, and somebody was told.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "journal/testing/world.h"
#include "objects/directory_store.h"
#include "os/testing/fake_files.h"
#include "pipeline/retention.h"
#include "pipeline/testing/shelf.h"

namespace weir::pipeline {
namespace {

using base::LogLevel;
using journal::testing::World;
using sqlite::testing::Fault;
using sqlite::testing::Spell;
using testing::kDay;
using testing::kStream;
using testing::Rig;
using traffic::Event;
using traffic::EventFlag;

constexpr std::chrono::hours kHour{1};
constexpr base::Wall kYear2100 = std::chrono::sys_days{std::chrono::year{2100} / 1 / 1};

bool said(const Rig& rig, LogLevel level, std::string_view words) {
  for (const auto& line : rig.logger.lines) {
    if (line.level == level && line.text.find(words) != std::string::npos) return true;
  }
  return false;
}

// ---- The database ----

// A minute of traffic, some of it in the journal already when it begins.
int send_for_a_minute(Rig& rig) {
  int sent = 0;
  for (int tenth = 0; tenth < 600; ++tenth) {
    for (int i = 0; i < 5; ++i, ++sent)
      rig.journal.append(kStream, rig.event(i % 2 == 0 ? "/a" : "/b"));
    rig.consumer->step();
    rig.clock.advance(std::chrono::milliseconds{100});
  }
  return sent;
}

void expect_nothing_lost(Rig& rig) {
  EXPECT_GT(rig.consumer->report().store_failures, 5U);
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 0) << "it was broken all the time";
  EXPECT_EQ(rig.journal.released(kStream), 0U) << "the journal keeps what is not stored";
  EXPECT_NE(rig.consumer->report().store_alarm, "");
  EXPECT_TRUE(said(rig, LogLevel::error, "nothing is lost, retrying"));
  EXPECT_EQ(rig.logger.count(LogLevel::error), 1U) << "said once";
}

void expect_all_counted(Rig& rig, int sent) {
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.consumer->report().store_alarm, "");
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), sent);
  EXPECT_EQ(rig.number("SELECT sum(requests) FROM hourly"), sent);
  EXPECT_EQ(rig.number("SELECT count(*) FROM dead_letters"), 0);
  EXPECT_EQ(rig.consumer->report().lost, 0U);
  EXPECT_EQ(rig.sink.paths.size(), static_cast<size_t>(sent));
  EXPECT_EQ(rig.audit(), "");
}

TEST(FaultListTest, ADatabaseThatIsReadOnlyForAMinuteUnderLoadLosesNothing) {
  Rig rig{{.batch_events_max = 500}};
  ASSERT_TRUE(rig.drain());
  rig.vfs.fail_at(0, Fault::read_only, Spell::for_ever);
  const int sent = send_for_a_minute(rig);
  expect_nothing_lost(rig);
  rig.vfs.heal();
  expect_all_counted(rig, sent);
}

TEST(FaultListTest, ADatabaseThatIsLockedForAMinuteUnderLoadLosesNothing) {
  Rig rig{{.batch_events_max = 500}};
  ASSERT_TRUE(rig.drain());
  sqlite::Database other{rig.path()};
  ASSERT_TRUE(other.open().ok());
  ASSERT_TRUE(other.execute("BEGIN IMMEDIATE; CREATE TABLE theirs(x)").ok());
  const int sent = send_for_a_minute(rig);
  expect_nothing_lost(rig);
  ASSERT_TRUE(other.execute("ROLLBACK").ok());
  expect_all_counted(rig, sent);
}

// ---- The clock ----

// With objects in files of its own.
struct Shelf : testing::Shelf {
  Shelf() {
    EXPECT_TRUE(files.create_directory("/data").ok());
    disk = objects::DirectoryStore::open(files, rig.clock, {.directory = "/data/objects"}).value();
    store = disk.get();
  }

  base::Result<RetentionOutcome> retain() {
    sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
    WEIR_TRY(reader.open());
    sqlite::DirectWriter writer{*rig.database};
    const std::atomic<bool> never{false};
    return pipeline::retain(writer, reader, rig.clock, {}, {never, {}});
  }

  // What the night does.
  void do_jobs() {
    ASSERT_TRUE(settle());
    ASSERT_TRUE(archive().ok());
    ASSERT_TRUE(clean().ok());
    ASSERT_TRUE(retain().ok());
  }

  // Nothing differs from the archive and the rows that are left, and nothing was left out.
  void expect_right() {
    EXPECT_EQ(rig.audit(), "");
    const base::Result<RebuildReport> report = check();
    ASSERT_TRUE(report.ok()) << report.error().what.view();
    EXPECT_TRUE(report.value().skipped.empty());
    for (const Difference& each : report.value().differences)
      ADD_FAILURE() << each.table << " " << each.when << " " << each.path << ": " << each.what;
  }

  os::testing::FakeFiles files{3};
  std::unique_ptr<objects::DirectoryStore> disk;
};

void send(Rig& rig, int count, std::string_view path = "/a") {
  for (int i = 0; i < count; ++i)
    rig.journal.append(kStream, rig.event(path));
}

std::string snapshot(Rig& rig) {
  const uint64_t before = rig.consumer->report().snapshots;
  rig.consumer->request_snapshot();
  for (int i = 0; i < 100 && rig.consumer->report().snapshots == before; ++i) {
    rig.drain();
    rig.clock.advance(std::chrono::seconds{1});
  }
  return rig.text("SELECT value FROM kv WHERE key = 'snapshot:latest'");
}

TEST(FaultListTest, AClockThatStepsBackAnHourCountsEveryEventOnceInTheHourOfItsStamp) {
  Shelf shelf;
  Rig& rig = shelf.rig;
  rig.clock.advance(10 * kHour);
  send(rig, 7);
  ASSERT_TRUE(rig.drain());
  rig.clock.set_wall(rig.clock.wall() - kHour);
  send(rig, 5);
  ASSERT_TRUE(rig.drain());
  rig.clock.advance(kHour);
  send(rig, 3);
  EXPECT_NE(snapshot(rig).find(R"("requests":15)"), std::string::npos);
  EXPECT_EQ(rig.text("SELECT group_concat(requests) FROM (SELECT requests FROM hourly ORDER BY"
                     " hour)"),
            "5,10");
  EXPECT_EQ(rig.number("SELECT count(*) FROM dead_letters"), 0);
  EXPECT_EQ(rig.consumer->report().events, 15U);
  ASSERT_TRUE(shelf.settle());
  shelf.expect_right();
}

TEST(FaultListTest, AClockThatWasIn2100LeavesTodaysCountsAndSnapshotsAsTheyAre) {
  Shelf shelf;
  Rig& rig = shelf.rig;
  const base::Wall today = rig.clock.wall();
  send(rig, 7);
  ASSERT_TRUE(rig.drain());
  rig.clock.set_wall(kYear2100);
  send(rig, 5);
  ASSERT_TRUE(rig.drain());
  EXPECT_NE(snapshot(rig).find(R"("requests":5)"), std::string::npos);
  rig.clock.set_wall(today);
  send(rig, 3);
  ASSERT_TRUE(rig.drain());
  const std::string top = snapshot(rig);
  EXPECT_NE(top.find(R"("requests":10)"), std::string::npos) << top;
  EXPECT_EQ(rig.text("SELECT group_concat(requests) FROM (SELECT requests FROM hourly ORDER BY"
                     " hour)"),
            "10,5");
  EXPECT_EQ(rig.number("SELECT count(*) FROM dead_letters"), 0);
  ASSERT_TRUE(shelf.settle());
  shelf.expect_right();
}

TEST(FaultListTest, ANightOfJobsIn2100DeletesNoStatisticsBeforeTheirTime) {
  Shelf shelf;
  Rig& rig = shelf.rig;
  for (int day = 0; day < 6; ++day) {
    send(rig, 7);
    ASSERT_TRUE(rig.drain());
    rig.clock.advance(kDay);
  }
  shelf.do_jobs();
  const base::Wall today = rig.clock.wall();
  rig.clock.set_wall(kYear2100);
  send(rig, 2);
  shelf.do_jobs();
  rig.clock.set_wall(today);
  send(rig, 5);
  shelf.do_jobs();
  EXPECT_EQ(rig.number("SELECT count(*) FROM hourly"), 8);
  EXPECT_EQ(rig.number("SELECT sum(requests) FROM hourly"), 6 * 7 + 2 + 5);
  EXPECT_EQ(rig.number("SELECT sum(requests) FROM client_daily"), 6 * 7 + 2 + 5);
  shelf.expect_right();
}

// ---- Damaged bytes ----

// The journal over files in memory, before the consumer.
struct Node {
  Node() {
    EXPECT_TRUE(world.start());
    attach();
  }

  void attach() {
    consumer = std::make_unique<Consumer>(*world.journal, *rig.stats, *rig.kv, rig.clock,
                                          rig.logger, ConsumerOptions{});
  }

  void commit(int count) {
    for (int i = 0; i < count; ++i)
      world.commit(0);
  }

  void kill_and_start() {
    consumer.reset();
    world.kill();
    ASSERT_TRUE(world.start());
    attach();
  }

  void drain() {
    // Both sides of the collectors have their turn.
    for (int round = 0; round < 6; ++round) {
      world.settle();
      for (int i = 0; i < 1000; ++i) {
        const Consumer::Step step = consumer->step(Consumer::Close::now);
        if (step.drained) break;
        rig.clock.advance(step.wait);
      }
      rig.clock.advance(std::chrono::seconds{1});
      world.clock.advance(world.options.collector_interval);
    }
  }

  // One bit of a byte in the middle of the record of event `number`, in a file of `prefix`.
  bool damage(const std::string& prefix, int number) {
    for (const std::string& path : world.files.paths()) {
      if (!path.starts_with(prefix)) continue;
      const std::span<char> bytes = world.files.bytes(path);
      const size_t at =
          std::string_view{bytes.data(), bytes.size()}.find(fmt::format("/e/{}", number));
      if (at == std::string_view::npos) continue;
      bytes[at + 1] ^= 4;
      return true;
    }
    return false;
  }

  World world{1, 1};
  Rig rig;
  std::unique_ptr<Consumer> consumer;
};

void expect_one_lost(Node& node, int committed) {
  EXPECT_EQ(node.consumer->report().lost, 1U);
  EXPECT_EQ(node.rig.text("SELECT sum(inserted), sum(lost), sum(dead) FROM positions"),
            fmt::format("{}|1|0", committed - 1));
  EXPECT_EQ(node.rig.number("SELECT count(*) FROM events"), committed - 1);
  EXPECT_EQ(node.rig.number("SELECT count(*) FROM traffic_events WHERE path = '/e/10'"), 0);
  EXPECT_TRUE(said(node.rig, LogLevel::error, "lost"));
  EXPECT_EQ(node.rig.audit(), "");
}

TEST(FaultListTest, AFlippedBitInASegmentCostsOneRecordWhichIsCountedAsLost) {
  Node node;
  node.commit(20);
  node.world.step();
  ASSERT_TRUE(node.damage("data/journal/segment-", 10));
  node.drain();
  expect_one_lost(node, 20);
  EXPECT_GT(node.world.journal->status().corrupt_bytes, 0U);
}

TEST(FaultListTest, AFlippedBitInARingCostsOneRecordWhichIsCountedAsLost) {
  Node node;
  node.commit(20);
  ASSERT_TRUE(node.damage("data/rings/ring-", 10));
  node.drain();
  expect_one_lost(node, 20);
}

TEST(FaultListTest, AFlippedBitInTheRingOfAKilledProcessCostsOneRecordWhichIsCountedAsLost) {
  Node node;
  node.commit(20);
  ASSERT_TRUE(node.damage("data/rings/ring-", 10));
  node.kill_and_start();
  node.drain();
  expect_one_lost(node, 20);
}

TEST(FaultListTest, DamagedSketchesAreReportedAndHarmNoCountAndNoOtherSketch) {
  Shelf shelf;
  Rig& rig = shelf.rig;
  send(rig, 5, "/a");
  send(rig, 5, "/b");
  ASSERT_TRUE(shelf.settle());
  rig.crash();
  rig.start();
  ASSERT_TRUE(rig.drain());
  ASSERT_TRUE(rig.database
                  ->execute("UPDATE sketches SET latency = x'00' WHERE path_id ="
                            " (SELECT path_id FROM paths WHERE path = '/a')")
                  .ok());
  send(rig, 2, "/a");
  send(rig, 2, "/b");
  const std::string top = snapshot(rig);
  EXPECT_TRUE(said(rig, LogLevel::error, "sketches"));
  EXPECT_GE(rig.consumer->report().damaged_sketches, 1U);
  ASSERT_TRUE(shelf.settle());
  EXPECT_EQ(rig.text("SELECT sum(requests), sum(us_sum) FROM hourly"), "14|21000");
  const auto paths =
      rig.stats->top_paths(base::unix_ms(rig.clock.wall()) / 3'600'000 - 24, 10).value();
  ASSERT_EQ(paths.size(), 2U);
  for (const stats::TopPath& path : paths) {
    EXPECT_EQ(path.counts.requests, 7U) << path.path;
    ASSERT_TRUE(path.estimates) << path.path;
    EXPECT_NEAR(static_cast<double>(path.estimates->p50_us), 1500.0, 15.0) << path.path;
  }
  EXPECT_EQ(rig.audit(), "");
  EXPECT_EQ(rig.consumer->report().store_failures, 0U);
  ASSERT_TRUE(shelf.rebuild().ok());
  shelf.expect_right();
}

TEST(FaultListTest, DamagedSketchesAreLeftOutWhenDaysAreMergedAndComeBackFromTheArchive) {
  Shelf shelf;
  Rig& rig = shelf.rig;
  for (int hour = 0; hour < 2; ++hour) {
    send(rig, 5, "/a");
    send(rig, 5, "/b");
    ASSERT_TRUE(shelf.settle());
    rig.clock.advance(kHour);
  }
  rig.clock.advance(36 * kDay);
  send(rig, 1, "/a");
  ASSERT_TRUE(shelf.settle());
  ASSERT_TRUE(shelf.archive().ok());
  ASSERT_TRUE(shelf.clean().ok());
  ASSERT_TRUE(rig.database
                  ->execute("UPDATE sketches SET latency = x'07' WHERE rowid = (SELECT s.rowid FROM"
                            " sketches s JOIN paths USING (path_id) WHERE path = '/a' ORDER BY"
                            " hour LIMIT 1)")
                  .ok());
  const base::Result<RetentionOutcome> kept = shelf.retain();
  ASSERT_TRUE(kept.ok()) << kept.error().what.view();
  EXPECT_EQ(kept.value().damaged_sketches, 1U);
  EXPECT_EQ(rig.number("SELECT count(*) FROM daily_sketches JOIN paths USING (path_id)"), 2);
  EXPECT_GT(shelf.check().value().differing, 0U) << "the difference is found";
  ASSERT_TRUE(shelf.rebuild().ok());
  shelf.expect_right();

  // Those of whole days, too.
  ASSERT_TRUE(rig.database->execute("UPDATE daily_sketches SET latency = x'00'").ok());
  rig.crash();
  rig.start();
  ASSERT_TRUE(rig.drain());
  const auto top = rig.stats->top_paths(base::unix_ms(rig.clock.wall()) / 3'600'000 - 740, 10);
  ASSERT_TRUE(top.ok()) << top.error().what.view();
  EXPECT_EQ(top.value().front().counts.requests, 1U);
}

// ---- The journal and the rings ----

TEST(FaultListTest, EveryRecordDeliveredAgainAndAgainIsCountedOnce) {
  Rig rig{{.batch_events_max = 64}};
  rig.journal.redeliver(40);
  const int64_t hour = base::unix_ms(rig.clock.wall()) / 3'600'000;
  rig.journal.fail_releases(true);  // So that the degraded counts are listed for ever.
  rig.journal.add_side({kStream, 1, {{"/a", hour, false, 5, 0, 500, 5, 5}}});
  for (int i = 0; i < 10; ++i) {
    send(rig, 50);
    rig.journal.append_bytes(kStream, "rubbish");
    ASSERT_TRUE(rig.drain());
    rig.crash();
    rig.start();
  }
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 500);
  EXPECT_EQ(rig.number("SELECT sum(requests) FROM hourly"), 505);
  EXPECT_EQ(rig.number("SELECT count(*) FROM dead_letters"), 10);
  EXPECT_EQ(rig.audit(), "");
}

TEST(FaultListTest, EveryRecordDeliveredAsIfItWereNewIsADeadLetterAndNotCounted) {
  Rig rig;
  for (int i = 0; i < 200; ++i) {
    const Event event = rig.event();
    rig.journal.append(kStream, event);
    rig.journal.append({2, 0}, event);
  }
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 200);
  EXPECT_EQ(rig.number("SELECT sum(requests) FROM hourly"), 200);
  EXPECT_EQ(rig.number("SELECT count(*) FROM dead_letters WHERE reason = 'duplicate_id'"), 200);
  EXPECT_TRUE(said(rig, LogLevel::error, "duplicate_id"));
  EXPECT_EQ(rig.audit(), "");
}

TEST(FaultListTest, ARingThatIsFullForAMinuteLeavesTotalsExact) {
  Node node;
  uint64_t sent = 0;
  const auto commit = [&](int count) {
    for (int i = 0; i < count; ++i, ++sent)
      node.world.commit(0, 200);
  };
  commit(50);
  node.drain();
  node.world.files.fail_kind(os::testing::Operation::sync);
  const base::Monotonic until = node.world.clock.monotonic() + std::chrono::minutes{1};
  while (node.world.clock.monotonic() < until) {
    commit(60);
    node.world.step();
    node.consumer->step();
    node.rig.clock.advance(std::chrono::seconds{2});
  }
  EXPECT_TRUE(node.world.journal->status().failing);
  EXPECT_TRUE(node.world.journal->status().degraded);
  node.world.files.heal();
  commit(50);
  node.drain();
  commit(50);
  node.drain();
  const auto count = [&node](const char* sql) {
    return static_cast<uint64_t>(node.rig.number(sql));
  };
  const uint64_t degraded = count("SELECT sum(requests) FROM degraded_generations");
  EXPECT_GT(degraded, 1000U) << "the ring must have been full";
  EXPECT_EQ(node.consumer->report().degraded, degraded);
  EXPECT_EQ(count("SELECT count(*) FROM events"), sent - degraded);
  EXPECT_EQ(count("SELECT sum(requests) FROM totals"), sent);
  EXPECT_EQ(count("SELECT max(partial) FROM totals"), 1U) << "and whoever reads them is told";
  EXPECT_EQ(node.consumer->report().lost, 0U);
  EXPECT_FALSE(node.world.journal->status().degraded);
  EXPECT_EQ(node.rig.audit(), "");
}

// ---- Events ----

TEST(FaultListTest, TheLargestEventIsStoredWholeAndALargerOneIsCutAndFlagged) {
  Shelf shelf;
  Rig& rig = shelf.rig;
  const std::string words(traffic::Event::kShortBytesMax, 'w');
  const std::string agent(traffic::Event::kUserAgentBytesMax, 'u');
  std::string path;
  while (path.size() < 64 * 1024)
    path += "/some-words";
  Event event = rig.event(std::string_view{path}.substr(0, traffic::Event::kPathBytesMax));
  event.user_agent = agent;
  event.method = event.route_id = event.country = event.city = event.colo = words;
  rig.journal.append(kStream, event);
  Event longer = rig.event(path);
  rig.journal.append(kStream, longer);
  ASSERT_TRUE(shelf.settle());
  EXPECT_EQ(rig.text("SELECT group_concat(length(raw_path)), count(DISTINCT raw_path),"
                     " group_concat(flags) FROM (SELECT * FROM exchanges ORDER BY seq)"),
            "2048,2048|1|0,1");
  EXPECT_EQ(rig.number("SELECT sum(requests) FROM hourly"), 2);
  EXPECT_EQ(rig.number("SELECT count(*) FROM dead_letters"), 0);
  rig.clock.advance(3 * kDay);
  ASSERT_TRUE(shelf.archive().ok());
  ASSERT_TRUE(shelf.clean().ok());
  shelf.expect_right();
}

TEST(FaultListTest, ARecordOf64KiBThatNoEncoderWritesIsADeadLetterWithWhatFits) {
  Rig rig;
  std::string record(65'537, '/');
  record.front() = 1;  // The version of events.
  rig.journal.append_bytes(kStream, record);
  send(rig, 1);
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.text("SELECT reason, length(payload) FROM dead_letters"), "undecodable|65536");
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 1);
  EXPECT_EQ(rig.audit(), "");
}

TEST(FaultListTest, BytesThatAreNoUtf8AreKeptFromTheJournalToTheArchiveAndBack) {
  Shelf shelf;
  Rig& rig = shelf.rig;
  Event event = rig.event("/\xff\xfe/\xc3(/\xed\xa0\x80");
  event.user_agent = "\x80 curl \xf0\x9f";
  event.route_id = "\xc0\xaf";
  event.method = "\xff";
  rig.journal.append(kStream, event);
  Event counted = rig.event("/\xff\xfe/totals");
  counted.flags = EventFlag::kTotalsOnly;
  rig.journal.append(kStream, counted);
  EXPECT_NE(snapshot(rig), "no row");
  ASSERT_TRUE(shelf.settle());
  EXPECT_EQ(rig.text("SELECT hex(path), hex(user_agent) FROM traffic_events"),
            "2FFFFE2FC3282FEDA080|80206375726C20F09F");
  EXPECT_EQ(rig.number("SELECT sum(requests) FROM hourly"), 2);
  EXPECT_EQ(rig.number("SELECT count(*) FROM dead_letters"), 0);
  const std::string right = shelf.books();
  rig.clock.advance(3 * kDay);
  ASSERT_TRUE(shelf.archive().ok());
  ASSERT_TRUE(shelf.clean().ok());
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 0);
  shelf.expect_right();
  ASSERT_TRUE(rig.database->execute("DELETE FROM hourly; DELETE FROM totals").ok());
  ASSERT_TRUE(shelf.rebuild().ok());
  EXPECT_TRUE(shelf.books() == right);
}

TEST(FaultListTest, EventsOf1970And2100AreCountedArchivedAndCountedAgain) {
  Shelf shelf;
  Rig& rig = shelf.rig;
  for (const int64_t arrival_us :
       {int64_t{0}, int64_t{86'399'999'999}, kYear2100.time_since_epoch().count() - 1,
        kYear2100.time_since_epoch().count()}) {
    Event event = rig.event();
    event.arrival_us = arrival_us;
    rig.journal.append(kStream, event);
  }
  send(rig, 3);
  ASSERT_TRUE(shelf.settle());
  EXPECT_EQ(rig.text("SELECT group_concat(day) FROM (SELECT date(day * 86400, 'unixepoch') AS day"
                     " FROM day_ledger ORDER BY 1)"),
            "1970-01-01,2025-10-15,2099-12-31,2100-01-01");
  shelf.expect_right();
  rig.clock.advance(3 * kDay);
  ASSERT_TRUE(shelf.archive().ok());
  ASSERT_TRUE(shelf.clean().ok());
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 0);
  EXPECT_EQ(rig.text("SELECT min(date), max(date), sum(record_count) FROM archive_metadata"),
            "1970-01-01|2100-01-01|7");
  shelf.expect_right();
}

}  // namespace
}  // namespace weir::pipeline
