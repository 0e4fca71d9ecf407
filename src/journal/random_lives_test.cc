// What the journal promises: every event counted once after kills and failing disks, and never
// twice, at most the unsynced ones lost, after losses of power.

#include <cstdlib>

#include <gtest/gtest.h>

#include "base/random.h"
#include "journal/testing/world.h"

namespace weir::journal {
namespace {

using testing::World;

// One step of a random life.
void act(World& world, base::Random& random, bool power_may_go) {
  if (!world.running()) {
    world.start();
    return;
  }
  switch (random.below(16)) {
    case 0:
      world.kill();
      break;
    case 1:
      if (power_may_go && random.below(2) == 0) {
        world.lose_power(random.next());
      } else {
        world.shut_down();
      }
      break;
    case 2:
      world.files.fail_operation(world.files.operations() + random.below(6),
                                 random.below(2) == 0 ? EIO : ENOSPC);
      break;
    case 3:
      world.files.fail_kind(random.below(2) == 0 ? os::testing::Operation::sync
                                                 : os::testing::Operation::write);
      break;
    case 4:
    case 5:
      world.files.heal();
      break;
    case 6:
    case 7:
      world.consume(1 + random.below(50));
      break;
    case 8:
    case 9:
    case 10:
    case 11:
      world.step();
      break;
    default: {
      const auto loop = static_cast<uint16_t>(random.below(2));
      for (uint64_t count = random.below(120); count > 0; --count)
        world.commit(loop, random.below(250));
      break;
    }
  }
}

void live_at_random(uint64_t seed, bool power_may_go) {
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed));
  World world{seed};
  base::Random random{seed};
  for (int i = 0; i < 120 && !::testing::Test::HasFailure(); ++i)
    act(world, random, power_may_go);
  world.files.heal();
  if (!world.running()) world.start_until_ok();
  world.consume_all();
  world.check(power_may_go ? World::Must::durable : World::Must::all);
  EXPECT_TRUE(power_may_go || world.lost == 0);
  EXPECT_EQ(world.journal->status().backlog_records, 0U);
}

// Goal: the promises hold for lives that nobody thought of. Method: random ones, by seed;
// WEIR_SEED=n repeats one of them.
TEST(RandomLivesTest, LivesWithoutLossOfPowerCountEverythingOnce) {
  const char* const chosen = std::getenv("WEIR_SEED");
  const uint64_t first = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : 1;
  const uint64_t count = chosen != nullptr ? 1 : 100;
  for (uint64_t seed = first; seed < first + count && !HasFailure(); ++seed)
    live_at_random(seed, false);
}

TEST(RandomLivesTest, LivesWithLossOfPowerKeepWhatWasSynced) {
  const char* const chosen = std::getenv("WEIR_SEED");
  const uint64_t first = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : 1;
  const uint64_t count = chosen != nullptr ? 1 : 100;
  for (uint64_t seed = first; seed < first + count && !HasFailure(); ++seed)
    live_at_random(seed, true);
}

}  // namespace
}  // namespace weir::journal
