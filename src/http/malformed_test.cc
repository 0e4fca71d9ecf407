#include "http/malformed.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

namespace weir::http {
namespace {

TEST(MalformedTest, EveryKindHasItsOwnLabelAndAStatus) {
  std::set<std::string_view> labels;
  for (int i = 1; i < kMalformedCount; ++i) {
    const auto kind = static_cast<Malformed>(i);
    EXPECT_TRUE(labels.insert(name(kind)).second) << name(kind);
    EXPECT_FALSE(name(kind).empty());
    EXPECT_EQ(name(kind).find_first_not_of("abcdefghijklmnopqrstuvwxyz_01"), std::string::npos);
    const std::set<int> allowed{400, 413, 414, 431, 501, 505};
    EXPECT_TRUE(allowed.contains(status_of(kind))) << name(kind);
  }
}

TEST(MalformedTest, StatusesOtherThan400AreThoseOfTheStandard) {
  EXPECT_EQ(status_of(Malformed::bare_lf), 400);
  EXPECT_EQ(status_of(Malformed::body_too_large), 413);
  EXPECT_EQ(status_of(Malformed::target_too_long), 414);
  EXPECT_EQ(status_of(Malformed::header_too_large), 431);
  EXPECT_EQ(status_of(Malformed::header_count), 431);
  EXPECT_EQ(status_of(Malformed::transfer_encoding_unknown), 501);
  EXPECT_EQ(status_of(Malformed::version), 505);
}

TEST(MalformedTest, AResultHoldsAValueOrAKind) {
  const auto twice = [](Result<int> number) -> Result<int> { return 2 * WEIR_TRY(number); };
  EXPECT_EQ(twice(21).value(), 42);
  EXPECT_EQ(twice(Malformed::nul).error(), Malformed::nul);
}

}  // namespace
}  // namespace weir::http
