#include "state/path_counts.h"

#include <cstdlib>
#include <numeric>

#include <gtest/gtest.h>

#include "base/random.h"
#include "state/testing/seed.h"

namespace weir::state {
namespace {

uint64_t sum_of(const PathCounts& counts) {
  uint64_t sum = counts.other();
  for (const auto& [path, requests] : counts.paths())
    sum += requests;
  return sum;
}

std::string path(uint64_t number) {
  return "/user/" + std::to_string(number);
}

TEST(PathCountsTest, ListsTheLargestFirstAndEqualOnesByName) {
  PathCounts counts;
  for (const char* const each : {"/b", "/c", "/a", "/c", "/d"})
    counts.add(each);
  EXPECT_EQ(counts.top(3), (std::vector<PathCount>{{"/c", 2}, {"/a", 1}, {"/b", 1}}));
  EXPECT_EQ(counts.top(10).size(), 4U);
  EXPECT_TRUE(counts.top(0).empty());
}

TEST(PathCountsTest, CountsExactlyUpToItsLimitAndMakesRoomOneBeyond) {
  PathCounts counts;
  for (uint64_t each = 0; each < PathCounts::kPathsMax; ++each)
    counts.add(path(each));
  counts.add(path(7));
  EXPECT_EQ(counts.paths().size(), PathCounts::kPathsMax);
  EXPECT_EQ(counts.other(), 0U);
  counts.add("/one/more");
  EXPECT_EQ(counts.paths().size(), PathCounts::kPathsMax / 2 + 1);
  EXPECT_EQ(counts.other(), PathCounts::kPathsMax / 2);
  EXPECT_EQ(counts.top(1), (std::vector<PathCount>{{path(7), 2}}));
}

TEST(PathCountsTest, LongPathsTakeNoMoreThanTheirBytes) {
  PathCounts counts;
  const std::string at_limit(PathCounts::kPathBytesMax, 'p');
  counts.add(at_limit + "p");
  EXPECT_EQ(counts.other(), 1U);
  EXPECT_TRUE(counts.paths().empty());
  size_t bytes_max = 0;
  for (uint64_t each = 0; each < 1000; ++each) {
    counts.add(at_limit.substr(8) + std::to_string(10'000'000 + each));
    size_t bytes = 0;
    for (const auto& [text, requests] : counts.paths())
      bytes += text.size();
    bytes_max = std::max(bytes_max, bytes);
  }
  EXPECT_EQ(bytes_max, PathCounts::kBytesMax);
  EXPECT_EQ(sum_of(counts), 1001U);
}

// Named after what it prevents: defect 17.1 (21), paths with ids without end.
TEST(PathCountsTest, AScanOfAMillionPathsDisplacesNoFrequentOne) {
  PathCounts counts;
  for (uint64_t each = 0; each < 1'000'000; ++each) {
    counts.add(path(each));
    if (each % 100 == 0) counts.add("/frequent");
  }
  EXPECT_LE(counts.paths().size(), PathCounts::kPathsMax);
  ASSERT_EQ(counts.top(1).front().path, "/frequent");
  EXPECT_EQ(counts.top(1).front().requests, 10'000U);
  EXPECT_EQ(sum_of(counts), 1'010'000U);
}

// Goal: sums are exact, figures never too high, and exact while nothing was dropped. Method: random
// streams of few to many distinct paths, unevenly frequent, against a plain map.
TEST(PathCountsTest, AgreesWithAPlainMapAsFarAsItPromises) {
  const uint64_t seed = testing::seed_or(std::getenv("WEIR_SEED"), 20251017);
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed));
  base::Random random{seed};
  for (const uint64_t distinct : {10U, 2000U, 2100U, 20'000U}) {
    PathCounts counts;
    std::map<std::string, uint64_t> model;
    for (uint64_t each = 1; each <= 40'000; ++each) {
      const std::string name = path(random.below(1 + random.below(distinct)));
      counts.add(name);
      ++model[name];
      if (each % 4'000 == 0) {
        ASSERT_EQ(sum_of(counts), each);
      }
    }
    for (const auto& [name, requests] : counts.paths()) {
      ASSERT_LE(requests, model[name]);
      if (counts.other() == 0) {
        ASSERT_EQ(requests, model[name]);
      }
    }
    EXPECT_EQ(counts.other() == 0, model.size() <= PathCounts::kPathsMax);
  }
}

}  // namespace
}  // namespace weir::state
