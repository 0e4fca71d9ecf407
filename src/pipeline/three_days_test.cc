// Three days of traffic are recorded, archived, verified, cleaned and counted again, and every
// number agrees.

#include <array>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "base/random.h"
#include "objects/directory_store.h"
#include "os/testing/fake_files.h"
#include "pipeline/testing/shelf.h"

namespace weir::pipeline {
namespace {

using testing::kDay;
using testing::kStream;
using traffic::EventFlag;

constexpr int kHours = 72;
constexpr int kEventsPerHour = 20;

// With objects in files of its own.
struct Shelf : testing::Shelf {
  Shelf() {
    EXPECT_TRUE(files.create_directory("/data").ok());
    disk = objects::DirectoryStore::open(files, rig.clock, {.directory = "/data/objects"}).value();
    store = disk.get();
  }
  os::testing::FakeFiles files{3};
  std::unique_ptr<objects::DirectoryStore> disk;
};

// Sends traffic, and counts it on its own.
class World {
 public:
  explicit World(Shelf& shelf) : shelf_(shelf) {}

  void hour() {
    for (int i = 0; i < kEventsPerHour; ++i)
      send(0);
    if (random_.below(4) == 0) degrade();
    if (random_.below(4) == 0) send(86'400'000'000LL);  // Of the day before.
    ASSERT_TRUE(shelf_.settle());
    shelf_.rig.clock.advance(std::chrono::hours{1});
  }

  // What `hourly` must hold: requests of hour and path.
  std::string expected() const {
    std::string text;
    for (const auto& [key, requests] : requests_)
      text += std::to_string(key.first) + " " + key.second + " " + std::to_string(requests) + "\n";
    return text;
  }

 private:
  void send(int64_t earlier_us) {
    static constexpr std::array<const char*, 5> kPaths{"/a", "/b", "/c/d", "/e", "/f"};
    static constexpr std::array<const char*, 4> kMethods{"GET", "POST", "DELETE", "PURGE"};
    static constexpr std::array<uint16_t, 5> kStatuses{200, 204, 301, 404, 503};
    traffic::Event event = shelf_.rig.event(kPaths[random_.below(kPaths.size())]);
    event.arrival_us -= earlier_us;
    event.method = kMethods[random_.below(kMethods.size())];
    event.status = kStatuses[random_.below(kStatuses.size())];
    event.cache = static_cast<traffic::CacheStatus>(random_.below(5));
    event.route_id = random_.below(2) == 0 ? "one" : "two";
    event.client_hash = random_.below(40) * 0x9e3779b97f4a7c15U;
    event.duration_us = random_.below(2'000'000);
    event.bytes_in = random_.below(10'000);
    event.bytes_out = random_.below(1'000'000);
    const uint64_t kind = random_.below(10);
    if (kind < 2) event.flags = EventFlag::kSampledOut;
    if (kind == 2) event.flags = EventFlag::kTotalsOnly;
    shelf_.rig.journal.append(kStream, event);
    ++requests_[{event.arrival_us / 3'600'000'000LL, std::string{event.path}}];
  }

  void degrade() {
    const int64_t hour = base::unix_ms(shelf_.rig.clock.wall()) / 3'600'000;
    const uint64_t requests = 1 + random_.below(50);
    shelf_.rig.journal.add_side(
        {kStream, ++generation_, {{"/b", hour, false, requests, 1, requests * 90, 10, 20}}});
    requests_[{hour, "/b"}] += requests;
  }

  Shelf& shelf_;
  base::Random random_{20261126};
  uint64_t generation_ = 0;
  std::map<std::pair<int64_t, std::string>, uint64_t> requests_;
};

std::string counted(Shelf& shelf) {
  std::string text;
  sqlite::Statement rows =
      shelf.rig.database
          ->prepare(
              "SELECT hour || ' ' || path || ' ' || requests FROM hourly JOIN paths USING"
              " (path_id) ORDER BY hour, path")
          .value();
  while (rows.step().value())
    text += std::string{rows.column_text(0)} + "\n";
  return text;
}

void expect_no_difference(Shelf& shelf) {
  const auto report = shelf.check();
  ASSERT_TRUE(report.ok()) << report.error().what.view();
  EXPECT_TRUE(report.value().skipped.empty());
  for (const Difference& each : report.value().differences)
    ADD_FAILURE() << each.table << " " << each.when << " " << each.path << ": " << each.what;
}

TEST(ThreeDaysTest, EveryNumberAgreesAfterArchiveCleanUpAndRebuild) {
  Shelf shelf;
  World world{shelf};
  for (int hour = 0; hour < kHours; ++hour) {
    world.hour();
    if (HasFatalFailure()) return;
  }
  ASSERT_EQ(counted(shelf), world.expected()) << "the live counts";
  expect_no_difference(shelf);

  shelf.rig.clock.advance(kDay);  // Some days are old enough, some are not.
  ASSERT_TRUE(shelf.archive().ok());
  expect_no_difference(shelf);
  ASSERT_TRUE(shelf.clean().ok());
  EXPECT_GT(shelf.rig.number("SELECT count(*) FROM events"), 0);
  expect_no_difference(shelf);
  world.hour();  // A late event or two gets into later parts.
  shelf.rig.clock.advance(4 * kDay);
  ASSERT_TRUE(shelf.archive().ok());
  ASSERT_TRUE(shelf.clean().ok());
  ASSERT_EQ(shelf.rig.number("SELECT count(*) FROM events"), 0);
  ASSERT_EQ(shelf.rig.number("SELECT count(*) FROM adjustments"), 0);
  EXPECT_EQ(shelf.rig.audit(), "");
  expect_no_difference(shelf);
  EXPECT_EQ(shelf.check().value().sketches_left, 0U);

  const std::string right = shelf.books();
  for (const uint64_t rows_max : {15U, 20'000U}) {
    ASSERT_TRUE(
        shelf.rig.database->execute("DELETE FROM hourly; DELETE FROM totals; DELETE FROM sketches")
            .ok());
    ASSERT_TRUE(shelf.rebuild({.rows_max = rows_max}).ok());
    EXPECT_TRUE(shelf.books() == right) << "rows differ after a rebuild from nothing";
    EXPECT_EQ(counted(shelf), world.expected());
    EXPECT_EQ(shelf.rig.audit(), "");
  }
}

}  // namespace
}  // namespace weir::pipeline
