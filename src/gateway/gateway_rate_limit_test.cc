// The stage suite's rate limits: what is refused, what is told, what is recorded. What is admitted
// when is limit/limiter_test.cc's.
#include <array>

#include <gtest/gtest.h>

#include "gateway/testing/stage_rig.h"

namespace weir::gateway {
namespace {

using std::chrono::milliseconds;
using testing::End;
using testing::MuxStream;
using testing::Neighbour;
using testing::StageRig;
using traffic::Event;
using traffic::Outcome;

constexpr const char* kGet = "GET /kv/a HTTP/1.1\r\n\r\n";

class GatewayRateLimitTest : public ::testing::TestWithParam<Neighbour> {
 protected:
  MuxStream& proxied(const std::string& fields = {}, std::string_view head = kGet) {
    MuxStream& stream = rig.connection.open(head);
    rig.until(
        [&] {
          return rig.upstream.connection_count() == 1 &&
                 rig.upstream.connection(0).head_count() > rig.upstream.connection(0).answered;
        },
        "the request");
    ++rig.upstream.connection(0).answered;
    rig.upstream.connection(0).send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + fields + "\r\n");
    rig.until_over(stream);
    EXPECT_EQ(stream.head().status, 200);
    return stream;
  }
  // Answered by Weir at once.
  MuxStream& refused(std::string_view head = kGet) {
    MuxStream& stream = rig.connection.open(head);
    EXPECT_EQ(stream.end(), End::complete);
    EXPECT_EQ(stream.head().status, 429);
    return stream;
  }

  StageRig rig{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(, GatewayRateLimitTest,
                         ::testing::Values(Neighbour::none, Neighbour::busy),
                         [](const auto& which) {
                           return which.param == Neighbour::none ? "Alone" : "Interleaved";
                         });

// A limited request became an empty 200 and was recorded as one (spec 17.1).
TEST_P(GatewayRateLimitTest, TheRequestAfterTheLastIsRefusedWith429AndRecordedSo) {
  rig.publish_with("rate_limit = {limit = 2, window = \"10s\"}");
  EXPECT_EQ(proxied().head().field("X-RateLimit-Remaining"), "1");
  rig.pass(milliseconds{2500});
  EXPECT_EQ(proxied().head().field("X-RateLimit-Remaining"), "0");
  const MuxStream& stream = refused();
  EXPECT_EQ(stream.head().field("Retry-After"), "8");
  EXPECT_EQ(stream.head().field("X-RateLimit-Limit"), "2");
  EXPECT_EQ(stream.head().field("X-RateLimit-Remaining"), "0");
  EXPECT_EQ(stream.head().field("X-RateLimit-Reset-Seconds"), "8");
  EXPECT_EQ(stream.head().field("X-RateLimit-Reset"), "2025-10-15T00:00:10.000Z");
  EXPECT_EQ(stream.head().field("RateLimit-Policy"), R"("default";q=2;w=10)");
  EXPECT_EQ(stream.head().field("RateLimit"), R"("default";r=0;t=8)");
  EXPECT_EQ(stream.body(),
            R"({"error":"Rate limit exceeded","message":"Too many requests. Limit: 2 per 10)"
            R"( seconds","retryAfter":8,"limit":2,"remaining":0,)"
            R"("resetAt":"2025-10-15T00:00:10.000Z","code":"rate_limited","requestId":")" +
                std::string{stream.head().field("X-Request-ID")} + "\"}");
  const Event event = rig.event(stream);
  EXPECT_EQ(event.status, 429);
  EXPECT_EQ(event.outcome, Outcome::refused);
  EXPECT_EQ(event.attempts, 0);
  EXPECT_EQ(event.route_id, "kv");
  EXPECT_EQ(event.bytes_out, stream.bytes_out());
  EXPECT_EQ(rig.gateway.counts().rate_limited, 1U);
  rig.pass(milliseconds{7500});
  EXPECT_EQ(proxied().head().field("X-RateLimit-Remaining"), "0") << "one of two is free";
  refused();
}

TEST_P(GatewayRateLimitTest, TellsOfTheLimitInPlaceOfTheUpstream) {
  rig.publish_with("rate_limit = {limit = 5, window = \"1m\"}");
  const MuxStream& stream =
      proxied("X-RateLimit-Limit: 9\r\nratelimit: \"theirs\";r=9\r\nRetry-After: 3\r\n");
  EXPECT_EQ(stream.head().field("X-RateLimit-Limit"), "5");
  EXPECT_EQ(stream.head().field("X-RateLimit-Remaining"), "4");
  EXPECT_EQ(stream.head().field("X-RateLimit-Client-IP"), "192.0.2.7");
  EXPECT_EQ(stream.head().field("RateLimit"), R"("default";r=4;t=60)");
  EXPECT_EQ(stream.head().field("Retry-After"), "3") << "of the upstream's own answer";
}

TEST_P(GatewayRateLimitTest, ARouteWithoutALimitSaysNothing) {
  const MuxStream& stream = proxied("X-RateLimit-Limit: 9\r\n");
  EXPECT_EQ(stream.head().field("X-RateLimit-Limit"), "9");
  EXPECT_EQ(stream.head().field("RateLimit"), "(none)");
  rig.publish_with("rate_limit = {enabled = false, limit = 1}");
  proxied();
  proxied();
}

TEST_P(GatewayRateLimitTest, AReloadKeepsWhatWasCountedAndTakesTheNewLimit) {
  rig.publish_with("rate_limit = {limit = 1}");
  proxied();
  refused();
  rig.publish_with("rate_limit = {limit = 2}");
  EXPECT_EQ(proxied().head().field("X-RateLimit-Remaining"), "0");
  refused();
}

// The client's stripe, shared entries too, is full of strangers.
void fill_stripe_of_client(StageRig& rig) {
  limit::Limiter& limiter = rig.shared.limiter;
  const std::array<uint8_t, 16> client{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7};
  limit::Charge stranger{limiter.address_key(limit::Rule{"route/kv/60s/client/64"}, client, 64),
                         {.requests = 1, .window = std::chrono::seconds{60}}};
  limit::Room room;
  for (int nth = 0; nth < 1000; ++nth) {
    stranger.key.group += 1;  // The stripe is in the highest bits.
    stranger.key.member += 0x9e3779b97f4a7c15U;
    limiter.admit({&stranger, 1}, rig.clock.monotonic(), {&room, 1});
  }
}

TEST_P(GatewayRateLimitTest, WhatCannotBeCountedPassesAndIsCountedAsUnchecked) {
  rig.publish_with("rate_limit = {limit = 1}");
  fill_stripe_of_client(rig);
  for (uint64_t nth = 1; nth <= 3; ++nth) {
    EXPECT_EQ(proxied().head().field("RateLimit"), "(none)");
    EXPECT_EQ(rig.gateway.counts().rate_limit_unchecked, nth);
  }
  EXPECT_EQ(rig.gateway.counts().rate_limited, 0U);
}

TEST_P(GatewayRateLimitTest, WhatCannotBeCountedIsRefusedWhereTheConfigurationSaysSo) {
  rig.publish(
      "[limits]\nrate_limit_when_full = \"refuse\"\n[[routes]]\nid = \"kv\"\n"
      "pattern = \"/kv/*\"\nupstreams = [\"{upstream}\"]\nrate_limit = {limit = 1}\n");
  fill_stripe_of_client(rig);
  const MuxStream& stream = rig.connection.open(kGet);
  EXPECT_EQ(stream.end(), End::complete);
  EXPECT_EQ(stream.head().status, 503);
  EXPECT_NE(stream.body().find("limiter_full"), std::string::npos);
  EXPECT_EQ(rig.event(stream).outcome, Outcome::refused);
  EXPECT_EQ(rig.gateway.counts().rate_limit_full, 1U);
  EXPECT_EQ(rig.gateway.counts().rate_limit_unchecked, 0U);
  EXPECT_EQ(rig.gateway.counts().rate_limited, 0U);
}

// A key that nobody can count must not switch off the limit that stands beside it.
TEST_P(GatewayRateLimitTest, WhatOneLimitCannotCountIsUnderTheOthers) {
  for (const char* const limits :
       {"[{limit = 9}, {limit = 2, window = 3600}]", "[{limit = 2, window = 3601}, {limit = 9}]",
        // As many as a route may have, and the first or the last of them is dropped.
        "[{limit = 9}, {limit = 8, window = 3602}, {limit = 7, window = 3603},"
        " {limit = 2, window = 3604}]",
        "[{limit = 2, window = 3605}, {limit = 8, window = 3606}, {limit = 7, window = 3607},"
        " {limit = 9}]"}) {
    rig.publish_with(std::string{"rate_limit = "} + limits);
    fill_stripe_of_client(rig);
    const uint64_t before = rig.gateway.counts().rate_limit_unchecked;
    EXPECT_EQ(proxied().head().field("X-RateLimit-Limit"), "2");
    EXPECT_EQ(proxied().head().field("X-RateLimit-Remaining"), "0");
    EXPECT_EQ(refused().head().field("X-RateLimit-Limit"), "2");
    EXPECT_EQ(rig.gateway.counts().rate_limit_unchecked, before + 3);
  }
}

TEST_P(GatewayRateLimitTest, WhoIsRefusedByTwoLimitsIsToldOfTheOneThatEndsLast) {
  rig.publish_with("rate_limit = [{limit = 2, window = 10}, {limit = 4, window = 60}]");
  proxied();
  proxied();
  rig.pass(std::chrono::seconds{10});
  proxied();
  proxied();
  const MuxStream& stream = refused();
  EXPECT_EQ(stream.head().field("Retry-After"), "50");
  EXPECT_EQ(stream.head().field("RateLimit-Policy"), R"("default";q=4;w=60)");
  rig.pass(std::chrono::seconds{50});
  proxied();
}

TEST_P(GatewayRateLimitTest, ARequestNeedsRoomInEachLimitAndChargesAllOrNone) {
  rig.publish_with("rate_limit = [{limit = 2, window = 10}, {limit = 3, window = 60}]");
  EXPECT_EQ(proxied().head().field("RateLimit-Policy"), R"("default";q=2;w=10)")
      << "told of the limit with least room";
  proxied();
  EXPECT_EQ(refused().head().field("RateLimit-Policy"), R"("default";q=2;w=10)");
  refused();  // Charges neither: the other one has room for one more still.
  rig.pass(std::chrono::seconds{10});
  const MuxStream& third = proxied();
  EXPECT_EQ(third.head().field("RateLimit-Policy"), R"("default";q=3;w=60)");
  EXPECT_EQ(third.head().field("X-RateLimit-Remaining"), "0");
  const MuxStream& stream = refused();
  EXPECT_EQ(stream.head().field("RateLimit-Policy"), R"("default";q=3;w=60)");
  EXPECT_EQ(stream.head().field("Retry-After"), "50");
  EXPECT_EQ(rig.gateway.counts().rate_limited, 3U);
}

// What the upstream takes of two is unknown: with a stranger beside it a key would be a new one.
TEST_P(GatewayRateLimitTest, RequestsWithTwoFieldsOfALimitsHeaderShareOneCount) {
  rig.publish_with(
      "rate_limit = [{limit = 9}, {limit = 1, per = \"header\", header = \"x-api-key\"}]");
  const auto with_keys = [](const std::string& one, const std::string& two) {
    return "GET /kv/a HTTP/1.1\r\nX-API-Key: " + one + "\r\nx-api-key: " + two + "\r\n\r\n";
  };
  proxied({}, with_keys("one", "real"));
  refused(with_keys("two", "real"));
  refused(with_keys("", "real"));
  refused(with_keys("real", "three"));
  proxied({}, "GET /kv/a HTTP/1.1\r\nX-API-Key: real\r\n\r\n");
}

TEST_P(GatewayRateLimitTest, EachValueOfAHeaderHasALimitAndWhoChangesItIsUnderThatOfTheClient) {
  rig.publish_with(
      "rate_limit = [{limit = 4}, {limit = 1, per = \"header\", header = \"x-api-key\"}]");
  const auto with_key = [](const std::string& key) {
    return "GET /kv/a HTTP/1.1\r\nX-API-Key: " + key + "\r\n\r\n";
  };
  proxied({}, with_key("one"));
  EXPECT_EQ(refused(with_key("one")).head().field("X-RateLimit-Limit"), "1");
  proxied({}, with_key("two"));
  proxied();  // Without a key: under the client's limit alone.
  proxied();
  EXPECT_EQ(refused(with_key("three")).head().field("X-RateLimit-Limit"), "4");
}

TEST_P(GatewayRateLimitTest, ALimitThatIsNotEnforcedCountsWhatItWouldRefuseAndLetsItPass) {
  rig.publish_with(
      "rate_limit = [{limit = 1, enforce = false}, {limit = 3, window = 61, enforce = true}]");
  const auto would_be_denied = [this](const MuxStream& stream) {
    return (rig.event(stream).flags & traffic::EventFlag::kWouldBeDenied) != 0;
  };
  const MuxStream& first = proxied();
  EXPECT_EQ(first.head().field("X-RateLimit-Limit"), "3");
  EXPECT_FALSE(would_be_denied(first));
  EXPECT_TRUE(would_be_denied(proxied()));
  EXPECT_EQ(rig.gateway.counts().rate_limit_dry_runs, 1U);
  proxied();
  EXPECT_EQ(rig.gateway.counts().rate_limited, 0U);
  refused();
  EXPECT_EQ(rig.gateway.counts().rate_limited, 1U);
  EXPECT_EQ(rig.gateway.counts().rate_limit_dry_runs, 2U) << "what is refused charges none";
  rig.publish_with("rate_limit = {limit = 1, enforce = true}");
  refused();  // Counted all along.
}

TEST_P(GatewayRateLimitTest, ARedirectIsLimitedLikeWhatAnUpstreamAnswers) {
  rig.publish(
      "[[routes]]\nid = \"old\"\npattern = \"/kv/*\"\nrate_limit = {limit = 1}\n"
      "redirect = {status = 308, location = \"https://new.example$path\"}\n");
  MuxStream& stream = rig.connection.open(kGet);
  EXPECT_EQ(stream.end(), End::complete);
  EXPECT_EQ(stream.head().status, 308);
  refused();
}

TEST_P(GatewayRateLimitTest, AHeadIsRefusedWithoutABodyAndAnUploadBeforeItIsRead) {
  rig.publish_with("rate_limit = {limit = 1, per = \"route\"}");
  proxied();
  EXPECT_EQ(refused("HEAD /kv/a HTTP/1.1\r\n\r\n").body(), "");
  refused("POST /kv/a HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
}

// `path > route > global`: here the path's number, the route's kind, the window of all.
TEST_P(GatewayRateLimitTest, WhatAPathRuleSaysGoesBeforeItsRouteAndThatBeforeAll) {
  rig.publish(R"([global]
rate_limit = {limit = 1000, window = "10s"}
[[path_rules]]
id = "search"
pattern = "/kv/search/*"
rate_limit = {limit = 1}
[[routes]]
id = "kv"
pattern = "/kv/*"
upstreams = ["{upstream}"]
rate_limit = {limit = 2, per = "route"}
)");
  const char* const search = "GET /kv/search/x?q=1 HTTP/1.1\r\n\r\n";
  EXPECT_EQ(proxied({}, search).head().field("RateLimit-Policy"), R"("default";q=1;w=10)");
  refused(search);
  refused("GET /kv/search/%78 HTTP/1.1\r\n\r\n");  // The same path, otherwise written.
  EXPECT_EQ(proxied().head().field("X-RateLimit-Remaining"), "1");
  EXPECT_EQ(proxied().head().field("X-RateLimit-Remaining"), "0");
  refused();
}

TEST_P(GatewayRateLimitTest, ARuleForOnePathMaySwitchTheLimitOfItsRouteOff) {
  rig.publish(R"([[path_rules]]
id = "free"
route = "kv"
pattern = "/kv/free"
methods = ["GET"]
rate_limit = {enabled = false}
[[routes]]
id = "kv"
pattern = "/kv/*"
upstreams = ["{upstream}"]
rate_limit = {limit = 1}
)");
  proxied();
  refused();
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(proxied({}, "GET /kv/free HTTP/1.1\r\n\r\n").head().field("RateLimit"), "(none)");
  refused("POST /kv/free HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
}

TEST_P(GatewayRateLimitTest, AReloadThatGivesARuleAnotherNumberKeepsWhatItCounted) {
  const auto rules = [](int limit) {
    return "[[path_rules]]\nid = \"p\"\npattern = \"/kv/*\"\nrate_limit = {limit = " +
           std::to_string(limit) +
           "}\n[[routes]]\nid = \"kv\"\npattern = \"/kv/*\"\nupstreams = [\"{upstream}\"]\n";
  };
  rig.publish(rules(2));
  EXPECT_EQ(proxied().head().field("X-RateLimit-Remaining"), "1");
  rig.publish(rules(5));
  EXPECT_EQ(proxied().head().field("X-RateLimit-Remaining"), "3");
}

}  // namespace
}  // namespace weir::gateway
