#include "limit/limiter.h"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "limit/internal/window_log.h"

namespace weir::limit {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

constexpr uint64_t kSeed = 0x5eed;

base::Monotonic at(int64_t us) {
  return base::Monotonic{microseconds{us}};
}

std::array<uint8_t, 16> ipv4(uint32_t host_order) {
  std::array<uint8_t, 16> bytes{};
  bytes[10] = bytes[11] = 0xff;
  for (size_t nth = 0; nth < 4; ++nth)
    bytes[12 + nth] = static_cast<uint8_t>(host_order >> (24 - 8 * nth));
  return bytes;
}

std::array<uint8_t, 16> ipv6(uint64_t high, uint64_t low) {
  std::array<uint8_t, 16> bytes{};
  for (size_t nth = 0; nth < 8; ++nth) {
    bytes[nth] = static_cast<uint8_t>(high >> (56 - 8 * nth));
    bytes[8 + nth] = static_cast<uint8_t>(low >> (56 - 8 * nth));
  }
  return bytes;
}

struct Answered {
  Answer answer;
  Room room;
};

Answered ask(Limiter& limiter, const base::TableKey& key, const Limit& limit, int64_t us) {
  const Charge charge{key, limit};
  Room room;
  const Verdict verdict = limiter.admit({&charge, 1}, at(us), {&room, 1});
  return {verdict.answer, room};
}

bool admits(Limiter& limiter, const base::TableKey& key, const Limit& limit, int64_t us) {
  return ask(limiter, key, limit, us).answer == Answer::admitted;
}

// What a limit means, as simply as can be said: every admitted time is kept.
struct Reference {
  bool would_admit(const Limit& limit, int64_t now, int64_t window_us) const {
    const auto counts = [&](int64_t time) { return now - time < window_us; };
    return std::count_if(times.begin(), times.end(), counts) < limit.requests;
  }
  std::vector<int64_t> times;
};

// Goal: up to 128 requests a window, every answer is that of a log that keeps all. Method: random
// limits, windows and clients; a clock that mostly advances, sometimes stalls, steps or jumps.
TEST(LimiterTest, AnswersAsALogOfEverythingWouldUpTo128Requests) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    base::Random random{seed};
    Limiter limiter{4096, kSeed + seed};
    const Limit limit{.requests = static_cast<uint32_t>(1 + random.below(kExactRequestsMax)),
                      .window = seconds{1 + static_cast<int64_t>(random.below(900))}};
    const int64_t window_us = microseconds{limit.window}.count();
    std::map<uint64_t, Reference> references;
    std::map<uint64_t, int64_t> newest;
    int64_t now = 1'000'000'000;
    const auto step = static_cast<uint64_t>(window_us / limit.requests);
    for (int round = 0; round < 1500; ++round) {
      switch (random.below(40)) {
        case 0:
          now += window_us - 1 + static_cast<int64_t>(random.below(3));
          break;
        case 1:
          now -= static_cast<int64_t>(random.below(step + 1));
          break;  // Back.
        case 2:
        case 3:
        case 4:
          break;  // A stall.
        default:
          now += static_cast<int64_t>(random.below(step / 2 + 2));
      }
      const uint64_t client = random.below(3);
      const base::TableKey key = limiter.value_key(Rule{"r"}, fmt::format("{}", client));
      Reference& reference = references[client];
      const int64_t time = std::max(now, newest[client]);
      const bool expected = reference.would_admit(limit, time, window_us);
      const Answered answered = ask(limiter, key, limit, now);
      ASSERT_EQ(answered.answer == Answer::admitted, expected) << round;
      if (expected) {
        reference.times.push_back(time);
        newest[client] = time;
      }
      const int64_t retry = answered.room.retry_after.count();
      ASSERT_EQ(reference.would_admit(limit, time + retry, window_us), true) << round;
      if (retry > 0) {
        ASSERT_EQ(reference.would_admit(limit, time + retry - 1, window_us), false) << round;
        ASSERT_EQ(answered.room.remaining, 0U);
      }
      const int64_t left = reference.times.empty() ? 0 : reference.times.back() + window_us - time;
      ASSERT_EQ(answered.room.reset_after.count(), left) << round;
    }
  }
}

// Goal: above 128, never more than the limit in any window, and nothing refused that a window a
// 128th longer would admit. Method: as above, limits up to 100 000.
TEST(LimiterTest, NeverAdmitsTooMuchAndRefusesAtMostOnePercentEarlyAbove128Requests) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    base::Random random{seed};
    Limiter limiter{65'536, kSeed + seed};
    const Limit limit{.requests = static_cast<uint32_t>(129 + random.below(900)),
                      .window = seconds{1 + static_cast<int64_t>(random.below(86'400 * 3))}};
    const Scale scale{limit.window};
    const int64_t window_us = microseconds{limit.window}.count();
    const auto longest_us = static_cast<int64_t>(scale.counts_us);
    ASSERT_LE(longest_us, window_us + window_us / 100);
    const base::TableKey key = limiter.value_key(Rule{"r"}, "one");
    std::deque<int64_t> admitted;  // Of the last window and a bit.
    int64_t now = 5'000'000'000;
    const auto step = static_cast<uint64_t>(window_us / limit.requests);
    uint64_t refused = 0;
    for (uint32_t round = 0; round < 3 * limit.requests; ++round) {
      now += static_cast<int64_t>(random.below(step + step / 2 + 1));
      while (!admitted.empty() && now - admitted.front() > longest_us)
        admitted.pop_front();
      const auto in_window = static_cast<uint64_t>(std::count_if(
          admitted.begin(), admitted.end(), [&](int64_t time) { return now - time < window_us; }));
      const Answered answered = ask(limiter, key, limit, now);
      if (answered.answer == Answer::admitted) {
        ASSERT_LT(in_window, limit.requests) << round;
        admitted.push_back(now);
      } else {
        ++refused;
        ASSERT_GE(admitted.size(), limit.requests) << round;
        ASSERT_GT(answered.room.retry_after.count(), 0);
        ASSERT_LE(answered.room.retry_after.count(), longest_us);
      }
    }
    EXPECT_GT(refused, 0U);
  }
}

// Goal: want of memory makes it refuse early, never admit too much. Method: chunks for one client
// of a stripe, and many clients of that stripe.
TEST(LimiterTest, NeverAdmitsTooMuchWithoutMemoryForTheTimes) {
  base::Random random{7};
  Limiter limiter{192 * 12, kSeed};  // Some nine chunks for each stripe.
  const Limit limit{.requests = 100, .window = seconds{10}};
  std::map<uint64_t, Reference> references;
  int64_t now = 1'000'000;
  for (int round = 0; round < 20'000; ++round) {
    now += static_cast<int64_t>(random.below(12'000));
    const uint64_t client = random.below(10);
    const auto address = ipv6(0x20010db800000000U, client << 8U);
    const base::TableKey key = limiter.address_key(Rule{"r"}, address, 128);
    Reference& reference = references[client];
    const bool could = reference.would_admit(limit, now, 10'000'000);
    if (!admits(limiter, key, limit, now)) continue;
    ASSERT_TRUE(could) << round;
    reference.times.push_back(now);
  }
  EXPECT_GT(limiter.counts().rounded, 0U);
}

TEST(LimiterTest, InventedValuesTakeNoPlaceOfAddresses) {
  Limiter limiter{4096, kSeed};
  const Limit limit{.requests = 2, .window = seconds{60}};
  int64_t now = 1'000'000;
  for (int nth = 0; nth < 20'000; ++nth)
    ask(limiter, limiter.value_key(Rule{"key"}, std::to_string(nth)), limit, ++now);
  const uint64_t shared = limiter.counts().shared;
  ASSERT_GT(shared, 0U) << "there is no place left for values";
  for (uint64_t client = 0; client < 2048; ++client) {
    const base::TableKey key =
        limiter.address_key(Rule{"r"}, ipv6(0x2001'0db8'0000'0000U + (client << 16U), 1), 64);
    EXPECT_TRUE(admits(limiter, key, limit, ++now)) << client;
  }
  EXPECT_TRUE(admits(limiter, limiter.value_key(Rule{"route"}, {}), limit, ++now));
  EXPECT_EQ(limiter.counts().shared, shared);
}

// Rounded to thirds of a window, a request counts for a third of a window too long at the most: at
// 60 of 100 that makes 80.
TEST(LimiterTest, WithoutMemoryForTheTimesAClientFarBelowItsLimitIsNotRefused) {
  for (const uint32_t requests : {100U, 500U}) {
    Limiter limiter{1, kSeed};  // One chunk for each stripe.
    const Limit limit{.requests = requests, .window = seconds{60}};
    const base::TableKey first = limiter.address_key(Rule{"r"}, ipv6(0x20010db800000000U, 1), 128);
    const base::TableKey client = limiter.address_key(Rule{"r"}, ipv6(0x20010db800000000U, 2), 128);
    const int64_t gap_us = 60'000'000 / (requests * 6 / 10);
    int64_t now = 1'000'000;
    for (int round = 0; round < 2000; ++round, now += gap_us) {
      admits(limiter, first, limit, now);  // Holds the only chunk.
      ASSERT_TRUE(admits(limiter, client, limit, now)) << requests << ", " << round;
    }
    EXPECT_GT(limiter.counts().rounded, 0U);
  }
}

// Goal: who needs memory gets that of clients who never came back. Method: a table with many places
// left, whose chunks were all used once.
TEST(LimiterTest, ClientsThatDoNotComeBackGiveTheirMemoryToOthers) {
  Limiter limiter{192 * 160, kSeed};  // 81 chunks and 208 places for each stripe.
  const Limit limit{.requests = 100, .window = seconds{10}};
  const auto key_of = [&limiter](uint64_t client) {
    return limiter.address_key(Rule{"r"}, ipv6(0x20010db800000000U, client << 8U), 128);
  };
  int64_t now = 1'000'000;
  for (int request = 0; request < 20; ++request) {
    for (uint64_t client = 0; client < 60; ++client)
      ASSERT_TRUE(admits(limiter, key_of(client), limit, now += 5000));
  }
  ASSERT_GT(limiter.counts().rounded, 0U) << "all chunks were used";
  now += 20'000'000;
  const uint64_t rounded = limiter.counts().rounded;
  for (int request = 0; request < 100; ++request) {
    for (uint64_t client = 100; client < 108; ++client)
      ASSERT_TRUE(admits(limiter, key_of(client), limit, now += 10'000));
  }
  for (uint64_t client = 100; client < 108; ++client)
    ASSERT_FALSE(admits(limiter, key_of(client), limit, now));
  EXPECT_EQ(limiter.counts().rounded, rounded);
}

TEST(LimiterTest, ChargesAllLimitsOfARequestOrNone) {
  Limiter limiter{1024, kSeed};
  const std::array<Charge, 2> charges{
      Charge{limiter.value_key(Rule{"burst"}, "c"), {.requests = 3, .window = seconds{1}}},
      Charge{limiter.value_key(Rule{"sustained"}, "c"), {.requests = 5, .window = seconds{60}}}};
  std::array<Room, 2> rooms{};
  std::string answers;
  for (const int64_t us : {0, 0, 0, 1, 1'000'000, 1'000'000, 1'000'000, 2'100'000}) {
    const Verdict verdict = limiter.admit(charges, at(10'000'000 + us), rooms);
    answers += verdict.answer == Answer::admitted ? "a" : fmt::format("{}", verdict.refused_by);
    answers += fmt::format("{}/{} ", rooms[0].remaining, rooms[1].remaining);
  }
  EXPECT_EQ(answers, "a2/4 a1/3 a0/2 00/2 a2/1 a1/0 11/0 13/0 ");
}

TEST(LimiterTest, ARefusedRequestLeavesNoTrace) {
  Limiter limiter{1024, kSeed};
  const Limit limit{.requests = 1, .window = seconds{10}};
  const base::TableKey key = limiter.value_key(Rule{"r"}, "c");
  EXPECT_TRUE(admits(limiter, key, limit, 0));
  for (int64_t us = 1; us < 10'000'000; us += 99'999)
    EXPECT_FALSE(admits(limiter, key, limit, us));
  EXPECT_TRUE(admits(limiter, key, limit, 10'000'000));
}

// One history served every rule of an address: limits of 10 and 100 counted together (spec 5.1).
TEST(LimiterTest, TwoRulesOfOneClientCountApart) {
  Limiter limiter{1024, kSeed};
  const Limit limit{.requests = 1, .window = seconds{10}};
  const auto client = ipv4(0x0a000001);
  EXPECT_TRUE(admits(limiter, limiter.address_key(Rule{"a"}, client, 64), limit, 0));
  EXPECT_TRUE(admits(limiter, limiter.address_key(Rule{"b"}, client, 64), limit, 0));
  EXPECT_FALSE(admits(limiter, limiter.address_key(Rule{"a"}, client, 64), limit, 1));
}

TEST(LimiterTest, Ipv6ClientsCountByTheirPrefixAndIpv4OnesEachAlone) {
  const Limiter limiter{1024, kSeed};
  const auto key = [&](const auto& address) { return limiter.address_key(Rule{"r"}, address, 64); };
  EXPECT_EQ(key(ipv6(7, 1)), key(ipv6(7, ~uint64_t{0})));
  EXPECT_NE(key(ipv6(7, 1)), key(ipv6(8, 1)));
  EXPECT_NE(key(ipv4(1)), key(ipv4(2)));
  EXPECT_EQ(key(ipv4(1)).group, key(ipv4(2)).group) << "one /24, one stripe";
  EXPECT_NE(limiter.address_key(Rule{"r"}, ipv6(7, 1), 128),
            limiter.address_key(Rule{"r"}, ipv6(7, 2), 128));
  EXPECT_NE(limiter.value_key(Rule{"r"}, "a"), limiter.value_key(Rule{"s"}, "a"));
}

TEST(LimiterTest, AChangedLimitKeepsWhatWasAdmittedAndAnotherWindowBeginsAnew) {
  Limiter limiter{1024, kSeed};
  const base::TableKey key = limiter.value_key(Rule{"r"}, "c");
  const auto with = [](uint32_t requests) { return Limit{requests, seconds{60}}; };
  for (int nth = 0; nth < 100; ++nth)
    EXPECT_TRUE(admits(limiter, key, with(100), nth));
  EXPECT_FALSE(admits(limiter, key, with(100), 100));
  EXPECT_EQ(ask(limiter, key, with(300), 101).room.remaining, 199U);
  EXPECT_EQ(ask(limiter, key, with(20), 102).answer, Answer::refused);
  EXPECT_EQ(limiter.look({key, with(500)}, at(103)).remaining, 399U);
  EXPECT_EQ(limiter.look({key, {.requests = 5, .window = seconds{1}}}, at(104)).remaining, 5U);
}

// Two gaps of nearly a window each: the oldest time is nearly two windows old when it has to leave,
// which may be more ticks than a signed word holds.
TEST(LimiterTest, WhatIsNearlyTwoWindowsOldLeaves) {
  constexpr int64_t kDay = 86'400;
  for (const int64_t window_s :
       {int64_t{60}, int64_t{1072}, kDay, 2 * kDay, 3 * kDay, 7 * kDay, 30 * kDay, 31 * kDay}) {
    for (const uint32_t requests : {2U, 200U}) {
      Limiter limiter{1024, kSeed};
      const Limit limit{.requests = requests, .window = seconds{window_s}};
      const base::TableKey key = limiter.value_key(Rule{"r"}, "c");
      const int64_t window_us = window_s * 1'000'000;
      const int64_t first = 1'000'000;
      const int64_t second = first + window_us - 1'000'000;
      const int64_t third = second + window_us + window_us / 256;
      ASSERT_TRUE(admits(limiter, key, limit, first));
      ASSERT_TRUE(admits(limiter, key, limit, second));
      const auto [answer, room] = ask(limiter, key, limit, third);
      EXPECT_EQ(answer, Answer::admitted) << window_s << " s, " << requests;
      // A time that is rounded up counts for up to a 128th longer.
      EXPECT_GE(room.remaining, requests - (requests == 2 ? 1 : 2)) << window_s << " s";
      EXPECT_LE(room.reset_after, microseconds{window_us + window_us / 64}) << window_s << " s";
    }
  }
}

TEST(LimiterTest, ResetForgetsAndLookingChargesNothing) {
  Limiter limiter{1024, kSeed};
  const Limit limit{.requests = 2, .window = seconds{60}};
  const base::TableKey key = limiter.value_key(Rule{"r"}, "c");
  EXPECT_EQ(limiter.look({key, limit}, at(0)).remaining, 2U);
  EXPECT_TRUE(admits(limiter, key, limit, 0));
  EXPECT_EQ(limiter.look({key, limit}, at(1)).remaining, 1U);
  EXPECT_EQ(limiter.look({key, limit}, at(1)).reset_after, microseconds{59'999'999});
  limiter.reset(key);
  EXPECT_EQ(limiter.look({key, limit}, at(2)).remaining, 2U);
}

// Goal: whoever is in a full table stays exact; strangers share, by their prefix; the expired make
// room. Method: one stripe filled by addresses of one /48, so that nothing is left to chance.
TEST(LimiterTest, AFullStripeKeepsItsClientsAndStrangersShareOneEntryForEachPrefix) {
  Limiter limiter{192 * 12, kSeed};  // 16 places in each stripe.
  const Limit limit{.requests = 3, .window = seconds{60}};
  const auto key = [&](uint64_t nth) {
    return limiter.address_key(Rule{"r"}, ipv6(0x20010db8abcd0000U, nth), 128);
  };
  int64_t now = 1'000'000;
  for (uint64_t nth = 0; nth < 16; ++nth)
    EXPECT_TRUE(admits(limiter, key(nth), limit, ++now));
  EXPECT_EQ(limiter.counts().shared, 0U);
  int admitted = 0;
  for (uint64_t stranger = 100; stranger < 110; ++stranger)
    admitted += admits(limiter, key(stranger), limit, ++now) ? 1 : 0;
  EXPECT_EQ(admitted, 3) << "all strangers of the prefix together";
  EXPECT_EQ(limiter.counts().shared, 3U);
  for (uint64_t nth = 0; nth < 16; ++nth)
    EXPECT_EQ(limiter.look({key(nth), limit}, at(now)).remaining, 2U) << nth;
  now += 61'000'000;
  for (uint64_t stranger = 200; stranger < 216; ++stranger)
    EXPECT_TRUE(admits(limiter, key(stranger), limit, ++now));
  EXPECT_EQ(limiter.counts().shared, 3U) << "the expired made room";
}

// The strangers' entry is live when a place becomes free: whoever takes it may be the one that was
// counted there.
TEST(LimiterTest, AStrangerThatGetsAnOwnEntryIsNotAdmittedAnew) {
  const Limit brief{.requests = 1, .window = seconds{1}};
  for (const uint32_t requests : {3U, 20U, 128U, 700U}) {
    Limiter limiter{192 * 12, kSeed};  // 16 places in each stripe.
    const Limit limit{.requests = requests, .window = seconds{60}};
    const auto key = [&](uint64_t nth) {
      return limiter.address_key(Rule{"r"}, ipv6(0x20010db8abcd0000U, nth), 128);
    };
    for (uint64_t nth = 0; nth < 16; ++nth)
      ASSERT_TRUE(admits(limiter, key(nth), brief, 1'000'000));
    const base::TableKey stranger = key(100);
    for (uint32_t i = 0; i < requests; ++i)
      ASSERT_TRUE(admits(limiter, stranger, limit, 1'100'000 + i)) << requests << " " << i;
    EXPECT_EQ(limiter.look({stranger, limit}, at(1'200'000)).remaining, 0U);
    EXPECT_FALSE(admits(limiter, stranger, limit, 1'200'000));
    EXPECT_FALSE(admits(limiter, stranger, limit, 3'000'000)) << "there is a place now";
    EXPECT_FALSE(admits(limiter, key(101), limit, 3'000'001));
    EXPECT_FALSE(admits(limiter, stranger, limit, 61'000'000));
    EXPECT_TRUE(admits(limiter, stranger, limit, 62'000'000)) << "what was admitted has left";
    limiter.reset(key(101));
    EXPECT_TRUE(admits(limiter, key(101), limit, 3'000'002));
  }
}

// Goal: whatever moves between own and shared entries, no client is admitted more than its limit in
// any window. Method: more clients than places in a table that saves, loses and restores what it
// holds now and then; every admission of each client is kept.
TEST(LimiterTest, AFullTableAdmitsNoClientTooMuch) {
  base::Random random{23};
  const std::array<Limit, 3> limits{Limit{2, seconds{1}}, Limit{5, seconds{7}},
                                    Limit{140, seconds{20}}};
  auto limiter = std::make_unique<Limiter>(192 * 12, kSeed);  // 16 places in each stripe.
  std::map<uint64_t, std::deque<int64_t>> admitted;
  int64_t now = 1'000'000;
  size_t refused = 0;
  size_t shared = 0;
  for (int i = 0; i < 60'000; ++i) {
    now += static_cast<int64_t>(random.below(20'000));
    const uint64_t client = random.below(120);
    const Limit& limit = limits[client % limits.size()];
    const base::TableKey key{.group = (uint64_t{7} << 56U) + client % 9,
                             .member = client * 0x9e3779b97f4a7c15U};
    std::deque<int64_t>& times = admitted[client];
    const int64_t window_us = microseconds{limit.window}.count();
    while (!times.empty() && times.front() <= now - window_us)
      times.pop_front();
    if (admits(*limiter, key, limit, now)) {
      times.push_back(now);
    } else {
      ++refused;
    }
    ASSERT_LE(times.size(), limit.requests) << "client " << client << ", request " << i;
    if (i % 5000 != 4999) continue;
    shared += limiter->counts().shared;
    std::string bytes;
    Limiter::SavePlace place;
    while (limiter->save(place, /*all=*/true, at(now), 100'000, bytes)) {
    }
    limiter = std::make_unique<Limiter>(192 * 12, kSeed);
    ASSERT_TRUE(limiter->restore(std::move(bytes), microseconds{0}, at(now)).ok());
  }
  EXPECT_GT(refused, 1000U);
  EXPECT_GT(shared, 1000U);
}

// Goal: where every place and every shared entry of a stripe is live, it says so and counts
// nothing. Method: keys of one stripe, each a group of its own: 16 places, then 16 shared entries.
TEST(LimiterTest, AStripeWithoutAnyPlaceSaysSoAndCountsNothing) {
  Limiter limiter{192 * 12, kSeed};
  const Limit limit{.requests = 1, .window = seconds{60}};
  const auto key = [](uint64_t nth) {
    return base::TableKey{.group = (uint64_t{7} << 56U) + nth, .member = nth * 0x9e3779b97f4a7c15U};
  };
  const int64_t now = 1'000'000;
  for (uint64_t nth = 1; nth <= 32; ++nth)
    ASSERT_TRUE(admits(limiter, key(nth), limit, now)) << nth;
  EXPECT_EQ(limiter.counts().shared, 16U);
  for (uint64_t nth = 33; nth < 40; ++nth)
    EXPECT_EQ(ask(limiter, key(nth), limit, now).answer, Answer::no_room);
  const std::array<Charge, 2> both{Charge{limiter.value_key(Rule{"r"}, "c"), limit},
                                   Charge{key(40), limit}};
  std::array<Room, 2> rooms{};
  EXPECT_EQ(limiter.admit(both, at(now), rooms).answer, Answer::no_room);
  EXPECT_EQ(limiter.look(both[0], at(now)).remaining, 1U) << "all or none";
  EXPECT_TRUE(admits(limiter, key(41), limit, now + 70'000'000)) << "the expired make room";
}

TEST(LimiterTest, ARequestsOwnEntriesDoNotTakeEachOthersPlace) {
  Limiter limiter{192 * 12, kSeed};
  const Limit limit{.requests = 1, .window = seconds{60}};
  int64_t now = 1'000'000;
  for (uint64_t round = 0; round < 200; ++round) {
    std::vector<Charge> charges;
    for (uint64_t nth = 0; nth < Limiter::kChargesMax; ++nth) {
      const auto address = ipv6(0x20010db8abcd0000U, round * 100 + nth);
      charges.push_back({limiter.address_key(Rule{"r"}, address, 128), limit});
    }
    std::array<Room, Limiter::kChargesMax> rooms{};
    now += 70'000'000;  // All that was there has expired.
    ASSERT_EQ(limiter.admit(charges, at(now), rooms).answer, Answer::admitted);
    for (const Charge& charge : charges)
      ASSERT_EQ(limiter.look(charge, at(now)).remaining, 0U);
  }
}

TEST(LimiterTest, AsManyClientsAsItIsMadeForFitWithoutSharing) {
  constexpr uint32_t kClients = 100'000;
  Limiter limiter{kClients, kSeed};
  const Limit limit{.requests = 60, .window = seconds{60}};
  for (int64_t round = 0; round < 2; ++round) {
    for (uint32_t client = 0; client < kClients; ++client)
      ASSERT_TRUE(admits(limiter, limiter.address_key(Rule{"r"}, ipv4(client * 4099), 64), limit,
                         1 + round * 1'000'000 + client / 1000));
  }
  const Limiter::Counts counts = limiter.counts();
  EXPECT_EQ(counts.entries, kClients);
  EXPECT_EQ(counts.shared, 0U);
  EXPECT_EQ(counts.rounded, 0U);
}

// Six of seven pairs have left the only chunk when one more comes behind its last word.
TEST(LimiterTest, ALogWhoseOnlyChunkIsUsedUpTakesOneMore) {
  Limiter limiter{256, kSeed};  // One chunk for each stripe.
  const base::TableKey key = limiter.value_key(Rule{"r"}, "a");
  const Limit limit{1000, seconds{60}};
  for (int64_t second = 0; second < 7; ++second)
    ASSERT_TRUE(admits(limiter, key, limit, second * 1'000'000));
  const auto [answer, room] = ask(limiter, key, limit, 66'050'000);
  EXPECT_EQ(answer, Answer::admitted);
  EXPECT_EQ(room.remaining, 998U);
}

}  // namespace
}  // namespace weir::limit
