// Reading databases: their layouts, look-ups of both families, and files that are damaged, cut
// short, replaced and gone.
#include "geo/database.h"

#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/random.h"
#include "geo/database_file.h"
#include "geo/testing/mmdb_writer.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

namespace weir::geo {
namespace {

// libmaxminddb leaks memory where it refuses a file's metadata.
#ifdef __SANITIZE_ADDRESS__
using LeaksOfTheLibrary = __lsan::ScopedDisabler;
#else
struct LeaksOfTheLibrary {
  LeaksOfTheLibrary() {}  // NOLINT(modernize-use-equals-default): else it is a variable unused.
};
#endif

using testing::flat_record;
using testing::map_value;
using testing::maxmind_record;
using testing::MmdbWriter;
using testing::text_value;

config::IpAddress ip(std::string_view text) {
  return config::parse_ip(text).value();
}

class DatabaseTest : public ::testing::Test {
 protected:
  DatabaseTest() {
    std::string made = (std::filesystem::temp_directory_path() / "weir-geo-XXXXXX").string();
    EXPECT_NE(::mkdtemp(made.data()), nullptr);
    folder = made;
    path = folder / "places.mmdb";
  }
  ~DatabaseTest() override { std::filesystem::remove_all(folder); }

  // In place: the file stays the same one.
  void write(const std::string& bytes) const {
    std::ofstream{path, std::ios::binary | std::ios::trunc} << bytes;
  }
  // As those who know how: a new file takes the name.
  void replace(const std::string& bytes) const {
    const std::filesystem::path next = folder / "next";
    std::ofstream{next, std::ios::binary} << bytes;
    std::filesystem::rename(next, path);
  }
  std::shared_ptr<const Database> opened() const {
    auto database = Database::open(path);
    EXPECT_TRUE(database.ok()) << database.error().what.view();
    return database.ok() ? std::move(database).value() : nullptr;
  }
  base::Error refused() const {
    auto database = Database::open(path);
    EXPECT_FALSE(database.ok());
    return database.error();
  }

  static std::string small(std::string_view code = "DE") {
    return MmdbWriter{}
        .add("192.0.2.0/24", maxmind_record(code, "Berlin"))
        .add("2001:db8::/32", maxmind_record("FR"))
        .bytes();
  }

  std::filesystem::path folder;
  std::filesystem::path path;
};

TEST_F(DatabaseTest, FindsCountriesAndCitiesOfBothFamilies) {
  write(MmdbWriter{}
            .add("192.0.2.0/24", maxmind_record("DE", "Berlin"))
            .add("192.0.2.128/25", maxmind_record("AT"))
            .add("2001:db8::/32", maxmind_record("BR", "S\u00e3o Paulo"))
            .bytes());
  const auto database = opened();
  EXPECT_EQ(database->find(ip("192.0.2.1")).country.code(), "DE");
  EXPECT_EQ(database->find(ip("192.0.2.1")).city, "Berlin");
  EXPECT_EQ(database->find(ip("192.0.2.200")).country.code(), "AT");
  EXPECT_EQ(database->find(ip("192.0.2.200")).city, "");
  EXPECT_EQ(database->find(ip("::ffff:192.0.2.1")).country.code(), "DE");
  EXPECT_EQ(database->find(ip("2001:db8::1")).city, "S\u00e3o Paulo");
  for (const char* other : {"192.0.3.1", "127.0.0.1", "::1", "2001:db9::1"})
    EXPECT_FALSE(database->find(ip(other)).country.is_known()) << other;
  EXPECT_EQ(database->type(), "Test-Places");
  EXPECT_EQ(database->built_s(), 1'760'000'000);
}

TEST_F(DatabaseTest, ReadsTheLayoutsOfOtherPublishers) {
  write(MmdbWriter{}
            .add("192.0.2.0/24", flat_record("DE"))
            .add("198.51.100.0/24", flat_record("CN", "Beijing"))
            .add("203.0.113.0/24",
                 map_value({{"country", text_value("us")}, {"city", text_value("Ulm")}}))
            .bytes());
  const auto database = opened();
  EXPECT_EQ(database->find(ip("192.0.2.1")).country.code(), "DE");
  EXPECT_EQ(database->find(ip("198.51.100.1")).city, "Beijing");
  EXPECT_EQ(database->find(ip("203.0.113.1")).country.code(), "US");
  EXPECT_EQ(database->find(ip("203.0.113.1")).city, "Ulm");
}

TEST_F(DatabaseTest, KnowsNoIpv6WhereTheDatabaseHasNone) {
  write(MmdbWriter{4}.add("192.0.2.0/24", flat_record("DE")).bytes());
  const auto database = opened();
  EXPECT_EQ(database->find(ip("192.0.2.1")).country.code(), "DE");
  EXPECT_FALSE(database->find(ip("2001:db8::1")).country.is_known());
}

TEST_F(DatabaseTest, ACodeThatIsNoCountryIsNotKnown) {
  write(MmdbWriter{}
            .add("192.0.2.0/24", maxmind_record("ZZ"))
            .add("198.51.100.0/24", maxmind_record("XK"))
            .bytes());
  const auto database = opened();
  EXPECT_FALSE(database->find(ip("192.0.2.1")).country.is_known());
  EXPECT_EQ(database->find(ip("198.51.100.1")).country.code(), "XK");
}

TEST_F(DatabaseTest, SaysWhyAFileIsNoDatabase) {
  EXPECT_EQ(refused().code, base::ErrorCode::not_found);
  write("");
  EXPECT_EQ(refused().code, base::ErrorCode::corrupt);
  write(std::string(100'000, 'x'));
  EXPECT_EQ(refused().code, base::ErrorCode::corrupt);
  write(MmdbWriter{}.add("192.0.2.0/24", map_value({{"asn", text_value("1")}})).bytes());
  EXPECT_EQ(refused().code, base::ErrorCode::invalid_input);
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  EXPECT_EQ(refused().code, base::ErrorCode::unavailable);
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(refused().code, base::ErrorCode::unavailable) << "and it did not wait for a writer";
}

// Goal: no part of a file passes for all of it, or harms. Method: every length of a small one.
TEST_F(DatabaseTest, AFileThatIsCutShortIsRefused) {
  const LeaksOfTheLibrary none;
  const std::string whole = small();
  const size_t metadata = whole.find("\xab\xcd\xef");
  for (size_t bytes = 0; bytes < whole.size(); bytes += bytes < metadata ? 7 : 1) {
    write(whole.substr(0, bytes));
    EXPECT_FALSE(Database::open(path).ok()) << bytes;
  }
}

// Goal: a damaged file is refused or answers something, and harms nothing. Method: bytes of a small
// one flipped, one to four at a time; what opens is asked.
TEST_F(DatabaseTest, FlippedBytesHarmNothing) {
  const LeaksOfTheLibrary none;
  const std::string whole = small();
  base::Random random{20261126};
  size_t refusals = 0;
  for (int round = 0; round < 1500; ++round) {
    std::string bytes = whole;
    for (uint64_t flips = 1 + random.below(4); flips > 0; --flips)
      bytes[random.below(bytes.size())] ^= static_cast<char>(1U << random.below(8));
    write(bytes);
    const auto database = Database::open(path);
    if (!database.ok()) {
      ++refusals;
      continue;
    }
    for (const char* address : {"192.0.2.1", "192.0.3.1", "2001:db8::1", "::1"})
      static_cast<void>(std::string{database.value()->find(ip(address)).city});
  }
  EXPECT_GT(refusals, 100U);
}

TEST_F(DatabaseTest, TruncatingTheFileInPlaceHarmsNoLookUp) {
  MmdbWriter writer;
  for (int i = 0; i < 250; ++i)
    writer.add("10.0." + std::to_string(i) + ".0/24", maxmind_record("DE", std::string(200, 'x')));
  write(writer.bytes());
  const auto database = opened();
  ASSERT_EQ(::truncate(path.c_str(), 0), 0);
  for (int i = 0; i < 250; ++i) {
    const Place place = database->find(ip("10.0." + std::to_string(i) + ".1"));
    EXPECT_EQ(place.country.code(), "DE");
    EXPECT_EQ(place.city.size(), 200U);
  }
}

TEST_F(DatabaseTest, IsAskedByManyThreadsAtOnce) {
  write(small());
  const auto database = opened();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 2000; ++round) {
        if (database->find(ip("192.0.2.1")).city != "Berlin") ++wrong;
        if (database->find(ip("2001:db8::1")).country.code() != "FR") ++wrong;
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_EQ(wrong, 0);
}

// ---- The file ----

TEST_F(DatabaseTest, AFileIsOpenedOnceUntilItChanges) {
  write(small());
  DatabaseFile file{path};
  EXPECT_EQ(file.current(), nullptr);
  EXPECT_TRUE(file.look());
  const auto first = file.current();
  EXPECT_FALSE(file.look());
  EXPECT_EQ(file.current(), first);
  replace(small("AT"));
  EXPECT_TRUE(file.look());
  EXPECT_EQ(file.current()->find(ip("192.0.2.1")).country.code(), "AT");
  EXPECT_EQ(first->find(ip("192.0.2.1")).country.code(), "DE") << "who still uses it, may";
  EXPECT_EQ(file.problem(), "");
}

TEST_F(DatabaseTest, AChangeInPlaceIsSeenToo) {
  write(small());
  DatabaseFile file{path};
  EXPECT_TRUE(file.look());
  write(small("AT"));
  EXPECT_TRUE(file.look());
  EXPECT_EQ(file.current()->find(ip("192.0.2.1")).country.code(), "AT");
}

TEST_F(DatabaseTest, ADamagedFileLeavesTheOldOneInUseAndSaysSoUntilAGoodOneComes) {
  write(small());
  DatabaseFile file{path};
  ASSERT_TRUE(file.look());
  const auto good = file.current();
  replace("garbage");
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(file.look());
    EXPECT_EQ(file.current(), good);
    EXPECT_EQ(file.problem(), path.string() + ": no MaxMind database, or not all of one");
  }
  replace(small("AT"));
  EXPECT_TRUE(file.look());
  EXPECT_EQ(file.problem(), "");
}

TEST_F(DatabaseTest, AFileThatIsGoneLeavesTheOldOneInUse) {
  write(small());
  DatabaseFile file{path};
  ASSERT_TRUE(file.look());
  const std::filesystem::path aside = folder / "aside";
  std::filesystem::rename(path, aside);
  EXPECT_FALSE(file.look());
  EXPECT_NE(file.current(), nullptr);
  EXPECT_EQ(file.problem(), path.string() + " is not there");
  write(small("AT"));
  EXPECT_TRUE(file.look());
  EXPECT_EQ(file.problem(), "");
}

TEST_F(DatabaseTest, WithoutAFileAtFirstThereIsNoneUntilItComes) {
  DatabaseFile file{path};
  EXPECT_FALSE(file.look());
  EXPECT_EQ(file.current(), nullptr);
  EXPECT_NE(file.problem(), "");
  write(small());
  EXPECT_TRUE(file.look());
  EXPECT_NE(file.current(), nullptr);
  DatabaseFile none;
  EXPECT_FALSE(none.look());
  EXPECT_EQ(none.problem(), "");
}

}  // namespace
}  // namespace weir::geo
