#include "state/counter.h"

#include <limits>

#include <gtest/gtest.h>

#include "state/internal/bytes.h"

namespace weir::state {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

// Of a life before, in which the counter was changed five times.
std::string image_of(int64_t value) {
  internal::Writer writer{internal::Kind::counter, 1, 5};
  writer.signed_number(value);
  return std::move(writer).finish();
}

TEST(CounterTest, BeginsAtZeroAndReturnsTheValueItMade) {
  Counter counter;
  EXPECT_EQ(counter.value(), 0);
  EXPECT_EQ(counter.increment().value(), 1);
  EXPECT_EQ(counter.increment().value(), 2);
  EXPECT_EQ(counter.decrement().value(), 1);
  EXPECT_EQ(counter.reset(), 0);
  EXPECT_EQ(counter.value(), 0);
}

TEST(CounterTest, GoesBelowZero) {
  Counter counter;
  EXPECT_EQ(counter.decrement().value(), -1);
  EXPECT_EQ(counter.decrement().value(), -2);
}

TEST(CounterTest, ItsGenerationGrowsWithEachChangeAndWithNothingElse) {
  Counter counter;
  (void)counter.value();
  EXPECT_EQ(counter.generation(), 0U);
  ASSERT_TRUE(counter.increment().ok());
  ASSERT_TRUE(counter.decrement().ok());
  counter.reset();
  EXPECT_EQ(counter.generation(), 3U);
  EXPECT_EQ(counter.image().generation, 3U);
}

TEST(CounterTest, ContinuesFromAnImageWithItsGeneration) {
  Counter counter;
  ASSERT_TRUE(counter.restore(image_of(-300)).ok());
  EXPECT_EQ(counter.value(), -300);
  EXPECT_EQ(counter.generation(), 5U);
  EXPECT_EQ(counter.increment().value(), -299);
  EXPECT_EQ(counter.generation(), 6U);
}

TEST(CounterTest, RefusesAChangeBeyondTheLimitAndStaysThere) {
  Counter counter;
  ASSERT_TRUE(counter.restore(image_of(kMax)).ok());
  EXPECT_EQ(counter.value(), kMax);
  const auto refused = counter.increment();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, base::ErrorCode::limit_exceeded);
  EXPECT_EQ(counter.value(), kMax);
  EXPECT_EQ(counter.generation(), 5U);
  EXPECT_EQ(counter.decrement().value(), kMax - 1);
  EXPECT_EQ(counter.increment().value(), kMax);

  ASSERT_TRUE(counter.restore(image_of(kMin)).ok());
  EXPECT_EQ(counter.value(), kMin);
  EXPECT_FALSE(counter.decrement().ok());
  EXPECT_EQ(counter.value(), kMin);
  EXPECT_EQ(counter.increment().value(), kMin + 1);
}

// The bytes of docs/formats/state.md: stored images stay readable.
TEST(CounterTest, ItsImageHasTheDocumentedBytes) {
  const std::string bytes{"WS\x01\x01\x05\xd7\x04\x61\xe7\xae\xe2", 11};
  EXPECT_EQ(image_of(-300), bytes);
}

TEST(CounterTest, RefusesEveryFlippedBitAndEveryCutOfItsImageAndStaysAsItIs) {
  const std::string image = image_of(1234);
  Counter counter;
  ASSERT_TRUE(counter.increment().ok());
  for (size_t bit = 0; bit < image.size() * 8; ++bit) {
    std::string bytes = image;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    const base::Status refused = counter.restore(bytes);
    ASSERT_FALSE(refused.ok()) << "bit " << bit;
    EXPECT_EQ(refused.error().code, base::ErrorCode::corrupt);
  }
  for (size_t length = 0; length < image.size(); ++length)
    EXPECT_FALSE(counter.restore(image.substr(0, length)).ok());
  EXPECT_FALSE(counter.restore(image + '\0').ok());
  EXPECT_EQ(counter.value(), 1);
  EXPECT_TRUE(counter.restore(image).ok());
}

}  // namespace
}  // namespace weir::state
