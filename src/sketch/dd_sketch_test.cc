#include "sketch/dd_sketch.h"

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

constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();

uint64_t seed() {
  const char* const given = std::getenv("WEIR_SEED");  // NOLINT(concurrency-mt-unsafe): one thread.
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
}

std::string encoded(const DdSketch& sketch) {
  std::string bytes;
  sketch.encode(bytes);
  return bytes;
}

DdSketch of(const std::vector<uint64_t>& values) {
  DdSketch sketch;
  for (const uint64_t value : values)
    sketch.add(value);
  return sketch;
}

DdSketch merged(DdSketch into, const DdSketch& other) {
  into.merge(other);
  return into;
}

// The value that stands for the bucket of `us`.
uint64_t rounded(uint64_t us) {
  return of({us}).at_rank(0);
}

// In integers: |answer - exact| <= exact / 100.
bool within_one_percent(uint64_t answer, uint64_t exact) {
  const uint64_t error = answer > exact ? answer - exact : exact - answer;
  return error * 100 <= exact;
}

// Anything up to `bound`, small numbers as likely as large ones.
uint64_t any_size(base::Random& random, uint64_t bound) {
  return random.next() % (bound + 1) >> random.below(38);
}

// The largest value of each bucket, by the definition in the header.
std::vector<uint64_t> bucket_ends() {
  std::vector<uint64_t> ends{0};
  while (ends.size() < DdSketch::kBuckets) {
    const uint64_t low = ends.back() + 1;
    ends.push_back((low + low / 100) * 100 / 99);
  }
  return ends;
}

TEST(DdSketchTest, IsSmallAndZeroWhenEmpty) {
  const DdSketch sketch;
  EXPECT_TRUE(sketch.empty());
  EXPECT_EQ(sketch.count(), 0U);
  EXPECT_EQ(sketch.quantile(0), 0U);
  EXPECT_EQ(sketch.quantile(1), 0U);
  EXPECT_EQ(sketch.at_rank(5), 0U);
  EXPECT_LE(sketch.memory_bytes(), 48U);
  EXPECT_EQ(encoded(sketch), std::string("\1\0", 2));
}

TEST(DdSketchTest, SmallValuesAreExactAndAllOthersWithinOnePercent) {
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed()));
  for (uint64_t value = 0; value <= 98; ++value)
    ASSERT_EQ(rounded(value), value);
  for (uint64_t value = 99; value <= 20'000; ++value)
    ASSERT_TRUE(within_one_percent(rounded(value), value)) << value << ": " << rounded(value);
  base::Random random{seed()};
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t value = any_size(random, DdSketch::kValueMax);
    ASSERT_TRUE(within_one_percent(rounded(value), value)) << value << ": " << rounded(value);
  }
}

TEST(DdSketchTest, BucketsAreThoseOfTheDefinitionOnBothSidesOfEveryEdge) {
  const std::vector<uint64_t> ends = bucket_ends();
  ASSERT_EQ(ends.back(), DdSketch::kValueMax);
  uint64_t low = 1;
  for (size_t bucket = 1; bucket < ends.size(); ++bucket) {
    const uint64_t stands_for_it = low + low / 100;
    ASSERT_EQ(rounded(low), stands_for_it) << bucket;
    ASSERT_EQ(rounded((low + ends[bucket]) / 2), stands_for_it) << bucket;
    ASSERT_EQ(rounded(ends[bucket]), stands_for_it) << bucket;
    ASSERT_TRUE(within_one_percent(stands_for_it, low)) << bucket;
    ASSERT_TRUE(within_one_percent(stands_for_it, ends[bucket])) << bucket;
    low = ends[bucket] + 1;
  }
}

TEST(DdSketchTest, WhatIsBeyondTheRangeIsCountedInTheLastBucket) {
  const DdSketch last = of({DdSketch::kValueMax});
  EXPECT_TRUE(within_one_percent(last.quantile(0.5), DdSketch::kValueMax));
  EXPECT_GE(DdSketch::kValueMax, 86'400'000'000U) << "a day";
  EXPECT_TRUE(of({DdSketch::kValueMax + 1}) == last);
  EXPECT_TRUE(of({kMost}) == last);
  EXPECT_EQ(of({0, kMost}).count(), 2U);
}

TEST(DdSketchTest, RanksAndQuantilesAreThoseOfTheFoundingDocument) {
  std::vector<uint64_t> values;
  for (uint64_t value = 98; value >= 1; --value)
    values.push_back(value);
  DdSketch sketch = of(values);
  EXPECT_EQ(sketch.quantile(0), 1U);
  EXPECT_EQ(sketch.quantile(0.5), 49U);   // floor(48.5) = 48, the 49th.
  EXPECT_EQ(sketch.quantile(0.95), 93U);  // floor(92.15) = 92, the 93rd.
  EXPECT_EQ(sketch.quantile(1), 98U);
  EXPECT_EQ(sketch.at_rank(0), 1U);
  EXPECT_EQ(sketch.at_rank(97), 98U);
  EXPECT_EQ(sketch.at_rank(98), 98U) << "beyond the last";
  const DdSketch two = of({10, 20});
  EXPECT_EQ(two.quantile(0.5), 10U);
  EXPECT_EQ(two.quantile(0.95), 10U);
  EXPECT_EQ(two.at_rank(1), 20U);
}

// 0.29 * 100 is 28.999999999999996 in doubles.
TEST(DdSketchTest, AQuantileThatFallsOnARankIsNotLostToRounding) {
  DdSketch sketch;
  for (uint64_t value = 0; value < 90; ++value)
    sketch.add(value);
  sketch.add(90, 11);
  ASSERT_EQ(sketch.count(), 101U);
  for (uint64_t percent = 0; percent < 90; ++percent)
    EXPECT_EQ(sketch.quantile(static_cast<double>(percent) / 100), percent);
}

std::vector<std::pair<std::string, std::vector<uint64_t>>> hard_distributions(uint64_t from) {
  base::Random random{from};
  const auto uniform = [&] { return static_cast<double>(random.next() >> 11U) / 0x1p53; };
  const auto many = [](size_t count, auto make) {
    std::vector<uint64_t> values(count);
    for (uint64_t& value : values)
      value = static_cast<uint64_t>(make());
    return values;
  };
  std::vector<uint64_t> ascending(20'000);
  for (size_t i = 0; i < ascending.size(); ++i)
    ascending[i] = i * i;
  std::vector<uint64_t> descending{ascending.rbegin(), ascending.rend()};
  return {
      {"one value", {123'456}},
      {"constant", std::vector<uint64_t>(5000, 777'777)},
      {"uniform", many(20'000, [&] { return uniform() * 1e6; })},
      {"uniform over the whole range", many(20'000, [&] { return uniform() * 1.449e11; })},
      {"log-uniform over the whole range",
       many(20'000, [&] { return std::exp(uniform() * 25.6); })},
      {"heavy tail", many(20'000, [&] { return std::min(500 / std::pow(uniform(), 2), 1.4e11); })},
      {"exponential", many(20'000, [&] { return -std::log(1 - uniform()) * 30'000; })},
      {"bimodal",
       many(20'000,
            [&] { return uniform() < 0.9 ? 200 + uniform() * 20 : 3e7 * (1 + uniform()); })},
      {"two values at an edge of buckets", many(1001, [&] { return 100 + random.below(2); })},
      {"two values at an edge of large buckets",
       many(1001, [&] { return bucket_ends()[900] + random.below(2); })},
      {"half zero", many(1000, [&] { return uniform() < 0.5 ? 0.0 : 5e9; })},
      {"one outlier", many(1000, [&, i = 0]() mutable { return ++i == 500 ? 1e11 : 1000.0; })},
      {"ascending", ascending},
      {"descending", descending},
  };
}

// Goal: each quantile is within 1 % of the exact order statistic, however hard the distribution.
// Method: compared with the sorted values at every thousandth and near both ends.
TEST(DdSketchTest, EveryQuantileOfHardDistributionsIsWithinOnePercent) {
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed()));
  for (auto& [name, values] : hard_distributions(seed())) {
    const DdSketch sketch = of(values);
    std::sort(values.begin(), values.end());
    const auto last = static_cast<double>(values.size() - 1);
    std::vector<double> grid{1e-9, 0.0001, 0.9999, 0.99999, 1 - 1e-9};
    for (int i = 0; i <= 1000; ++i)
      grid.push_back(i / 1000.0);
    for (const double q : grid) {
      const auto rank = static_cast<size_t>(std::floor(q * last * (1 + 0x1p-51)));
      const uint64_t exact = values[std::min(rank, values.size() - 1)];
      ASSERT_TRUE(within_one_percent(sketch.quantile(q), exact))
          << name << ", q = " << q << ": " << sketch.quantile(q) << " for " << exact;
    }
    ASSERT_EQ(sketch.count(), values.size());
  }
}

// Goal: merging is adding: in any order, grouping and split, through any encoding, whatever the
// width of the counters. Method: random parts, compared byte for byte with one sketch of all.
TEST(DdSketchTest, MergingIsAddingEverythingByteForByte) {
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed()));
  base::Random random{seed()};
  for (int round = 0; round < 300; ++round) {
    std::array<DdSketch, 3> parts;
    DdSketch whole;
    std::map<uint64_t, uint64_t> exact;  // By the value that stands for the bucket.
    for (DdSketch& part : parts) {
      for (uint64_t left = random.below(60); left > 0; --left) {
        const uint64_t value = any_size(random, DdSketch::kValueMax);
        const uint64_t count = 1 + (any_size(random, 1U << 17U) << (round % 3 * 8));
        part.add(value, count);
        exact[rounded(value)] += count;
      }
    }
    for (const auto& [value, count] : exact)
      whole.add(value, count);
    const auto& [a, b, c] = parts;
    const std::string expected = encoded(whole);
    ASSERT_EQ(encoded(merged(merged(a, b), c)), expected);
    ASSERT_EQ(encoded(merged(a, merged(b, c))), expected);
    ASSERT_EQ(encoded(merged(c, merged(b, a))), expected);
    ASSERT_TRUE(merged(merged(b, c), a) == whole);
    ASSERT_EQ(merged(merged(a, b), c).count(), a.count() + b.count() + c.count());
    const DdSketch read = DdSketch::decode(expected).value();
    ASSERT_TRUE(read == whole);
    ASSERT_EQ(read.memory_bytes(), whole.memory_bytes());
    ASSERT_EQ(encoded(merged(DdSketch{}, read)), expected);
  }
}

TEST(DdSketchTest, MergingWithItselfDoublesEachCount) {
  DdSketch sketch;
  sketch.add(10, 200);  // One byte holds 200, but not 400.
  sketch.add(5'000'000, 3);
  sketch.merge(sketch);
  DdSketch expected;
  expected.add(10, 400);
  expected.add(5'000'000, 6);
  EXPECT_TRUE(sketch == expected);
  EXPECT_EQ(encoded(sketch), encoded(expected));
}

TEST(DdSketchTest, CountersWidenAtTheirLimitsAndLoseNothing) {
  for (const uint64_t limit : {uint64_t{0xff}, uint64_t{0xffff}, uint64_t{0xffff'ffff}}) {
    DdSketch sketch;
    sketch.add(1'000'000, limit);
    sketch.add(7, 1);
    const size_t before = sketch.memory_bytes();
    sketch.add(7, limit - 1);
    EXPECT_EQ(sketch.memory_bytes(), before) << limit;
    sketch.add(7, 1);
    EXPECT_GT(sketch.memory_bytes(), before) << limit;
    EXPECT_EQ(sketch.count(), 2 * limit + 1);
    EXPECT_EQ(sketch.at_rank(limit), 7U);
    EXPECT_EQ(sketch.at_rank(limit + 1), rounded(1'000'000));
    EXPECT_TRUE(DdSketch::decode(encoded(sketch)).value() == sketch);
  }
}

TEST(DdSketchTest, CountsStopAtTheLargestInsteadOfWrapping) {
  DdSketch sketch;
  sketch.add(5, kMost - 1);
  sketch.add(5, 1);
  EXPECT_EQ(sketch.count(), kMost);
  sketch.add(5, 1);
  sketch.add(90, kMost);
  EXPECT_EQ(sketch.count(), kMost);
  EXPECT_EQ(sketch.quantile(0.5), 5U);
  EXPECT_EQ(sketch.quantile(1), 90U);
  const auto read = DdSketch::decode(encoded(sketch));
  ASSERT_TRUE(read.ok());
  EXPECT_TRUE(read.value() == sketch);
  EXPECT_TRUE(merged(sketch, sketch) == sketch);
}

TEST(DdSketchTest, ACountOfZeroLeavesNoTrace) {
  DdSketch sketch;
  sketch.add(5, 0);
  EXPECT_TRUE(sketch == DdSketch{});
  EXPECT_LE(sketch.memory_bytes(), 48U);
}

TEST(DdSketchTest, MemoryFollowsTheNumberOfBucketsInUse) {
  DdSketch sketch;
  sketch.add(5000);
  EXPECT_LE(sketch.memory_bytes(), 48U + 18U);
  for (int i = 0; i < 200; ++i)
    sketch.add(5000);
  EXPECT_LE(sketch.memory_bytes(), 48U + 18U);
  for (uint64_t value = 1000; value < 100'000; value += 500)
    sketch.add(value);
  EXPECT_LE(sketch.memory_bytes(), 350U) << "two decades of latencies";
  DdSketch full;
  for (const uint64_t end : bucket_ends())
    full.add(end, kMost);
  EXPECT_EQ(full.memory_bytes(), 48U + 8U * DdSketch::kBuckets);
}

TEST(DdSketchTest, BytesStayWhatTheyAre) {
  DdSketch sketch;
  sketch.add(0);
  sketch.add(3, 2);
  sketch.add(5000, 300);
  sketch.add(kMost);
  // Bucket 0 once; bucket 3 (gap 2) twice; bucket 292 (gap 288), 298 more than 2; bucket 1151.
  EXPECT_EQ(encoded(sketch), std::string("\1\4\0\5\0\xc1\4\xaa\2\xb4\x0d", 11));
}

TEST(DdSketchTest, RefusesBytesThatItDoesNotWrite) {
  std::string too_many = "\1\x81\x09";  // 1153 buckets.
  too_many.append(1153, '\0');
  const std::vector<std::pair<std::string, std::string>> cases{
      {"nothing", ""},
      {"unknown version", std::string("\2\0", 2)},
      {"version 0", std::string("\0\0", 2)},
      {"no number of buckets", "\1"},
      {"number not in shortest form", std::string("\1\x80\0", 3)},
      {"fewer buckets than said", std::string("\1\2\0", 3)},
      {"a huge number of buckets", "\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"},
      {"one bucket too many", too_many},
      {"trailing byte", std::string("\1\1\0\0", 4)},
      {"bucket 1152", "\1\1\x80\x12"},
      {"second bucket out of range", std::string("\1\2\xfe\x11\0", 5)},
      {"gap that wraps", std::string("\1\2\2\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1", 13)},
      {"count missing", "\1\1\1"},
      {"count over 2^64 - 1", "\1\1\1\xfe\xff\xff\xff\xff\xff\xff\xff\xff\1"},
  };
  for (const auto& [name, bytes] : cases) {
    const auto sketch = DdSketch::decode(bytes);
    ASSERT_FALSE(sketch.ok()) << name;
    EXPECT_EQ(sketch.error().code, ErrorCode::corrupt) << name;
  }
  EXPECT_TRUE(DdSketch::decode("\1\1\xfe\x11").ok()) << "bucket 1151";
  EXPECT_TRUE(DdSketch::decode("\1\1\1\xfd\xff\xff\xff\xff\xff\xff\xff\xff\1").ok()) << "2^64 - 1";
  too_many = "\1\x80\x09" + std::string(1152, '\0');
  EXPECT_TRUE(DdSketch::decode(too_many).ok()) << "every bucket";
}

TEST(DdSketchTest, RefusesEveryPrefixOfGoodBytes) {
  const std::string bytes = encoded(of(hard_distributions(seed())[3].second));
  for (size_t size = 0; size < bytes.size(); ++size)
    ASSERT_FALSE(DdSketch::decode(std::string_view{bytes}.substr(0, size)).ok()) << size;
}

}  // namespace
}  // namespace weir::sketch
