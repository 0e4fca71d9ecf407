#include "config/units.h"

#include <gtest/gtest.h>

namespace weir::config {
namespace {

using std::chrono::milliseconds;

TEST(UnitsTest, ReadsEveryUnitOfDuration) {
  EXPECT_EQ(parse_duration("250ms"), milliseconds{250});
  EXPECT_EQ(parse_duration("5s"), milliseconds{5000});
  EXPECT_EQ(parse_duration("2m"), milliseconds{120'000});
  EXPECT_EQ(parse_duration("1h"), milliseconds{3'600'000});
  EXPECT_EQ(parse_duration("1d"), milliseconds{86'400'000});
  EXPECT_EQ(parse_duration("0s"), milliseconds{0});
}

TEST(UnitsTest, RefusesWhatIsNotExactlyDigitsAndAUnit) {
  for (const char* text : {"", "5", "s", "5 s", " 5s", "5s ", "-5s", "+5s", "1.5s", "5S", "5sec",
                           "1m30s", "0x5s", "99999999999999999999s", "36601d"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
  EXPECT_TRUE(parse_duration("36600d"));
}

TEST(UnitsTest, ReadsEveryUnitOfSize) {
  EXPECT_EQ(parse_size("512B"), 512U);
  EXPECT_EQ(parse_size("64KiB"), 65536U);
  EXPECT_EQ(parse_size("100MiB"), 104'857'600U);
  EXPECT_EQ(parse_size("8GiB"), 8ULL << 30U);
  EXPECT_EQ(parse_size("1TiB"), 1ULL << 40U);
}

TEST(UnitsTest, RefusesSizesThatCouldBeReadTwoWaysOrDoNotFit) {
  for (const char* text : {"", "5", "5KB", "5MB", "5K", "5kib", "1.5MiB", "-1B", "8388608TiB",
                           "18446744073709551616B"}) {
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
  }
  EXPECT_TRUE(parse_size("8388607TiB"));
}

TEST(UnitsTest, WritesTheShortestExactFormAndReadsItBack) {
  EXPECT_EQ(format_duration(milliseconds{0}), "0s");
  EXPECT_EQ(format_duration(milliseconds{1500}), "1500ms");
  EXPECT_EQ(format_duration(milliseconds{90'000}), "90s");
  EXPECT_EQ(format_duration(milliseconds{86'400'000}), "1d");
  EXPECT_EQ(format_size(0), "0B");
  EXPECT_EQ(format_size(1000), "1000B");
  EXPECT_EQ(format_size(65536), "64KiB");
  for (const int64_t ms : {1, 999, 1000, 59'999, 60'000, 7'200'000}) {
    EXPECT_EQ(parse_duration(format_duration(milliseconds{ms})), milliseconds{ms});
  }
  for (const uint64_t bytes : {1U, 1023U, 1024U, 1'048'576U, 3'000'000U}) {
    EXPECT_EQ(parse_size(format_size(bytes)), bytes);
  }
}

}  // namespace
}  // namespace weir::config
