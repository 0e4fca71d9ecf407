#include "os/testing/fake_files.h"

#include <gtest/gtest.h>

namespace weir::os::testing {
namespace {

constexpr uint64_t kSeeds = 64;

std::string text_of(FakeFiles& files, const std::string& path) {
  const std::span<char> bytes = files.bytes(path);
  return {bytes.data(), bytes.size()};
}

std::unique_ptr<File> make(FakeFiles& files, const std::string& path) {
  EXPECT_TRUE(files.create_directory("d").ok());
  return files.open(path, OpenMode::create_new).value();
}

TEST(FakeFilesTest, KeepsWhatWasSyncedWhateverTheSeed) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    FakeFiles files;
    auto file = make(files, "d/a");
    ASSERT_TRUE(file->write_at(0, "durable").ok());
    ASSERT_TRUE(file->sync_data().ok());
    ASSERT_TRUE(files.sync_directory("d").ok());
    file.reset();
    files.lose_power(seed);
    EXPECT_EQ(text_of(files, "d/a"), "durable");
  }
}

// Goal: what was not synced sometimes survives and sometimes not, part by part.
TEST(FakeFilesTest, ForgetsUnsyncedBytesSizesAndNamesByTheSeed) {
  std::set<std::string> outcomes;
  int without_name = 0;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    FakeFiles files;
    auto file = make(files, "d/a");
    ASSERT_TRUE(file->write_at(0, std::string(512, 'a')).ok());
    ASSERT_TRUE(file->sync_data().ok());
    ASSERT_TRUE(file->write_at(0, std::string(512, 'b') + std::string(512, 'c')).ok());
    file.reset();
    files.lose_power(seed);
    if (!files.exists("d/a")) {
      ++without_name;
      continue;
    }
    const std::string text = text_of(files, "d/a");
    outcomes.insert({text.front(), text.size() > 512 && text.back() != '\0' ? text.back() : '-'});
    EXPECT_TRUE(text.size() == 512 || text.size() == 1024);
  }
  EXPECT_GT(without_name, 0);
  EXPECT_EQ(outcomes, (std::set<std::string>{"a-", "b-", "ac", "bc"}));
}

TEST(FakeFilesTest, AFailedSyncLeavesBytesThatNeverBecomeDurable) {
  FakeFiles files;
  auto file = make(files, "d/a");
  ASSERT_TRUE(file->sync_data().ok());
  ASSERT_TRUE(files.sync_directory("d").ok());
  ASSERT_TRUE(file->write_at(0, std::string(512, 'x')).ok());
  files.fail_operation(files.operations());
  EXPECT_FALSE(file->sync_data().ok());
  EXPECT_TRUE(files.injected());
  EXPECT_TRUE(file->sync_data().ok()) << "the second sync lies";
  EXPECT_EQ(text_of(files, "d/a"), std::string(512, 'x'));
  file.reset();
  files.lose_power(0);
  EXPECT_NE(text_of(files, "d/a"), std::string(512, 'x'));
}

TEST(FakeFilesTest, FailsTheChosenOperationOrAllFromIt) {
  FakeFiles files;
  auto file = make(files, "d/a");
  files.fail_operation(files.operations() + 1, ENOSPC);
  EXPECT_TRUE(file->write_at(0, "a").ok());
  EXPECT_EQ(file->write_at(1, "b").error().code, base::ErrorCode::limit_exceeded);
  EXPECT_TRUE(file->write_at(1, "b").ok());
  files.fail_from(files.operations());
  EXPECT_FALSE(file->write_at(2, "c").ok());
  EXPECT_FALSE(file->sync_data().ok());
  EXPECT_EQ(text_of(files, "d/a"), "ab");
  files.heal();
  files.fail_kind(Operation::sync);
  EXPECT_TRUE(file->write_at(2, "c").ok());
  EXPECT_FALSE(file->sync_data().ok());
}

TEST(FakeFilesTest, RunsOutOfSpaceAtItsCapacity) {
  FakeFiles files;
  auto file = make(files, "d/a");
  files.set_capacity(100);
  EXPECT_TRUE(file->allocate(60).ok());
  EXPECT_TRUE(file->write_at(0, std::string(60, 'a')).ok()) << "within the reservation";
  EXPECT_TRUE(file->write_at(60, std::string(40, 'a')).ok());
  EXPECT_EQ(file->write_at(100, "a").error().code, base::ErrorCode::limit_exceeded);
  EXPECT_FALSE(files.map_new("d/m", 1).ok());
  file.reset();
  EXPECT_TRUE(files.remove("d/a").ok());
  EXPECT_EQ(files.free_bytes("d").value(), 100U);
  EXPECT_TRUE(files.exists("d/m")) << "a failed map_new() leaves its file behind";
}

TEST(FakeFilesTest, AMappingReachesTheDiskByPagesAndByChance) {
  std::set<std::string> outcomes;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    FakeFiles files;
    EXPECT_TRUE(files.create_directory("d").ok());
    auto mapped = files.map_new("d/m", 8192).value();
    ASSERT_TRUE(files.sync_directory("d").ok());
    mapped->bytes()[0] = 'a';
    mapped->bytes()[4096] = 'b';
    mapped.reset();
    EXPECT_EQ(text_of(files, "d/m")[4096], 'b') << "a kill loses nothing";
    files.lose_power(seed);
    const std::string text = text_of(files, "d/m");
    outcomes.insert({text[0] == 'a' ? 'a' : '-', text[4096] == 'b' ? 'b' : '-'});
  }
  EXPECT_EQ(outcomes, (std::set<std::string>{"--", "a-", "-b", "ab"}));
}

TEST(FakeFilesTest, ARestartHasAnotherBootId) {
  FakeFiles files;
  const std::string before = boot_id(files);
  EXPECT_EQ(boot_id(files), before);
  files.lose_power(1);
  EXPECT_NE(boot_id(files), before);
}

TEST(FakeFilesTest, NamesAndRemovalsBehaveLikeTheRealOnes) {
  FakeFiles files;
  EXPECT_EQ(files.open("d/a", OpenMode::create_new).error().code, base::ErrorCode::not_found);
  make(files, "d/a");
  EXPECT_EQ(files.open("d/a", OpenMode::create_new).error().code, base::ErrorCode::conflict);
  EXPECT_EQ(files.open("d/b", OpenMode::read).error().code, base::ErrorCode::not_found);
  EXPECT_TRUE(files.rename("d/a", "d/b").ok());
  EXPECT_EQ(files.list("d").value(), std::vector<std::string>{"b"});
  EXPECT_FALSE(files.open("d/b", OpenMode::read).value()->write_at(0, "x").ok());
  EXPECT_TRUE(files.remove("d/b").ok());
  EXPECT_EQ(files.remove("d/b").error().code, base::ErrorCode::not_found);
}

}  // namespace
}  // namespace weir::os::testing
