// What the consumer does when the database fails, at every operation and in every way.

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "pipeline/consumer.h"
#include "pipeline/testing/rig.h"

namespace weir::pipeline {
namespace {

using base::LogLevel;
using sqlite::testing::Fault;
using sqlite::testing::Spell;
using testing::kStream;
using testing::Rig;

constexpr int kEvents = 12;

// Three batches, one of them with a dead letter, a degraded side, and a snapshot.
void load(Rig& rig) {
  static constexpr std::string_view kPaths[] = {"/kv/a", "/kv/b", "/kv/c"};
  for (int i = 0; i < kEvents; ++i) {
    rig.journal.append(kStream, rig.event(kPaths[static_cast<size_t>(i) % 3]));
  }
  rig.journal.append_bytes(kStream, "rubbish");
  const int64_t hour = base::unix_ms(rig.clock.wall()) / 3'600'000;
  rig.journal.add_side({kStream, 1, {{"/kv/a", hour, false, 5, 0, 500, 5, 5}}});
  rig.consumer->request_snapshot();
}

const ConsumerOptions kSmallBatches{.batch_events_max = 5};

void expect_all_counted_once(Rig& rig) {
  EXPECT_EQ(rig.audit(), "");
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), kEvents);
  EXPECT_EQ(rig.number("SELECT sum(requests) FROM totals"), kEvents + 5);
  EXPECT_EQ(rig.number("SELECT count(*) FROM dead_letters"), 1);
}

// Goal: killed at any moment, nothing is lost and nothing counted twice. Method: the disk dies at
// operation 0, 1, ..., the process some steps later; what was written stays, the rest is forgotten.
TEST(ConsumerFaultTest, AKillAtAnyOperationLosesAndDoublesNothing) {
  bool struck = true;
  int64_t nth = 0;
  for (; struck; ++nth) {
    SCOPED_TRACE(nth);
    Rig rig{kSmallBatches};
    ASSERT_TRUE(rig.consumer->step().drained);  // The schema stands.
    load(rig);
    rig.vfs.fail_at(nth, Fault::io_error, Spell::for_ever);
    rig.clock.advance(std::chrono::seconds{2});
    rig.drain(8);
    struck = rig.vfs.struck();
    rig.crash();
    rig.vfs.heal();
    rig.start();
    ASSERT_TRUE(rig.database->open().ok());
    EXPECT_GE(rig.number("SELECT ifnull(max(sequence), 0) FROM positions"),
              static_cast<int64_t>(rig.journal.released(kStream)))
        << "released before it was durable";
    ASSERT_TRUE(rig.drain());
    expect_all_counted_once(rig);
    if (HasFailure()) return;
  }
  EXPECT_GT(nth, 20) << "the loop above must have failed many operations";
}

// Goal: one failure of any operation is survived by the running process. Method: fail operation 0,
// 1, ... of each kind once, and drain.
TEST(ConsumerFaultTest, OneFailureOfAnyOperationIsSurvived) {
  for (const Fault fault : {Fault::io_error, Fault::disk_full, Fault::locked}) {
    bool struck = true;
    for (int64_t nth = 0; struck; ++nth) {
      SCOPED_TRACE(fmt::format("fault {} at {}", static_cast<int>(fault), nth));
      Rig rig{kSmallBatches};
      ASSERT_TRUE(rig.consumer->step().drained);
      load(rig);
      rig.vfs.fail_at(nth, fault, Spell::once);
      rig.clock.advance(std::chrono::seconds{2});
      ASSERT_TRUE(rig.drain());
      struck = rig.vfs.struck();
      expect_all_counted_once(rig);
      EXPECT_EQ(rig.consumer->report().store_alarm, "");
      EXPECT_EQ(rig.sink.paths.size(), size_t{kEvents});
      if (HasFailure()) return;
    }
  }
}

TEST(ConsumerFaultTest, AFullDiskIsWaitedOutWithGrowingPauses) {
  Rig rig;
  ASSERT_TRUE(rig.drain());
  rig.vfs.fail_at(0, Fault::disk_full, Spell::for_ever);
  load(rig);
  std::chrono::milliseconds longest{0};
  for (int i = 0; i < 30; ++i) {
    const Consumer::Step step = rig.consumer->step(Consumer::Close::now);
    EXPECT_FALSE(step.drained);
    EXPECT_GE(step.wait, longest) << "pauses grow";
    longest = step.wait;
    rig.clock.advance(step.wait);
  }
  EXPECT_EQ(longest, rig.options.retry_max);
  EXPECT_EQ(rig.consumer->report().store_failures, 30U);
  EXPECT_EQ(rig.consumer->report().dead_letters, 0U);
  EXPECT_NE(rig.consumer->report().store_alarm, "");
  EXPECT_EQ(rig.logger.count(LogLevel::error), 1U) << "an alarm is one line";
  rig.vfs.heal();
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.consumer->report().store_alarm, "");
  EXPECT_EQ(rig.number("SELECT total_errors FROM consumer_heartbeat"), 30);
  expect_all_counted_once(rig);
}

TEST(ConsumerFaultTest, StepsDuringAPauseDoNothing) {
  Rig rig;
  rig.vfs.fail_at(0, Fault::io_error, Spell::for_ever);
  load(rig);
  rig.consumer->step(Consumer::Close::now);
  rig.clock.advance(std::chrono::milliseconds{99});
  EXPECT_EQ(rig.consumer->step(Consumer::Close::now).wait, std::chrono::milliseconds{1});
  EXPECT_EQ(rig.consumer->report().store_failures, 1U);
}

TEST(ConsumerFaultTest, ADatabaseLockedByAnotherProgramIsWaitedFor) {
  Rig rig;
  ASSERT_TRUE(rig.drain());
  sqlite::Database other{rig.path()};
  ASSERT_TRUE(other.open().ok());
  ASSERT_TRUE(other.execute("BEGIN IMMEDIATE; CREATE TABLE theirs(x)").ok());
  load(rig);
  EXPECT_FALSE(rig.drain(10));
  EXPECT_EQ(rig.consumer->report().dead_letters, 0U);
  ASSERT_TRUE(other.execute("ROLLBACK").ok());
  ASSERT_TRUE(rig.drain());
  expect_all_counted_once(rig);
}

TEST(ConsumerFaultTest, AReadOnlyDatabaseIsAStoreError) {
  Rig rig;
  ASSERT_TRUE(rig.drain());
  load(rig);
  rig.clock.advance(std::chrono::seconds{2});
  ASSERT_TRUE(rig.database->execute("PRAGMA query_only = ON").ok());
  rig.consumer->step(Consumer::Close::now);
  EXPECT_EQ(rig.consumer->report().store_failures, 1U);
  EXPECT_EQ(rig.consumer->report().dead_letters, 0U);
  ASSERT_TRUE(rig.drain()) << "opening again gets over it";
  expect_all_counted_once(rig);
}

TEST(ConsumerFaultTest, ARemovedDatabaseIsNotReplacedByAnEmptyOne) {
  Rig rig;
  for (int i = 0; i < 3; ++i)
    rig.journal.append({9, 9}, rig.event());
  ASSERT_TRUE(rig.drain());
  const std::filesystem::path away = rig.directory.file("away.db");
  ASSERT_TRUE(rig.database->checkpoint_passive().ok());
  std::filesystem::rename(rig.path(), away);
  load(rig);
  EXPECT_FALSE(rig.drain(10));
  EXPECT_FALSE(std::filesystem::exists(rig.path()));
  EXPECT_LE(rig.journal.released(kStream), 0U) << "the journal keeps everything";
  std::filesystem::rename(away, rig.path());
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), kEvents + 3);
  EXPECT_EQ(rig.audit(), "");
}

TEST(ConsumerFaultTest, ADamagedDatabaseNeverMakesDeadLettersAndARestoredOneCatchesUp) {
  Rig rig;
  for (int i = 0; i < 3; ++i)
    rig.journal.append({9, 9}, rig.event());
  ASSERT_TRUE(rig.drain());
  rig.crash();  // Closing copies the log into the file.
  std::filesystem::copy_file(rig.path(), rig.directory.file("backup.db"));
  rig.start();
  load(rig);
  ASSERT_TRUE(rig.drain());
  rig.crash();
  {
    std::fstream file{rig.path(), std::ios::in | std::ios::out | std::ios::binary};
    const std::string garbage(std::filesystem::file_size(rig.path()) - 4096, '\x5a');
    file.seekp(4096);
    file.write(garbage.data(), static_cast<std::streamsize>(garbage.size()));
  }
  rig.start();
  rig.journal.append(kStream, rig.event());
  EXPECT_FALSE(rig.drain(10));
  EXPECT_EQ(rig.consumer->report().dead_letters, 0U);
  EXPECT_NE(rig.consumer->report().store_alarm, "");

  // Restored while the server runs. The journal of this test still has what came after the backup.
  std::filesystem::rename(rig.directory.file("backup.db"), rig.path());
  for (const char* const suffix : {"-wal", "-shm"})
    std::filesystem::remove(rig.path() + suffix);
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), kEvents + 4);
  EXPECT_EQ(rig.audit(), "");
}

TEST(ConsumerFaultTest, ADatabaseThatCannotBeOpenedAtStartIsOpenedLater) {
  Rig rig;
  std::filesystem::create_directory(rig.path());
  load(rig);
  EXPECT_FALSE(rig.drain(5));
  EXPECT_NE(rig.consumer->report().store_alarm, "");
  std::filesystem::remove(rig.path());
  ASSERT_TRUE(rig.drain());
  expect_all_counted_once(rig);
}

// Passes everything on, but reports chosen commits as failed although they were made.
class LyingStats final : public stats::Stats {
 public:
  explicit LyingStats(stats::Stats& real) : real_(real) {}
  int lies = 0;  // Commits still to be lied about.

  base::Status load() override { return real_.load(); }
  base::Result<std::vector<stats::Position>> positions(
      std::span<const journal::Stream> streams) override {
    return real_.positions(streams);
  }
  base::Result<std::vector<uint64_t>> degraded_generations(
      std::span<const journal::Stream> streams) override {
    return real_.degraded_generations(streams);
  }
  base::Result<uint64_t> next_seq() override { return real_.next_seq(); }
  base::Status commit(const stats::Batch& batch, const stats::Heartbeat& heartbeat) override {
    const base::Status status = real_.commit(batch, heartbeat);
    if (!status.ok() || lies == 0) return status;
    --lies;
    return base::Error{base::ErrorCode::unavailable, base::Origin::storage,
                       base::Retry::with_backoff, 0, "lie"};
  }
  base::Status beat(const stats::Heartbeat& heartbeat) override { return real_.beat(heartbeat); }
  base::Result<bool> derive(stats::Flush flush) override { return real_.derive(flush); }
  base::Status paths_of_hour(
      int64_t hour, const std::function<void(std::string_view, std::string_view)>& each) override {
    return real_.paths_of_hour(hour, each);
  }
  base::Status recent_ids(size_t count,
                          const std::function<void(const traffic::EventId&)>& each) override {
    return real_.recent_ids(count, each);
  }
  base::Result<std::vector<stats::TopPath>> top_paths(int64_t first, size_t count) override {
    return real_.top_paths(first, count);
  }
  base::Result<std::optional<int64_t>> read_ahead(int64_t first) override {
    return real_.read_ahead(first);
  }
  base::Result<std::vector<stats::StoredLetter>> dead_letters(int64_t after,
                                                              size_t count) override {
    return real_.dead_letters(after, count);
  }
  base::Result<uint64_t> dead_letter_count() override { return real_.dead_letter_count(); }
  base::Result<uint64_t> purge_letters(std::span<const int64_t> letter_ids) override {
    return real_.purge_letters(letter_ids);
  }
  base::Status maintain(bool idle) override { return real_.maintain(idle); }
  uint64_t damaged_sketches() const override { return real_.damaged_sketches(); }
  std::string last_error() const override { return "lied"; }

 private:
  stats::Stats& real_;
};

TEST(ConsumerFaultTest, ACommitThatWasMadeAlthoughItFailedIsNotMadeAgain) {
  Rig rig;
  LyingStats liar{*rig.stats};
  liar.lies = 3;
  Consumer consumer{rig.journal, liar, *rig.kv, rig.clock, rig.logger, kSmallBatches};
  consumer.add_sink(rig.sink);
  load(rig);
  bool drained = false;
  for (int i = 0; i < 100 && !drained; ++i) {
    const Consumer::Step step = consumer.step(Consumer::Close::now);
    drained = step.drained;
    rig.clock.advance(step.wait);
  }
  EXPECT_TRUE(drained);
  EXPECT_EQ(liar.lies, 0);
  expect_all_counted_once(rig);
  EXPECT_EQ(rig.sink.paths.size(), size_t{kEvents});
  EXPECT_EQ(rig.journal.released(kStream), kEvents + 1U);
}

TEST(ConsumerFaultTest, TwoConsumersOnOneDatabaseCountOnceTogether) {
  Rig rig;
  sqlite::Database database{rig.path(), {.schemas = {kv::schema(), stats::schema()}}};
  stats::SqliteStats stats{database, 2};
  kv::SqliteKv kv{database, rig.clock};
  Consumer second{rig.journal, stats, kv, rig.clock, rig.logger, kSmallBatches};
  load(rig);
  for (int i = 0; i < 40; ++i) {
    const Consumer::Step step =
        i % 2 == 0 ? second.step(Consumer::Close::now) : rig.consumer->step(Consumer::Close::now);
    rig.clock.advance(step.wait);
  }
  expect_all_counted_once(rig);
}

TEST(ConsumerFaultTest, AReaderThatHoldsAnOldSnapshotDoesNotStopTheConsumer) {
  Rig rig;
  rig.journal.append(kStream, rig.event("/kv/z"));
  ASSERT_TRUE(rig.drain());
  sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
  ASSERT_TRUE(reader.open().ok());
  ASSERT_TRUE(reader.execute("BEGIN; SELECT count(*) FROM events").ok());
  load(rig);
  ASSERT_TRUE(rig.drain());
  rig.clock.advance(std::chrono::seconds{5});
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(reader.query_int("SELECT count(*) FROM events").value(), 1);
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), kEvents + 1);
  EXPECT_EQ(rig.audit(), "");
}

}  // namespace
}  // namespace weir::pipeline
