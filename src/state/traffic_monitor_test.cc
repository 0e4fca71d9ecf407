#include "state/traffic_monitor.h"

#include <cmath>
#include <cstdlib>
#include <limits>

#include <gtest/gtest.h>

#include "base/random.h"
#include "state/testing/seed.h"

namespace weir::state {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr base::Wall kStart = std::chrono::sys_days{std::chrono::year{2025} / 10 / 15} + hours{12};
constexpr base::Wall kYear2100 = std::chrono::sys_days{std::chrono::year{2100} / 1 / 1};

struct Rig {
  explicit Rig(uint64_t threshold = 10'000) : monitor(clock, {.threshold = threshold}) {}

  void request_at(base::Wall arrival, std::string_view path = "/a",
                  traffic::CacheStatus cache = traffic::CacheStatus::miss, uint16_t flags = 0) {
    traffic::Event event;
    event.arrival_us = arrival.time_since_epoch().count();
    event.path = path;
    event.cache = cache;
    event.flags = flags;
    monitor.observe(event);
  }
  void requests(int count, std::string_view path = "/a") {
    for (; count > 0; --count)
      request_at(clock.wall(), path);
  }
  // Goes on to the next window, to where the one before is judged, and makes so many requests.
  void next_window(int count) {
    const auto into = clock.wall().time_since_epoch() % TrafficMonitor::kWindow;
    clock.advance(TrafficMonitor::kWindow - into + TrafficMonitor::kJudgeDelay);
    requests(count);
  }
  bool exceeded() { return monitor.view().current_window.threshold_exceeded; }

  base::ManualClock clock{kStart};
  TrafficMonitor monitor;
};

TEST(TrafficMonitorTest, IsEmptyAtFirst) {
  Rig rig;
  const TrafficView view = rig.monitor.view();
  EXPECT_EQ(view.stats.current_rpm, 0U);
  EXPECT_EQ(view.stats.peak_rpm, 0U);
  EXPECT_EQ(view.stats.total_requests, 0U);
  EXPECT_EQ(view.stats.cache_hit_rate, 0.0);
  EXPECT_FALSE(view.stats.auto_cache);
  EXPECT_EQ(view.current_window.start, kStart);
  EXPECT_EQ(view.current_window.threshold, 10'000U);
  EXPECT_TRUE(view.top_paths.empty());
  EXPECT_TRUE(view.history.empty());
}

// Named after what it prevents (spec 7.3, defect 17.7 (88)): it was 3027 rpm, for ever.
TEST(TrafficMonitorTest, AYoungWindowIsNotExtrapolatedAndDoesNotPoisonThePeak) {
  Rig rig;
  for (int each = 0; each < 34; ++each) {
    rig.requests(1);
    rig.clock.advance(milliseconds{20});
  }
  EXPECT_EQ(rig.monitor.view().stats.current_rpm, 34U);
  EXPECT_EQ(rig.monitor.view().stats.peak_rpm, 34U);
  rig.clock.advance(minutes{1});
  EXPECT_EQ(rig.monitor.view().stats.current_rpm, 0U);
  EXPECT_EQ(rig.monitor.view().stats.peak_rpm, 34U);
}

TEST(TrafficMonitorTest, ThePeakIsTheMostWithinAnySixtySecondsAcrossWindows) {
  Rig rig;
  rig.clock.advance(seconds{270});
  rig.requests(50);
  rig.clock.advance(seconds{59});  // The next window, the same minute.
  rig.requests(30);
  rig.clock.advance(seconds{1});
  rig.requests(20);
  EXPECT_EQ(rig.monitor.view().stats.current_rpm, 50U);
  EXPECT_EQ(rig.monitor.view().stats.peak_rpm, 80U);
}

TEST(TrafficMonitorTest, CountsEachRequestOnceWithItsCacheHitAndPath) {
  Rig rig;
  rig.request_at(kStart, "/a", traffic::CacheStatus::hit);
  rig.request_at(kStart, "/a", traffic::CacheStatus::stale);
  rig.request_at(kStart, "/b", traffic::CacheStatus::none);
  rig.clock.advance(seconds{90});
  const TrafficView view = rig.monitor.view();
  EXPECT_EQ(view.stats.total_requests, 3U);
  EXPECT_EQ(view.current_window.requests, 3U);
  EXPECT_EQ(view.current_window.cache_hits, 1U);
  EXPECT_EQ(view.current_window.duration, seconds{90});
  EXPECT_EQ(view.stats.cache_hit_rate, 33.33);
  EXPECT_EQ(view.top_paths, (std::vector<PathCount>{{"/a", 2}, {"/b", 1}}));
  EXPECT_EQ(rig.monitor.view(1).top_paths.size(), 1U);
}

TEST(TrafficMonitorTest, UnroutedPathsAreCountedTogether) {
  Rig rig;
  for (int each = 0; each < 5000; ++each) {
    rig.request_at(kStart, "/scan/" + std::to_string(each), traffic::CacheStatus::none,
                   traffic::EventFlag::kUnrouted);
  }
  rig.requests(1, "/routed");
  EXPECT_EQ(rig.monitor.view().top_paths,
            (std::vector<PathCount>{{"__unrouted__", 5000}, {"/routed", 1}}));
  EXPECT_EQ(rig.monitor.view().other_requests, 0U);
}

TEST(TrafficMonitorTest, ManyPathsBecomeOtherAndTheSumStaysExact) {
  Rig rig;
  for (int each = 0; each < 5000; ++each)
    rig.requests(1, "/user/" + std::to_string(each));
  uint64_t sum = rig.monitor.view().other_requests;
  EXPECT_GT(sum, 0U);
  for (const PathCount& path : rig.monitor.view(5000).top_paths)
    sum += path.requests;
  EXPECT_EQ(sum, 5000U);
}

TEST(TrafficMonitorTest, RotatesAtFiveMinutesAndKeepsTheLastTwentyFourWindows) {
  Rig rig;
  rig.clock.advance(seconds{299});
  rig.requests(1);
  EXPECT_EQ(rig.monitor.view().current_window.start, kStart);
  rig.clock.advance(seconds{1});
  TrafficView view = rig.monitor.view();
  EXPECT_EQ(view.current_window.start, kStart + minutes{5});
  EXPECT_EQ(view.current_window.requests, 0U);
  EXPECT_TRUE(view.top_paths.empty());
  ASSERT_EQ(view.history.size(), 1U);
  EXPECT_EQ(view.history[0], (TrafficView::Window{kStart, 1, 0}));

  for (int window = 1; window <= 24; ++window) {
    rig.requests(window);
    rig.clock.advance(minutes{5});
  }
  view = rig.monitor.view();
  ASSERT_EQ(view.history.size(), TrafficMonitor::kHistoryWindows);
  EXPECT_EQ(view.history.front(), (TrafficView::Window{kStart + minutes{5}, 1, 0}));
  EXPECT_EQ(view.history.back(), (TrafficView::Window{kStart + minutes{120}, 24, 0}));
  EXPECT_EQ(view.stats.total_requests, 1U + 24 * 25 / 2);
}

TEST(TrafficMonitorTest, ALateEventCountsInItsOwnWindowWhileThatIsKept) {
  Rig rig;
  for (int window = 0; window < 25; ++window) {
    rig.requests(1);
    rig.clock.advance(minutes{5});
  }
  rig.request_at(kStart + minutes{7});  // Kept: the oldest of 24.
  rig.request_at(kStart);               // Gone.
  const TrafficView view = rig.monitor.view();
  EXPECT_EQ(view.history.size(), 24U);
  EXPECT_EQ(view.history.front(), (TrafficView::Window{kStart + minutes{5}, 2, 0}));
  EXPECT_EQ(view.stats.total_requests, 27U);
  EXPECT_EQ(view.stats.current_rpm, 0U);
  EXPECT_EQ(view.current_window.requests, 0U);
}

TEST(TrafficMonitorTest, TheThresholdIsExceededWhenReachedAndSetsAutoCache) {
  Rig rig{100};
  rig.requests(99);
  EXPECT_FALSE(rig.exceeded());
  EXPECT_FALSE(rig.monitor.auto_cache());
  rig.requests(1);
  EXPECT_TRUE(rig.exceeded());
  EXPECT_TRUE(rig.monitor.auto_cache());
}

TEST(TrafficMonitorTest, OnlyAWholeLaterWindowUnderEightyPercentClearsIt) {
  Rig rig{100};
  rig.requests(100);
  rig.next_window(80);
  rig.next_window(80);
  EXPECT_TRUE(rig.exceeded());
  rig.next_window(79);
  EXPECT_TRUE(rig.exceeded());
  rig.next_window(0);
  EXPECT_FALSE(rig.exceeded());
  EXPECT_FALSE(rig.monitor.auto_cache());
}

TEST(TrafficMonitorTest, AnIdleWindowClearsItWithoutAnyEvent) {
  Rig rig{100};
  rig.requests(100);
  rig.clock.advance(minutes{10} + seconds{9});
  EXPECT_TRUE(rig.monitor.auto_cache());
  rig.clock.advance(seconds{1});
  EXPECT_FALSE(rig.monitor.auto_cache());
  EXPECT_FALSE(rig.exceeded());
}

// The consumer stands still, or its store fails: what it has not seen did not stay away.
TEST(TrafficMonitorTest, AWindowThatWasNotSeenWholeClearsNothing) {
  Rig rig{100};
  rig.requests(100);
  rig.monitor.note_seen_through(rig.clock.wall());
  rig.clock.advance(minutes{60});
  EXPECT_TRUE(rig.exceeded());
  EXPECT_TRUE(rig.monitor.auto_cache());
  rig.monitor.note_seen_through(rig.clock.wall());
  EXPECT_FALSE(rig.exceeded());
  EXPECT_FALSE(rig.monitor.auto_cache());
}

TEST(TrafficMonitorTest, AWindowIsJudgedWithWhatComesALittleLate) {
  Rig rig{100};
  rig.requests(100);
  rig.clock.advance(minutes{5});
  rig.requests(79);
  rig.clock.advance(minutes{5} + seconds{5});
  rig.request_at(kStart + minutes{9});
  rig.clock.advance(seconds{60});
  EXPECT_TRUE(rig.exceeded());
}

TEST(TrafficMonitorTest, IsExceededAnewInAWindowThatWasFullBeforeTheOneBeforeWasJudged) {
  Rig rig{100};
  rig.requests(100);
  rig.clock.advance(minutes{10});
  rig.requests(150);
  EXPECT_TRUE(rig.exceeded());
  rig.clock.advance(seconds{10});
  EXPECT_FALSE(rig.exceeded());  // The idle window.
  rig.requests(1);
  EXPECT_TRUE(rig.exceeded());
}

TEST(TrafficMonitorTest, LateEventsLiftTheWindowBeforeOverTheThreshold) {
  Rig rig{100};
  rig.requests(99);
  rig.clock.advance(minutes{5});
  rig.request_at(kStart + seconds{299});
  EXPECT_TRUE(rig.exceeded());

  Rig old{100};
  old.requests(99);
  old.clock.advance(minutes{10});
  old.request_at(kStart + seconds{299});
  EXPECT_FALSE(old.exceeded());
}

TEST(TrafficMonitorTest, AutoCacheSetByHandStaysUntilItIsSwitchedOffByHand) {
  Rig rig{100};
  rig.monitor.set_auto_cache(true);
  rig.requests(100);
  rig.next_window(0);
  rig.next_window(0);
  EXPECT_FALSE(rig.exceeded());
  EXPECT_TRUE(rig.monitor.auto_cache());
  rig.monitor.set_auto_cache(false);
  EXPECT_FALSE(rig.monitor.auto_cache());
}

TEST(TrafficMonitorTest, AutoCacheSwitchedOffStaysOffUntilTheThresholdIsExceededAnew) {
  Rig rig{100};
  rig.requests(100);
  rig.monitor.set_auto_cache(false);
  rig.requests(100);
  rig.next_window(100);
  EXPECT_TRUE(rig.exceeded());
  EXPECT_FALSE(rig.monitor.auto_cache());
  rig.next_window(0);
  rig.next_window(100);
  EXPECT_TRUE(rig.monitor.auto_cache());
}

TEST(TrafficMonitorTest, TheThresholdMayBeSetFromOneToItsLimit) {
  Rig rig;
  const auto limit = static_cast<int64_t>(TrafficMonitor::kThresholdMax);
  for (const int64_t refused : {int64_t{0}, int64_t{-1}, limit + 1}) {
    EXPECT_EQ(rig.monitor.set_threshold(refused).error().code, base::ErrorCode::invalid_input);
    EXPECT_EQ(rig.monitor.view().current_window.threshold, 10'000U);
  }
  for (const int64_t accepted : {limit, int64_t{1}}) {
    EXPECT_TRUE(rig.monitor.set_threshold(accepted).ok());
    EXPECT_EQ(rig.monitor.view().current_window.threshold, static_cast<uint64_t>(accepted));
  }
  EXPECT_TRUE(rig.monitor.set_threshold(std::nullopt).ok());
  EXPECT_EQ(rig.monitor.view().current_window.threshold, 10'000U);
}

TEST(TrafficMonitorTest, ALowerThresholdIsExceededAtOnce) {
  Rig rig;
  rig.requests(50);
  ASSERT_TRUE(rig.monitor.set_threshold(51).ok());
  EXPECT_FALSE(rig.exceeded());
  ASSERT_TRUE(rig.monitor.set_threshold(50).ok());
  EXPECT_TRUE(rig.exceeded());
}

TEST(TrafficMonitorTest, AResetForgetsTheWindowAndAutoCacheButNotTotalPeakAndHistory) {
  Rig rig{100};
  rig.requests(5);
  rig.clock.advance(minutes{5});
  rig.requests(100);
  rig.monitor.reset();
  const TrafficView view = rig.monitor.view();
  EXPECT_EQ(view.current_window.requests, 0U);
  EXPECT_FALSE(view.current_window.threshold_exceeded);
  EXPECT_FALSE(view.stats.auto_cache);
  EXPECT_TRUE(view.top_paths.empty());
  EXPECT_EQ(view.stats.current_rpm, 0U);
  EXPECT_EQ(view.stats.total_requests, 105U);
  EXPECT_EQ(view.stats.peak_rpm, 100U);
  EXPECT_EQ(view.history.size(), 1U);
}

TEST(TrafficMonitorTest, AClockThatGoesBackAnHourDoesNotInflateThePeakNorWipeTheHistory) {
  Rig rig;
  for (int minute = 0; minute < 120; ++minute) {
    rig.requests(60);
    rig.clock.advance(minutes{1});
  }
  EXPECT_EQ(rig.monitor.view().history.size(), 24U);
  rig.clock.set_wall(rig.clock.wall() - hours{1});
  for (int minute = 0; minute < 60; ++minute) {
    rig.requests(60);
    EXPECT_EQ(rig.monitor.view().stats.current_rpm, 60U);
    rig.clock.advance(minutes{1});
  }
  const TrafficView view = rig.monitor.view();
  EXPECT_EQ(view.stats.peak_rpm, 60U);
  EXPECT_EQ(view.stats.total_requests, 180U * 60);
  ASSERT_EQ(view.history.size(), 24U);
  EXPECT_EQ(view.history.front().requests, 300U);
  EXPECT_EQ(view.history.back().requests, 600U);  // Both passes: that is what the stamps say.
}

TEST(TrafficMonitorTest, AClockThatGoesBackSecondsCountsNoMinuteTwice) {
  Rig rig;
  rig.requests(100);
  for (const int back : {2, 10, 30, 59}) {
    rig.clock.advance(seconds{back});
    rig.clock.set_wall(rig.clock.wall() - seconds{back});
    rig.requests(100);
    EXPECT_EQ(rig.monitor.view().stats.current_rpm, 100U) << back;
  }
  EXPECT_EQ(rig.monitor.view().stats.peak_rpm, 100U);
}

TEST(TrafficMonitorTest, AClockThatWasIn2100KeepsTodaysHistoryAndPeak) {
  Rig rig{1000};
  for (int window = 0; window < 30; ++window) {
    rig.requests(10);
    rig.clock.advance(minutes{5});
  }
  rig.requests(7);
  const TrafficView before = rig.monitor.view();
  const base::Wall today = rig.clock.wall();
  rig.clock.set_wall(kYear2100);
  rig.requests(10);
  EXPECT_EQ(rig.monitor.view().current_window.requests, 10U);
  rig.clock.set_wall(today);
  rig.requests(10);
  const TrafficView view = rig.monitor.view();
  EXPECT_EQ(view.stats.peak_rpm, 10U);
  EXPECT_EQ(view.stats.current_rpm, 10U);
  EXPECT_EQ(view.current_window.requests, 17U);
  ASSERT_EQ(view.history.size(), 24U);
  for (size_t at = 0; at + 1 < view.history.size(); ++at)
    EXPECT_EQ(view.history[at], before.history[at + 1]);
  EXPECT_EQ(view.history.back().start, kYear2100);
  // The window of 2100 is the first to make room.
  rig.clock.advance(minutes{5});
  rig.requests(1);
  EXPECT_LT(rig.monitor.view().history.back().start, kYear2100);
}

TEST(TrafficMonitorTest, AStepOfTheClockClearsNoThreshold) {
  Rig rig{100};
  rig.requests(100);
  const base::Wall today = rig.clock.wall();
  rig.clock.set_wall(kYear2100);
  EXPECT_TRUE(rig.exceeded());
  rig.clock.set_wall(today);
  EXPECT_TRUE(rig.exceeded());
  rig.clock.advance(minutes{10} + seconds{10});
  EXPECT_FALSE(rig.exceeded());
}

TEST(TrafficMonitorTest, StampsAheadOfTheClockDoNotEnterTheMinute) {
  Rig rig;
  rig.request_at(kStart + seconds{1});
  EXPECT_EQ(rig.monitor.view().stats.peak_rpm, 1U);
  rig.request_at(kStart + seconds{2});
  rig.request_at(kYear2100);
  EXPECT_EQ(rig.monitor.view().stats.peak_rpm, 1U);
  EXPECT_EQ(rig.monitor.view().stats.total_requests, 3U);
}

TEST(TrafficMonitorTest, TakesAnyStamp) {
  Rig rig;
  for (const int64_t us : {std::numeric_limits<int64_t>::min(), int64_t{-1}, int64_t{0},
                           std::numeric_limits<int64_t>::max()}) {
    traffic::Event event;
    event.arrival_us = us;
    rig.monitor.observe(event);
  }
  const TrafficView view = rig.monitor.view();
  EXPECT_EQ(view.stats.total_requests, 4U);
  EXPECT_EQ(view.stats.current_rpm, 0U);
  TrafficMonitor again{rig.clock};
  EXPECT_TRUE(again.restore(rig.monitor.image().bytes).ok());
}

TEST(TrafficMonitorTest, AnImageHoldsEverythingButTheMinute) {
  Rig rig{100};
  rig.requests(120, "/a");
  rig.clock.advance(minutes{5});
  rig.requests(90, "/b");
  rig.request_at(rig.clock.wall(), "/c", traffic::CacheStatus::hit);
  ASSERT_TRUE(rig.monitor.set_threshold(110).ok());
  const TrafficView before = rig.monitor.view();
  const Image image = rig.monitor.image();
  EXPECT_EQ(image.generation, rig.monitor.generation());

  TrafficMonitor again{rig.clock, {.threshold = 7}};
  ASSERT_TRUE(again.restore(image.bytes).ok());
  EXPECT_EQ(again.image().bytes, image.bytes);
  const TrafficView after = again.view();
  EXPECT_EQ(after.stats.current_rpm, 0U);
  EXPECT_EQ(after.stats.peak_rpm, before.stats.peak_rpm);
  EXPECT_EQ(after.stats.total_requests, 211U);
  EXPECT_TRUE(after.stats.auto_cache);
  EXPECT_TRUE(after.current_window.threshold_exceeded);
  EXPECT_EQ(after.current_window.threshold, 110U);
  EXPECT_EQ(after.current_window.requests, 91U);
  EXPECT_EQ(after.current_window.cache_hits, 1U);
  EXPECT_EQ(after.top_paths, before.top_paths);
  EXPECT_EQ(after.history, before.history);
}

TEST(TrafficMonitorTest, RefusesEveryFlippedBitAndEveryCutOfItsImageAndStaysAsItIs) {
  Rig rig;
  rig.requests(3);
  rig.clock.advance(minutes{5});
  rig.requests(2, "/b");
  const std::string image = rig.monitor.image().bytes;
  TrafficMonitor other{rig.clock};
  for (size_t bit = 0; bit < image.size() * 8; ++bit) {
    std::string bytes = image;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_EQ(other.restore(bytes).error().code, base::ErrorCode::corrupt) << "bit " << bit;
  }
  for (size_t length = 0; length < image.size(); ++length)
    ASSERT_FALSE(other.restore(image.substr(0, length)).ok());
  EXPECT_EQ(other.view().stats.total_requests, 0U);
  EXPECT_EQ(other.generation(), 0U);
}

// What the monitor shall show, computed anew from all events each time.
struct Model {
  struct Seen {
    int64_t second;
    bool hit;
  };
  static int64_t floor(int64_t value, int64_t by) {
    return static_cast<int64_t>(std::floor(static_cast<double>(value) / static_cast<double>(by)));
  }
  uint64_t rolling(int64_t now) const {
    uint64_t sum = 0;
    for (const Seen& each : seen)
      sum += each.second > now - 60 && each.second <= now ? 1 : 0;
    return sum;
  }
  std::map<int64_t, TrafficView::Window> windows() const {
    std::map<int64_t, TrafficView::Window> windows;
    for (const Seen& each : seen) {
      const int64_t index = floor(each.second, 300);
      TrafficView::Window& window = windows[index];
      window.start = base::Wall{seconds{index * 300}};
      ++window.requests;
      window.cache_hits += each.hit ? 1 : 0;
    }
    return windows;
  }
  std::vector<Seen> seen;
};

// Goal: while the clock is not set, every figure is exact, with requests that come up to a minute
// late, across pauses and restarts (which forget the minute, so it is compared a minute later).
// Method: random traffic against Model.
TEST(TrafficMonitorTest, AgreesWithCountingAllEventsAnew) {
  const uint64_t seed = testing::seed_or(std::getenv("WEIR_SEED"), 20251019);
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed));
  base::Random random{seed};
  for (int round = 0; round < 4; ++round) {
    base::ManualClock clock{kStart};
    auto monitor = std::make_unique<TrafficMonitor>(clock);
    Model model;
    uint64_t peak = 0;
    base::Wall minute_from = kStart - minutes{2};
    for (int step = 0; step < 600; ++step) {
      clock.advance(milliseconds{random.below(8'000)});
      if (random.below(100) == 0) clock.advance(minutes{random.below(12)});
      if (random.below(60) == 0) {
        auto next = std::make_unique<TrafficMonitor>(clock);
        ASSERT_TRUE(next->restore(monitor->image().bytes).ok());
        monitor = std::move(next);
        minute_from = clock.wall();
      }
      for (uint64_t left = random.below(4); left > 0; --left) {
        traffic::Event event;
        const base::Wall arrival = clock.wall() - milliseconds{random.below(55'000)};
        event.arrival_us = arrival.time_since_epoch().count();
        event.path = "/a";
        event.cache = random.below(2) == 0 ? traffic::CacheStatus::hit : traffic::CacheStatus::miss;
        monitor->observe(event);
        model.seen.push_back(
            {Model::floor(event.arrival_us, 1'000'000), event.cache == traffic::CacheStatus::hit});
      }
      const int64_t now = Model::floor(clock.wall().time_since_epoch().count(), 1'000'000);
      const TrafficView view = monitor->view();
      ASSERT_EQ(view.stats.total_requests, model.seen.size());
      if (clock.wall() - minute_from > minutes{2}) {
        ASSERT_EQ(view.stats.current_rpm, model.rolling(now)) << "step " << step;
      }
      ASSERT_GE(view.stats.peak_rpm, std::max(peak, view.stats.current_rpm));
      peak = view.stats.peak_rpm;
      if (step % 8 != 0) continue;
      auto windows = model.windows();
      const auto current = windows.find(Model::floor(now, 300));
      const bool is_there = current != windows.end();
      ASSERT_EQ(view.current_window.requests, is_there ? current->second.requests : 0);
      ASSERT_EQ(view.current_window.cache_hits, is_there ? current->second.cache_hits : 0);
      if (is_there) windows.erase(current);
      while (windows.size() > 24)
        windows.erase(windows.begin());
      ASSERT_EQ(view.history.size(), windows.size());
      auto expected = windows.begin();
      for (const TrafficView::Window& window : view.history)
        ASSERT_EQ(window, (expected++)->second);
    }
    uint64_t model_peak = 0;
    for (const Model::Seen& each : model.seen)
      model_peak = std::max(model_peak, model.rolling(each.second));
    EXPECT_LE(peak, model_peak);
  }
}

// Goal: whatever the clock does, no figure exceeds what really came: the peak is at most the most
// requests within any 61 s of true time, and totals are exact. Method: steady traffic in true time
// while the wall clock is set at random, forth and back, by seconds to decades.
TEST(TrafficMonitorTest, NoClockMakesThePeakLargerThanTheTraffic) {
  const uint64_t seed = testing::seed_or(std::getenv("WEIR_SEED"), 20251020);
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed));
  base::Random random{seed};
  for (int round = 0; round < 8; ++round) {
    Rig rig;
    uint64_t total = 0;
    for (int second = 0; second < 2000; ++second) {
      if (random.below(50) == 0) {
        const std::array<int64_t, 5> sizes{5, 60, 600, 7200, 2'400'000'000};
        const auto size = static_cast<uint64_t>(sizes[random.below(sizes.size())]);
        const seconds by{static_cast<int64_t>(2 + random.below(size))};
        rig.clock.set_wall(random.below(2) == 0 && rig.clock.wall() - by > base::Wall{}
                               ? rig.clock.wall() - by
                               : rig.clock.wall() + by % seconds{2'000'000'000});
      }
      rig.requests(3);
      total += 3;
      rig.clock.advance(seconds{1});
      ASSERT_TRUE(second % 16 != 0 || rig.monitor.view().history.size() <= 24);
    }
    EXPECT_LE(rig.monitor.view().stats.peak_rpm, 183U);
    EXPECT_EQ(rig.monitor.view().stats.total_requests, total);
  }
}

}  // namespace
}  // namespace weir::state
