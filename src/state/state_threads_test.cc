#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "state/client_paths.h"
#include "state/counter.h"
#include "state/testing/memory_store.h"
#include "state/traffic_monitor.h"

namespace weir::state {
namespace {

// Named after what it prevents (spec 16): read-modify-write lost 65 % of the counts with 20 at
// once. Goal: no change is lost and no two see one value. Method: 8 threads count up and 2 down
// while one saves all the time; each up-counter keeps what it was told, when only they run.
TEST(StateThreadsTest, TheCounterIsExactHoweverManyCountAtOnce) {
  constexpr int kUp = 8;
  constexpr int kDown = 2;
  constexpr int kRounds = 5'000;
  Counter counter;
  const base::ManualClock clock;
  testing::MemoryStore store;
  Keeper keeper{store, clock};
  keeper.add(counter);
  ASSERT_TRUE(keeper.load().ok());

  std::vector<std::vector<int64_t>> told(kUp);
  std::vector<std::thread> threads;
  for (int each = 0; each < kUp; ++each) {
    threads.emplace_back([&, each] {
      for (int round = 0; round < kRounds; ++round)
        told[static_cast<size_t>(each)].push_back(counter.increment().value());
    });
  }
  int64_t saved = 0;
  for (int round = 0; round < 200; ++round) {
    ASSERT_TRUE(keeper.save(counter).ok());
    Counter copy;
    ASSERT_TRUE(!store.images.contains(std::string{counter.name()}) ||
                copy.restore(store.images.begin()->second).ok());
    EXPECT_GE(copy.value(), saved);
    saved = copy.value();
  }
  for (std::thread& thread : threads)
    thread.join();
  std::set<int64_t> distinct;
  for (const auto& values : told)
    distinct.insert(values.begin(), values.end());
  EXPECT_EQ(distinct.size(), size_t{kUp} * kRounds);
  EXPECT_EQ(*distinct.begin(), 1);
  EXPECT_EQ(*distinct.rbegin(), kUp * kRounds);

  threads.clear();
  for (int each = 0; each < kUp + kDown; ++each) {
    threads.emplace_back([&, each] {
      for (int round = 0; round < kRounds; ++round)
        ASSERT_TRUE((each < kUp ? counter.increment() : counter.decrement()).ok());
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(counter.value(), (2 * kUp - kDown) * kRounds);
  EXPECT_EQ(counter.generation(), static_cast<uint64_t>((2 * kUp + kDown) * kRounds));
}

// Goal: lookers and savers disturb neither the counts nor each other. Method: one thread observes
// as the consumer does; two look at, change and save all they can; what they see must be consistent
// and never falls.
TEST(StateThreadsTest, LookingAndSavingDisturbNoObserver) {
  constexpr uint64_t kEvents = 30'000;
  const base::ManualClock clock;
  TrafficMonitor monitor{clock, {.threshold = 1'000'000}};
  ClientPaths clients{clock};
  std::atomic<bool> running = true;
  std::thread observer{[&] {
    for (uint64_t each = 0; each < kEvents; ++each) {
      const std::string path = "/" + std::to_string(each % 50);
      traffic::Event event;
      event.arrival_us = clock.wall().time_since_epoch().count();
      event.client_hash = each % 300;
      event.method = "GET";
      event.path = path;
      monitor.observe(event);
      clients.observe(event);
    }
    running = false;
  }};
  std::vector<std::thread> lookers;
  for (int looker = 0; looker < 2; ++looker) {
    lookers.emplace_back([&, looker] {
      uint64_t seen = 0;
      while (running) {
        const TrafficView view = monitor.view(100);
        EXPECT_GE(view.stats.total_requests, seen);
        seen = view.stats.total_requests;
        EXPECT_EQ(view.current_window.requests, seen);
        uint64_t sum = 0;
        for (const PathCount& path : view.top_paths)
          sum += path.requests;
        EXPECT_EQ(sum, seen);
        const auto client = clients.client(7);
        uint64_t of_client = 0;
        if (client) {
          for (const ClientView::Path& path : client->paths)
            of_client += path.figures.count;
          EXPECT_EQ(of_client, client->summary.total_requests);
        }
        (void)clients.top_clients(10);
        if (looker == 0) {
          (void)clients.cleanup();
          monitor.set_auto_cache(true);
        } else {
          TrafficMonitor copy{clock};
          EXPECT_TRUE(copy.restore(monitor.image().bytes).ok());
          ClientPaths of_clients{clock};
          EXPECT_TRUE(
              of_clients.kept().front()->restore(clients.kept().front()->image().bytes).ok());
        }
      }
    });
  }
  observer.join();
  for (std::thread& looker : lookers)
    looker.join();
  EXPECT_EQ(monitor.view().stats.total_requests, kEvents);
  EXPECT_EQ(clients.metrics().total_requests, kEvents);
  EXPECT_TRUE(monitor.auto_cache());
}

}  // namespace
}  // namespace weir::state
