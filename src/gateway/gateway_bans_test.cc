// The stage suite's bans: which answers count, who is refused how long, what is told and recorded.
#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "gateway/limit_use.h"
#include "gateway/testing/rule_suite.h"

namespace weir::gateway {
namespace {

using std::chrono::milliseconds;
using testing::kGet;
using testing::MuxStream;
using testing::Neighbour;
using testing::RuleSuite;
using traffic::Event;
using traffic::Outcome;

constexpr const char* kElsewhere = "GET /elsewhere HTTP/1.1\r\n\r\n";

class GatewayBansTest : public RuleSuite {
 protected:
  // Three answers of the kinds `on` in 10 s, then a ban of 20 s.
  static std::string rule(const std::string& on, const std::string& more = {}) {
    return "[[ban_rules]]\nid = \"scan\"\non = [" + on +
           "]\ncount = 3\nwindow = \"10s\"\nban = \"20s\"\n" + more + "\n";
  }
  void times(int count, int status, std::string_view head) {
    for (int i = 0; i < count; ++i)
      answered(status, head);
  }
  static std::string code(const MuxStream& stream) {
    const auto at = stream.body().find("\"code\":\"");
    if (at == std::string::npos) return {};
    return stream.body().substr(at + 8, stream.body().find('"', at + 8) - at - 8);
  }
};

INSTANTIATE_TEST_SUITE_P(, GatewayBansTest, ::testing::Values(Neighbour::none, Neighbour::busy),
                         testing::name_of);

TEST_P(GatewayBansTest, WhoGetsTooManyErrorsIsRefusedEverythingForAWhile) {
  publish(rule("\"4xx\"", "reason = \"scanned\""));
  times(2, 404, kElsewhere);
  proxied();
  answered(404, kElsewhere);
  rig.pass(milliseconds{4500});
  const MuxStream& stream = answered(403);
  EXPECT_EQ(stream.head().field("Retry-After"), "16");
  EXPECT_EQ(stream.body(),
            R"({"error":"Forbidden","message":"Too many refused requests or errors from your IP",)"
            R"("reason":"scanned","retryAfter":16,"code":"banned","requestId":")" +
                std::string{stream.head().field("X-Request-ID")} + "\"}");
  const Event event = rig.event(stream);
  EXPECT_EQ(event.status, 403);
  EXPECT_EQ(event.outcome, Outcome::refused);
  EXPECT_EQ(event.route_id, "kv");
  EXPECT_EQ(rig.gateway.counts().bans_started, 1U);
  EXPECT_EQ(rig.gateway.counts().ban_denied, 1U);
  rig.pass(milliseconds{15'400});
  answered(403);
  rig.pass(milliseconds{200});
  proxied();
}

TEST_P(GatewayBansTest, WhatABanRefusesDoesNotMakeItLonger) {
  publish(rule("\"4xx\", \"denied\""));
  times(3, 404, kElsewhere);
  for (int i = 0; i < 10; ++i) {
    rig.pass(milliseconds{1900});
    answered(403);
  }
  rig.pass(milliseconds{1100});
  proxied();
  answered(404, kElsewhere);
  EXPECT_EQ(rig.gateway.counts().bans_started, 1U);
}

TEST_P(GatewayBansTest, AnswersOlderThanTheWindowDoNotCount) {
  publish(rule("\"404\""));
  answered(404, kElsewhere);
  rig.pass(milliseconds{5000});
  answered(404, kElsewhere);
  rig.pass(milliseconds{5001});
  answered(404, kElsewhere);
  proxied();
  answered(404, kElsewhere);
  answered(403);
}

TEST_P(GatewayBansTest, AfterABanTheNextAnswerWithinTheWindowBansAgain) {
  publish(
      "[[ban_rules]]\nid = \"scan\"\non = [\"404\"]\ncount = 2\nwindow = \"60s\"\n"
      "ban = \"5s\"\n");
  times(2, 404, kElsewhere);
  answered(403);
  rig.pass(milliseconds{5001});
  answered(404, kElsewhere);
  answered(403);
  EXPECT_EQ(rig.gateway.counts().bans_started, 2U);
}

TEST_P(GatewayBansTest, DeniedAreThoseWhomAnEnforcedRuleOrLimitRefuses) {
  publish(rule("\"denied\""), "rate_limit = {limit = 1, window = \"1h\"}\n");
  times(5, 404, kElsewhere);
  proxied();
  times(3, 429, kGet);
  EXPECT_EQ(code(answered(403)), "banned");
  EXPECT_EQ(code(answered(403, kElsewhere)), "banned");
}

TEST_P(GatewayBansTest, ABlockedClientIsBannedAndToldOfTheBlock) {
  publish(rule("\"denied\"") +
          "[[ip_rules]]\nmatch = [\"192.0.2.7\"]\naction = \"block\"\nexpires = "
          "\"2025-10-15T00:00:05Z\"\n");
  times(4, 403, kGet);
  EXPECT_EQ(code(answered(403)), "ip_blocked");
  rig.pass(milliseconds{6000});
  EXPECT_EQ(code(answered(403)), "banned");
}

TEST_P(GatewayBansTest, WhoIsBannedIsChargedByNoThrottleAndToldOfTheBan) {
  publish(rule("\"denied\"") +
          "[[ip_rules]]\nmatch = [\"192.0.2.0/24\"]\naction = \"throttle\"\nlimit = 2\n"
          "window = \"15s\"\n");
  proxied();
  proxied();
  EXPECT_EQ(code(answered(429)), "ip_throttled");
  times(2, 429, kGet);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(code(answered(403)), "banned");
    rig.pass(milliseconds{1990});
  }
  rig.pass(milliseconds{200});
  proxied();
  EXPECT_EQ(rig.gateway.counts().bans_started, 1U);
}

TEST_P(GatewayBansTest, BytesThatAreNoRequestCountAgainstWhoSentThem) {
  publish(rule("\"431\""));
  for (int i = 0; i < 3; ++i) {
    const MuxStream& stream = rig.connection.open_malformed(http::Malformed::header_too_large);
    EXPECT_EQ(stream.head().status, 431);
  }
  EXPECT_EQ(code(answered(403)), "banned");
}

// Whose they are, the connection of a proxy that names clients in a header does not tell.
TEST_P(GatewayBansTest, BytesThatAreNoRequestFromAProxyCountAgainstNobody) {
  publish(rule("\"431\"") +
          "[listen]\ntraffic = [{address = \"127.0.0.1:0\", client_address = "
          "\"x-forwarded-for\", trusted_proxies = [\"192.0.2.7\"]}]\n");
  const std::string through_proxy = "GET /kv/a HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n";
  proxied(through_proxy);
  for (int i = 0; i < 3; ++i) {
    const MuxStream& stream = rig.connection.open_malformed(http::Malformed::header_too_large);
    EXPECT_EQ(stream.head().status, 431);
    EXPECT_EQ(rig.event(stream).client_ip, "192.0.2.7");
  }
  proxied(through_proxy);
  proxied();
  EXPECT_EQ(rig.gateway.counts().bans_started, 0U);
}

TEST_P(GatewayBansTest, BytesThatAreNoRequestCountAgainstWhomTheProxyProtocolAnnounced) {
  publish(rule("\"431\"") +
          "[listen]\ntraffic = [{address = \"127.0.0.1:0\", client_address = "
          "\"proxy_protocol\", trusted_proxies = [\"192.0.2.7\"]}]\n");
  const std::array<uint8_t, 16> scanner{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9};
  rig.connection.client().announced = net::SocketAddress::ip(net::IpAddress{scanner}, 4000);
  for (int i = 0; i < 3; ++i) {
    const MuxStream& stream = rig.connection.open_malformed(http::Malformed::header_too_large);
    EXPECT_EQ(rig.event(stream).client_ip, "203.0.113.9");
  }
  EXPECT_EQ(code(answered(403)), "banned");
  rig.connection.client().announced = {};  // The proxy's own connections.
  proxied();
}

// With every place taken, the clients of a network share what is left of rate limits. Nobody is
// banned for a neighbour.
TEST_P(GatewayBansTest, WithTheLimiterFullABanIsItsClientsAlone) {
  publish(rule("\"404\"") +
          "[listen]\ntraffic = [{address = \"127.0.0.1:0\", client_address = "
          "\"x-forwarded-for\", trusted_proxies = [\"192.0.2.7\"]}]\n");
  for (uint64_t stripe = 0; stripe < 256; ++stripe) {
    for (uint64_t nth = 1; nth <= 200; ++nth) {
      const base::TableKey key{(stripe << 56U) + 1, nth * 0x9e37'79b9'7f4a'7c15U};
      const limit::Charge stranger{key, {.requests = 200, .window = std::chrono::hours{1}}};
      limit::Room room;
      rig.shared.limiter.admit({&stranger, 1}, rig.clock.monotonic(), {&room, 1});
    }
  }
  ASSERT_GT(rig.shared.limiter.counts().shared, 0U);
  const auto get = [](const char* path, const char* client) {
    return fmt::format("GET {} HTTP/1.1\r\nX-Forwarded-For: {}\r\n\r\n", path, client);
  };
  times(3, 404, get("/elsewhere", "203.0.113.9"));
  EXPECT_EQ(code(answered(403, get("/kv/a", "203.0.113.9"))), "banned");
  times(2, 404, get("/elsewhere", "203.0.113.10"));
  proxied(get("/kv/a", "203.0.113.10"));
}

TEST_P(GatewayBansTest, AnUpstreamsStatusCounts) {
  publish(rule("\"503\""), "retry_attempts = 1\n");
  for (int i = 0; i < 3; ++i) {
    MuxStream& stream = rig.connection.open(kGet);
    rig.until(
        [&] {
          return rig.upstream.connection_count() == 1 &&
                 rig.upstream.connection(0).head_count() > rig.upstream.connection(0).answered;
        },
        "the request");
    ++rig.upstream.connection(0).answered;
    rig.upstream.connection(0).send(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    rig.until_over(stream);
    EXPECT_EQ(stream.head().status, 503);
  }
  EXPECT_EQ(code(answered(403)), "banned");
}

TEST_P(GatewayBansTest, OnlyAnswersOfTheRoutesNamedCount) {
  publish(rule("\"4xx\"", "routes = [\"kv\"]"), "rate_limit = {limit = 1, window = \"1h\"}\n");
  times(4, 404, kElsewhere);
  proxied();
  times(3, 429, kGet);
  EXPECT_EQ(code(answered(403, kElsewhere)), "banned") << "of any route, once it is banned";
}

TEST_P(GatewayBansTest, WhoIsAllowedByAnIpRuleIsNeverBanned) {
  const std::string allowed = "[[ip_rules]]\nmatch = [\"192.0.2.7\"]\naction = \"allow\"\n";
  publish(rule("\"4xx\"") + allowed);
  times(5, 404, kElsewhere);
  times(5, 405, "TRACE /kv/a HTTP/1.1\r\n\r\n");
  times(5, 400, "GET /kv/%zz HTTP/1.1\r\n\r\n");
  proxied();
  EXPECT_EQ(rig.gateway.counts().bans_started, 0U);
  publish(rule("\"4xx\""));
  times(3, 404, kElsewhere);
  answered(403);
  publish(rule("\"4xx\"") + allowed);
  proxied();
}

TEST_P(GatewayBansTest, HealthIsAnsweredToWhoIsBanned) {
  publish(rule("\"4xx\""));
  times(3, 404, kElsewhere);
  answered(403);
  answered(200, "GET /api/health HTTP/1.1\r\n\r\n").expect_unrecorded();
}

TEST_P(GatewayBansTest, ARuleThatIsNotEnforcedOnlyCountsWhomItWouldRefuse) {
  publish(rule("\"4xx\"", "enforce = false"));
  times(3, 404, kElsewhere);
  EXPECT_TRUE(would_be_denied(proxied()));
  EXPECT_EQ(rig.gateway.counts().ban_dry_runs, 1U);
  EXPECT_EQ(rig.gateway.counts().ban_denied, 0U);
  publish(rule("\"4xx\""));
  answered(403);
}

TEST_P(GatewayBansTest, AReloadKeepsBansAndARemovedRuleLiftsThem) {
  publish(rule("\"4xx\""));
  times(3, 404, kElsewhere);
  publish(rule("\"4xx\"") + "[[ip_rules]]\nmatch = [\"203.0.113.1\"]\naction = \"block\"\n");
  answered(403);
  publish("");
  proxied();
}

TEST_P(GatewayBansTest, OperatorsSeeWhoIsBannedAndCanLiftIt) {
  publish(rule("\"4xx\""));
  times(3, 404, kElsewhere);
  answered(403);
  const std::vector<StartedBan>& bans = rig.gateway.started_bans().all();
  ASSERT_EQ(bans.size(), 1U);
  EXPECT_EQ(bans[0].client, config::parse_ip("192.0.2.7"));
  EXPECT_EQ(bans[0].rule(), "scan");
  EXPECT_EQ(bans[0].until - bans[0].at, std::chrono::seconds{20});
  limit::Limiter& limiter = rig.shared.limiter;
  const config::IpAddress client = *config::parse_ip("192.0.2.7");
  const auto uses = limits_of(*rig.snapshot, limiter, LimitedClient{client}, rig.clock.monotonic(),
                              rig.clock.wall());
  ASSERT_EQ(uses.size(), 2U);
  EXPECT_EQ(uses[0].id, "ban_rule/scan/answers");
  EXPECT_EQ(uses[0].room.remaining, 0U);
  EXPECT_EQ(uses[1].id, "ban_rule/scan/ban");
  EXPECT_EQ(uses[1].room.retry_after, std::chrono::seconds{20});
  EXPECT_EQ(reset_limits_of(*rig.snapshot, limiter, LimitedClient{client}, rig.clock.wall()), 2U);
  proxied();
}

TEST(StartedBans, TheNewestAreKept) {
  StartedBans bans;
  for (uint8_t high = 0; high < 8; ++high) {
    for (int low = 0; low < 256; ++low) {
      config::IpAddress client;
      client.bytes[14] = high;
      client.bytes[15] = static_cast<uint8_t>(low);
      bans.add(client, {.id = std::string(64, 'x')}, base::Wall{});
    }
  }
  ASSERT_EQ(bans.all().size(), StartedBans::kMax);
  EXPECT_TRUE(std::all_of(bans.all().begin(), bans.all().end(),
                          [](const StartedBan& ban) { return ban.client.bytes[14] >= 4; }));
  EXPECT_EQ(bans.all()[0].rule(), std::string(64, 'x'));
}

}  // namespace
}  // namespace weir::gateway
