#include <algorithm>
#include <cstdlib>
#include <memory>

#include <gtest/gtest.h>

#include "base/random.h"
#include "state/counter.h"
#include "state/state.h"
#include "state/store_contract.h"
#include "state/testing/memory_store.h"
#include "state/testing/seed.h"

namespace weir::state {
namespace {

using std::chrono::milliseconds;
using testing::MemoryStore;

// The fake keeps the contract as well.
struct MemoryFixture {
  class Opened final : public Store {
   public:
    explicit Opened(MemoryStore& store) : store_(store) {}
    base::Result<std::optional<std::string>> load(std::string_view name) override {
      return store_.load(name);
    }
    base::Status save(std::string_view name, std::string_view bytes) override {
      return store_.save(name, bytes);
    }

   private:
    MemoryStore& store_;
  };
  std::unique_ptr<Store> open() { return std::make_unique<Opened>(store); }
  MemoryStore store;
};
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, StoreContract, MemoryFixture);

// One process: two counters and their keeper.
struct Process {
  explicit Process(MemoryStore& store, KeeperOptions options = {}) : keeper(store, clock, options) {
    keeper.add(a);
    keeper.add(b);
  }
  base::ManualClock clock;
  Counter a{"a"};
  Counter b{"b"};
  Keeper keeper;
};

int64_t stored(const MemoryStore& store, const char* name) {
  Counter counter;
  EXPECT_TRUE(counter.restore(store.images.at(name)).ok());
  return counter.value();
}

TEST(KeeperTest, RestoresWhatAnEarlierProcessFlushed) {
  MemoryStore store;
  {
    Process first{store};
    const auto loaded = first.keeper.load().value();
    EXPECT_EQ(loaded.absent, 2U);
    ASSERT_TRUE(first.a.increment().ok());
    ASSERT_TRUE(first.b.decrement().ok());
    ASSERT_TRUE(first.keeper.flush().ok());
  }
  Process second{store};
  EXPECT_EQ(second.keeper.load().value().restored, 2U);
  EXPECT_EQ(second.a.value(), 1);
  EXPECT_EQ(second.b.value(), -1);
  EXPECT_EQ(second.keeper.report().dirty, 0U);
}

TEST(KeeperTest, AStepSavesWhatChangedOncePerIntervalAndNothingElse) {
  MemoryStore store;
  Process process{store, {.interval = milliseconds{5'000}}};
  ASSERT_TRUE(process.keeper.load().ok());
  ASSERT_TRUE(process.keeper.step().ok());
  EXPECT_TRUE(store.images.empty());

  ASSERT_TRUE(process.a.increment().ok());
  ASSERT_TRUE(process.keeper.step().ok());
  EXPECT_EQ(stored(store, "a"), 1);
  EXPECT_FALSE(store.images.contains("b"));

  ASSERT_TRUE(process.a.increment().ok());
  process.clock.advance(milliseconds{4'999});
  ASSERT_TRUE(process.keeper.step().ok());
  EXPECT_EQ(stored(store, "a"), 1);
  EXPECT_EQ(process.keeper.report().dirty, 1U);
  process.clock.advance(milliseconds{1});
  ASSERT_TRUE(process.keeper.step().ok());
  EXPECT_EQ(stored(store, "a"), 2);
  EXPECT_EQ(process.keeper.report().saves, 2U);
  EXPECT_EQ(process.keeper.report().dirty, 0U);
}

TEST(KeeperTest, SaveDoesNotWaitForTheIntervalAndWritesNothingTwice) {
  MemoryStore store;
  Process process{store};
  ASSERT_TRUE(process.keeper.load().ok());
  for (int64_t value = 1; value <= 3; ++value) {
    ASSERT_TRUE(process.a.increment().ok());
    ASSERT_TRUE(process.keeper.save(process.a).ok());
    EXPECT_EQ(stored(store, "a"), value);
  }
  ASSERT_TRUE(process.keeper.save(process.a).ok());
  EXPECT_EQ(process.keeper.report().saves, 3U);
}

TEST(KeeperTest, AFailureKeepsTheChangeAndIsRetriedAfterAGrowingDelay) {
  MemoryStore store;
  Process process{store, {.retry_first = milliseconds{1'000}, .retry_max = milliseconds{3'000}}};
  ASSERT_TRUE(process.keeper.load().ok());
  ASSERT_TRUE(process.a.increment().ok());
  store.broken = true;
  for (const int wait : {1'000, 2'000, 3'000, 3'000}) {
    EXPECT_EQ(process.keeper.step().error().code, base::ErrorCode::unavailable);
    const uint64_t failures = process.keeper.report().failures;
    process.clock.advance(milliseconds{wait - 1});
    EXPECT_TRUE(process.keeper.step().ok());
    EXPECT_EQ(process.keeper.report().failures, failures);
    process.clock.advance(milliseconds{1});
  }
  store.broken = false;
  ASSERT_TRUE(process.keeper.step().ok());
  EXPECT_EQ(stored(store, "a"), 1);
}

TEST(KeeperTest, OneObjectThatFailsDoesNotKeepTheOthersFromBeingSaved) {
  for (const bool flush : {false, true}) {
    MemoryStore store;
    Process process{store};
    ASSERT_TRUE(process.keeper.load().ok());
    ASSERT_TRUE(process.a.increment().ok());
    ASSERT_TRUE(process.b.increment().ok());
    store.failing_operation = store.operations;
    EXPECT_FALSE((flush ? process.keeper.flush() : process.keeper.step()).ok());
    EXPECT_FALSE(store.images.contains("a"));
    EXPECT_EQ(stored(store, "b"), 1);
    EXPECT_EQ(process.keeper.report().dirty, 1U);
  }
}

TEST(KeeperTest, AStepThatWroteEnoughLeavesTheRestToTheNextInTurn) {
  MemoryStore store;
  Process process{store, {.interval = milliseconds{0}, .step_bytes_max = 1}};
  ASSERT_TRUE(process.keeper.load().ok());
  for (int round = 1; round <= 3; ++round) {
    ASSERT_TRUE(process.a.increment().ok());
    ASSERT_TRUE(process.b.increment().ok());
    ASSERT_TRUE(process.keeper.step().ok());
    EXPECT_EQ(process.keeper.report().dirty, 1U);
    ASSERT_TRUE(process.keeper.step().ok());
    EXPECT_EQ(process.keeper.report().dirty, 0U);
    EXPECT_EQ(stored(store, "a"), round);
    EXPECT_EQ(stored(store, "b"), round);
  }
}

TEST(KeeperTest, ARefusedImageIsPutAsideBeforeAnythingReplacesIt) {
  MemoryStore store;
  store.images["a"] = "an image of tomorrow";
  Process process{store};
  const auto loaded = process.keeper.load().value();
  EXPECT_EQ(loaded.refused, std::vector<std::string>{"a"});
  EXPECT_EQ(store.images.at("a.refused"), "an image of tomorrow");
  EXPECT_EQ(process.a.value(), 0);
  ASSERT_TRUE(process.a.increment().ok());
  ASSERT_TRUE(process.keeper.flush().ok());
  EXPECT_EQ(stored(store, "a"), 1);
  EXPECT_EQ(store.images.at("a.refused"), "an image of tomorrow");
}

// Goal: no failure of the store loses what an earlier process had. Method: operation 0, 1, 2, … of
// a start with one good and one refused image fails, until none does; then the start is repeated.
TEST(KeeperTest, AStartThatFailsAtAnyOperationLosesNothing) {
  bool failed = true;
  for (uint64_t operation = 0; failed; ++operation) {
    ASSERT_LT(operation, 10U);
    MemoryStore store;
    {
      Process before{store};
      ASSERT_TRUE(before.keeper.load().ok());
      ASSERT_TRUE(before.b.increment().ok());
      ASSERT_TRUE(before.keeper.flush().ok());
    }
    store.images["a"] = "bad";
    store.failing_operation = store.operations + operation;
    Process process{store};
    const auto loaded = process.keeper.load();
    failed = !loaded.ok();
    if (failed) {
      ASSERT_TRUE(process.keeper.load().ok()) << "operation " << operation;
    }
    EXPECT_EQ(process.b.value(), 1);
    EXPECT_EQ(store.images.at("a.refused"), "bad");
  }
}

// Goal: what was answered is never lost, whatever fails and whenever the process dies. Method:
// random operations, each answered only if its save succeeded, with write-behind steps between them
// and a store that fails at random; at random moments the process dies and the next one must hold
// every answered change. A naive model says which values are possible: the last answered one, or
// one that a later unanswered operation made.
TEST(KeeperTest, WhatWasAnsweredSurvivesAnyDeath) {
  const uint64_t seed = testing::seed_or(std::getenv("WEIR_SEED"), 20251016);
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed));
  base::Random random{seed};
  MemoryStore store;
  std::vector<int64_t> possible{0};
  size_t deaths = 0;
  for (; deaths < 200; ++deaths) {
    Process process{store};
    ASSERT_TRUE(process.keeper.load().ok());
    ASSERT_NE(std::find(possible.begin(), possible.end(), process.a.value()), possible.end())
        << process.a.value() << " after " << possible.front();
    possible = {process.a.value()};
    for (uint64_t left = random.below(30); left > 0; --left) {
      store.broken = random.below(4) == 0;
      const uint64_t what = random.below(10);
      if (what == 0) {
        (void)process.keeper.step();
        process.clock.advance(milliseconds{random.below(20'000)});
        continue;
      }
      const int64_t value = what == 1  ? process.a.reset()
                            : what < 4 ? process.a.decrement().value()
                                       : process.a.increment().value();
      if (process.keeper.save(process.a).ok()) possible.clear();  // Answered.
      possible.push_back(value);
    }
    store.broken = false;
  }
  EXPECT_EQ(deaths, 200U);
}

}  // namespace
}  // namespace weir::state
