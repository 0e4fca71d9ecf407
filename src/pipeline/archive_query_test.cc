#include "pipeline/archive_query.h"

#include <algorithm>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "codec/iso_time.h"
#include "objects/directory_store.h"
#include "os/testing/fake_files.h"
#include "pipeline/compaction.h"
#include "pipeline/retention.h"
#include "pipeline/testing/shelf.h"
#include "stats/query.h"

namespace weir::pipeline {
namespace {

using base::ErrorCode;
using stats::Days;
using stats::QueryOutcome;
using stats::QueryValue;
using testing::kDay;

constexpr std::string_view kAll = "SELECT * FROM traffic_events ORDER BY id";

// What a program sees, types and names included.
struct Answer {
  QueryOutcome outcome;
  std::string text;
};

std::string text_of(const QueryValue& value) {
  switch (value.type) {
    case sqlite::ColumnType::integer:
      return fmt::format("i{}", value.integer);
    case sqlite::ColumnType::real:
      return fmt::format("r{:a}", value.real);
    case sqlite::ColumnType::text:
      return fmt::format("t{}", value.bytes);
    case sqlite::ColumnType::blob:
      return fmt::format("b{}", value.bytes);
    case sqlite::ColumnType::null:
      break;
  }
  return "NULL";
}

stats::QueryEvents into(Answer& answer) {
  return {.on_columns =
              [&answer](std::span<const std::string_view> names) {
                for (const std::string_view name : names)
                  answer.text += std::string{name} + "|";
                answer.text += "\n";
              },
          .on_row =
              [&answer](std::span<const QueryValue> row) {
                for (const QueryValue& value : row)
                  answer.text += text_of(value) + "|";
                answer.text += "\n";
                return true;
              }};
}

// A node whose first day is old enough to be archived, with objects in files of its own.
struct Shelf : testing::Shelf {
  Shelf() {
    EXPECT_TRUE(files.create_directory("/data").ok());
    disk = objects::DirectoryStore::open(files, rig.clock, {.directory = "/data/objects"}).value();
    store = disk.get();
    rig.consumer->set_paths({}, codec::PathTemplates::create({true, {}}).value());
    then_us = rig.event("/").arrival_us;
    day = codec::unix_day_of_ms(then_us / 1000);
  }

  // Of the first day, though it comes now.
  void late(traffic::Event event) {
    event.arrival_us = then_us;
    event.id.unix_ms = static_cast<uint64_t>(then_us / 1000);
    rig.journal.append(testing::kStream, event);
  }

  // As different from each other as events can be.
  void all_kinds_of_events() {
    using traffic::Event;
    const auto add = [this](auto change) {
      Event event = rig.event("/plain");
      change(event);
      rig.journal.append(testing::kStream, event);
    };
    add([](Event&) {});
    add([](Event& e) { e.path = "/users/17"; });
    add([](Event& e) { e.path = std::string_view{"/\xff\x80\xc3/x", 6}; });
    add([](Event& e) { e.path = std::string_view{"/a\0b", 4}; });
    add([](Event& e) { e.path = "/\xef\xbf\xbd \" \\ \n \xc3\xa9"; });
    add([](Event& e) { e.method = e.user_agent = e.route_id = e.client_ip = {}; });
    add([](Event& e) {
      e.country = "DE";
      e.city = "K\xf6ln";  // Latin-1.
      e.colo = "node-1";
      e.user_agent = std::string_view{"\xfe\0x", 3};
      e.method = "BREW";
    });
    add([](Event& e) { e.client_ip = "2001:db8::1"; });
    add([](Event& e) { e.client_ip = "255.255.255.255"; });
    add([](Event& e) { e.client_ip = "10.0.0"; });
    add([](Event& e) { e.user_agent = "12"; });
    add([](Event& e) { ++e.id.unix_ms; });
    add([](Event& e) { e.id.unix_ms = 0; });
    add([](Event& e) {
      e.status = 599;
      e.flags = traffic::EventFlag::kUnrouted;
      e.outcome = traffic::Outcome::timeout;
      e.cache = traffic::CacheStatus::stale;
      e.geo = traffic::GeoAction::throttled;
      e.attempts = 255;
    });
    add([](Event& e) {
      e.client_hash = 1;
      e.duration_us = uint64_t{1} << 62U;
      e.upstream_us = 1;
      e.bytes_in = e.bytes_out = uint64_t{1} << 61U;
    });
    add([](Event& e) { e.duration_us = 0; });
  }

  Answer live(std::string_view sql = kAll) {
    sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
    EXPECT_TRUE(reader.open().ok());
    Answer answer;
    answer.outcome = stats::run_query(reader, rig.clock, sql, {}, into(answer));
    EXPECT_TRUE(answer.outcome.status.ok()) << answer.outcome.message;
    return answer;
  }

  // With what happens whenever rows were loaded.
  Answer ask(std::string_view sql = kAll, Days days = {},
             std::function<void(uint64_t, uint64_t)> meanwhile = {}) {
    sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
    EXPECT_TRUE(reader.open().ok());
    ArchiveQuery query{reader, *store, rig.clock, days};
    Answer answer;
    answer.outcome = query.run(sql, {}, into(answer), {never, std::move(meanwhile)});
    return answer;
  }
  std::string text(std::string_view sql = kAll, Days days = {}) {
    const Answer answer = ask(sql, days);
    return answer.outcome.status.ok() ? answer.text : answer.outcome.message;
  }
  std::string count(Days days = {}) { return text("SELECT count(*) FROM traffic_events", days); }

  base::Status compact() {
    sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
    WEIR_TRY(reader.open());
    sqlite::DirectWriter writer{*rig.database};
    Compaction compaction{writer, reader, *store, rig.clock, rig.logger};
    WEIR_TRY(compaction.run({never, {}}));
    return {};
  }

  // Long after everything is archived and cleaned: hours and paths are deleted.
  base::Status retain() {
    sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
    WEIR_TRY(reader.open());
    sqlite::DirectWriter writer{*rig.database};
    WEIR_TRY(pipeline::retain(writer, reader, rig.clock, {}, {never, {}}));
    return {};
  }

  void flip_a_bit(std::string_view key_part) {
    for (const std::string& path : files.paths()) {
      if (path.find(key_part) == std::string::npos || path.find("index") != std::string::npos)
        continue;
      const std::span<char> bytes = files.bytes(path);
      bytes[bytes.size() / 4] ^= 1;
    }
  }

  os::testing::FakeFiles files{3};
  std::unique_ptr<objects::DirectoryStore> disk;
  const std::atomic<bool> never{false};
  int64_t then_us = 0;
  int64_t day = 0;
};

std::string counted(int rows) {
  return fmt::format("count(*)|\ni{}|\n", rows);
}

// Goal: what a query answers does not depend on where the rows are. Method: events as different as
// they can be; the same statements over live rows only, and then at every station of an archive.
TEST(ArchiveQueryTest, TheAnswerIsTheSameWhereverTheRowsAre) {
  Shelf shelf;
  shelf.all_kinds_of_events();
  ASSERT_TRUE(shelf.settle());
  shelf.rig.clock.advance(4 * kDay);
  shelf.event("/today");
  shelf.event("/users/18");
  ASSERT_TRUE(shelf.settle());

  std::string types;
  for (const char* const column :
       {"id", "path", "method", "status", "response_time", "client_ip_hash", "user_agent",
        "country", "timestamp", "event_date", "is_error", "created_at", "ip_address", "edge_colo",
        "geo_action", "city"}) {
    types += fmt::format("{}typeof({})", types.empty() ? "" : " || ", column);
  }
  const std::vector<std::string> statements{
      std::string{kAll},
      "SELECT path, count(*), sum(response_time) FROM traffic_events GROUP BY path ORDER BY path",
      "SELECT id, " + types + " FROM traffic_events ORDER BY id",
      "SELECT count(*) FROM traffic_events WHERE status = '599'",
      "SELECT count(*) FROM traffic_events WHERE user_agent = 12 OR user_agent = '12'",
      "SELECT quote(CAST(path AS BLOB)), quote(CAST(user_agent AS BLOB)) FROM traffic_events"
      " ORDER BY id",
      "SELECT event_date, count(*) FROM traffic_events WHERE is_error GROUP BY 1 ORDER BY 1",
      "SELECT * FROM exchanges ORDER BY seq",
      "SELECT * FROM events ORDER BY seq",
  };
  std::vector<std::string> before;
  for (const std::string& sql : statements)
    before.push_back(shelf.live(sql).text);
  EXPECT_EQ(before[3], counted(1));
  const auto compare = [&](const char* when) {
    for (size_t i = 0; i < statements.size(); ++i)
      EXPECT_EQ(shelf.text(statements[i]), before[i]) << when << ": " << statements[i];
  };
  compare("nothing is archived");
  ASSERT_TRUE(shelf.archive().ok());
  compare("archived");
  ASSERT_TRUE(shelf.rig.database
                  ->execute("DELETE FROM events WHERE seq <= 5;"
                            "UPDATE archive_parts SET cleaned_through = 5, cleaned_rows = 5")
                  .ok());
  compare("partly cleaned");
  ASSERT_TRUE(shelf.clean().ok());
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM events"), 2);
  compare("cleaned");

  for (const char* const path : {"/late", "/later"}) {
    shelf.late(shelf.rig.event(path));
    ASSERT_TRUE(shelf.settle());
    for (size_t i = 0; i < statements.size(); ++i)
      before[i] = shelf.text(statements[i]);
    ASSERT_TRUE(shelf.archive().ok());
    compare("another part is archived");
    ASSERT_TRUE(shelf.clean().ok());
    compare("another part is cleaned");
  }
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM archive_parts"), 3);
  EXPECT_EQ(shelf.count(), counted(20));
  ASSERT_TRUE(shelf.compact().ok());
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM archive_parts"), 1);
  compare("compacted");
}

TEST(ArchiveQueryTest, OnlyTheDaysThatWereAskedForAreSeen) {
  Shelf shelf;
  for (int count = 1; count <= 6; ++count) {
    for (int i = 0; i < count; ++i)
      shelf.event("/x");
    ASSERT_TRUE(shelf.settle());
    shelf.rig.clock.advance(kDay);
  }
  ASSERT_TRUE(shelf.archive().ok());
  ASSERT_TRUE(shelf.clean().ok());
  ASSERT_EQ(shelf.rig.number("SELECT count(*) FROM events"), 5 + 6);
  const int64_t first = shelf.day;
  EXPECT_EQ(shelf.count(), counted(21));
  EXPECT_EQ(shelf.count({.first = first + 1}), counted(20));
  EXPECT_EQ(shelf.count({.last = first + 1}), counted(3));
  EXPECT_EQ(shelf.count({first + 2, first + 2}), counted(3));
  EXPECT_EQ(shelf.count({first + 3, first + 4}), counted(4 + 5)) << "archived and live";
  EXPECT_EQ(shelf.count({first + 4, first + 5}), counted(5 + 6));
  EXPECT_EQ(shelf.count({first + 6, first + 9}), counted(0));
  EXPECT_EQ(shelf.count({first - 9, first - 1}), counted(0));
}

TEST(ArchiveQueryTest, PathsThatRetentionDeletedAreKnownFromTheArchive) {
  Shelf shelf;
  shelf.all_kinds_of_events();
  ASSERT_TRUE(shelf.settle());
  shelf.rig.clock.advance(4 * kDay);
  ASSERT_TRUE(shelf.archive().ok());
  ASSERT_TRUE(shelf.clean().ok());
  const std::string before = shelf.text();
  shelf.rig.clock.advance(500 * kDay);
  ASSERT_TRUE(shelf.retain().ok());
  ASSERT_EQ(shelf.rig.number("SELECT count(*) FROM paths"), 0);
  EXPECT_EQ(shelf.text(), before);
}

TEST(ArchiveQueryTest, PathsThatAreDeletedWhileTheirRowsAreLoadedGiveNoAnswerRatherThanNone) {
  Shelf shelf;
  for (int i = 0; i < 8'200; ++i)
    shelf.event("/x");
  ASSERT_TRUE(shelf.settle());
  shelf.rig.clock.advance(4 * kDay);
  ASSERT_TRUE(shelf.archive().ok());
  ASSERT_TRUE(shelf.clean().ok());
  shelf.rig.clock.advance(500 * kDay);
  const Answer answer = shelf.ask("SELECT path, count(*) FROM traffic_events GROUP BY path", {},
                                  [&](uint64_t, uint64_t) { ASSERT_TRUE(shelf.retain().ok()); });
  ASSERT_FALSE(answer.outcome.status.ok());
  EXPECT_EQ(answer.outcome.status.error().code, ErrorCode::conflict);
  EXPECT_NE(answer.outcome.message.find("paths that were deleted meanwhile"), std::string::npos)
      << answer.outcome.message;
  EXPECT_EQ(shelf.text("SELECT path, count(*) FROM traffic_events GROUP BY path"),
            "path|count(*)|\nt/x|i8200|\n");
}

TEST(ArchiveQueryTest, ADayThatIsArchivedAndCleanedWhileOthersAreLoadedIsSeenOnce) {
  Shelf shelf;
  shelf.all_kinds_of_events();
  ASSERT_TRUE(shelf.settle());
  shelf.rig.clock.advance(kDay);
  for (int i = 0; i < 7; ++i)
    shelf.event("/second");
  ASSERT_TRUE(shelf.settle());
  const std::string before = shelf.live().text;
  shelf.rig.clock.advance(2 * kDay);
  ASSERT_TRUE(shelf.archive().ok());
  ASSERT_TRUE(shelf.clean().ok());
  int turns = 0;
  const Answer answer = shelf.ask(kAll, {}, [&](uint64_t done, uint64_t total) {
    EXPECT_EQ(done, total);
    if (++turns > 1) return;
    shelf.rig.clock.advance(kDay);
    EXPECT_TRUE(shelf.archive().ok());
    EXPECT_TRUE(shelf.clean().ok());
    EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM events"), 0);
  });
  EXPECT_EQ(turns, 2);
  EXPECT_EQ(answer.text, before) << answer.outcome.message;
}

TEST(ArchiveQueryTest, PartsThatAreMergedWhileTheyAreLoadedAreReadFromTheirNewObject) {
  Shelf shelf;
  shelf.rig.clock.advance(3 * kDay);
  for (int part = 0; part < 3; ++part) {
    for (int i = 0; i < 4; ++i)
      shelf.late(shelf.rig.event("/late"));
    ASSERT_TRUE(shelf.settle());
    ASSERT_TRUE(shelf.archive().ok());
    ASSERT_TRUE(shelf.clean().ok());
  }
  const std::string before = shelf.text();
  bool merged = false;
  const Answer answer = shelf.ask(kAll, {}, [&](uint64_t, uint64_t) {
    if (std::exchange(merged, true)) return;
    EXPECT_TRUE(shelf.compact().ok());
  });
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM archive_parts"), 1);
  EXPECT_EQ(answer.text, before) << answer.outcome.message;
  EXPECT_EQ(shelf.count(), counted(12));
}

TEST(ArchiveQueryTest, LoadingLeavesTheWriteAheadLogFreeToStartAnew) {
  Shelf shelf;
  shelf.event("/x");
  ASSERT_TRUE(shelf.settle());
  shelf.rig.clock.advance(3 * kDay);
  ASSERT_TRUE(shelf.archive().ok());
  int64_t left = 0;
  int turns = 0;
  const Answer answer = shelf.ask(kAll, {}, [&](uint64_t, uint64_t) {
    shelf.event("/y");
    EXPECT_TRUE(shelf.settle());
    left = std::max(left, shelf.rig.database->checkpoint_passive().value());
    ++turns;
  });
  EXPECT_TRUE(answer.outcome.status.ok());
  EXPECT_GT(turns, 0);
  EXPECT_EQ(left, 0) << "a reader holds back pages";
}

TEST(ArchiveQueryTest, AnArchiveThatIsDamagedMissingOrAnotherGivesNoAnswerButItsName) {
  const auto expect_refusal = [](Shelf& shelf, ErrorCode code) {
    const Answer answer = shelf.ask();
    ASSERT_FALSE(answer.outcome.status.ok());
    EXPECT_EQ(answer.outcome.status.error().code, code) << answer.outcome.message;
    EXPECT_NE(answer.outcome.message.find(stats::archive_key(shelf.day, 1)), std::string::npos)
        << answer.outcome.message;
    EXPECT_EQ(answer.text, "") << "a partial answer";
    EXPECT_EQ(shelf.count({.first = shelf.day + 1}), counted(0)) << "of other days";
  };
  const auto archived = [](Shelf& shelf) {
    for (int i = 0; i < 40; ++i)
      shelf.event("/x");
    ASSERT_TRUE(shelf.settle());
    shelf.rig.clock.advance(3 * kDay);
    ASSERT_TRUE(shelf.archive().ok());
    ASSERT_TRUE(shelf.clean().ok());
  };
  {
    Shelf damaged;
    archived(damaged);
    damaged.flip_a_bit("jsonl");
    expect_refusal(damaged, ErrorCode::corrupt);
  }
  {
    Shelf missing;
    archived(missing);
    ASSERT_TRUE(missing.store->remove(stats::archive_key(missing.day, 1)).ok());
    expect_refusal(missing, ErrorCode::not_found);
  }
  {
    Shelf another;
    archived(another);
    ASSERT_TRUE(
        another.rig.database->execute("UPDATE archive_parts SET raw_sha256 = zeroblob(32)").ok());
    expect_refusal(another, ErrorCode::corrupt);
  }
  {
    Shelf shorter;
    archived(shorter);
    ASSERT_TRUE(shorter.rig.database->execute("UPDATE archive_parts SET through_seq = 39").ok());
    expect_refusal(shorter, ErrorCode::corrupt);
  }
}

TEST(ArchiveQueryTest, EverythingButReadingIsRefused) {
  Shelf shelf;
  shelf.event("/x");
  ASSERT_TRUE(shelf.settle());
  shelf.rig.clock.advance(3 * kDay);
  ASSERT_TRUE(shelf.archive().ok());
  ASSERT_TRUE(shelf.clean().ok());
  for (const std::string_view sql :
       {"DELETE FROM temp.archived_events", "DROP VIEW temp.events", "CREATE TEMP TABLE x(y)",
        "INSERT INTO held_days VALUES(1, 2)", "PRAGMA query_only = OFF",
        "DELETE FROM main.archive_parts", "COMMIT", "ATTACH '/tmp/x' AS x"}) {
    const Answer answer = shelf.ask(sql);
    ASSERT_FALSE(answer.outcome.status.ok()) << sql;
    EXPECT_EQ(answer.outcome.message, "only one statement that reads is allowed, such as SELECT");
  }
  EXPECT_EQ(shelf.text("DELETE FROM traffic_events"),
            "cannot modify traffic_events because it is a view");
  EXPECT_EQ(shelf.text("SELECT missing FROM traffic_events"), "no such column: missing");
  EXPECT_EQ(shelf.text("PRAGMA query_only"),
            "only one statement that reads is allowed, such as SELECT");
  EXPECT_EQ(shelf.count(), counted(1));
}

TEST(ArchiveQueryTest, TheConnectionIsAsGoodAsBeforeWhenItIsCancelled) {
  Shelf shelf;
  shelf.event("/x");
  ASSERT_TRUE(shelf.settle());
  shelf.rig.clock.advance(3 * kDay);
  ASSERT_TRUE(shelf.archive().ok());
  sqlite::Database reader{shelf.rig.path(), {.access = sqlite::Access::query_only}};
  ASSERT_TRUE(reader.open().ok());
  {
    ArchiveQuery query{reader, *shelf.store, shelf.rig.clock, {}};
    const std::atomic<bool> cancelled{true};
    Answer answer;
    EXPECT_EQ(query.run(kAll, {}, into(answer), {cancelled, {}}).status.error().code,
              ErrorCode::cancelled);
    EXPECT_EQ(answer.text, "");
  }
  EXPECT_FALSE(reader.execute("CREATE TEMP TABLE x(y)").ok()) << "it is query_only again";
  EXPECT_TRUE(reader.execute("BEGIN; COMMIT").ok()) << "no transaction is left";
}

// Goal: a fault gives an error or the whole answer. Method: operation 0, 1, 2 … of the store fails.
TEST(ArchiveQueryWalk, EveryOperationOfTheObjectStore) {
  Shelf shelf;
  shelf.rig.clock.advance(3 * kDay);
  for (int part = 0; part < 2; ++part) {
    for (int i = 0; i < 20; ++i)
      shelf.late(shelf.rig.event("/late"));
    ASSERT_TRUE(shelf.settle());
    ASSERT_TRUE(shelf.archive().ok());
    ASSERT_TRUE(shelf.clean().ok());
  }
  const std::string whole = shelf.text();
  uint64_t nth = 0;
  for (bool injected = true; injected; ++nth) {
    shelf.files.fail_operation(shelf.files.operations() + nth);
    const Answer answer = shelf.ask();
    injected = shelf.files.injected();
    shelf.files.heal();
    if (answer.outcome.status.ok()) {
      ASSERT_EQ(answer.text, whole) << "operation " << nth;
    } else {
      ASSERT_EQ(answer.text, "") << "operation " << nth;
      ASSERT_NE(answer.outcome.message.find("traffic-events/"), std::string::npos);
    }
  }
  EXPECT_GT(nth, 4U) << "the walk must have failed many operations";
}

}  // namespace
}  // namespace weir::pipeline
