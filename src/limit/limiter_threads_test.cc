#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "limit/limiter.h"

namespace weir::limit {
namespace {

// Goal: exact across loops. Method: eight threads ask for one hot client and for one of their own,
// all or none, as fast as they can, in one window: exactly the hot limit is admitted, and every own
// charge belongs to one of those.
TEST(LimiterThreadsTest, AHotClientIsAdmittedExactlyItsLimitAndChargesAreAllOrNone) {
  constexpr size_t kThreads = 8;
  for (const uint32_t requests : {uint32_t{100}, uint32_t{5000}}) {
    Limiter limiter{4096, requests};
    const Limit hot{.requests = requests, .window = std::chrono::seconds{1000}};
    const Limit own{.requests = kRequestsMax, .window = std::chrono::seconds{1000}};
    std::array<uint64_t, kThreads> admitted{};
    std::vector<std::thread> threads;
    for (size_t nth = 0; nth < kThreads; ++nth) {
      threads.emplace_back([&, nth] {
        const std::string name(1, static_cast<char>('a' + nth));
        std::array<Charge, 2> charges{Charge{limiter.value_key(Rule{"hot"}, ""), hot},
                                      Charge{limiter.value_key(Rule{"own"}, name), own}};
        if (nth % 2 == 0) std::swap(charges[0], charges[1]);  // No order makes them wait for ever.
        std::array<Room, 2> rooms{};
        for (int64_t round = 0; round < 4000; ++round) {
          const base::Monotonic now{std::chrono::microseconds{1'000'000 + round}};
          if (limiter.admit(charges, now, rooms).answer == Answer::admitted) ++admitted[nth];
        }
      });
    }
    for (std::thread& thread : threads)
      thread.join();
    uint64_t sum = 0;
    for (size_t nth = 0; nth < kThreads; ++nth) {
      sum += admitted[nth];
      const std::string name(1, static_cast<char>('a' + nth));
      const Room room = limiter.look({limiter.value_key(Rule{"own"}, name), own},
                                     base::Monotonic{std::chrono::seconds{2}});
      EXPECT_EQ(kRequestsMax - room.remaining, admitted[nth]);
    }
    EXPECT_EQ(sum, requests);
  }
}

// Goal: no torn entry, whatever threads do to one small table at once. Method: random clients,
// limits and resets; every answer is one of three, and all room told is within the limit.
TEST(LimiterThreadsTest, ASmallTableStandsThreadsThatChargeLookAndReset) {
  Limiter limiter{256 * 8, 3};
  std::atomic<bool> wrong{false};
  std::vector<std::thread> threads;
  for (uint64_t nth = 0; nth < 4; ++nth) {
    threads.emplace_back([&, nth] {
      base::Random random{nth + 1};
      for (int64_t round = 0; round < 20'000; ++round) {
        const std::string client{static_cast<char>('a' + random.below(20))};
        const Limit limit{.requests = random.below(2) == 0 ? 40U : 400U,
                          .window = std::chrono::seconds{1}};
        const Charge charge{limiter.value_key(Rule{"r"}, client), limit};
        const base::Monotonic now{std::chrono::microseconds{1'000'000 + round * 20}};
        Room room;
        if (random.below(50) == 0) {
          limiter.reset(charge.key);
        } else if (random.below(4) == 0) {
          room = limiter.look(charge, now);
        } else {
          limiter.admit({&charge, 1}, now, {&room, 1});
        }
        if (room.remaining > limit.requests) wrong = true;
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_FALSE(wrong);
}

// Goal: whoever asks first finds what was restored. Method: of 500 clients that have used up their
// limit, three threads and a save ask at once; nobody is admitted.
TEST(LimiterThreadsTest, WhatWasRestoredHoldsForWhoeverAsksFirst) {
  const Limit limit{.requests = 1, .window = std::chrono::seconds{1000}};
  const base::Monotonic now{std::chrono::seconds{1}};
  const auto charge_of = [&](const Limiter& limiter, uint64_t client) {
    return Charge{limiter.value_key(Rule{"r"}, std::to_string(client)), limit};
  };
  Room room;
  Limiter before{10'000, 3};
  for (uint64_t client = 0; client < 500; ++client) {
    const Charge charge = charge_of(before, client);
    before.admit({&charge, 1}, now, {&room, 1});
  }
  std::string bytes;
  Limiter::SavePlace all;
  while (before.save(all, true, now, bytes.size() + 1000, bytes)) {
  }
  Limiter limiter{10'000, 3};
  ASSERT_TRUE(limiter.restore(bytes, std::chrono::microseconds{0}, now).ok());
  std::atomic<int> admitted{0};
  std::vector<std::thread> threads;
  for (uint64_t nth = 0; nth < 3; ++nth) {
    threads.emplace_back([&, nth] {
      base::Random random{nth + 1};
      for (int round = 0; round < 2000; ++round) {
        Room left;
        const Charge charge = charge_of(limiter, random.below(500));
        if (limiter.admit({&charge, 1}, now, {&left, 1}).answer == Answer::admitted) ++admitted;
      }
    });
  }
  std::string again;
  Limiter::SavePlace place;
  while (limiter.save(place, true, now, again.size() + 100, again)) {
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(admitted, 0);
  EXPECT_EQ(again.size(), bytes.size());
}

// Goal: nothing is missing in what was saved while others charged. Method: three threads charge
// until they are refused, a fourth saves changes all the while and once more at the end; a limiter
// that is given all of it has what the first one has.
TEST(LimiterThreadsTest, WhatIsSavedBesideChargesIsComplete) {
  Limiter limiter{256 * 8, 3};
  const Limit limit{.requests = 60, .window = std::chrono::seconds{1000}};
  const base::Monotonic now{std::chrono::seconds{1}};
  const auto name = [](uint64_t client) { return std::string{static_cast<char>('a' + client)}; };
  std::atomic<int> charging{3};
  std::vector<std::thread> threads;
  for (uint64_t nth = 0; nth < 3; ++nth) {
    threads.emplace_back([&, nth] {
      base::Random random{nth + 1};
      for (int round = 0; round < 5000; ++round) {
        const Charge charge{limiter.value_key(Rule{"r"}, name(random.below(20))), limit};
        Room room;
        limiter.admit({&charge, 1}, now, {&room, 1});
      }
      --charging;
    });
  }
  std::vector<std::string> saved;
  Limiter::SavePlace place;
  for (bool last = false; !last;) {
    last = charging == 0;
    std::string out;
    while (limiter.save(place, false, now, out.size() + 500, out)) {
    }
    saved.push_back(std::move(out));
  }
  for (std::thread& thread : threads)
    thread.join();
  Limiter other{256 * 8, 3};
  for (const std::string& bytes : saved)
    ASSERT_TRUE(other.restore(bytes, std::chrono::microseconds{0}, now).ok());
  for (uint64_t client = 0; client < 20; ++client) {
    const Charge charge{limiter.value_key(Rule{"r"}, name(client)), limit};
    EXPECT_EQ(limiter.look(charge, now).remaining, 0U);
    EXPECT_EQ(other.look(charge, now).remaining, 0U) << client;
  }
}

}  // namespace
}  // namespace weir::limit
