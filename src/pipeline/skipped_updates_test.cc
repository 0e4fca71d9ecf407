// A build that skips one hourly update in 10 000 is found out by the audit. Linked with that build
// of the statistics (CMakeLists.txt), so it fails when the audit finds nothing.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "pipeline/testing/rig.h"

namespace weir::pipeline {
namespace {

using testing::kStream;
using testing::Rig;

TEST(SkippedUpdatesTest, OneSkippedHourlyUpdateInTenThousandFailsTheAudit) {
  Rig rig{{.batch_events_max = 512}};
  const auto send = [&rig](int count) {
    for (int i = 0; i < count; ++i)
      rig.journal.append(kStream, rig.event(fmt::format("/path-{}", i)));
    return rig.drain();
  };
  ASSERT_TRUE(send(5'000));
  EXPECT_EQ(rig.audit(), "") << "nothing is skipped yet";
  ASSERT_TRUE(send(5'000));
  const std::string found = rig.audit();
  EXPECT_NE(found.find("the hours of every day add up to its ledger: 10000 and 9999"),
            std::string::npos)
      << found;
  EXPECT_NE(found.find("the totals are the sums of the paths"), std::string::npos) << found;
  EXPECT_NE(found.find("no path and hour has more rows than requests: 0 and 1"), std::string::npos)
      << found;
}

}  // namespace
}  // namespace weir::pipeline
