#include "app/rule_versions.h"

#include <algorithm>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/clock.h"
#include "os/testing/fake_files.h"

namespace weir::app {
namespace {

struct RuleVersionsTest : ::testing::Test {
  RuleVersionsTest() {
    EXPECT_TRUE(files.create_directory("/data").ok());
    EXPECT_TRUE(files.sync_directory("/").ok());
  }
  base::Result<RuleVersions> open() {
    return RuleVersions::open(files, clock, "/data", objects::Access::read_write);
  }

  os::testing::FakeFiles files{7};
  base::ManualClock clock;
};

TEST_F(RuleVersionsTest, AVersionIsWhatWasAddedAndNumbersAreDense) {
  RuleVersions versions = open().value();
  EXPECT_EQ(versions.newest_number().value(), 0U);
  EXPECT_EQ(versions.get(1).error().code, base::ErrorCode::not_found);
  EXPECT_EQ(versions.add("root", "第一版", "a = 1\n").value(), 1U);
  clock.advance(std::chrono::seconds{5});
  EXPECT_EQ(versions.add("file", "", "").value(), 2U);
  EXPECT_EQ(versions.newest_number().value(), 2U);
  const RuleVersion first = versions.get(1).value();
  EXPECT_EQ(first.number, 1U);
  EXPECT_EQ(first.author, "root");
  EXPECT_EQ(first.comment, "第一版");
  EXPECT_EQ(first.toml, "a = 1\n");
  const std::vector<RuleVersion> listed = versions.list(10).value();
  ASSERT_EQ(listed.size(), 2U);
  EXPECT_EQ(listed[0].number, 2U);
  EXPECT_EQ(listed[1].comment, "第一版");
  EXPECT_EQ((listed[0].at - listed[1].at), std::chrono::seconds{5});
  EXPECT_EQ(versions.list(1).value().size(), 1U);
}

TEST_F(RuleVersionsTest, TheNewestStay) {
  constexpr size_t kKept = 5;
  RuleVersions versions =
      RuleVersions::open(files, clock, "/data", objects::Access::read_write, kKept).value();
  for (size_t i = 0; i < kKept + 2; ++i)
    ASSERT_EQ(versions.add("a", "", "x").value(), i + 1);
  EXPECT_EQ(versions.list(100).value().size(), kKept);
  EXPECT_EQ(versions.get(2).error().code, base::ErrorCode::not_found);
  EXPECT_TRUE(versions.get(3).ok());
}

TEST_F(RuleVersionsTest, AFlippedByteIsFound) {
  RuleVersions versions = open().value();
  ASSERT_TRUE(versions.add("root", "", std::string(1000, 'r')).ok());
  for (const std::string& path : files.paths()) {
    if (path.find("config/") != std::string::npos) files.bytes(path)[500] ^= 1;
  }
  EXPECT_EQ(versions.get(1).error().code, base::ErrorCode::corrupt);
}

TEST_F(RuleVersionsTest, ADamagedVersionDoesNotHideTheOthers) {
  RuleVersions versions = open().value();
  ASSERT_TRUE(versions.add("root", "one", "r").ok());
  const std::vector<std::string> before = files.paths();
  ASSERT_TRUE(versions.add("root", "two", "r").ok());
  for (const std::string& path : files.paths()) {
    if (std::find(before.begin(), before.end(), path) != before.end()) continue;
    for (char& byte : files.bytes(path))
      byte ^= 1;
  }
  const std::vector<RuleVersion> listed = versions.list(10).value();
  ASSERT_EQ(listed.size(), 2U);
  EXPECT_EQ(listed[0].number, 2U);
  EXPECT_EQ(listed[0].comment, "(damaged)");
  EXPECT_EQ(listed[1].comment, "one");
}

// What was answered as not stored must not be the newest at the next start. Method: operation 0, 1,
// 2 … fails, alone.
TEST_F(RuleVersionsTest, WhatCouldNotBeStoredIsNotThere) {
  uint64_t failed = 0;
  bool injected = true;
  for (uint64_t nth = 0; injected; ++nth) {
    SCOPED_TRACE(fmt::format("operation {}", nth));
    RuleVersions versions = open().value();
    const uint64_t before = versions.newest_number().value();
    files.fail_operation(files.operations() + nth);
    const bool added = versions.add("a", "", "x").ok();
    injected = files.injected();
    files.heal();
    failed += added ? 0U : 1U;
    ASSERT_EQ(open().value().newest_number().value(), before + (added ? 1 : 0));
  }
  EXPECT_GT(failed, 4U);
}

// Goal: whatever fails, and whenever power is lost, the newest version is the old one or the new
// one, whole, and the next one can be added. Method: fail operation 0, 1, 2 … for ever.
TEST_F(RuleVersionsTest, APowerFailureAtAnyOperationLeavesTheOldOrTheNewVersion) {
  uint64_t kept = 0;
  uint64_t nth = 0;
  for (bool injected = true; injected; ++nth) {
    SCOPED_TRACE(fmt::format("operation {}", nth));
    files.heal();
    ASSERT_TRUE(files.create_directory(fmt::format("/data{}", nth)).ok());
    ASSERT_TRUE(files.sync_directory("/").ok());
    const std::string data = fmt::format("/data{}", nth);
    const auto reopen = [&] {
      return RuleVersions::open(files, clock, data, objects::Access::read_write);
    };
    bool added = false;
    {
      RuleVersions versions = reopen().value();
      ASSERT_TRUE(versions.add("a", "", "old").ok());
      files.fail_from(files.operations() + nth);
      added = versions.add("b", "", "new").ok();
      injected = files.injected();
    }
    files.heal();
    files.lose_power(nth + 1);
    RuleVersions versions = reopen().value();
    const uint64_t newest = versions.newest_number().value();
    ASSERT_TRUE(newest == 1 || newest == 2);
    if (added) {
      ASSERT_EQ(newest, 2U) << "what was said to be durable is";
    }
    kept += newest == 1 ? 1U : 0U;
    ASSERT_EQ(versions.get(newest).value().toml, newest == 1 ? "old" : "new");
    ASSERT_EQ(versions.add("c", "", "next").value(), newest + 1);
  }
  EXPECT_GT(nth, 5U);
  EXPECT_GT(kept, 3U);
}

}  // namespace
}  // namespace weir::app
