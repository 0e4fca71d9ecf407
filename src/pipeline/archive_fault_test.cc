// An object store that refuses parts of an archive.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "objects/directory_store.h"
#include "os/testing/fake_files.h"
#include "pipeline/testing/shelf.h"

namespace weir::pipeline {
namespace {

using testing::kDay;
using testing::kStream;
using testing::Rig;

// With objects in files of its own.
struct Shelf : testing::Shelf {
  Shelf() {
    EXPECT_TRUE(files.create_directory("/data").ok());
    disk = objects::DirectoryStore::open(files, rig.clock, {.directory = "/data/objects"}).value();
    store = disk.get();
  }
  os::testing::FakeFiles files{3};
  std::unique_ptr<objects::DirectoryStore> disk;
};

// Fails the nth part that it is given, counting over all objects.
class BreakingStore final : public objects::Store {
 public:
  explicit BreakingStore(objects::Store& real) : real_(real) {}
  int parts = 0;       // Seen,
  int breaks_at = 0;   // and the one that fails, from 0.
  size_t largest = 0;  // Of all of them, in bytes.

  bool broken() { return parts++ == breaks_at; }

  base::Result<objects::ObjectInfo> put(std::string_view key, std::string_view bytes,
                                        const objects::PutOptions& options) override {
    if (broken()) return kBroken;
    return real_.put(key, bytes, options);
  }
  base::Result<std::unique_ptr<objects::Upload>> start_put(
      std::string_view key, const objects::PutOptions& options) override {
    return std::unique_ptr<objects::Upload>{
        std::make_unique<Parts>(*this, WEIR_TRY(real_.start_put(key, options)))};
  }
  base::Result<std::unique_ptr<objects::Object>> open(std::string_view key) override {
    return real_.open(key);
  }
  base::Result<objects::Listing> list(std::string_view prefix, std::string_view after,
                                      size_t objects_max) override {
    return real_.list(prefix, after, objects_max);
  }
  base::Status remove(std::string_view key) override { return real_.remove(key); }

 private:
  static constexpr base::Error kBroken{base::ErrorCode::unavailable, base::Origin::storage,
                                       base::Retry::with_backoff, 5, "the part was refused"};

  class Parts final : public objects::Upload {
   public:
    Parts(BreakingStore& store, std::unique_ptr<objects::Upload> real)
        : store_(store), real_(std::move(real)) {}
    base::Status append(std::string_view bytes) override {
      store_.largest = std::max(store_.largest, bytes.size());
      return store_.broken() ? base::Status{kBroken} : real_->append(bytes);
    }
    base::Result<objects::ObjectInfo> commit() override {
      if (store_.broken()) return kBroken;
      return real_->commit();
    }

   private:
    BreakingStore& store_;
    std::unique_ptr<objects::Upload> real_;
  };

  objects::Store& real_;
};

TEST(ArchiveFaultTest, AnObjectStoreThatRefusesAnyPartDelaysTheArchiveAndLosesNothing) {
  Shelf shelf;
  Rig& rig = shelf.rig;
  BreakingStore store{*shelf.disk};
  shelf.store = &store;
  // Six bytes for each of its own in a line: a few hundred rows fill several gzip members.
  const std::string path(traffic::Event::kPathBytesMax, '\x01');
  for (int i = 0; i < 180; ++i)
    rig.journal.append(kStream, rig.event(path));
  ASSERT_TRUE(shelf.settle());
  rig.clock.advance(3 * kDay);
  int tries = 0;
  for (bool done = false; !done; ++tries) {
    SCOPED_TRACE(fmt::format("part {}", tries));
    store.parts = 0;
    store.breaks_at = tries;
    rig.logger.lines.clear();
    done = shelf.archive().ok();
    if (done) break;
    EXPECT_EQ(rig.logger.count(base::LogLevel::error), 1U);
    ASSERT_TRUE(shelf.clean().ok());
    ASSERT_EQ(rig.number("SELECT count(*) FROM events"), 180) << "nothing goes before it is kept";
    ASSERT_EQ(rig.text("SELECT status FROM archive_metadata"), "failed");
  }
  EXPECT_GT(tries, 3) << "the object must have had several parts";
  EXPECT_LE(store.largest, size_t{1} << 20U) << "a day never is in memory as a whole";
  ASSERT_TRUE(shelf.clean().ok());
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 0);
  EXPECT_EQ(rig.audit(), "");
  EXPECT_EQ(shelf.check().value().differing, 0U);
}

}  // namespace
}  // namespace weir::pipeline
