#include "net/byte_queue.h"

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "base/random.h"

namespace weir::net {
namespace {

TEST(ByteQueueTest, HoldsNoBlockWhileItIsEmpty) {
  BlockPool pool;
  ByteQueue queue{pool};
  EXPECT_EQ(queue.prepared_bytes(), 0U);
  queue.append("abc");
  EXPECT_EQ(queue.view(), "abc");
  EXPECT_EQ(queue.prepared_bytes(), BlockPool::kBlockBytesMin - 3);
  queue.consume(1);
  EXPECT_EQ(queue.view(), "bc");
  queue.consume(2);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.prepared_bytes(), 0U);
}

TEST(ByteQueueTest, BytesThatArePreparedCountOnlyWhenCommitted) {
  BlockPool pool;
  ByteQueue queue{pool};
  char* const into = queue.prepare(100);
  EXPECT_GE(queue.prepared_bytes(), 100U);
  into[0] = 'a';
  into[1] = 'b';
  EXPECT_TRUE(queue.empty());
  queue.commit(2);
  EXPECT_EQ(queue.view(), "ab");
}

TEST(ByteQueueTest, MovesItsBytesToTheFrontInsteadOfGrowing) {
  BlockPool pool;
  ByteQueue queue{pool};
  queue.append(std::string(1000, 'a'));
  queue.consume(990);
  queue.append(std::string(1000, 'b'));
  EXPECT_EQ(queue.view(), std::string(10, 'a') + std::string(1000, 'b'));
  EXPECT_EQ(queue.size() + queue.prepared_bytes(), BlockPool::kBlockBytesMin);
}

TEST(BlockPoolTest, HandsOutTheSmallestBlockThatSuffices) {
  BlockPool pool;
  EXPECT_EQ(pool.take(0).capacity, 1024U);
  EXPECT_EQ(pool.take(1024).capacity, 1024U);
  EXPECT_EQ(pool.take(1025).capacity, 2048U);
  EXPECT_EQ(pool.take(200'000).capacity, 256U * 1024);
  EXPECT_EQ(pool.take(256 * 1024 + 1).capacity, 512U * 1024);
}

TEST(BlockPoolTest, HandsOutTheLastBlockThatCameBack) {
  BlockPool pool;
  BlockPool::Block one = pool.take(1);
  BlockPool::Block two = pool.take(1);
  const char* const last = two.bytes.get();
  pool.give(std::move(one));
  pool.give(std::move(two));
  EXPECT_EQ(pool.take(1).bytes.get(), last);
}

// Property. Goal: a queue holds what a string would, through any series of calls. Method: random
// appends, prepares and consumes of all sizes on queues that share a pool, against std::string.
TEST(ByteQueueTest, IsWhatAStringWouldBe) {
  const char* const given = std::getenv("WEIR_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 20251015;
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed));
  base::Random random{seed};
  BlockPool pool;
  ByteQueue queues[3]{ByteQueue{pool}, ByteQueue{pool}, ByteQueue{pool}};
  std::string models[3];
  for (int i = 0; i < 20'000; ++i) {
    const size_t which = random.below(3);
    ByteQueue& queue = queues[which];
    std::string& model = models[which];
    const size_t bytes = random.below(uint64_t{1} << random.below(16));
    switch (random.below(4)) {
      case 0: {
        const std::string piece(bytes, static_cast<char>('a' + i % 26));
        queue.append(piece);
        model += piece;
        break;
      }
      case 1: {
        char* const into = queue.prepare(bytes + 1);
        const size_t used = random.below(bytes + 1);
        std::fill_n(into, used, static_cast<char>('A' + i % 26));
        queue.commit(used);
        model.append(used, static_cast<char>('A' + i % 26));
        break;
      }
      case 2: {
        const size_t used = std::min(bytes * 2, model.size());
        queue.consume(used);
        model.erase(0, used);
        break;
      }
      default:
        if (random.below(50) != 0) break;
        queue.clear();
        model.clear();
    }
    ASSERT_EQ(queue.size(), model.size());
    ASSERT_TRUE(queue.view() == model) << "after call " << i;
  }
}

}  // namespace
}  // namespace weir::net
