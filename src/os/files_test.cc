#include "os/files.h"

#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>

namespace weir::os {
namespace {

using base::ErrorCode;

class RealFilesTest : public ::testing::Test {
 protected:
  RealFilesTest() {
    directory_ = (std::filesystem::temp_directory_path() / "weir-files-XXXXXX").string();
    WEIR_ASSERT(::mkdtemp(directory_.data()) != nullptr);
  }
  ~RealFilesTest() override { std::filesystem::remove_all(directory_); }
  std::string path(const std::string& name) const { return directory_ + "/" + name; }

  std::string directory_;
  RealFiles files_;
};

TEST_F(RealFilesTest, ReadsBackWhatWasWrittenAndStopsAtTheEnd) {
  auto file = files_.open(path("a"), OpenMode::create_new).value();
  ASSERT_TRUE(file->write_at(0, "hello").ok());
  ASSERT_TRUE(file->write_at(5, " world").ok());
  ASSERT_TRUE(file->sync_data().ok());
  EXPECT_EQ(file->size().value(), 11U);
  std::string out(20, 'x');
  ASSERT_EQ(file->read_at(6, out).value(), 5U);
  EXPECT_EQ(out.substr(0, 5), "world");
  EXPECT_EQ(file->read_at(100, out).value(), 0U);
  ASSERT_TRUE(file->truncate(5).ok());
  EXPECT_EQ(read_file(files_, path("a"), 5).value(), "hello");
  EXPECT_EQ(read_file(files_, path("a"), 4).error().code, ErrorCode::limit_exceeded);
}

TEST_F(RealFilesTest, NamesWhatIsMissingAndWhatIsTaken) {
  EXPECT_EQ(files_.open(path("a"), OpenMode::read).error().code, ErrorCode::not_found);
  EXPECT_EQ(files_.open(path("a"), OpenMode::read_write).error().code, ErrorCode::not_found);
  ASSERT_TRUE(files_.open(path("a"), OpenMode::create_new).ok());
  EXPECT_EQ(files_.open(path("a"), OpenMode::create_new).error().code, ErrorCode::conflict);
  EXPECT_EQ(files_.remove(path("b")).error().code, ErrorCode::not_found);
  EXPECT_EQ(files_.list(path("none")).error().code, ErrorCode::not_found);
}

TEST_F(RealFilesTest, AReservationLeavesTheSizeAlone) {
  auto file = files_.open(path("a"), OpenMode::create_new).value();
  ASSERT_TRUE(file->allocate(1 << 20).ok());
  EXPECT_EQ(file->size().value(), 0U);
}

TEST_F(RealFilesTest, CreatesRenamesListsAndRemoves) {
  ASSERT_TRUE(files_.create_directory(path("d")).ok());
  ASSERT_TRUE(files_.create_directory(path("d")).ok());
  ASSERT_TRUE(files_.open(path("d/b"), OpenMode::create_new).ok());
  ASSERT_TRUE(files_.open(path("d/a"), OpenMode::create_new).ok());
  ASSERT_TRUE(files_.rename(path("d/b"), path("d/c")).ok());
  ASSERT_TRUE(files_.sync_directory(path("d")).ok());
  EXPECT_EQ(files_.list(path("d")).value(), (std::vector<std::string>{"a", "c"}));
  ASSERT_TRUE(files_.remove(path("d/a")).ok());
  EXPECT_EQ(files_.list(path("d")).value(), (std::vector<std::string>{"c"}));
  EXPECT_GT(files_.free_bytes(path("d")).value(), 0U);
}

TEST_F(RealFilesTest, AMappingIsTheFile) {
  auto mapped = files_.map_new(path("m"), 8192).value();
  ASSERT_EQ(mapped->bytes().size(), 8192U);
  ASSERT_TRUE(mapped->populate(0, 8192).ok());
  ASSERT_TRUE(mapped->populate(8192, 0).ok());
  mapped->bytes()[8191] = 'z';
  EXPECT_EQ(files_.map_new(path("m"), 8192).error().code, ErrorCode::conflict);
  const auto again = files_.map_existing(path("m"));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again.value()->bytes()[8191], 'z');
}

TEST_F(RealFilesTest, KnowsThisBoot) {
  EXPECT_FALSE(boot_id(files_).empty());
  EXPECT_EQ(boot_id(files_), boot_id(files_));
}

}  // namespace
}  // namespace weir::os
