#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "metrics/registry.h"

namespace weir::metrics {
namespace {

// Goal: nothing is lost and nothing is torn while a reader looks on. Method: two writers with their
// own shards, one reader that renders all the time and must never see a count fall.
TEST(RegistryThreadsTest, ReadersNeverDisturbTheWriters) {
  constexpr uint64_t kRounds = 20'000;
  Registry registry;
  const Counter counter = registry.counter("events_total", "Events.");
  const Gauge gauge = registry.gauge("inside", "Inside.");
  const Histogram histogram = registry.histogram("sizes", "Sizes.", {10, 1000});
  std::vector<Shard*> shards{&registry.make_shard(), &registry.make_shard()};
  std::atomic<int> running{2};
  std::vector<std::thread> writers;
  for (Shard* shard : shards) {
    writers.emplace_back([&, shard] {
      for (uint64_t round = 0; round < kRounds; ++round) {
        shard->add(gauge, 1);
        shard->add(counter);
        shard->observe(histogram, round);
        shard->add(gauge, -1);
      }
      --running;
    });
  }
  uint64_t seen = 0;
  while (running > 0) {
    const uint64_t now = registry.value(counter);
    EXPECT_GE(now, seen);
    seen = now;
    EXPECT_LE(registry.value(gauge), 2);
    EXPECT_NE(registry.render().find("events_total"), std::string::npos);
  }
  for (std::thread& writer : writers)
    writer.join();
  EXPECT_EQ(registry.value(counter), 2 * kRounds);
  EXPECT_EQ(registry.value(gauge), 0);
  EXPECT_EQ(registry.count(histogram), 2 * kRounds);
  EXPECT_EQ(registry.sum(histogram), kRounds * (kRounds - 1));
}

}  // namespace
}  // namespace weir::metrics
