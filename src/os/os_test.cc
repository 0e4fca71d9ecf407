#include <csignal>
#include <cstdlib>
#include <filesystem>

#include <fcntl.h>
#include <gtest/gtest.h>

#include "os/clock.h"
#include "os/directory_lock.h"
#include "os/fd.h"
#include "os/files.h"
#include "os/random.h"
#include "os/sigbus.h"

namespace weir::os {
namespace {

std::string temporary_directory() {
  std::string path = (std::filesystem::temp_directory_path() / "weir-os-XXXXXX").string();
  WEIR_ASSERT(::mkdtemp(path.data()) != nullptr);
  return path;
}

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

TEST(FdTest, ClosesOnceWhoeverHoldsItLast) {
  Fd first{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
  const int number = first.get();
  ASSERT_TRUE(first.valid());
  {
    Fd second{std::move(first)};
    EXPECT_FALSE(first.valid());  // NOLINT(bugprone-use-after-move): that is the promise.
    EXPECT_TRUE(is_open(number));
  }
  EXPECT_FALSE(is_open(number));
}

TEST(RealClockTest, MonotonicNeverStepsBackAndWallIsAfterThisWasWritten) {
  const RealClock clock;
  const base::Monotonic before = clock.monotonic();
  EXPECT_LE(before, clock.monotonic());
  EXPECT_GT(base::unix_ms(clock.wall()), 1'760'000'000'000);
}

TEST(SecureRandomTest, TwoDrawsDiffer) {
  EXPECT_NE(secure_random_u64(), secure_random_u64());
}

TEST(DirectoryLockTest, RefusesASecondHolderAndNamesTheFirst) {
  const std::string directory = temporary_directory();
  {
    const auto first = DirectoryLock::acquire(directory);
    ASSERT_TRUE(first.ok());
    const auto second = DirectoryLock::acquire(directory);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, base::ErrorCode::conflict);
    EXPECT_EQ(lock_holder(directory), ::getpid());
  }
  EXPECT_TRUE(DirectoryLock::acquire(directory).ok());
  EXPECT_EQ(DirectoryLock::acquire(directory + "/none").error().code, base::ErrorCode::not_found);
  std::filesystem::remove_all(directory);
}

TEST(SigbusTest, ATruncatedMappingBecomesAnEmptyPageAndAFlag) {
  install_sigbus_handler();
  const std::string directory = temporary_directory();
  RealFiles files;
  const auto mapped = files.map_new(directory + "/ring", 16384);
  ASSERT_TRUE(mapped.ok());
  const std::span<char> bytes = mapped.value()->bytes();
  GuardedRegion guard{bytes};
  bytes[0] = 'a';
  bytes[8192] = 'b';
  EXPECT_FALSE(guard.failed());
  ASSERT_TRUE(files.open(directory + "/ring", OpenMode::read_write).value()->truncate(4096).ok());

  EXPECT_EQ(bytes[0], 'a');
  EXPECT_FALSE(guard.failed());
  volatile char* const gone = &bytes[8192];
  *gone = 'c';
  EXPECT_TRUE(guard.failed());
  EXPECT_EQ(*gone, 'c');
  EXPECT_EQ(bytes[0], 'a') << "pages that are there stay";
  std::filesystem::remove_all(directory);
}

TEST(SigbusDeathTest, ATruncatedMappingOutsideEveryRegionKills) {
  const std::string directory = temporary_directory();
  RealFiles files;
  const auto mapped = files.map_new(directory + "/file", 4096);
  ASSERT_TRUE(files.open(directory + "/file", OpenMode::read_write).value()->truncate(0).ok());
  const auto touch = [&mapped] {
    std::signal(SIGBUS, SIG_DFL);
    install_sigbus_handler();
    *const_cast<volatile char*>(mapped.value()->bytes().data()) = 'x';
  };
  EXPECT_EXIT(touch(), ::testing::KilledBySignal(SIGBUS), "");
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace weir::os
