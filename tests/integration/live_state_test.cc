// The state of a node over a real database file.

#include "app/live_state.h"

#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "kv/sqlite_kv.h"
#include "sqlite/testing/temp_directory.h"
#include "state/store_contract.h"

namespace weir::app {
namespace {

// Threading: one thread at a time.
class CountingLogger final : public base::Logger {
 public:
  void write(base::LogLevel /*level*/, std::string_view /*marker*/,
             std::string_view /*text*/) override {
    ++lines;
  }
  bool enabled(base::LogLevel /*level*/) const override { return true; }
  int lines = 0;
};

struct Files {
  std::unique_ptr<state::Store> open() {
    EXPECT_TRUE(database.open().ok());
    return std::make_unique<KvStateStore>(kv);
  }

  base::ManualClock clock;
  sqlite::testing::TempDirectory directory;
  sqlite::Database database{directory.file("weir.db"), {.schemas = {kv::schema()}}};
  kv::SqliteKv kv{database, clock};
};

}  // namespace
}  // namespace weir::app

namespace weir::state {

INSTANTIATE_TYPED_TEST_SUITE_P(KeyValue, StoreContract, app::Files);

}  // namespace weir::state

namespace weir::app {
namespace {

traffic::Event event_at(const base::Clock& clock) {
  traffic::Event event;
  event.arrival_us = base::unix_ms(clock.wall()) * 1000;
  event.path = "/a";
  event.method = "GET";
  event.route_id = "r";
  event.client_hash = 1;
  event.status = 200;
  return event;
}

TEST(LiveStateTest, EventsBeforeTheImagesAreLoadedAreMissedAndGoodImagesAreNotReplaced) {
  Files files;
  CountingLogger logger;
  const auto store = files.open();
  const traffic::Event event = event_at(files.clock);
  {
    LiveState first{files.kv, files.clock, logger, 10};
    first.on_events({&event, 1});
    first.flush();
  }
  files.database.close();
  LiveState second{files.kv, files.clock, logger, 10};
  second.on_events({&event, 1});
  second.flush();
  EXPECT_FALSE(second.view(10));
  EXPECT_EQ(logger.lines, 1);
  ASSERT_TRUE(files.database.open().ok());
  second.on_events({&event, 1});
  const auto view = second.view(10);
  ASSERT_TRUE(view);
  EXPECT_EQ(view->missed, 1U);
  EXPECT_EQ(view->traffic.stats.total_requests, 2U);
  EXPECT_EQ(view->clients.total_requests, 2U);
}

TEST(LiveStateTest, IsCurrentWhileNothingOldWaits) {
  Files files;
  CountingLogger logger;
  const auto store = files.open();
  LiveState live{files.kv, files.clock, logger, 10};
  live.step();
  EXPECT_FALSE(live.view(10)->is_current) << "nothing is known of the journal yet";
  live.note_progress(/*drained=*/true);
  EXPECT_TRUE(live.view(10)->is_current);
  files.clock.advance(LiveState::kLagMax);
  EXPECT_FALSE(live.view(10)->is_current) << "the consumer stands still";
  const traffic::Event late = event_at(files.clock);
  files.clock.advance(LiveState::kLagMax + std::chrono::seconds{1});
  live.on_events({&late, 1});
  live.note_progress(/*drained=*/false);
  EXPECT_FALSE(live.view(10)->is_current) << "a backlog is worked off";
  const traffic::Event fresh = event_at(files.clock);
  live.on_events({&fresh, 1});
  live.note_progress(/*drained=*/false);
  EXPECT_TRUE(live.view(10)->is_current) << "under load something is always new";
}

TEST(LiveStateTest, AKillLosesAtMostWhatCameSinceTheMonitorsLastSave) {
  Files files;
  CountingLogger logger;
  const auto store = files.open();
  const traffic::Event event = event_at(files.clock);
  {
    LiveState killed{files.kv, files.clock, logger, 10};
    killed.on_events({&event, 1});
    files.clock.advance(LiveState::kMonitorInterval);
    killed.step();
    killed.on_events({&event, 1});
  }
  LiveState next{files.kv, files.clock, logger, 10};
  next.step();
  EXPECT_EQ(next.view(10)->traffic.stats.total_requests, 1U);
}

}  // namespace
}  // namespace weir::app
