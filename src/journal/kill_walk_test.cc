// What the journal promises: every event counted once after kills and failing disks, and never
// twice, at most the unsynced ones lost, after losses of power.

#include <gtest/gtest.h>

#include "journal/testing/world.h"

namespace weir::journal {
namespace {

using testing::live;
using testing::operations_of_a_life;
using testing::World;

// Goal: power may go at any operation. Method: everything from the nth operation on fails, then
// what was not durable goes, by several seeds.
TEST(KillWalkTest, ALossOfPowerAtAnyOperationCountsNothingTwiceAndKeepsWhatWasSynced) {
  const uint64_t operations = operations_of_a_life();
  for (uint64_t n = 0; n < operations; ++n) {
    SCOPED_TRACE("operation " + std::to_string(n));
    World world{n};
    world.files.fail_from(n);
    live(world);
    world.lose_power(n * 31);
    world.files.heal();
    world.start_until_ok();
    world.commit(0);
    world.consume_all();
    world.check(World::Must::durable);
    if (::testing::Test::HasFailure()) return;
  }
}

// Goal: a kill may come at any operation and loses nothing. Method: as above, but the page cache
// stays.
TEST(KillWalkTest, AKillAtAnyOperationLosesNothing) {
  const uint64_t operations = operations_of_a_life();
  for (uint64_t n = 0; n < operations; ++n) {
    SCOPED_TRACE("operation " + std::to_string(n));
    World world{n};
    world.files.fail_from(n);
    live(world);
    world.kill();
    world.files.heal();
    world.start_until_ok();
    world.consume_all();
    world.check(World::Must::all);
    EXPECT_EQ(world.lost, 0U);
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace weir::journal
