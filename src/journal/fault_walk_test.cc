// What the journal promises: every event counted once after kills and failing disks, and never
// twice, at most the unsynced ones lost, after losses of power.

#include <gtest/gtest.h>

#include "journal/testing/world.h"

namespace weir::journal {
namespace {

using testing::live;
using testing::operations_of_a_life;
using testing::World;

TEST(FaultWalkTest, ALifeWithoutFaultsCountsEverythingOnce) {
  World world;
  live(world);
  world.consume_all();
  world.check(World::Must::all);
  EXPECT_EQ(world.lost, 0U);
  EXPECT_GT(world.merged, 0U) << "the ring must have been full";
  EXPECT_GT(world.files.operations(), 150U);
}

// Goal: a failing operation costs nothing but time. Method: fail operation 0, then 1, and so on.
TEST(FaultWalkTest, AFailureOfAnyOperationLosesNothing) {
  const uint64_t operations = operations_of_a_life();
  for (uint64_t n = 0; n < operations; ++n) {
    SCOPED_TRACE("operation " + std::to_string(n));
    World world{n};
    world.files.fail_operation(n, n % 2 == 0 ? EIO : ENOSPC);
    live(world);
    if (!world.running()) world.start_until_ok();
    world.consume_all();
    world.check(World::Must::all);
    EXPECT_EQ(world.lost, 0U);
    if (::testing::Test::HasFailure()) return;
  }
}

// The same, and then a loss of power: what was reported synced must not depend on bytes that only
// the page cache held.
TEST(FaultWalkTest, AFailureOfAnyOperationAndThenALossOfPowerLosesNothingDurable) {
  const uint64_t operations = operations_of_a_life();
  for (uint64_t n = 0; n < operations; ++n) {
    SCOPED_TRACE("operation " + std::to_string(n));
    World world{n};
    world.files.fail_operation(n, EIO);
    live(world);
    if (!world.running()) world.start_until_ok();
    world.settle();
    world.lose_power(n);
    world.start_until_ok();
    world.consume_all();
    world.check(World::Must::durable);
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace weir::journal
