#include "objects/directory_store.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include <gtest/gtest.h>

#include "base/random.h"
#include "objects/description.h"
#include "objects/file_name.h"
#include "objects/objects_contract.h"
#include "os/testing/fake_files.h"

namespace weir::objects {
namespace {

using base::ErrorCode;
using os::testing::FakeFiles;

// On real files, in memory where the system has a place for that: what a sync costs is not tested.
struct RealPlace {
  RealPlace() {
    for (const std::string& parent :
         {std::string{"/dev/shm"}, std::filesystem::temp_directory_path().string()}) {
      directory = parent + "/weir-objects-XXXXXX";
      if (::mkdtemp(directory.data()) != nullptr) return;
    }
    WEIR_ASSERT(!"no directory for temporary files");
  }
  ~RealPlace() { std::filesystem::remove_all(directory); }
  std::unique_ptr<Store> open() {
    return DirectoryStore::open(files, clock, {.directory = directory + "/objects"}).value();
  }

  base::ManualClock clock;
  os::RealFiles files;
  std::string directory;
};

struct FakePlace {
  std::unique_ptr<Store> open() {
    return DirectoryStore::open(files, clock, {.directory = "data"}).value();
  }

  base::ManualClock clock;
  FakeFiles files;
};

INSTANTIATE_TYPED_TEST_SUITE_P(RealFiles, ObjectsContract, RealPlace);
INSTANTIATE_TYPED_TEST_SUITE_P(FakeFiles, ObjectsContract, FakePlace);

TEST(FileNameTest, NamesAreUrlEncodedLowerCaseAndReversible) {
  EXPECT_EQ(file_name("traffic-events/2025-10-15.jsonl.gz"),
            "traffic-events%2f2025-10-15.jsonl.gz");
  EXPECT_EQ(file_name("A~é"), "%41%7e%c3%a9");
  EXPECT_EQ(key_of("%41%7e%c3%a9"), "A~é");
  for (const char* const name : {"", ".", "..", "README", "a+b", "lost+found", "%", "%4", "%4g",
                                 "%61", "%2F", "~new-0", "%00", "%2fa", "a%2f%2e%2e", "%ff"}) {
    EXPECT_FALSE(key_of(name).has_value()) << name;
  }
}

TEST(FileNameTest, LongKeysGetNamesThatFitAndDiffer) {
  EXPECT_EQ(file_name(std::string(200, 'k')).size(), 200U);
  EXPECT_FALSE(is_shortened(file_name(std::string(200, 'k'))));
  const std::string name = file_name(std::string(201, 'k'));
  EXPECT_TRUE(is_shortened(name));
  EXPECT_LE(name.size(), 255U);
  EXPECT_NE(file_name(std::string(202, 'k')), name);
  EXPECT_FALSE(key_of(name).has_value());
}

// Nothing when `result` is ok.
template <typename T>
std::optional<ErrorCode> code_of(const base::Result<T>& result) {
  return result.ok() ? std::nullopt : std::optional{result.error().code};
}

class DirectoryStoreTest : public ::testing::Test {
 protected:
  ObjectInfo put(std::string_view key, std::string_view bytes) {
    return store_->put(key, bytes, {}).value();
  }
  std::span<char> file_of(std::string_view key) {
    return place_.files.bytes("data/" + file_name(key));
  }
  std::unique_ptr<Store> reopened(DirectoryOptions options) {
    return DirectoryStore::open(place_.files, place_.clock, std::move(options)).value();
  }

  FakePlace place_;
  std::unique_ptr<Store> store_ = place_.open();
};

// Goal: no damage passes a verifying read. Method: every bit of a stored file is flipped in turn.
TEST_F(DirectoryStoreTest, FindsEveryFlippedBitOfAStoredObject) {
  const ObjectInfo good = store_->put("a/b", "content", {.metadata = {{"name", "value"}}}).value();
  const std::span<char> file = file_of("a/b");
  ASSERT_GT(file.size(), 60U);
  for (size_t bit = 0; bit < file.size() * 8; ++bit) {
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_EQ(code_of(verify(*store_, "a/b")), ErrorCode::corrupt) << "bit " << bit;
    file[bit / 8] = static_cast<char>(file[bit / 8] ^ (1 << (bit % 8)));
  }
  EXPECT_EQ(verify(*store_, "a/b").value(), good);
}

TEST_F(DirectoryStoreTest, FindsEveryTruncationAndAnythingBehind) {
  put("k", "content");
  const auto span = file_of("k");
  const std::string good{span.begin(), span.end()};
  const auto replace = [&](std::string_view bytes) {
    ASSERT_TRUE(place_.files.remove("data/k").ok());
    auto file = place_.files.open("data/k", os::OpenMode::create_new).value();
    ASSERT_TRUE(file->write_at(0, bytes).ok());
  };
  for (size_t length = 0; length < good.size(); ++length) {
    replace(std::string_view{good}.substr(0, length));
    EXPECT_EQ(code_of(store_->head("k")), ErrorCode::corrupt) << length;
    replace(std::string_view{good}.substr(good.size() - length));
    EXPECT_EQ(code_of(store_->head("k")), ErrorCode::corrupt) << length;
  }
  replace(good + "x");
  EXPECT_EQ(code_of(store_->head("k")), ErrorCode::corrupt);
  replace(good);
  EXPECT_TRUE(verify(*store_, "k").ok());
}

TEST_F(DirectoryStoreTest, AnObjectUnderTheNameOfAnotherIsCorrupt) {
  put("k", "content");
  ASSERT_TRUE(place_.files.rename("data/k", "data/other").ok());
  EXPECT_EQ(code_of(store_->head("other")), ErrorCode::corrupt);
  EXPECT_EQ(code_of(store_->head("k")), ErrorCode::not_found);
}

TEST_F(DirectoryStoreTest, ADamagedObjectIsListedAndCanBeReplacedAndRemoved) {
  const std::string long_key(1000, 'k');
  for (const std::string_view key :
       {std::string_view{"a"}, std::string_view{"b"}, std::string_view{long_key}}) {
    const ObjectInfo info = put(key, "content");
    file_of(key).back() ^= 1;
    EXPECT_EQ(code_of(store_->put(key, "", {.if_match = info.etag})), ErrorCode::corrupt);
  }
  put("c", "content");
  const Listing listing = store_->list("", "", 10).value();
  ASSERT_EQ(listing.objects.size(), 3U);
  EXPECT_EQ(listing.objects[0].key, "a");
  EXPECT_EQ(listing.objects[0].etag, "");
  EXPECT_NE(listing.objects[2].etag, "");
  EXPECT_EQ(listing.unreadable, 1U);
  put("a", "again");
  EXPECT_TRUE(verify(*store_, "a").ok());
  EXPECT_TRUE(store_->remove("b").ok());
  EXPECT_TRUE(store_->remove(long_key).ok());
  EXPECT_EQ(store_->list("", "", 10).value().unreadable, 0U);
}

TEST_F(DirectoryStoreTest, FilesThatAreNoObjectsAreLeftAlone) {
  ASSERT_TRUE(place_.files.open("data/README", os::OpenMode::create_new).ok());
  ASSERT_TRUE(place_.files.open("data/lost+found", os::OpenMode::create_new).ok());
  ASSERT_TRUE(place_.files.open("data/~new-7", os::OpenMode::create_new).ok());
  put("k", "");
  EXPECT_EQ(store_->list("", "", 10).value().objects.size(), 1U);
  store_.reset();
  store_ = place_.open();
  EXPECT_EQ(place_.files.paths(),
            (std::vector<std::string>{"data/README", "data/k", "data/lost+found"}));
}

TEST_F(DirectoryStoreTest, TheLimitOfAnObjectIsInclusive) {
  store_ = reopened({.directory = "data", .object_bytes_max = 10});
  auto upload = store_->start_put("k", {}).value();
  EXPECT_TRUE(upload->append("01234").ok());
  EXPECT_TRUE(upload->append("56789").ok());
  EXPECT_TRUE(upload->commit().ok());
  upload = store_->start_put("k", {}).value();
  EXPECT_TRUE(upload->append("01234").ok());
  const base::Status refused = upload->append("56789x");
  EXPECT_EQ(code_of(refused), ErrorCode::limit_exceeded);
  EXPECT_EQ(refused.error().retry, base::Retry::never);
  EXPECT_EQ(code_of(upload->append("5")), ErrorCode::limit_exceeded) << "an error is final";
  EXPECT_EQ(code_of(upload->commit()), ErrorCode::limit_exceeded);
  upload.reset();
  EXPECT_EQ(verify(*store_, "k").value().bytes, 10U);
}

TEST_F(DirectoryStoreTest, AFullDiskIsSaidToBeFullAndGivesItsSpaceBack) {
  put("old", "1");
  place_.files.set_capacity(10'000);
  const uint64_t before = place_.files.free_bytes("data").value();
  {
    auto upload = store_->start_put("old", {}).value();
    base::Status status;
    for (int i = 0; i < 100 && status.ok(); ++i)
      status = upload->append(std::string(1000, 'x'));
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(code_of(status), ErrorCode::limit_exceeded);
    EXPECT_EQ(status.error().retry, base::Retry::with_backoff);
    EXPECT_EQ(code_of(upload->commit()), ErrorCode::limit_exceeded);
  }
  EXPECT_EQ(place_.files.free_bytes("data").value(), before);
  EXPECT_EQ(verify(*store_, "old").value().bytes, 1U);
  EXPECT_TRUE(store_->put("new", std::string(1000, 'x'), {}).ok());
}

TEST_F(DirectoryStoreTest, OpenForReadingItReadsAndWritesNothing) {
  put("k", "content");
  auto upload = store_->start_put("k", {}).value();  // Another process is writing.
  const uint64_t operations = place_.files.operations();
  const auto reader = reopened({.directory = "data", .access = Access::read_only});
  EXPECT_EQ(place_.files.operations(), operations + 1) << "looks whether the directory is there";
  EXPECT_TRUE(verify(*reader, "k").ok());
  EXPECT_EQ(reader->list("", "", 10).value().objects.size(), 1U);
  EXPECT_EQ(code_of(reader->put("k", "", {})), ErrorCode::unavailable);
  EXPECT_EQ(code_of(reader->start_put("k", {})), ErrorCode::unavailable);
  EXPECT_EQ(code_of(reader->remove("k")), ErrorCode::unavailable);
  EXPECT_TRUE(upload->commit().ok());
  EXPECT_EQ(reader->head("k").value().bytes, 0U);
  const auto missing = DirectoryStore::open(place_.files, place_.clock,
                                            {.directory = "none", .access = Access::read_only});
  EXPECT_EQ(code_of(missing), ErrorCode::not_found);
}

// The archive's rows are deleted once its object has been read back: it must not be an object that
// the disk may still forget. By several seeds, because the disk may also remember.
TEST(DirectoryStoreDurabilityTest, ShowsNothingThatTheDiskMayForget) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    FakePlace place;
    std::unique_ptr<Store> store = place.open();
    ASSERT_TRUE(store->put("old", "1", {}).ok());
    place.files.fail_kind(os::testing::Operation::sync_directory);
    EXPECT_EQ(code_of(store->put("old", "2", {})), ErrorCode::unavailable);
    EXPECT_EQ(code_of(store->head("old")), ErrorCode::unavailable);
    EXPECT_EQ(code_of(store->list("", "", 1)), ErrorCode::unavailable);
    EXPECT_EQ(code_of(store->put("new", "", {})), ErrorCode::unavailable);
    EXPECT_EQ(code_of(store->remove("none")), ErrorCode::unavailable);
    place.files.heal();
    const ObjectInfo shown = store->head("old").value();
    store.reset();
    place.files.lose_power(seed);
    EXPECT_EQ(place.open()->head("old").value(), shown);
  }
}

TEST(DirectoryStoreDurabilityTest, AStartMakesDurableWhatAKilledProcessHadRenamed) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    FakePlace place;
    std::unique_ptr<Store> store = place.open();
    ASSERT_TRUE(store->put("k", "1", {}).ok());
    place.files.fail_kind(os::testing::Operation::sync_directory);
    EXPECT_FALSE(store->put("k", "2", {}).ok());
    place.files.heal();
    store.reset();
    store = place.open();
    const ObjectInfo shown = store->head("k").value();
    store.reset();
    place.files.lose_power(seed);
    EXPECT_EQ(place.open()->head("k").value(), shown);
  }
}

// Goal: what encode_tail() writes comes back whole. Method: random descriptions at and below every
// limit, with bytes before them.
TEST(DescriptionTest, ComesBackAsItWasWritten) {
  const char* const given = std::getenv("WEIR_SEED");  // NOLINT(concurrency-mt-unsafe): one thread.
  const uint64_t seed = given != nullptr ? std::stoull(given) : 1;
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed));
  base::Random random{seed};
  for (int round = 0; round < 500; ++round) {
    ObjectInfo info;
    info.key.assign(1 + random.below(kKeyBytesMax), 'k');
    info.bytes = random.below(kObjectBytesMax + 1);
    info.sha256 = codec::sha256(info.key);
    info.content_type.assign(random.below(kContentTypeBytesMax + 1), 't');
    info.content_encoding.assign(random.below(kContentEncodingBytesMax + 1), 'e');
    info.modified = base::Wall{std::chrono::microseconds{static_cast<int64_t>(random.next())}};
    for (uint64_t i = random.below(kMetadataEntriesMax + 1); i > 0; --i)
      info.metadata["n" + std::to_string(i)].assign(random.below(29), 'v');
    const std::string tail = encode_tail(info);
    const Tail back = decode_tail("content" + tail).value();
    EXPECT_EQ(back.info, info);
    EXPECT_EQ(back.bytes, tail.size());
  }
}

}  // namespace
}  // namespace weir::objects
