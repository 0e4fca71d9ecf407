#pragma once
// For tests: every field of two events, compared one by one so that a failure names the field.

#include <gtest/gtest.h>

#include "traffic/event.h"

namespace weir::traffic::testing {

inline void expect_equal(const Event& a, const Event& b) {
  EXPECT_EQ(to_string(a.id), to_string(b.id));
  EXPECT_TRUE(a.id == b.id);
  EXPECT_EQ(a.arrival_us, b.arrival_us);
  EXPECT_EQ(a.path, b.path);
  EXPECT_EQ(a.method, b.method);
  EXPECT_EQ(a.user_agent, b.user_agent);
  EXPECT_EQ(a.route_id, b.route_id);
  EXPECT_EQ(a.country, b.country);
  EXPECT_EQ(a.city, b.city);
  EXPECT_EQ(a.colo, b.colo);
  EXPECT_EQ(a.client_ip, b.client_ip);
  EXPECT_EQ(a.client_hash, b.client_hash);
  EXPECT_EQ(a.duration_us, b.duration_us);
  EXPECT_EQ(a.upstream_us, b.upstream_us);
  EXPECT_EQ(a.bytes_in, b.bytes_in);
  EXPECT_EQ(a.bytes_out, b.bytes_out);
  EXPECT_EQ(a.status, b.status);
  EXPECT_EQ(a.flags, b.flags);
  EXPECT_EQ(a.outcome, b.outcome);
  EXPECT_EQ(a.cache, b.cache);
  EXPECT_EQ(a.geo, b.geo);
  EXPECT_EQ(a.attempts, b.attempts);
}

}  // namespace weir::traffic::testing
