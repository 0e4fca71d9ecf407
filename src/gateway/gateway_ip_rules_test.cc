// The stage suite's IP rules: who is refused, what is told, what is recorded and counted. Which
// rule decides is access/ip_rules_test.cc's.
#include <array>

#include <gtest/gtest.h>

#include "gateway/testing/rule_suite.h"

namespace weir::gateway {
namespace {

using config::IpAction;
using std::chrono::milliseconds;
using testing::MuxStream;
using testing::Neighbour;
using testing::RuleSuite;
using traffic::Event;
using traffic::Outcome;

class GatewayIpRulesTest : public RuleSuite {
 protected:
  static std::string rule(const std::string& match, const std::string& action,
                          const std::string& more = {}) {
    return "[[ip_rules]]\nmatch = [\"" + match + "\"]\naction = \"" + action + "\"\n" + more + "\n";
  }
  static std::string throttle(const std::string& match, int limit, const std::string& more = {}) {
    return rule(match, "throttle",
                "limit = " + std::to_string(limit) + "\nwindow = \"10s\"\n" + more);
  }

  uint64_t denied(IpAction action) const {
    return rig.gateway.counts().ip_rule_denied[static_cast<size_t>(action)];
  }
  uint64_t dry_runs(IpAction action) const {
    return rig.gateway.counts().ip_rule_dry_runs[static_cast<size_t>(action)];
  }
};

INSTANTIATE_TEST_SUITE_P(, GatewayIpRulesTest, ::testing::Values(Neighbour::none, Neighbour::busy),
                         testing::name_of);

TEST_P(GatewayIpRulesTest, ABlockedClientIsRefusedWith403AndRecordedSo) {
  publish(rule("192.0.2.0/24", "block", "reason = \"sp\u00e4m \\\"bot\\\"\""));
  const MuxStream& stream = answered(403);
  EXPECT_EQ(stream.head().field("Content-Type"), "application/json");
  EXPECT_EQ(
      stream.body(),
      "{\"error\":\"Forbidden\",\"message\":\"Access denied by IP access control\",\"reason\":"
      "\"sp\u00e4m \\\"bot\\\"\",\"rulePattern\":\"192.0.2.0/24\",\"code\":\"ip_blocked\","
      "\"requestId\":\"" +
          std::string{stream.head().field("X-Request-ID")} + "\"}");
  const Event event = rig.event(stream);
  EXPECT_EQ(event.status, 403);
  EXPECT_EQ(event.outcome, Outcome::refused);
  EXPECT_EQ(event.attempts, 0);
  EXPECT_EQ(event.route_id, "kv");
  EXPECT_EQ(event.path, "/kv/a");
  EXPECT_EQ(event.bytes_out, stream.bytes_out());
  EXPECT_EQ(denied(IpAction::block), 1U);
  EXPECT_EQ(rig.upstream.connection_count(), 0U);
}

TEST_P(GatewayIpRulesTest, ABlockWithoutAReasonGivesAGeneralOne) {
  publish(rule("192.0.2.7", "block"));
  EXPECT_NE(answered(403).body().find(R"("reason":"Your IP has been blocked","rulePattern":)"
                                      R"("192.0.2.7/32")"),
            std::string::npos);
}

TEST_P(GatewayIpRulesTest, ABlockComesBeforeTheAnswerThatNoRouteMatches) {
  publish(rule("192.0.2.7", "block"));
  const MuxStream& stream = answered(403, "GET /elsewhere HTTP/1.1\r\n\r\n");
  EXPECT_EQ(rig.event(stream).status, 403);
  answered(403, "OPTIONS /kv/a HTTP/1.1\r\n\r\n");
}

TEST_P(GatewayIpRulesTest, AHeadIsRefusedWithoutABodyAndAnUploadBeforeItIsRead) {
  publish(rule("192.0.2.7", "block"));
  EXPECT_EQ(answered(403, "HEAD /kv/a HTTP/1.1\r\n\r\n").body(), "");
  answered(403, "POST /kv/a HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
}

TEST_P(GatewayIpRulesTest, TheHealthPathIsUnderNoRule) {
  publish(rule("0.0.0.0/0", "block"));
  answered(200, "GET /api/health HTTP/1.1\r\n\r\n").expect_unrecorded();
}

TEST_P(GatewayIpRulesTest, OthersAndTheAllowedPass) {
  publish(rule("198.51.100.0/24", "block"));
  proxied();
  publish(rule("192.0.2.0/24", "block") + rule("192.0.2.7", "allow"));
  proxied();
  EXPECT_EQ(denied(IpAction::block), 0U);
}

// A connection remembers that no rule is about its client.
TEST_P(GatewayIpRulesTest, ARuleThatComesLaterHoldsOnAConnectionThatWasUnderNone) {
  publish(rule("198.51.100.0/24", "block"));
  proxied();
  proxied();
  publish(rule("192.0.2.7", "block"));
  answered(403);
  publish({});
  proxied();
}

TEST_P(GatewayIpRulesTest, EachClientOfATrustedProxysConnectionIsUnderItsOwnRules) {
  publish(
      "[listen]\ntraffic = [{address = \"127.0.0.1:0\", client_address = \"x-forwarded-for\", "
      "trusted_proxies = [\"192.0.2.7\"]}]\n" +
      rule("198.51.100.1", "block"));
  for (int round = 0; round < 2; ++round) {
    proxied("GET /kv/a HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n");
    answered(403, "GET /kv/a HTTP/1.1\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n");
  }
}

TEST_P(GatewayIpRulesTest, AnAllowedClientIsStillUnderItsRoutesLimit) {
  publish(rule("192.0.2.7", "allow"), "rate_limit = {limit = 1}");
  proxied();
  EXPECT_NE(answered(429).body().find(R"("code":"rate_limited")"), std::string::npos);
}

TEST_P(GatewayIpRulesTest, AThrottledClientIsRefusedAboveTheLimitWith429AndRecordedSo) {
  publish(throttle("192.0.2.0/24", 2));
  EXPECT_EQ(proxied().head().field("X-RateLimit-Limit"), "(none)");
  rig.pass(milliseconds{2500});
  proxied();
  const MuxStream& stream = answered(429);
  EXPECT_EQ(stream.head().field("Retry-After"), "8");
  EXPECT_EQ(stream.head().field("X-RateLimit-Limit"), "2");
  EXPECT_EQ(stream.head().field("X-RateLimit-Remaining"), "0");
  EXPECT_EQ(stream.head().field("X-RateLimit-Client-IP"), "192.0.2.7");
  EXPECT_EQ(stream.head().field("RateLimit-Policy"), R"("default";q=2;w=10)");
  EXPECT_EQ(stream.body(),
            R"({"error":"Rate limit exceeded","message":"Global IP rate limit exceeded",)"
            R"("reason":"Too many requests from your IP","limit":2,"window":10,"remaining":0,)"
            R"("retryAfter":8,"resetAt":"2025-10-15T00:00:10.000Z","code":"ip_throttled",)"
            R"("requestId":")" +
                std::string{stream.head().field("X-Request-ID")} + "\"}");
  const Event event = rig.event(stream);
  EXPECT_EQ(event.status, 429);
  EXPECT_EQ(event.outcome, Outcome::refused);
  EXPECT_EQ(event.route_id, "kv");
  EXPECT_EQ(denied(IpAction::throttle), 1U);
  EXPECT_EQ(rig.gateway.counts().rate_limited, 0U);
  rig.pass(milliseconds{7500});
  proxied();
  answered(429);
}

TEST_P(GatewayIpRulesTest, AThrottledAnswerWithoutARouteIsComplete) {
  publish(throttle("192.0.2.7", 1));
  answered(404, "GET /elsewhere HTTP/1.1\r\n\r\n");
  EXPECT_EQ(rig.event(answered(429, "GET /elsewhere HTTP/1.1\r\n\r\n")).status, 429);
}

TEST_P(GatewayIpRulesTest, AThrottledClientThatPassesIsToldOfItsRoutesLimit) {
  publish(throttle("192.0.2.7", 5), "rate_limit = {limit = 9}");
  const MuxStream& stream = proxied();
  EXPECT_EQ(stream.head().field("X-RateLimit-Limit"), "9");
  EXPECT_EQ(stream.head().field("X-RateLimit-Remaining"), "8");
}

TEST_P(GatewayIpRulesTest, AThrottleKeepsItsCountsWhereverItStandsAfterAReload) {
  publish(throttle("192.0.2.0/24", 1));
  proxied();
  publish(rule("198.51.100.1", "block") + throttle("192.0.2.0/24", 1));
  answered(429);
  publish(throttle("192.0.0.0/16", 1));
  proxied();
  answered(429);
}

// Goal: without a place to count in, requests pass, and are counted as unchecked. Method: that of
// gateway_rate_limit_test.cc, with the throttle's own key.
TEST_P(GatewayIpRulesTest, AThrottleThatCannotCountLetsPassAndIsCountedAsUnchecked) {
  publish(throttle("192.0.2.7", 1));
  limit::Limiter& limiter = rig.shared.limiter;
  const std::array<uint8_t, 16> client{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7};
  std::string id = "ip_rule/" + std::string(client.begin(), client.end()) + '\x80';
  limit::Charge stranger{limiter.address_key(limit::Rule{id}, client, 64),
                         {.requests = 1, .window = std::chrono::seconds{60}}};
  limit::Room room;
  for (int nth = 0; nth < 1000; ++nth) {
    stranger.key.group += 1;  // The stripe is in the highest bits.
    stranger.key.member += 0x9e3779b97f4a7c15U;
    limiter.admit({&stranger, 1}, rig.clock.monotonic(), {&room, 1});
  }
  proxied();
  proxied();
  EXPECT_EQ(rig.gateway.counts().rate_limit_unchecked, 2U);
  EXPECT_EQ(denied(IpAction::throttle), 0U);
}

TEST_P(GatewayIpRulesTest, ARuleEndsAtItsSecond) {
  publish(rule("192.0.2.7", "block", "expires = \"2025-10-15T00:00:02Z\""));
  answered(403);
  rig.pass(milliseconds{1999});
  answered(403);
  rig.pass(milliseconds{1});
  proxied();
}

TEST_P(GatewayIpRulesTest, ADryRunIsCountedAndChangesNothing) {
  publish(rule("192.0.2.7", "block", "enforce = false"));
  EXPECT_TRUE(would_be_denied(proxied()));
  EXPECT_EQ(dry_runs(IpAction::block), 1U);
  publish(throttle("192.0.2.7", 1, "enforce = false"));
  EXPECT_FALSE(would_be_denied(proxied()));
  EXPECT_EQ(dry_runs(IpAction::throttle), 0U) << "it would have passed";
  const MuxStream& stream = proxied();
  EXPECT_EQ(stream.head().field("X-RateLimit-Limit"), "(none)");
  EXPECT_TRUE(would_be_denied(stream));
  EXPECT_EQ(dry_runs(IpAction::throttle), 1U);
  publish(rule("192.0.2.7", "allow", "enforce = false") + rule("192.0.2.0/24", "block"));
  EXPECT_FALSE(would_be_denied(answered(403))) << "it was, and the other would have let it pass";
  EXPECT_EQ(dry_runs(IpAction::allow), 1U);
  EXPECT_EQ(denied(IpAction::block), 1U) << "by the rule that is enforced";
}

TEST_P(GatewayIpRulesTest, AHeaderOfAnUntrustedPeerChangesNothing) {
  const std::string listen =
      "[listen]\ntraffic = [{address = \"127.0.0.1:0\", client_address = \"x-forwarded-for\", "
      "trusted_proxies = [\"10.0.0.1\"]}]\n";
  publish(listen + rule("192.0.2.7", "block"));
  answered(403, "GET /kv/a HTTP/1.1\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n");
  publish(listen + rule("198.51.100.1", "block"));
  proxied("GET /kv/a HTTP/1.1\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n");
}

TEST_P(GatewayIpRulesTest, TheClientIsTheOneThatATrustedProxyNames) {
  publish(
      "[listen]\ntraffic = [{address = \"127.0.0.1:0\", client_address = \"x-forwarded-for\", "
      "trusted_proxies = [\"192.0.2.7\"]}]\n" +
      rule("198.51.100.1", "block"));
  answered(403, "GET /kv/a HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9, 198.51.100.1\r\n\r\n");
  proxied("GET /kv/a HTTP/1.1\r\nX-Forwarded-For: 198.51.100.1, 203.0.113.9\r\n\r\n");
}

TEST_P(GatewayIpRulesTest, APeerWithoutAnAddressIsUnderNoRule) {
  rig.connection.client().peer = net::SocketAddress::unix_socket("/run/client");
  publish(rule("::/0", "block") + rule("0.0.0.0/0", "block"));
  proxied();
}

TEST(EndpointTableTest, ATableOfRulesIsBuiltOnlyWhereTheRulesDiffer) {
  EndpointTable endpoints;
  auto config = std::make_shared<config::Config>();
  config->ip_rules = {{.match = {"192.0.2.7"}, .action = IpAction::block}};
  const auto first = endpoints.build(config, 1, {});
  EXPECT_EQ(endpoints.build(config, 2, {})->ip_rules, first->ip_rules);
  auto other_limits = std::make_shared<config::Config>(*config);
  other_limits->limits.tunnels_max = 1;
  EXPECT_EQ(endpoints.build(other_limits, 3, {})->ip_rules, first->ip_rules);
  auto other_rules = std::make_shared<config::Config>(*config);
  other_rules->ip_rules.clear();
  const auto without = endpoints.build(other_rules, 4, {});
  EXPECT_TRUE(without->ip_rules->empty());
  EXPECT_EQ(first->ip_rules->prefix_count(), 1U);
}

}  // namespace
}  // namespace weir::gateway
