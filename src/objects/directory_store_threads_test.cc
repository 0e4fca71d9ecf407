#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "objects/directory_store.h"

namespace weir::objects {
namespace {

class DirectoryStoreThreadsTest : public ::testing::Test {
 protected:
  DirectoryStoreThreadsTest() {
    directory_ = (std::filesystem::temp_directory_path() / "weir-objects-XXXXXX").string();
    WEIR_ASSERT(::mkdtemp(directory_.data()) != nullptr);
    store_ = DirectoryStore::open(files_, clock_, {.directory = directory_}).value();
  }
  ~DirectoryStoreThreadsTest() override { std::filesystem::remove_all(directory_); }

  base::ManualClock clock_;
  os::RealFiles files_;
  std::string directory_;
  std::unique_ptr<Store> store_;
};

TEST_F(DirectoryStoreThreadsTest, ReadersSeeTheOldObjectOrTheNewOneWhole) {
  const auto version = [](int i) {
    return std::string(static_cast<size_t>(i % 7 * 10'000 + 1), static_cast<char>('a' + i % 26));
  };
  ASSERT_TRUE(store_->put("k", version(0), {}).ok());
  std::atomic<bool> done{false};
  std::atomic<int> reads{0};
  std::vector<std::thread> readers;
  for (int reader = 0; reader < 3; ++reader) {
    readers.emplace_back([&] {
      do {
        const auto object = store_->open("k");
        ASSERT_TRUE(object.ok());
        std::string bytes;
        ASSERT_TRUE(read_object(*object.value(), [&bytes](std::string_view piece) {
                      bytes += piece;
                      return base::Status{};
                    }).ok());
        ASSERT_EQ(bytes, std::string(bytes.size(), bytes.front()));
        ASSERT_EQ(store_->list("", "", 10).value().objects.size(), 1U);
        ++reads;
      } while (!done);
    });
  }
  for (int i = 1; i < 100; ++i)
    EXPECT_TRUE(store_->put("k", version(i), {}).ok());
  done = true;
  for (std::thread& reader : readers)
    reader.join();
  EXPECT_GE(reads, 3);
}

TEST_F(DirectoryStoreThreadsTest, OfManyConditionalPutsOneWinsEachTime) {
  std::string etag;
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> winners{0};
    std::atomic<int> conflicts{0};
    std::vector<std::thread> writers;
    for (int writer = 0; writer < 4; ++writer) {
      writers.emplace_back([&, writer] {
        const std::string bytes = std::to_string(round) + " by " + std::to_string(writer);
        const PutOptions options{.if_absent = etag.empty(), .if_match = etag};
        const auto put = store_->put("k", bytes, options);
        if (put.ok()) ++winners;
        if (!put.ok() && put.error().code == base::ErrorCode::conflict) ++conflicts;
      });
    }
    for (std::thread& writer : writers)
      writer.join();
    EXPECT_EQ(winners, 1);
    EXPECT_EQ(conflicts, 3);
    etag = store_->head("k").value().etag;
  }
}

}  // namespace
}  // namespace weir::objects
