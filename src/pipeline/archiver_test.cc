#include "pipeline/archiver.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "objects/directory_store.h"
#include "os/testing/fake_files.h"
#include "pipeline/testing/rig.h"

namespace weir::pipeline {
namespace {

using base::ErrorCode;
using sqlite::testing::Fault;
using sqlite::testing::Spell;
using testing::kStream;
using testing::Rig;
using Days = std::chrono::hours;

constexpr Days kDay{24};

// A node of some days of age: its consumer, its objects, and the jobs that move between them.
class Shelf {
 public:
  Shelf() : files(3) {
    EXPECT_TRUE(files.create_directory("/data").ok());
    open_store();
  }

  void open_store() {
    store.reset();
    auto opened = objects::DirectoryStore::open(files, rig.clock, {.directory = "/data/objects"});
    if (opened.ok()) store = std::move(opened).value();
  }

  // `count` events now, on paths and in sizes of their own.
  void traffic(int count) {
    for (int i = 0; i < count; ++i) {
      paths.push_back("/kv/" + std::to_string(paths.size()));
      rig.journal.append(kStream, rig.event(paths.back()));
    }
    ASSERT_TRUE(rig.drain());
  }

  base::Result<ArchiveOutcome> archive() {
    sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
    WEIR_TRY(reader.open());
    sqlite::DirectWriter writer{*rig.database};
    Archiver archiver{writer, reader, *store, rig.clock, rig.logger, {}};
    return archiver.run({never, {}});
  }

  base::Result<CleanOutcome> clean() {
    sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
    WEIR_TRY(reader.open());
    sqlite::DirectWriter writer{*rig.database};
    return clean_archived(writer, reader, *store, rig.logger, {never, {}});
  }

  // Every event is in the database or in an archive, once.
  std::string audit() {
    const int64_t inserted = rig.number("SELECT ifnull(sum(inserted), 0) FROM positions");
    const int64_t live = rig.number("SELECT count(*) FROM events");
    const int64_t cleaned = rig.number("SELECT ifnull(sum(cleaned_rows), 0) FROM archive_parts");
    if (inserted != live + cleaned) {
      return fmt::format("{} inserted, {} live, {} cleaned", inserted, live, cleaned);
    }
    std::multiset<std::string> found;
    for (const std::string& path : live_paths())
      found.insert(path);
    for (const std::string& path : cleaned_paths())
      found.insert(path);
    const std::multiset<std::string> sent(paths.begin(), paths.end());
    return found == sent ? "" : fmt::format("{} of {} events found", found.size(), sent.size());
  }

  std::vector<std::string> archived_paths(const std::string& key) {
    std::vector<std::string> found;
    const auto read = read_archive(*store, key, [&](const stats::StoredEvent& event) {
      found.emplace_back(event.path);
      return base::Status{};
    });
    EXPECT_TRUE(read.ok());
    return found;
  }

  // Of parts as far as they are cleaned.
  std::vector<std::string> cleaned_paths() {
    std::vector<std::pair<std::string, uint64_t>> parts;
    sqlite::Statement query =
        rig.database
            ->prepare("SELECT key, cleaned_through FROM archive_parts WHERE cleaned_rows > 0")
            .value();
    while (query.step().value()) {
      parts.emplace_back(query.column_text(0), query.column_unsigned(1));
    }
    std::vector<std::string> found;
    for (const auto& [key, through] : parts) {
      const uint64_t last = through;
      const auto read = read_archive(*store, key, [&](const stats::StoredEvent& event) {
        if (event.seq <= last) found.emplace_back(event.path);
        return base::Status{};
      });
      EXPECT_TRUE(read.ok());
    }
    return found;
  }

  std::vector<std::string> live_paths() {
    std::vector<std::string> found;
    sqlite::Statement query = rig.database->prepare("SELECT path FROM traffic_events").value();
    while (query.step().value())
      found.emplace_back(query.column_text(0));
    return found;
  }

  Rig rig;
  os::testing::FakeFiles files;
  std::unique_ptr<objects::DirectoryStore> store;
  std::vector<std::string> paths;
  std::atomic<bool> never{false};
};

TEST(ArchiverTest, ADayOfThreeDaysAgeIsArchivedVerifiedAndDeleted) {
  Shelf shelf;
  shelf.traffic(50);
  const std::string date = shelf.rig.text("SELECT min(event_date) FROM traffic_events");
  shelf.rig.clock.advance(3 * kDay);
  shelf.traffic(5);
  ASSERT_EQ(shelf.clean().value().rows, 0U) << "nothing is deleted that is not archived";

  const ArchiveOutcome archived = shelf.archive().value();
  EXPECT_EQ(archived.parts, 1U);
  EXPECT_EQ(archived.rows, 50U);
  EXPECT_EQ(shelf.rig.text("SELECT date, r2_path, record_count, status, d1_cleaned"
                           " FROM archive_metadata"),
            fmt::format("{}|traffic-events/{}.jsonl.gz|50|completed|0", date, date));
  EXPECT_EQ(shelf.archived_paths("traffic-events/" + date + ".jsonl.gz").size(), 50U);
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM events"), 55);

  EXPECT_EQ(shelf.clean().value().rows, 50U);
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM events"), 5);
  EXPECT_EQ(shelf.rig.text("SELECT d1_cleaned FROM archive_metadata"), "1");
  EXPECT_EQ(shelf.audit(), "");
  EXPECT_EQ(shelf.archive().value().parts, 0U);
  EXPECT_EQ(shelf.clean().value().rows, 0U);
}

TEST(ArchiverTest, AYoungerDayStays) {
  Shelf shelf;
  shelf.traffic(10);
  shelf.rig.clock.advance(2 * kDay);
  EXPECT_EQ(shelf.archive().value().parts, 0U);
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM archive_parts"), 0);
}

TEST(ArchiverTest, EventsThatComeLateForTheirDayGetAPartOfTheirOwn) {
  Shelf shelf;
  shelf.traffic(10);
  const base::Wall then = shelf.rig.clock.wall();
  shelf.rig.clock.advance(3 * kDay);
  shelf.traffic(1);
  ASSERT_EQ(shelf.archive().value().rows, 10U);
  ASSERT_EQ(shelf.clean().value().rows, 10U);
  for (int i = 0; i < 3; ++i) {
    shelf.paths.push_back("/late/" + std::to_string(i));
    traffic::Event late = shelf.rig.event(shelf.paths.back());
    late.arrival_us = then.time_since_epoch().count();
    shelf.rig.journal.append(kStream, late);
  }
  ASSERT_TRUE(shelf.rig.drain());
  EXPECT_EQ(shelf.rig.text("SELECT d1_cleaned FROM archive_metadata"), "1");
  EXPECT_EQ(shelf.archive().value().rows, 3U);
  EXPECT_EQ(shelf.rig.text("SELECT count(*), max(key) LIKE '%.part2.jsonl.gz' FROM archive_parts"),
            "2|1");
  EXPECT_EQ(shelf.rig.text("SELECT record_count, d1_cleaned FROM archive_metadata"), "13|0");
  EXPECT_EQ(shelf.clean().value().rows, 3U);
  EXPECT_EQ(shelf.rig.text("SELECT d1_cleaned FROM archive_metadata"), "1");
  EXPECT_EQ(shelf.audit(), "");
}

TEST(ArchiverTest, ADayInTheFutureWaitsUntilNothingCameForItForThreeDays) {
  Shelf shelf;
  shelf.paths.emplace_back("/future");
  traffic::Event event = shelf.rig.event(shelf.paths.back());
  event.arrival_us += 40'000LL * 86'400 * 1'000'000;
  shelf.rig.journal.append(kStream, event);
  ASSERT_TRUE(shelf.rig.drain());
  shelf.rig.clock.advance(2 * kDay);
  EXPECT_EQ(shelf.archive().value().parts, 0U);
  shelf.rig.clock.advance(kDay);
  EXPECT_EQ(shelf.archive().value().parts, 1U);
  EXPECT_EQ(shelf.clean().value().rows, 1U);
  EXPECT_EQ(shelf.audit(), "");
}

TEST(ArchiverTest, OneFlippedBitInTheObjectAndNothingIsDeleted) {
  Shelf shelf;
  shelf.traffic(40);
  shelf.rig.clock.advance(3 * kDay);
  ASSERT_TRUE(shelf.archive().ok());
  std::string object;
  for (const std::string& path : shelf.files.paths()) {
    if (path.find(".jsonl.gz") != std::string::npos && path.find("index") == std::string::npos) {
      object = path;
    }
  }
  ASSERT_NE(object, "");
  const std::span<char> bytes = shelf.files.bytes(object);
  bytes[bytes.size() / 3] ^= 4;
  EXPECT_EQ(shelf.clean().error().code, ErrorCode::corrupt);
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM events"), 40);
  EXPECT_EQ(shelf.rig.text("SELECT d1_cleaned FROM archive_metadata"), "0");
  bytes[bytes.size() / 3] ^= 4;
  EXPECT_EQ(shelf.clean().value().rows, 40U);
  EXPECT_EQ(shelf.audit(), "");
}

TEST(ArchiverTest, AnArchiveThatMissesOrChangesARowIsNotBelieved) {
  for (const char* const harm :
       {"DELETE FROM events WHERE seq = 7", "UPDATE events SET status = 500 WHERE seq = 7"}) {
    SCOPED_TRACE(harm);
    Shelf shelf;
    shelf.traffic(20);
    shelf.rig.clock.advance(3 * kDay);
    ASSERT_TRUE(shelf.rig.database->execute(harm).ok());
    EXPECT_EQ(shelf.archive().error().code, ErrorCode::corrupt);
    EXPECT_EQ(shelf.rig.text("SELECT status FROM archive_metadata"), "failed");
    EXPECT_EQ(shelf.clean().value().rows, 0U) << "only completed parts are cleaned";
    EXPECT_GE(shelf.rig.number("SELECT count(*) FROM events"), 19);
  }
}

TEST(ArchiverTest, ManyDaysAndZonesComeApartAndTogether) {
  Shelf shelf;
  ASSERT_TRUE(shelf.rig.drain());
  // So that the second day lies in two zones.
  ASSERT_TRUE(
      shelf.rig.database
          ->execute("UPDATE meta SET value = 8192 - 150; UPDATE derived SET seq = 8191 - 150")
          .ok());
  shelf.rig.crash();
  shelf.rig.start();
  for (int day = 0; day < 3; ++day) {
    shelf.traffic(100);
    shelf.rig.clock.advance(kDay);
  }
  shelf.rig.clock.advance(2 * kDay);
  const ArchiveOutcome archived = shelf.archive().value();
  EXPECT_EQ(archived.parts, 3U);
  EXPECT_EQ(archived.rows, 300U);
  EXPECT_EQ(shelf.clean().value().rows, 300U);
  EXPECT_EQ(shelf.rig.number("SELECT count(*) FROM event_zones"), 2);
  EXPECT_EQ(shelf.audit(), "");
}

// Goal: whatever fails, and whenever the process dies, every event stays in the database or in a
// proven archive, and doing it again ends it. Method: fail operation 0, 1, 2 … of the store's files
// and of the database, alone and for ever (which is a kill), then do it all again.
class ArchiveWalk : public ::testing::Test {
 protected:
  static void prepare(Shelf& shelf) {
    shelf.traffic(12);
    shelf.rig.clock.advance(3 * kDay);
    shelf.traffic(2);
  }
  static void run(Shelf& shelf) {
    if (shelf.archive().ok()) static_cast<void>(shelf.clean());
  }
  static void end(Shelf& shelf) {
    ASSERT_EQ(shelf.audit(), "") << "in between";
    shelf.open_store();
    ASSERT_NE(shelf.store, nullptr);
    ASSERT_TRUE(shelf.archive().ok());
    ASSERT_TRUE(shelf.clean().ok());
    ASSERT_EQ(shelf.rig.number("SELECT count(*) FROM events"), 2);
    ASSERT_EQ(shelf.audit(), "") << "at the end";
  }
};

TEST_F(ArchiveWalk, EveryOperationOfTheObjectStore) {
  uint64_t nth = 0;
  for (bool injected = true; injected; ++nth) {
    SCOPED_TRACE(fmt::format("operation {}", nth));
    Shelf shelf;
    prepare(shelf);
    const uint64_t begin = shelf.files.operations();
    if (nth % 2 == 0) {
      shelf.files.fail_operation(begin + nth / 2);
    } else {
      shelf.files.fail_from(begin + nth / 2);
    }
    run(shelf);
    injected = shelf.files.injected() || nth % 2 == 0;
    shelf.files.heal();
    end(shelf);
    if (HasFatalFailure() || HasFailure()) return;
  }
  EXPECT_GT(nth, 30U) << "the walk must have failed many operations";
}

TEST_F(ArchiveWalk, PowerIsLostAtEveryOperationOfTheObjectStore) {
  uint64_t nth = 0;
  for (bool injected = true; injected; ++nth) {
    SCOPED_TRACE(fmt::format("operation {}", nth));
    Shelf shelf;
    prepare(shelf);
    shelf.files.fail_from(shelf.files.operations() + nth);
    run(shelf);
    injected = shelf.files.injected();
    shelf.store.reset();
    shelf.files.heal();
    shelf.files.lose_power(nth + 11);
    shelf.open_store();
    ASSERT_NE(shelf.store, nullptr);
    end(shelf);
    if (HasFailure()) return;
  }
  EXPECT_GT(nth, 15U);
}

TEST_F(ArchiveWalk, EveryOperationOfTheDatabase) {
  for (const Spell spell : {Spell::once, Spell::for_ever}) {
    int64_t nth = 0;
    for (bool struck = true; struck; ++nth) {
      SCOPED_TRACE(fmt::format("operation {}, spell {}", nth, static_cast<int>(spell)));
      Shelf shelf;
      prepare(shelf);
      shelf.rig.vfs.fail_at(nth, Fault::io_error, spell);
      run(shelf);
      struck = shelf.rig.vfs.struck();
      shelf.rig.crash();
      shelf.rig.vfs.heal();
      shelf.rig.start();
      ASSERT_TRUE(shelf.rig.drain());
      end(shelf);
      if (HasFailure()) return;
    }
    EXPECT_GT(nth, 8) << "the walk must have failed many operations";
  }
}

}  // namespace
}  // namespace weir::pipeline
