#include "codec/seeded_hash.h"

#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weir::codec {
namespace {

TEST(SeededHashTest, TheSeedMattersForStringsOfEveryLength) {
  for (size_t length = 0; length < 70; ++length) {
    const std::string text(length, 'a');
    std::set<size_t> hashes;
    for (uint64_t seed = 1; seed <= 100; ++seed)
      hashes.insert(SeededHash{seed}(text));
    EXPECT_EQ(hashes.size(), 100U) << length;
  }
}

TEST(SeededHashTest, EveryByteAndTheLengthMatter) {
  const SeededHash hash{42};
  for (size_t length = 1; length < 70; ++length) {
    std::string text(length, '\0');
    std::set<size_t> hashes{hash(text), hash(std::string(length - 1, '\0'))};
    for (char& byte : text) {
      byte = 1;
      hashes.insert(hash(text));
      byte = 0;
    }
    EXPECT_EQ(hashes.size(), length + 2) << length;
  }
}

// Goal: no bucket draws more than its share. Method: short, similar strings into 1024 buckets by
// the low, the middle and the high bits; the fullest is within five deviations.
TEST(SeededHashTest, SimilarStringsSpreadOverTheBuckets) {
  const SeededHash hash{7};
  for (const unsigned shift : {0U, 22U, 54U}) {
    std::vector<int> buckets(1024);
    for (int nth = 0; nth < 102'400; ++nth)
      ++buckets[(hash(std::to_string(nth)) >> shift) % buckets.size()];
    for (const int count : buckets)
      EXPECT_LT(count, 150);
  }
}

}  // namespace
}  // namespace weir::codec
