// What the directory store promises whatever fails: the old object or the new one, whole, and
// nothing shown that can still be lost.

#include <functional>
#include <map>
#include <optional>
#include <set>

#include <gtest/gtest.h>

#include "objects/directory_store.h"
#include "objects/file_name.h"
#include "os/testing/fake_files.h"

namespace weir::objects {
namespace {

using base::ErrorCode;
using base::Result;
using os::testing::FakeFiles;

using Content = std::optional<std::string>;  // Nothing: no such object.

std::string long_key() {
  return std::string(500, 'k');
}

// Over several sectors, so that a mix of two is no content at all.
std::string content(char letter, size_t bytes = 3000) {
  return std::string(bytes, letter);
}

// A store in use, with what each key may hold.
class World {
 public:
  explicit World(uint64_t seed) : files(seed) {}

  void start() {
    auto opened =
        DirectoryStore::open(files, clock, {.directory = "data/objects", .sync_bytes = 2000});
    if (failed(opened)) return;
    store = std::move(opened).value();
  }
  void restart() {
    store.reset();
    start();
  }

  // The pieces of one object; `whole`: with put().
  void write(const std::string& key, const std::vector<std::string>& pieces, bool whole,
             const PutOptions& options = {}) {
    if (!store) return;
    clock.advance(std::chrono::seconds{1});
    std::string all;
    for (const std::string& piece : pieces)
      all += piece;
    if (whole) {
      committed(key, all, store->put(key, all, options));
      return;
    }
    auto upload = store->start_put(key, options);
    if (failed(upload)) return;
    for (const std::string& piece : pieces) {
      const base::Status status = upload.value()->append(piece);
      if (failed(status)) return;
      look(key);
    }
    committed(key, all, upload.value()->commit());
  }

  void remove(const std::string& key) {
    if (!store) return;
    const base::Status removed = store->remove(key);
    if (failed(removed)) {
      may_hold[key].insert(Content{});
    } else {
      may_hold[key] = {Content{}};
    }
  }

  // What a reader is shown is what remains.
  void look(const std::string& key) {
    if (!store) return;
    Content shown;
    auto object = store->open(key);
    if (object.ok()) {
      shown.emplace();
      const base::Status read = read_object(*object.value(), [&shown](std::string_view bytes) {
        shown->append(bytes);
        return base::Status{};
      });
      if (failed(read)) return;
    } else if (object.error().code != ErrorCode::not_found) {
      static_cast<void>(failed(object));
      return;
    }
    EXPECT_TRUE(possible(key).contains(shown))
        << key << " holds " << shown.value_or("nothing").substr(0, 5);
    may_hold[key] = {shown};
  }

  // After everything works again: each key as promised, and no traces of what failed.
  void check() {
    ASSERT_NE(store, nullptr);
    std::vector<std::string> names;
    std::vector<std::string> keys;
    for (const auto& entry : std::map{may_hold}) {
      look(entry.first);
      if (!may_hold[entry.first].begin()->has_value()) continue;
      keys.push_back(entry.first);
      names.push_back("data/objects/" + file_name(entry.first));
    }
    const Listing listing = store->list("", "", 100).value();
    EXPECT_EQ(listing.unreadable, 0U);
    EXPECT_EQ(listing.objects.size(), keys.size());
    for (size_t i = 0; i < std::min(keys.size(), listing.objects.size()); ++i) {
      EXPECT_EQ(listing.objects[i].key, keys[i]);
      EXPECT_EQ(listing.objects[i].etag, store->head(keys[i]).value().etag);
    }
    EXPECT_EQ(files.paths(), names);
    EXPECT_TRUE(store->put("a", "works again", {}).ok());
  }

  FakeFiles files;
  base::ManualClock clock;
  std::unique_ptr<Store> store;
  std::map<std::string, std::set<Content>> may_hold;
  ErrorCode injected = ErrorCode::unavailable;

 private:
  const std::set<Content>& possible(const std::string& key) {
    std::set<Content>& contents = may_hold[key];
    if (contents.empty()) contents.insert(Content{});
    return contents;
  }

  void committed(const std::string& key, const std::string& all, const Result<ObjectInfo>& info) {
    possible(key);
    if (!info.ok()) {
      if (info.error().code == ErrorCode::conflict) return;
      static_cast<void>(failed(info));
      may_hold[key].insert(all);
      return;
    }
    EXPECT_EQ(info.value().sha256, codec::sha256(all));
    may_hold[key] = {all};
  }

  // True for an error, which must be the injected one.
  template <typename T>
  bool failed(const Result<T>& result) {
    if (result.ok()) return false;
    EXPECT_EQ(result.error().code, injected) << result.error().what.view();
    return true;
  }
};

void live(World& world) {
  if (!world.files.create_directory("data").ok()) return;
  world.start();
  world.write("a", {content('1')}, true);
  world.look("a");
  world.write("b", {content('2'), content('3', 10), content('4')}, false);
  std::string etag;
  if (world.store) {
    const auto head = world.store->head("b");
    etag = head.ok() ? head.value().etag : "unknown";
  }
  world.write("b", {content('5', 100), content('6', 5000)}, false, {.if_match = etag});
  world.write("a", {content('7')}, true, {.if_absent = true});
  world.look("b");
  world.write("a", {content('8', 10)}, true);
  world.restart();
  world.look("a");
  world.write(long_key(), {content('9')}, false, {.if_absent = true});
  world.remove("b");
  world.look("b");
  if (world.store) {
    const auto aborted = world.store->start_put("b", {});
    if (aborted.ok()) static_cast<void>(aborted.value()->append(content('0')).ok());
  }
  world.write("b", {content('x')}, true, {.if_absent = true});
  world.remove(long_key());
}

uint64_t operations_of_a_life() {
  World world{1};
  live(world);
  EXPECT_EQ(world.may_hold["a"], (std::set<Content>{content('8', 10)}));
  EXPECT_EQ(world.may_hold["b"], (std::set<Content>{content('x')}));
  EXPECT_EQ(world.may_hold[long_key()], (std::set<Content>{Content{}}));
  world.check();
  return world.files.operations();
}

// Goal: one failure leaves every object old or new, the store in use goes on, and nothing is left
// behind. Method: operation 0, 1, … of a life fails, alone, with an I/O error or a full disk.
TEST(DirectoryStoreFaultTest, AnyOneFailureLeavesTheOldObjectOrTheNewOne) {
  for (const int error_number : {EIO, ENOSPC}) {
    for (uint64_t n = 0;; ++n) {
      SCOPED_TRACE("operation " + std::to_string(n) + ", errno " + std::to_string(error_number));
      World world{n};
      if (error_number == ENOSPC) world.injected = ErrorCode::limit_exceeded;
      world.files.fail_operation(n, error_number);
      live(world);
      const bool failed = world.files.injected();
      world.files.heal();
      for (auto& [key, contents] : std::map{world.may_hold})
        world.look(key);  // The running store as well as the next one.
      world.restart();
      world.check();
      if (::testing::Test::HasFailure()) return;
      if (!failed) break;
    }
  }
}

// Goal: a kill at any operation leaves the old object or the new one. Method: everything from
// operation n on fails, so that nothing is cleaned up either; then the store is opened again.
TEST(DirectoryStoreFaultTest, AKillAtAnyOperationLeavesTheOldObjectOrTheNewOne) {
  const uint64_t operations = operations_of_a_life();
  for (uint64_t n = 0; n < operations; ++n) {
    SCOPED_TRACE("operation " + std::to_string(n));
    World world{n};
    world.files.fail_from(n);
    live(world);
    world.store.reset();
    world.files.heal();
    ASSERT_TRUE(world.files.create_directory("data").ok());
    world.start();
    world.check();
    if (::testing::Test::HasFailure()) return;
  }
}

// Goal: as above, for power: what was shown or acknowledged stays. Method: what was not synced
// survives in part, by several seeds.
TEST(DirectoryStoreFaultTest, ALossOfPowerAtAnyOperationLeavesTheOldObjectOrTheNewOne) {
  const uint64_t operations = operations_of_a_life();
  for (uint64_t n = 0; n <= operations; ++n) {
    for (uint64_t seed = 0; seed < 3; ++seed) {
      SCOPED_TRACE("operation " + std::to_string(n) + ", seed " + std::to_string(seed));
      World world{n};
      world.files.fail_from(n);
      live(world);
      world.store.reset();
      world.files.lose_power(seed + 1000 * n);
      world.files.heal();
      ASSERT_TRUE(world.files.create_directory("data").ok());
      world.start();
      world.check();
      if (::testing::Test::HasFailure()) return;
    }
  }
}

// As above, where one operation before the loss of power had failed alone, and the store went on.
TEST(DirectoryStoreFaultTest, ALossOfPowerAfterAnyOneFailureLeavesWhatWasShown) {
  for (uint64_t n = 0;; ++n) {
    bool failed = false;
    for (uint64_t seed = 0; seed < 2; ++seed) {
      SCOPED_TRACE("operation " + std::to_string(n) + ", seed " + std::to_string(seed));
      World world{n};
      world.files.fail_operation(n);
      live(world);
      failed = world.files.injected();
      world.store.reset();
      world.files.lose_power(seed + 1000 * n);
      world.files.heal();
      ASSERT_TRUE(world.files.create_directory("data").ok());
      world.start();
      world.check();
      if (::testing::Test::HasFailure()) return;
    }
    if (!failed) break;
  }
}

}  // namespace
}  // namespace weir::objects
