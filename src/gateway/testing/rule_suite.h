#pragma once
// What the suites of IP rules and of geographic rules share: one route, "kv", on a StageRig, and
// requests that pass or do not. The client is 192.0.2.7.

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "gateway/testing/stage_rig.h"

namespace weir::gateway::testing {

inline constexpr const char* kGet = "GET /kv/a HTTP/1.1\r\n\r\n";

// Threading: one thread at a time.
class RuleSuite : public ::testing::TestWithParam<Neighbour> {
 protected:
  // `rules` (and other tables) in TOML; `keys` are the route's.
  void publish(const std::string& rules, const std::string& keys = {}) {
    rig.publish(rules +
                "[[routes]]\nid = \"kv\"\npattern = \"/kv/*\"\nupstreams = [\"{upstream}\"]\n" +
                keys);
  }

  MuxStream& proxied(const std::string& head = kGet) {
    MuxStream& stream = rig.connection.open(head);
    rig.until(
        [&] {
          return rig.upstream.connection_count() == 1 &&
                 rig.upstream.connection(0).head_count() > rig.upstream.connection(0).answered;
        },
        "the request");
    ++rig.upstream.connection(0).answered;
    rig.upstream.connection(0).send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    rig.until_over(stream);
    EXPECT_EQ(stream.head().status, 200);
    return stream;
  }
  // Answered by Weir at once.
  MuxStream& answered(int status, std::string_view head = kGet) {
    MuxStream& stream = rig.connection.open(head);
    EXPECT_EQ(stream.end(), End::complete);
    EXPECT_EQ(stream.head().status, status);
    return stream;
  }

  // The event says that a rule would have refused it, were it enforced.
  bool would_be_denied(const MuxStream& stream) {
    return (rig.event(stream).flags & traffic::EventFlag::kWouldBeDenied) != 0;
  }

  StageRig rig{GetParam()};
};

inline std::string name_of(const ::testing::TestParamInfo<Neighbour>& which) {
  return which.param == Neighbour::none ? "Alone" : "Interleaved";
}

}  // namespace weir::gateway::testing
