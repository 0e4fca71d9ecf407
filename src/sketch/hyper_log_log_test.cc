#include "sketch/hyper_log_log.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include <gtest/gtest.h>

#include "base/random.h"

namespace weir::sketch {
namespace {

using base::ErrorCode;

uint64_t seed() {
  const char* const given = std::getenv("WEIR_SEED");  // NOLINT(concurrency-mt-unsafe): one thread.
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
}

std::string encoded(const HyperLogLog& sketch) {
  std::string bytes;
  sketch.encode(bytes);
  return bytes;
}

bool is_dense(const HyperLogLog& sketch) {
  return encoded(sketch)[1] == 1;
}

std::vector<uint64_t> random_hashes(base::Random& random, size_t count) {
  std::vector<uint64_t> hashes(count);
  for (uint64_t& hash : hashes)
    hash = random.next();
  return hashes;
}

HyperLogLog of(const std::vector<uint64_t>& hashes) {
  HyperLogLog sketch;
  for (const uint64_t hash : hashes)
    sketch.add(hash);
  return sketch;
}

HyperLogLog merged(HyperLogLog into, const HyperLogLog& other) {
  into.merge(other);
  return into;
}

// What all 2^14 registers must hold after `hashes`, computed one bit at a time.
std::vector<int> expected_ranks(const std::vector<uint64_t>& hashes) {
  std::vector<int> ranks(HyperLogLog::kRegisters);
  for (const uint64_t hash : hashes) {
    int rank = 1;
    for (int bit = 49; bit >= 0 && (hash >> bit & 1U) == 0; --bit)
      ++rank;
    int& at = ranks[hash >> 50U];
    at = std::max(at, rank);
  }
  return ranks;
}

std::vector<int> stored_ranks(const HyperLogLog& dense) {
  const std::string bytes = encoded(dense);
  std::vector<int> ranks;
  for (size_t bit = 16; bit < bytes.size() * 8; bit += 6) {
    int rank = 0;
    for (size_t i = 0; i < 6; ++i)
      rank |= (static_cast<uint8_t>(bytes[(bit + i) / 8]) >> ((bit + i) % 8) & 1) << i;
    ranks.push_back(rank);
  }
  return ranks;
}

TEST(HyperLogLogTest, IsSmallAndZeroWhenEmpty) {
  const HyperLogLog sketch;
  EXPECT_TRUE(sketch.empty());
  EXPECT_EQ(sketch.estimate(), 0U);
  EXPECT_LE(sketch.memory_bytes(), 32U);
  EXPECT_EQ(encoded(sketch), std::string("\1\0\0", 3));
}

TEST(HyperLogLogTest, MemoryGrowsWithWhatIsInIt) {
  base::Random random{seed()};
  HyperLogLog sketch;
  for (size_t count = 1; count <= HyperLogLog::kSparseMax; ++count) {
    sketch.add(random.next());
    ASSERT_LE(sketch.memory_bytes(), 48 + 8 * count) << count;
  }
  for (int i = 0; i < 100'000; ++i)
    sketch.add(random.next());
  EXPECT_LE(sketch.memory_bytes(), 32U + HyperLogLog::kRegisters);
}

TEST(HyperLogLogTest, TurnsDenseOneBeyondTheSparseLimit) {
  HyperLogLog sketch;
  for (uint64_t i = 0; i < HyperLogLog::kSparseMax; ++i)
    sketch.add(i * 0x9e3779b97f4a7c15U);
  EXPECT_FALSE(is_dense(sketch));
  EXPECT_EQ(sketch.estimate(), HyperLogLog::kSparseMax);
  sketch.add(0);
  EXPECT_FALSE(is_dense(sketch)) << "nothing new";
  sketch.add(HyperLogLog::kSparseMax * 0x9e3779b97f4a7c15U);
  EXPECT_TRUE(is_dense(sketch));
  EXPECT_EQ(encoded(sketch).size(), HyperLogLog::kEncodedBytesMax);
}

// WEIR_SKETCHES= says with how many sketches errors are measured (40).
int sketches() {
  const char* const given = std::getenv("WEIR_SKETCHES");  // NOLINT(concurrency-mt-unsafe)
  return given != nullptr ? std::atoi(given) : 40;
}

// Goal: while sparse, only those are missed that share their first 25 bits with another. Method:
// the number missed over many sketches is Poisson distributed; at most 4 standard deviations (and
// 3, where hardly any are expected) above its mean.
TEST(HyperLogLogTest, CountsFewClientsAllButExactly) {
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed()));
  base::Random random{seed()};
  for (const uint64_t size : {1U, 10U, 100U, 1000U, 3072U}) {
    uint64_t missed = 0;
    for (int i = 0; i < sketches(); ++i) {
      const std::vector<uint64_t> hashes = random_hashes(random, size);
      HyperLogLog sketch = of(hashes);
      for (const uint64_t hash : hashes)
        sketch.add(hash);
      ASSERT_LE(sketch.estimate(), size);
      missed += size - sketch.estimate();
    }
    const double mean = sketches() * static_cast<double>(size * size) / 0x1p26;
    EXPECT_LE(static_cast<double>(missed), mean + 4 * std::sqrt(mean) + 3) << size;
  }
}

// Goal: the registers are what the definition says, whichever way they were reached. Method:
// registers computed bit by bit, against adding when dense, turning dense, and merging, over hashes
// whose ranks are spread evenly over all that exist.
TEST(HyperLogLogTest, RegistersAreThoseOfTheDefinition) {
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed()));
  base::Random random{seed()};
  std::vector<uint64_t> hashes = random_hashes(random, 10'000);
  for (uint64_t& hash : hashes) {
    const uint64_t keep = ~uint64_t{0} << 50U;
    hash = (hash & keep) | (hash & ~keep) >> random.below(51);
  }
  const HyperLogLog whole = of(hashes);
  ASSERT_TRUE(is_dense(whole));
  EXPECT_EQ(stored_ranks(whole), expected_ranks(hashes));
  HyperLogLog from_pieces;
  for (size_t at = 0; at < hashes.size(); at += 100)
    from_pieces.merge(of({hashes.begin() + static_cast<std::ptrdiff_t>(at),
                          hashes.begin() + static_cast<std::ptrdiff_t>(at + 100)}));
  EXPECT_EQ(stored_ranks(from_pieces), expected_ranks(hashes));
}

TEST(HyperLogLogTest, TheExtremesOfAHashAreTheExtremesOfARank) {
  std::vector<uint64_t> hashes{
      0, 1, uint64_t{1} << 38U, uint64_t{1} << 39U, uint64_t{1} << 49U, ~uint64_t{0}};
  EXPECT_EQ(of(hashes).estimate(), 4U) << "the first three share 25 bits";
  base::Random random{seed()};
  for (int i = 0; i < 5000; ++i)
    hashes.push_back(random.next() | uint64_t{1} << 63U);
  for (const uint64_t only : {hashes[0], hashes[1], hashes[2], hashes[3], hashes[4], hashes[5]}) {
    std::vector<uint64_t> some{hashes.begin() + 6, hashes.end()};
    some.insert(some.begin(), only);
    EXPECT_EQ(stored_ranks(of(some)), expected_ranks(some)) << only;
  }
  EXPECT_EQ(stored_ranks(of(hashes))[0], HyperLogLog::kRankMax);
}

// Goal: merging is a union: in any order, any grouping, any number of times, through any encoding,
// across the change from sparse to dense. Method: random overlapping sets of sizes about the limit,
// compared byte for byte with the sketch of their union.
TEST(HyperLogLogTest, MergingIsTheUnionByteForByte) {
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed()));
  base::Random random{seed()};
  const std::array<size_t, 8> sizes{0, 1, 7, 800, 1536, 3071, 3072, 9000};
  for (int round = 0; round < 25; ++round) {
    const std::vector<uint64_t> pool = random_hashes(random, 12'000);
    std::array<std::vector<uint64_t>, 3> parts;
    std::vector<uint64_t> all;
    for (std::vector<uint64_t>& part : parts) {
      const size_t size = sizes[random.below(sizes.size())];
      const size_t from = random.below(pool.size() - size);
      for (size_t i = 0; i < size; ++i)
        part.push_back(pool[from + i]);
      all.insert(all.end(), part.begin(), part.end());
    }
    std::reverse(all.begin(), all.end());
    const std::string expected = encoded(of(all));
    const HyperLogLog a = of(parts[0]);
    const HyperLogLog b = of(parts[1]);
    const HyperLogLog c = of(parts[2]);
    ASSERT_EQ(encoded(merged(merged(a, b), c)), expected);
    ASSERT_EQ(encoded(merged(a, merged(b, c))), expected);
    ASSERT_EQ(encoded(merged(c, merged(b, a))), expected);
    const HyperLogLog read = HyperLogLog::decode(expected).value();
    ASSERT_EQ(encoded(merged(read, b)), expected) << "idempotent";
    ASSERT_EQ(encoded(merged(a, read)), expected) << "absorbing";
    ASSERT_EQ(encoded(merged(read, read)), expected);
  }
}

TEST(HyperLogLogTest, MergingWithItselfChangesNothing) {
  base::Random random{seed()};
  for (const size_t size : {0U, 100U, 5000U}) {
    HyperLogLog sketch = of(random_hashes(random, size));
    const std::string before = encoded(sketch);
    sketch.merge(sketch);
    EXPECT_EQ(encoded(sketch), before);
  }
}

TEST(HyperLogLogTest, EqualMeansEqualBytes) {
  base::Random random{seed()};
  for (const size_t size : {0U, 1U, 500U, 3072U, 5000U}) {
    std::vector<uint64_t> hashes = random_hashes(random, size);
    const HyperLogLog forward = of(hashes);
    std::reverse(hashes.begin(), hashes.end());
    HyperLogLog other = of(hashes);
    EXPECT_TRUE(forward == other);
    EXPECT_EQ(encoded(forward), encoded(other));
    EXPECT_TRUE(HyperLogLog::decode(encoded(forward)).value() == forward);
    other.add(0);  // The highest rank of register 0.
    EXPECT_FALSE(forward == other);
    EXPECT_NE(encoded(forward), encoded(other));
  }
  HyperLogLog low;
  HyperLogLog high;
  low.add(uint64_t{1} << 38U);
  high.add(1);
  EXPECT_FALSE(low == high) << "one prefix, two ranks";
  low.merge(high);
  EXPECT_TRUE(low == high);
}

// The relative errors of many sketches at one true count.
class Spread {
 public:
  explicit Spread(double truth) : truth_(truth) {}

  void add(uint64_t estimate) {
    const double error = (static_cast<double>(estimate) - truth_) / truth_;
    sum_ += error;
    squares_ += error * error;
    ++count_;
  }

  // The mean error must be within 4 standard errors of the mean from 0, and the root mean square
  // within 4 of its own above `error`: a right sketch fails for one seed in thousands.
  void check(double error) const {
    const double mean = sum_ / count_;
    const double deviation = std::sqrt(squares_ / count_);
    std::printf("  %.15g distinct, %.0f sketches: mean error %+.3f %%, standard error %.3f %%\n",
                truth_, count_, mean * 100, deviation * 100);
    EXPECT_LE(std::abs(mean), 4 * error / std::sqrt(count_)) << truth_;
    EXPECT_LE(deviation, error * (1 + 4 / std::sqrt(2 * count_))) << truth_;
  }

 private:
  double truth_;
  double sum_ = 0;
  double squares_ = 0;
  double count_ = 0;
};

constexpr double kDenseError = 1.04 / 128;  // Of 2^14 registers.

void check_errors(uint64_t first_seed, int sketches, const std::vector<uint64_t>& sizes) {
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(first_seed));
  std::vector<Spread> spreads(sizes.begin(), sizes.end());
  for (int i = 0; i < sketches; ++i) {
    base::Random random{first_seed * 1'000'003 + static_cast<uint64_t>(i)};
    HyperLogLog sketch;
    uint64_t added = 0;
    for (size_t at = 0; at < sizes.size(); ++at) {
      for (; added < sizes[at]; ++added)
        sketch.add(random.next());
      spreads[at].add(sketch.estimate());
    }
  }
  for (const Spread& spread : spreads)
    spread.check(kDenseError);
}

// Goal: no bias and the promised standard error at every size, the change of form and the old
// trouble spots (2.5 and 5 times the registers) included. Method: many independent sketches, asked
// again and again as they grow.
TEST(HyperLogLogTest, KeepsItsErrorBoundAsItGrows) {
  check_errors(seed(), sketches(), {3200, 5000, 16'384, 30'000, 41'000, 50'000, 82'000});
  check_errors(seed(), std::max(sketches() / 20, 2), {200'000, 1'000'000, 5'000'000});
}

// A dense sketch as `distinct` hashes would leave it, drawn directly: each register sees about
// Poisson(distinct / 2^14) hashes, so that it stays at or below r with probability
// exp(-distinct / 2^14 / 2^r).
HyperLogLog drawn(base::Random& random, double distinct) {
  std::string bytes = "\1\1";
  uint32_t four = 0;
  for (size_t i = 0; i < HyperLogLog::kRegisters; ++i) {
    const double uniform = (static_cast<double>(random.next() >> 12U) + 0.5) / 0x1p52;
    const double rank =
        std::ceil(std::log2(distinct / HyperLogLog::kRegisters / -std::log(uniform)));
    four |= static_cast<uint32_t>(std::clamp(rank, 0.0, 51.0)) << (6 * (i % 4));
    if (i % 4 < 3) continue;
    for (const unsigned shift : {0U, 8U, 16U})
      bytes += static_cast<char>(static_cast<uint8_t>(four >> shift));
    four = 0;
  }
  return HyperLogLog::decode(bytes).value();
}

TEST(HyperLogLogTest, KeepsItsErrorBoundForAnyNumberThatCanBeReached) {
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed()));
  base::Random random{seed()};
  for (const double distinct : {3200.0, 40'960.0, 81'920.0, 1e6, 5e6, 1e9, 1e14}) {
    // Drawing also draws how many there were, which adds 1 / sqrt(distinct).
    const double error = std::sqrt(kDenseError * kDenseError + 1 / distinct);
    Spread spread{distinct};
    for (int i = 0; i < 60; ++i)
      spread.add(drawn(random, distinct).estimate());
    spread.check(error);
  }
}

TEST(HyperLogLogTest, EstimatesExtremeRegistersWithoutOverflow) {
  std::string bytes = "\1\1" + std::string(HyperLogLog::kRegisters * 6 / 8, '\0');
  EXPECT_EQ(HyperLogLog::decode(bytes).value().estimate(), 0U);
  std::string all = "\1\1";  // Every register 51: 0x33 in six bits.
  for (size_t i = 0; i < HyperLogLog::kRegisters / 4; ++i)
    all += "\xf3\x3c\xcf";
  const auto full = HyperLogLog::decode(all);
  ASSERT_TRUE(full.ok());
  EXPECT_EQ(full.value().estimate(), std::numeric_limits<uint64_t>::max());
}

TEST(HyperLogLogTest, BytesStayWhatTheyAre) {
  HyperLogLog sketch;
  sketch.add(0x0000'0080'0000'0000U);  // Prefix 1.
  sketch.add(
      0x0000'0000'0000'0001U);  // Prefix 0 and, all other bits but the last being 0, rank 39.
  sketch.add(0xffff'ffff'ffff'ffffU);  // The last prefix.
  EXPECT_EQ(encoded(sketch), std::string("\1\0\3\0\x27\0\xfd\xff\xff\x0f", 10));
}

TEST(HyperLogLogTest, RefusesBytesThatItDoesNotWrite) {
  const std::string head("\1\0", 2);
  const std::string registers(HyperLogLog::kRegisters * 6 / 8, '\0');
  std::string rank_52 = registers;
  rank_52.back() = static_cast<char>(52 << 2);
  std::string too_many = head + "\x81\x18";  // 3073 entries.
  for (int i = 0; i < 3073; ++i)
    too_many += '\1';
  const std::vector<std::pair<std::string, std::string>> cases{
      {"nothing", ""},
      {"unknown version", std::string("\2\0\0", 3)},
      {"version 0", std::string("\0\0\0", 3)},
      {"no form", "\1"},
      {"unknown form", "\1\2"},
      {"no count", head},
      {"count not in shortest form", head + std::string("\x80\0", 2)},
      {"fewer entries than counted", head + "\2\1"},
      {"a huge count", head + "\xff\xff\xff\xff\x0f"},
      {"one entry too many", too_many},
      {"trailing byte", head + std::string("\1\1\0", 3)},
      {"prefix out of range", head + "\1\x80\x80\x80\x10"},
      {"second prefix out of range", head + std::string("\2\xff\xff\xff\x0f\0", 6)},
      {"gap that wraps", head + "\2\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"},
      {"rank missing", head + std::string("\1\0", 2)},
      {"rank 0", head + std::string("\1\0\0", 3)},
      {"rank 41", head + std::string("\1\0\x29", 3)},
      {"registers short", "\1\1" + registers.substr(1)},
      {"registers long", "\1\1" + registers + '\0'},
      {"register over the highest rank", "\1\1" + rank_52},
  };
  for (const auto& [name, bytes] : cases) {
    const auto sketch = HyperLogLog::decode(bytes);
    ASSERT_FALSE(sketch.ok()) << name;
    EXPECT_EQ(sketch.error().code, ErrorCode::corrupt) << name;
  }
  EXPECT_TRUE(HyperLogLog::decode(head + std::string("\1\0\x28", 3)).ok()) << "rank 40";
  EXPECT_TRUE(HyperLogLog::decode(head + "\1\xff\xff\xff\x0f").ok()) << "the last prefix";
  too_many = head + "\x80\x18" + std::string(3072, '\1');
  EXPECT_TRUE(HyperLogLog::decode(too_many).ok()) << "as many entries as there may be";
}

TEST(HyperLogLogTest, RefusesEveryPrefixOfGoodBytes) {
  base::Random random{seed()};
  const std::string bytes = encoded(of(random_hashes(random, 300)));
  for (size_t size = 0; size < bytes.size(); ++size)
    ASSERT_FALSE(HyperLogLog::decode(std::string_view{bytes}.substr(0, size)).ok()) << size;
}

}  // namespace
}  // namespace weir::sketch
