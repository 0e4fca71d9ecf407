// Saving and putting back what the limiter has counted: a limiter that was restored answers as the
// one that was saved.
#include <array>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "limit/limiter.h"

namespace weir::limit {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

constexpr uint64_t kSeed = 0x5eed;

base::Monotonic at(int64_t us) {
  return base::Monotonic{microseconds{us}};
}

std::pair<Answer, Room> ask(Limiter& limiter, const base::TableKey& key, const Limit& limit,
                            int64_t us) {
  const Charge charge{key, limit};
  Room room;
  const Verdict verdict = limiter.admit({&charge, 1}, at(us), {&room, 1});
  return {verdict.answer, room};
}

std::string saved(Limiter& limiter, bool all, int64_t us) {
  std::string out;
  Limiter::SavePlace place;
  while (limiter.save(place, all, at(us), out.size() + 1000, out)) {
  }
  return out;
}

size_t count_of(Limiter& limiter, bool all, int64_t us) {
  const std::string bytes = saved(limiter, all, us);
  Limiter other{100'000, kSeed};
  const base::Result<size_t> restored = other.restore(bytes, microseconds{0}, at(us));
  return restored.ok() ? restored.value() : 1'000'000;
}

void restore(Limiter& limiter, std::string_view bytes, int64_t us, int64_t shift_us = 0) {
  const base::Result<size_t> restored =
      limiter.restore(std::string{bytes}, microseconds{shift_us}, at(us));
  ASSERT_TRUE(restored.ok());
}

TEST(LimiterSaveTest, WhatDidNotChangeIsNotSavedAgain) {
  Limiter limiter{1000, kSeed};
  EXPECT_EQ(count_of(limiter, false, 0), 0U);
  const Limit limit{10, seconds{60}};
  for (const char* who : {"a", "b", "c"})
    ask(limiter, limiter.value_key(Rule{"r"}, who), limit, 0);
  EXPECT_EQ(count_of(limiter, false, 1), 3U);
  EXPECT_EQ(count_of(limiter, false, 2), 0U);
  ask(limiter, limiter.value_key(Rule{"r"}, "b"), limit, 3);
  EXPECT_EQ(count_of(limiter, false, 4), 1U);
  EXPECT_EQ(count_of(limiter, true, 5), 3U);
  EXPECT_EQ(count_of(limiter, true, 61'000'000), 0U) << "nothing counts any more";
}

TEST(LimiterSaveTest, APassIsCutWhereItsCallerSays) {
  Limiter limiter{100'000, kSeed};
  const Limit limit{10, seconds{60}};
  for (int who = 0; who < 20'000; ++who)
    ask(limiter, limiter.value_key(Rule{"r"}, std::to_string(who)), limit, 0);
  Limiter::SavePlace place;
  size_t pieces = 0;
  size_t bytes = 0;
  for (bool more = true; more; ++pieces) {
    std::string out;
    more = limiter.save(place, true, at(0), 10'000, out);
    EXPECT_LT(out.size(), 10'000U + 34'000U);
    bytes += out.size();
  }
  EXPECT_EQ(bytes, 20'000U * 34U);
  EXPECT_GE(pieces, bytes / 12'000);
}

TEST(LimiterSaveTest, ARefusedRequestChangesNothing) {
  Limiter limiter{1000, kSeed};
  const base::TableKey key = limiter.value_key(Rule{"r"}, "a");
  const Limit limit{1, seconds{60}};
  ask(limiter, key, limit, 0);
  count_of(limiter, false, 1);
  EXPECT_EQ(ask(limiter, key, limit, 2).first, Answer::refused);
  EXPECT_EQ(count_of(limiter, false, 3), 0U);
}

TEST(LimiterSaveTest, AResetIsSavedToo) {
  Limiter limiter{1000, kSeed};
  const base::TableKey key = limiter.value_key(Rule{"r"}, "a");
  const Limit limit{1, seconds{60}};
  ask(limiter, key, limit, 0);
  const std::string before = saved(limiter, false, 1);
  limiter.reset(key);
  limiter.look({key, limit}, at(2));  // An operator who looks first takes nothing away from it.
  const std::string after = saved(limiter, false, 2);
  Limiter other{1000, kSeed};
  restore(other, before, 3);
  EXPECT_EQ(ask(other, key, limit, 3).first, Answer::refused);
  restore(other, after, 4);
  EXPECT_EQ(ask(other, key, limit, 4).first, Answer::admitted);
}

// Random limits, clients and times; saved in slices of changes as a node does, put back into
// another limiter, which from then on answers every request as the first one does.
TEST(LimiterSaveTest, ARestoredLimiterAnswersAsTheOneThatWasSaved) {
  base::Random random{17};
  for (int round = 0; round < 10; ++round) {
    Limiter one{500'000, kSeed};  // Enough memory, so that no log is rounded further.
    const Limit limit{static_cast<uint32_t>(1 + random.next() % (round % 2 == 0 ? 128 : 3000)),
                      seconds{1 + static_cast<int64_t>(random.next() % 4000)}};
    std::vector<base::TableKey> keys;
    for (int who = 0; who < 8; ++who)
      keys.push_back(one.value_key(Rule{"r"}, std::to_string(who)));
    const auto step = static_cast<uint64_t>(microseconds{limit.window}.count()) / limit.requests;
    int64_t now = 5'000'000;
    std::deque<std::string> images;
    for (int i = 0; i < 4000; ++i) {
      now += static_cast<int64_t>(random.next() % (step / 4 + 2));
      ask(one, keys[random.next() % keys.size()], limit, now);
      if (i % 700 == 0) images.push_back(saved(one, false, now));
    }
    images.push_back(saved(one, false, now));
    Limiter two{500'000, kSeed};
    for (const std::string& image : images)
      restore(two, image, now);
    for (const base::TableKey& key : keys) {
      const Room left = one.look({key, limit}, at(now));
      const Room same = two.look({key, limit}, at(now));
      EXPECT_EQ(left.remaining, same.remaining);
      EXPECT_EQ(left.retry_after, same.retry_after);
      EXPECT_EQ(left.reset_after, same.reset_after);
    }
    for (int i = 0; i < 3000; ++i) {
      now += static_cast<int64_t>(random.next() % (step / 4 + 2));
      const base::TableKey& key = keys[random.next() % keys.size()];
      const auto [answer, room] = ask(one, key, limit, now);
      const auto [same_answer, same_room] = ask(two, key, limit, now);
      ASSERT_EQ(answer, same_answer) << round << " " << i;
      ASSERT_EQ(room.remaining, same_room.remaining);
    }
  }
}

// On another clock, as after the machine was started anew: what was admitted counts for as long as
// it would have, and never shorter.
TEST(LimiterSaveTest, AnotherClockNeverLetsMoreThroughThanTheLimit) {
  base::Random random{18};
  for (int round = 0; round < 40; ++round) {
    Limiter one{500'000, kSeed};
    const bool exact = round % 2 == 0;
    const Limit limit{static_cast<uint32_t>(1 + random.next() % (exact ? 128 : 2000)),
                      seconds{1 + static_cast<int64_t>(random.next() % 4000)}};
    const base::TableKey key = one.value_key(Rule{"r"}, "a");
    const int64_t window = microseconds{limit.window}.count();
    std::deque<int64_t> admitted;  // Wall time.
    const int64_t boot = 1'000'000'000'000;
    int64_t wall = boot + window;
    const auto run = [&](Limiter& limiter, int64_t clock_begin, int requests) {
      for (int i = 0; i < requests; ++i) {
        wall += static_cast<int64_t>(random.next() % static_cast<uint64_t>(window / 500 + 2));
        if (ask(limiter, key, limit, wall - clock_begin).first != Answer::admitted) continue;
        while (!admitted.empty() && admitted.front() <= wall - window)
          admitted.pop_front();
        admitted.push_back(wall);
        ASSERT_LE(admitted.size(), limit.requests) << round;
      }
    };
    run(one, boot, 1000);
    const std::string image = saved(one, true, wall - boot);
    const int64_t pause = static_cast<int64_t>(random.next() % static_cast<uint64_t>(window));
    wall += pause;
    const int64_t second_boot = wall - 500'000;  // The clock begins half a second before.
    Limiter two{500'000, kSeed};
    restore(two, image, wall - second_boot, boot - second_boot);
    if (exact) {  // But for ticks of a few microseconds, which begin elsewhere.
      const uint32_t least = one.look({key, limit}, at(wall - boot - 8)).remaining;
      const uint32_t most = one.look({key, limit}, at(wall - boot)).remaining;
      const uint32_t remaining = two.look({key, limit}, at(wall - second_boot)).remaining;
      EXPECT_GE(remaining, least);
      EXPECT_LE(remaining, most);
    }
    run(two, second_boot, 1000);
  }
}

// What waits to be put back is there for whatever asks first.
TEST(LimiterSaveTest, NothingIsSeenBeforeItIsPutBack) {
  Limiter one{1000, kSeed};
  const Limit limit{2, seconds{60}};
  const auto key = [&](int who) { return one.value_key(Rule{"r"}, std::to_string(who)); };
  for (int who = 0; who < 100; ++who)
    ask(one, key(who), limit, 0);
  const std::string image = saved(one, true, 0);
  const auto restored = [&](Limiter& limiter) { restore(limiter, image, 1); };

  Limiter asked{1000, kSeed};
  restored(asked);
  EXPECT_EQ(ask(asked, key(1), limit, 1).second.remaining, 0U);
  Limiter looked_at{1000, kSeed};
  restored(looked_at);
  EXPECT_EQ(looked_at.look({key(1), limit}, at(1)).remaining, 1U);
  Limiter reset{1000, kSeed};
  restored(reset);
  reset.reset(key(1));
  EXPECT_EQ(reset.look({key(1), limit}, at(1)).remaining, 2U);
  Limiter counted{1000, kSeed};
  restored(counted);
  EXPECT_EQ(counted.counts().entries, 100U);
  Limiter finished{1000, kSeed};
  restored(finished);
  finished.finish_restore();
  EXPECT_EQ(ask(finished, key(1), limit, 1).second.remaining, 0U);
  restored(finished);  // As a later frame of a file: it replaces what the earlier one said.
  EXPECT_EQ(finished.look({key(1), limit}, at(1)).remaining, 1U);
  Limiter saved_again{1000, kSeed};
  restored(saved_again);
  EXPECT_EQ(saved(saved_again, true, 1).size(), image.size());
  Limiter charged_and_saved{1000, kSeed};
  restored(charged_and_saved);
  ask(charged_and_saved, key(1), limit, 1);
  EXPECT_EQ(count_of(charged_and_saved, false, 1), 1U);
}

TEST(LimiterSaveTest, WhatStrangersShareIsSavedToo) {
  Limiter one{100, kSeed};  // 16 places in each stripe.
  const Limit limit{2, seconds{60}};
  const auto address_key = [&](uint8_t last) {
    const std::array<uint8_t, 16> address{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last};
    return one.address_key(Rule{"r"}, address, 64);
  };
  for (uint8_t last = 0; last < 16; ++last)
    ask(one, address_key(last), limit, 0);
  EXPECT_EQ(count_of(one, false, 1), 16U);
  ask(one, address_key(16), limit, 1);
  const std::string first = saved(one, false, 1);
  ask(one, address_key(17), limit, 2);
  const std::string second = saved(one, false, 2);
  EXPECT_EQ(first.size(), 34U);
  EXPECT_EQ(second.size(), 38U);
  EXPECT_EQ(saved(one, false, 3), "");
  EXPECT_EQ(count_of(one, true, 3), 17U);

  Limiter two{100, kSeed};
  for (const std::string& image : {first, second})
    restore(two, image, 3);
  EXPECT_EQ(ask(two, address_key(18), limit, 3).first, Answer::refused);
  Limiter three{100, kSeed};
  restore(three, saved(one, true, 3), 3);
  EXPECT_EQ(ask(three, address_key(19), limit, 3).first, Answer::refused);
  EXPECT_EQ(ask(three, address_key(1), limit, 3).first, Answer::admitted);
}

// A wall clock that was set back says that entries come from the future: then they count from now.
TEST(LimiterSaveTest, NothingIsNewerThanNow) {
  Limiter one{100, kSeed};
  const base::TableKey key = one.value_key(Rule{"r"}, "a");
  const Limit limit{1, seconds{60}};
  ask(one, key, limit, 0);
  Limiter two{100, kSeed};
  restore(two, saved(one, true, 0), 1'000'000, 3'600'000'000);
  EXPECT_EQ(two.look({key, limit}, at(1'000'000)).retry_after, seconds{60});
}

TEST(LimiterSaveTest, WhatHasLeftItsWindowIsNotPutBack) {
  Limiter one{100, kSeed};
  const base::TableKey key = one.value_key(Rule{"r"}, "a");
  const Limit limit{3, seconds{60}};
  ask(one, key, limit, 0);
  ask(one, key, limit, 30'000'000);
  Limiter two{100, kSeed};
  restore(two, saved(one, true, 30'000'000), 70'000'000);
  EXPECT_EQ(two.look({key, limit}, at(70'000'000)).remaining, 2U);
  Limiter three{100, kSeed};
  restore(three, saved(one, true, 30'000'000), 200'000'000);
  EXPECT_EQ(three.look({key, limit}, at(200'000'000)).remaining, 3U);
}

TEST(LimiterSaveTest, MoreEntriesThanPlacesAreLeftOut) {
  Limiter one{100'000, kSeed};
  const Limit limit{1, seconds{60}};
  for (uint8_t high = 0; high < 240; ++high) {
    for (uint8_t low = 0; low < 250; ++low) {
      const std::array<uint8_t, 16> address{0x20, 0x01, high, low};
      ask(one, one.address_key(Rule{"r"}, address, 64), limit, 0);
    }
  }
  Limiter two{1000, kSeed};
  const base::Result<size_t> count = two.restore(saved(one, true, 0), microseconds{0}, at(0));
  ASSERT_TRUE(count.ok());
  EXPECT_EQ(count.value(), 60'000U);
  EXPECT_GE(two.counts().entries, 3000U) << "192 stripes of a bucket";
  EXPECT_LE(two.counts().entries, 8192U);
}

// Long logs with no chunks left are rounded, which refuses early and never admits too much.
TEST(LimiterSaveTest, LongLogsWithoutMemoryAreRounded) {
  Limiter one{100'000, kSeed};
  const Limit limit{128, seconds{60}};
  for (int who = 0; who < 200; ++who) {
    for (int i = 0; i < 128; ++i)
      ask(one, one.value_key(Rule{"r"}, std::to_string(who)), limit, i * 100'000);
  }
  Limiter two{256, kSeed};
  restore(two, saved(one, true, 13'000'000), 13'000'000);
  for (int who = 0; who < 200; ++who) {
    const base::TableKey key = two.value_key(Rule{"r"}, std::to_string(who));
    EXPECT_EQ(two.look({key, limit}, at(13'000'000)).remaining, 0U) << who;
  }
}

TEST(LimiterSaveTest, DamagedBytesAreRefusedOrHarmless) {
  Limiter one{100, kSeed};
  const Limit exact{5, seconds{60}};
  const Limit large{1000, seconds{60}};
  for (int i = 0; i < 5; ++i) {
    ask(one, one.value_key(Rule{"r"}, "a"), exact, i * 1000);
    ask(one, one.value_key(Rule{"s"}, "a"), large, i * 1'000'000);
  }
  const std::string image = saved(one, true, 10'000'000);
  base::Random random{19};
  size_t refused = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string damaged = image;
    for (uint64_t flips = 1 + random.next() % 3; flips > 0; --flips)
      damaged[random.next() % damaged.size()] = static_cast<char>(random.next());
    if (random.next() % 4 == 0) damaged.resize(random.next() % damaged.size());
    Limiter two{100, kSeed};
    refused += two.restore(damaged, microseconds{0}, at(10'000'000)).ok() ? 0U : 1U;
    ask(two, two.value_key(Rule{"r"}, "a"), exact, 10'000'001);
    ask(two, two.value_key(Rule{"s"}, "a"), large, 10'000'001);
  }
  EXPECT_GT(refused, 200U);
}

}  // namespace
}  // namespace weir::limit
