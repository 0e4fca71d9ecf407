#include "sketch/space_saving.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>

#include <gtest/gtest.h>

#include "base/random.h"

namespace weir::sketch {
namespace {

using base::ErrorCode;
using Top = SpaceSaving::Top;
using Exact = std::map<std::string, uint64_t, std::less<>>;

constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();

uint64_t seed() {
  const char* const given = std::getenv("WEIR_SEED");  // NOLINT(concurrency-mt-unsafe): one thread.
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
}

std::string encoded(const SpaceSaving& sketch) {
  std::string bytes;
  sketch.encode(bytes);
  return bytes;
}

SpaceSaving merged(SpaceSaving into, const SpaceSaving& other) {
  into.merge(other);
  return into;
}

// Every promise of the header about `sketch`, given what was really added.
void expect_bounds(const SpaceSaving& sketch, const Exact& exact, uint64_t smallest_capacity) {
  uint64_t total = 0;
  for (const auto& [key, count] : exact)
    total += count;
  ASSERT_EQ(sketch.total(), total);
  ASSERT_LE(sketch.size(), sketch.capacity());
  const uint64_t error_max = total / smallest_capacity;
  ASSERT_LE(sketch.unlisted_max(), error_max);
  Exact unlisted = exact;
  uint64_t before = kMost;
  for (const Top& top : sketch.top(sketch.capacity())) {
    const auto at = unlisted.find(top.key);
    const uint64_t truth = at == unlisted.end() ? 0 : at->second;
    ASSERT_GE(top.count, truth) << top.key;
    ASSERT_LE(top.count - top.overestimate_max, truth) << top.key;
    ASSERT_LE(top.overestimate_max, error_max) << top.key;
    ASSERT_LE(top.count, before) << "in order";
    before = top.count;
    if (at != unlisted.end()) unlisted.erase(at);
  }
  for (const auto& [key, count] : unlisted)
    ASSERT_LE(count, sketch.unlisted_max()) << key << " should be listed";
}

// Streams that are hard for a summary of `capacity` keys.
using Stream = std::vector<std::pair<std::string, uint64_t>>;
std::vector<Stream> hard_streams(base::Random& random, uint64_t capacity) {
  const auto key = [](uint64_t number) { return "/items/" + std::to_string(number); };
  const uint64_t keys = 1 + random.below(6 * capacity);
  std::vector<Stream> streams(6);
  for (uint64_t i = 0; i < 2000; ++i) {
    const double uniform = static_cast<double>(random.next() >> 11U) / 0x1p53;
    streams[0].emplace_back(key(random.below(keys)), 1);
    streams[1].emplace_back(key(static_cast<uint64_t>(1 / (uniform + 1e-4))), 1);  // Heavy tail.
    streams[2].emplace_back(key(i % keys), 1);                                     // In turn.
    streams[3].emplace_back(key(i), 1);                                            // All new.
    streams[4].emplace_back(key(random.below(keys)), 1 + (random.below(1000) >> random.below(11)));
    // One frequent key, which comes only after everything else.
    streams[5].emplace_back(i < 1500 ? key(i) : "late", 1);
  }
  return streams;
}

Exact counted(const Stream& stream) {
  Exact exact;
  for (const auto& [key, count] : stream)
    exact[key] += count;
  return exact;
}

SpaceSaving summary(const Stream& stream, uint32_t capacity) {
  SpaceSaving sketch{capacity};
  for (const auto& [key, count] : stream)
    sketch.add(key, count);
  return sketch;
}

TEST(SpaceSavingTest, IsEmptyAtFirst) {
  const SpaceSaving sketch{10};
  EXPECT_TRUE(sketch.empty());
  EXPECT_EQ(sketch.total(), 0U);
  EXPECT_TRUE(sketch.top(5).empty());
  EXPECT_LE(sketch.memory_bytes(), 128U);
}

TEST(SpaceSavingTest, IsExactUpToItsCapacityAndBoundedOneBeyond) {
  SpaceSaving sketch{3};
  sketch.add("a", 5);
  sketch.add("b", 2);
  sketch.add("c");
  sketch.add("b", 4);
  EXPECT_EQ(sketch.top(2), (std::vector<Top>{{"b", 6, 0}, {"a", 5, 0}}));
  EXPECT_EQ(sketch.unlisted_max(), 0U);
  sketch.add("d", 1);
  EXPECT_EQ(sketch.top(9), (std::vector<Top>{{"b", 6, 0}, {"a", 5, 0}, {"d", 2, 1}}));
  EXPECT_EQ(sketch.unlisted_max(), 1U);
  EXPECT_EQ(sketch.total(), 13U);
}

TEST(SpaceSavingTest, WorksWithACapacityOfOne) {
  SpaceSaving sketch{1};
  for (const char* const key : {"a", "b", "a", "c"})
    sketch.add(key);
  EXPECT_EQ(sketch.top(1), (std::vector<Top>{{"c", 4, 3}}));
}

TEST(SpaceSavingTest, EqualCountsAreOrderedByKey) {
  SpaceSaving sketch{3};
  for (const char* const key : {"c", "a", "b", "d"})
    sketch.add(key);
  // "c" was the last of the lowest.
  EXPECT_EQ(sketch.top(3), (std::vector<Top>{{"d", 2, 1}, {"a", 1, 0}, {"b", 1, 0}}));
}

// Goal: the error bounds hold on every stream. Method: hard streams, compared with exact counts.
TEST(SpaceSavingTest, KeepsItsBoundsOnHardStreams) {
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed()));
  base::Random random{seed()};
  for (const uint32_t capacity : {1U, 2U, 7U, 50U, 300U}) {
    for (const Stream& stream : hard_streams(random, capacity)) {
      const SpaceSaving sketch = summary(stream, capacity);
      ASSERT_NO_FATAL_FAILURE(expect_bounds(sketch, counted(stream), capacity)) << capacity;
    }
  }
}

TEST(SpaceSavingTest, ListsEveryKeyThatIsFrequentEnough) {
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed()));
  base::Random random{seed()};
  SpaceSaving sketch{100};
  for (uint64_t i = 0; i < 20'000; ++i)
    sketch.add(i % 50 == 0 ? "frequent" : "/scan/" + std::to_string(random.next()));
  const std::vector<Top> top = sketch.top(1);
  EXPECT_EQ(top[0].key, "frequent");
  EXPECT_GE(top[0].count, 400U);
  EXPECT_LE(top[0].count, 600U);
}

// Goal: the bounds survive merging, of any capacities, again and again, with adds in between.
// Method: a random stream dealt to several sketches, which are merged in a random tree.
TEST(SpaceSavingTest, KeepsItsBoundsThroughMerging) {
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed()));
  base::Random random{seed()};
  for (int round = 0; round < 5; ++round) {
    const bool mixed = round % 3 == 0;
    const auto capacity = static_cast<uint32_t>(1 + random.below(60));
    for (const Stream& stream : hard_streams(random, capacity)) {
      std::vector<SpaceSaving> parts;
      std::vector<Exact> exact(5);
      uint64_t smallest = kMost;
      for (size_t i = 0; i < exact.size(); ++i) {
        parts.emplace_back(mixed ? static_cast<uint32_t>(1 + random.below(60)) : capacity);
        smallest = std::min<uint64_t>(smallest, parts.back().capacity());
      }
      for (size_t at = 0; at < stream.size(); ++at) {
        const auto& [key, count] = stream[at];
        const size_t i = random.below(parts.size());
        parts[i].add(key, count);
        exact[i][key] += count;
        if (at % 500 == 499 && parts.size() > 1) {
          parts.front().merge(parts.back());
          for (const auto& [merged_key, more] : exact[parts.size() - 1])
            exact[0][merged_key] += more;
          parts.pop_back();
          ASSERT_NO_FATAL_FAILURE(expect_bounds(parts[0], exact[0], smallest)) << round;
        }
      }
      ASSERT_NO_FATAL_FAILURE(expect_bounds(parts[0], exact[0], smallest)) << round;
    }
  }
}

TEST(SpaceSavingTest, MergingIsAddingWhileEverythingFits) {
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed()));
  base::Random random{seed()};
  for (int round = 0; round < 50; ++round) {
    std::array<Stream, 3> parts;
    Stream all;
    for (Stream& part : parts) {
      for (uint64_t left = random.below(100); left > 0; --left)
        part.emplace_back(std::to_string(random.below(40)), 1 + random.below(9));
      all.insert(all.begin(), part.begin(), part.end());
    }
    const SpaceSaving a = summary(parts[0], 40);
    const SpaceSaving b = summary(parts[1], 40);
    const SpaceSaving c = summary(parts[2], 40);
    const std::string expected = encoded(summary(all, 40));
    ASSERT_EQ(encoded(merged(merged(a, b), c)), expected);
    ASSERT_EQ(encoded(merged(a, merged(b, c))), expected);
    ASSERT_EQ(encoded(merged(c, merged(b, a))), expected);
  }
}

TEST(SpaceSavingTest, MergingIsCommutativeEvenWhenKeysAreDropped) {
  base::Random random{seed()};
  for (int round = 0; round < 20; ++round) {
    const std::vector<Stream> streams = hard_streams(random, 20);
    for (size_t i = 0; i + 1 < streams.size(); ++i) {
      const SpaceSaving a = summary(streams[i], 20);
      const SpaceSaving b = summary(streams[i + 1], 20);
      ASSERT_EQ(encoded(merged(a, b)), encoded(merged(b, a)));
    }
  }
}

TEST(SpaceSavingTest, MergingWithItselfDoublesEachCount) {
  SpaceSaving sketch{2};
  for (const char* const key : {"a", "a", "b", "c"})
    sketch.add(key);
  sketch.merge(sketch);
  EXPECT_EQ(sketch.top(2), (std::vector<Top>{{"a", 4, 0}, {"c", 4, 2}}));
  EXPECT_EQ(sketch.total(), 8U);
  EXPECT_EQ(sketch.unlisted_max(), 2U);
}

// Goal: what happens next depends on nothing that is not stored. Method: one sketch stays in
// memory, the other is written and read back at random moments; both must stay equal.
TEST(SpaceSavingTest, GoesOnAfterReadingBackAsIfItHadNeverLeft) {
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed()));
  base::Random random{seed()};
  for (const Stream& stream : hard_streams(random, 30)) {
    SpaceSaving stayed{30};
    SpaceSaving travelled{30};
    for (const auto& [key, count] : stream) {
      stayed.add(key, count);
      travelled.add(key, count);
      if (random.below(20) > 0) continue;
      const auto read = SpaceSaving::decode(encoded(travelled));
      ASSERT_TRUE(read.ok());
      travelled = read.value();
      ASSERT_TRUE(travelled == stayed);
    }
    ASSERT_EQ(encoded(travelled), encoded(stayed));
  }
}

TEST(SpaceSavingTest, CutsKeysAtTheirLimit) {
  SpaceSaving sketch{4};
  const std::string longest(SpaceSaving::kKeyBytesMax, 'x');
  sketch.add(longest);
  sketch.add(longest + 'y');
  sketch.add(longest + 'z');
  EXPECT_EQ(sketch.top(4), (std::vector<Top>{{longest, 3, 0}}));
  EXPECT_TRUE(SpaceSaving::decode(encoded(sketch)).value() == sketch);
}

TEST(SpaceSavingTest, MemoryStaysBoundedWhateverTheKeys) {
  base::Random random{seed()};
  SpaceSaving sketch{50};
  for (int i = 0; i < 5000; ++i)
    sketch.add(std::string(random.below(3000), 'k') + std::to_string(i));
  EXPECT_EQ(sketch.size(), 50U);
  EXPECT_LE(sketch.memory_bytes(), 50U * (2 * SpaceSaving::kKeyBytesMax + 150) + 200);
}

TEST(SpaceSavingTest, CountsStopAtTheLargestInsteadOfWrapping) {
  SpaceSaving sketch{2};
  sketch.add("a", kMost);
  sketch.add("a", 5);
  sketch.add("b", kMost);
  sketch.add("c", 2);
  EXPECT_EQ(sketch.total(), kMost);
  EXPECT_EQ(sketch.top(1)[0].count, kMost);
  sketch.merge(sketch);
  const auto read = SpaceSaving::decode(encoded(sketch));
  ASSERT_TRUE(read.ok());
  EXPECT_TRUE(read.value() == sketch);
}

TEST(SpaceSavingTest, ACountOfZeroLeavesNoTrace) {
  SpaceSaving sketch{2};
  sketch.add("a", 0);
  EXPECT_TRUE(sketch == SpaceSaving{2});
}

TEST(SpaceSavingTest, BytesStayWhatTheyAre) {
  SpaceSaving sketch{2};
  for (const char* const key : {"b", "b", "xy", "", "b"})
    sketch.add(key);
  EXPECT_EQ(encoded(sketch), std::string("\1\2\5\1\2"
                                         "\0\2\1"
                                         "\1b\3\0",
                                         12));
}

TEST(SpaceSavingTest, RefusesBytesThatItDoesNotWrite) {
  const std::string zero(1, '\0');
  const std::string most = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1";
  const std::string long_key(SpaceSaving::kKeyBytesMax + 1, 'x');
  const std::vector<std::pair<std::string, std::string>> cases{
      {"nothing", ""},
      {"unknown version", "\2\2" + zero + zero + zero},
      {"capacity 0", "\1" + zero + zero + zero + zero},
      {"capacity one beyond the limit", "\1\x81\x80\1" + zero + zero + zero},
      {"no number of keys", "\1\2\5\1"},
      {"more keys than the capacity", "\1\1\2" + zero + "\2\1a\1" + zero + "\1b\1" + zero},
      {"a huge number of keys", "\1\x80\x80\1\2" + zero + "\x80\x80\1"},
      {"unlisted over the total", "\1\2\1\2" + zero},
      {"total not in shortest form", "\1\2\x80" + zero + zero + zero},
      {"key cut short", "\1\2\5" + zero + "\1\5abc"},
      {"key one byte too long", "\1\2\5" + zero + "\1\x81\x10" + long_key + "\1" + zero},
      {"keys out of order", "\1\2\5" + zero + "\2\1b\1" + zero + "\1a\1" + zero},
      {"a key twice", "\1\2\5" + zero + "\2\1a\1" + zero + "\1a\1" + zero},
      {"count 0", "\1\2\5" + zero + "\1\1a" + zero + zero},
      {"count under the unlisted", "\1\1\5\2\1\1a\1" + zero},
      {"count over the total", "\1\1\5\3\1\1a\6\3"},
      {"overestimate over the unlisted", "\1\1\5\1\1\1a\3\2"},
      {"certain counts over the total", "\1\2\5" + zero + "\2\1a\3" + zero + "\1b\3" + zero},
      {"trailing byte", "\1\2\5" + zero + "\1\1a\5" + zero + zero},
  };
  for (const auto& [name, bytes] : cases) {
    const auto sketch = SpaceSaving::decode(bytes);
    ASSERT_FALSE(sketch.ok()) << name;
    EXPECT_EQ(sketch.error().code, ErrorCode::corrupt) << name;
  }
  EXPECT_TRUE(SpaceSaving::decode("\1\x80\x80\1" + zero + zero + zero).ok()) << "largest capacity";
  EXPECT_TRUE(
      SpaceSaving::decode("\1\2\5" + zero + "\1\x80\x10" + long_key.substr(1) + "\5" + zero).ok())
      << "longest key";
  EXPECT_TRUE(SpaceSaving::decode("\1\1\5\3\1\1a\5\3").ok()) << "all at their limits";
}

TEST(SpaceSavingTest, RefusesEveryPrefixOfGoodBytes) {
  base::Random random{seed()};
  const std::string bytes = encoded(summary(hard_streams(random, 20)[1], 20));
  for (size_t size = 0; size < bytes.size(); ++size)
    ASSERT_FALSE(SpaceSaving::decode(std::string_view{bytes}.substr(0, size)).ok()) << size;
}

}  // namespace
}  // namespace weir::sketch
