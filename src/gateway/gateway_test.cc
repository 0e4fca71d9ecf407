// The stage suite, over a codec that carries several exchanges on one connection: here what Weir
// answers by itself and what it records. gateway_proxy_test.cc has what goes to an upstream and
// gateway_failure_test.cc what goes wrong.
//
// Goal: stages depend on nothing of a connection, so that HTTP/2 fits below them. Method: each test
// runs alone, and beside a second exchange that streams in both directions on the same connection;
// the outcome must be the same. The rig checks P1 for every stream of every test.
#include "gateway/gateway.h"

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
using traffic::EventFlag;
using traffic::Outcome;

class GatewayTest : public ::testing::TestWithParam<Neighbour> {
 protected:
  // Weir answers at once, and no upstream is asked.
  MuxStream& answered(std::string_view head) {
    MuxStream& stream = rig.connection.open(head);
    EXPECT_EQ(stream.end(), End::complete) << head;
    EXPECT_EQ(rig.upstream.connection_count(), 0U) << head;
    return stream;
  }
  void expect_refusal(const MuxStream& stream, int status, std::string_view code) {
    EXPECT_EQ(stream.head().status, status);
    EXPECT_EQ(stream.head().field("Content-Type"), "application/json");
    EXPECT_NE(stream.body().find("\"code\":\"" + std::string{code} + "\""), std::string::npos)
        << stream.body();
    const Event event = rig.event(stream);
    EXPECT_EQ(event.status, status);
    EXPECT_EQ(event.outcome, Outcome::refused);
    EXPECT_EQ(event.attempts, 0);
    EXPECT_EQ(event.bytes_out, stream.bytes_out());
  }

  StageRig rig{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(, GatewayTest, ::testing::Values(Neighbour::none, Neighbour::busy),
                         [](const auto& which) {
                           return which.param == Neighbour::none ? "Alone" : "Interleaved";
                         });

TEST_P(GatewayTest, AnswersWhatNoRouteMatchesWith404AndCountsItAsATotal) {
  const MuxStream& stream = answered("GET /nowhere HTTP/1.1\r\n\r\n");
  expect_refusal(stream, 404, "no_route");
  const Event event = rig.event(stream);
  EXPECT_EQ(event.path, "/nowhere");
  EXPECT_EQ(event.route_id, "");
  EXPECT_EQ(event.flags, EventFlag::kUnrouted | EventFlag::kTotalsOnly);
}

TEST_P(GatewayTest, KeepsDetailOfWhatNoRouteMatchesWhereAllIsCollected) {
  rig.publish("[stats]\ncollect = \"all\"\n");
  EXPECT_EQ(rig.event(answered("GET /nowhere HTTP/1.1\r\n\r\n")).flags, EventFlag::kUnrouted);
}

TEST_P(GatewayTest, MarksWhatTheSamplingRateLeavesOut) {
  rig.publish("[stats]\nsampling_rate = 0.0\ncollect = \"all\"\n");
  EXPECT_EQ(rig.event(answered("GET /nowhere HTTP/1.1\r\n\r\n")).flags,
            EventFlag::kUnrouted | EventFlag::kSampledOut);
}

TEST_P(GatewayTest, RecordsNothingWhereRecordingIsSwitchedOff) {
  rig.publish("[stats]\nrecord = false\n");
  MuxStream& stream = answered("GET /nowhere HTTP/1.1\r\n\r\n");
  stream.expect_unrecorded();
  EXPECT_EQ(stream.head().status, 404);
}

TEST_P(GatewayTest, RefusesConnectAndTraceWith405) {
  const MuxStream& trace = answered("TRACE /kv/a HTTP/1.1\r\n\r\n");
  expect_refusal(trace, 405, "method_not_allowed");
  EXPECT_EQ(trace.head().field("Allow"), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
  EXPECT_EQ(rig.event(trace).route_id, "kv");
  expect_refusal(answered("CONNECT test:80 HTTP/1.1\r\nHost: test:80\r\n\r\n"), 405,
                 "method_not_allowed");
}

TEST_P(GatewayTest, RefusesAPathThatCouldBeReadInTwoWays) {
  const MuxStream& stream = answered("GET /kv/a%5C..%5Cb HTTP/1.1\r\nUser-Agent: me\r\n\r\n");
  expect_refusal(stream, 400, "path_backslash");
  const Event event = rig.event(stream);
  EXPECT_EQ(event.path, "__malformed__");
  EXPECT_EQ(event.user_agent, "me");
  // Without a route, so only a total.
  EXPECT_EQ(event.flags, EventFlag::kMalformed | EventFlag::kTotalsOnly);
  const auto kind = static_cast<size_t>(http::Malformed::path_backslash);
  EXPECT_EQ(rig.gateway.counts().malformed[kind], 1U);
}

TEST_P(GatewayTest, RecordsBytesThatAreNoRequest) {
  const MuxStream& stream = rig.connection.open_malformed(http::Malformed::header_too_large);
  ASSERT_EQ(stream.end(), End::complete);
  expect_refusal(stream, 431, "header_too_large");
  const Event event = rig.event(stream);
  EXPECT_EQ(event.path, "__malformed__");
  EXPECT_EQ(event.method, "");
  EXPECT_EQ(event.client_ip, "192.0.2.7");
  EXPECT_EQ(event.flags, EventFlag::kMalformed | EventFlag::kTotalsOnly);
}

TEST_P(GatewayTest, AnswersItsHealthWithoutAnEvent) {
  MuxStream& get = answered("GET /api/health HTTP/1.1\r\n\r\n");
  get.expect_unrecorded();
  EXPECT_EQ(get.head().status, 200);
  EXPECT_EQ(get.body(), R"({"status":"healthy","timestamp":"2025-10-15T00:00:00.000Z"})");
  MuxStream& head = answered("HEAD /api/health HTTP/1.1\r\n\r\n");
  head.expect_unrecorded();
  EXPECT_EQ(head.head().status, 200);
  EXPECT_EQ(head.head().content_length, get.body().size());
  EXPECT_EQ(head.body(), "");
  // Anything else at this path is a request like any other.
  expect_refusal(answered("DELETE /api/health HTTP/1.1\r\n\r\n"), 404, "no_route");
}

TEST_P(GatewayTest, Redirects) {
  rig.publish(
      "[[routes]]\nid = \"old\"\npattern = \"/old/*\"\n"
      "redirect = {status = 308, location = \"https://new.example$path$query\"}\n");
  const MuxStream& stream = answered("GET /old/a?b=1 HTTP/1.1\r\n\r\n");
  EXPECT_EQ(stream.head().status, 308);
  EXPECT_EQ(stream.head().field("Location"), "https://new.example/old/a?b=1");
  EXPECT_EQ(stream.body(), "");
  EXPECT_EQ(rig.event(stream).outcome, Outcome::complete);
  EXPECT_EQ(rig.event(stream).route_id, "old");
}

TEST_P(GatewayTest, AnswersTheSmokeRouteBeforeAnyOtherAndRecordsItLikeAny) {
  rig.publish(
      "[smoke]\nenabled = true\n[[routes]]\nid = \"all\"\npattern = \"/**\"\n"
      "priority = -2147483647\nhosts = [\"test\"]\nupstreams = [\"{upstream}\"]\n");
  const MuxStream& stream = answered("GET /__weir/smoke HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_EQ(stream.head().status, 200);
  const Event event = rig.event(stream);
  EXPECT_EQ(event.path, "/__weir/smoke");
  EXPECT_EQ(event.route_id, "__smoke");
  EXPECT_EQ(event.outcome, Outcome::complete);
  EXPECT_EQ(event.flags, 0);
  EXPECT_EQ(event.attempts, 0);
  EXPECT_EQ(stream.body(), R"({"smoke":"ok","id":")" + traffic::to_string(event.id) + "\"}\n");
  EXPECT_EQ(answered("HEAD /__weir/smoke HTTP/1.1\r\nHost: test\r\n\r\n").body(), "");
}

TEST_P(GatewayTest, HasNoSmokeRouteUnlessItIsSwitchedOnAndNoneForOtherMethods) {
  expect_refusal(answered("GET /__weir/smoke HTTP/1.1\r\n\r\n"), 404, "no_route");
  rig.publish("[smoke]\nenabled = true\n");
  expect_refusal(answered("POST /__weir/smoke HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), 404,
                 "no_route");
}

TEST_P(GatewayTest, AnswersAPreflightForAnAllowedOrigin) {
  rig.publish_with("cors = {origins = [\"https://app.example\"], methods = [\"GET\", \"PUT\"]}\n");
  const MuxStream& stream = answered(
      "OPTIONS /kv/a HTTP/1.1\r\nOrigin: https://app.example\r\n"
      "Access-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: X-One\r\n\r\n");
  const testing::ReceivedHead& head = stream.head();
  EXPECT_EQ(head.status, 204);
  EXPECT_EQ(head.field("Access-Control-Allow-Origin"), "https://app.example");
  EXPECT_EQ(head.field("Access-Control-Allow-Methods"), "GET, PUT");
  EXPECT_EQ(head.field("Access-Control-Allow-Headers"), "X-One");
  EXPECT_EQ(head.field("Access-Control-Max-Age"), "600");
  EXPECT_EQ(head.field("Vary"), "Origin");
  EXPECT_EQ(rig.event(stream).status, 204);
  EXPECT_EQ(rig.event(stream).outcome, Outcome::complete);
}

TEST_P(GatewayTest, AnswersAPreflightForAnotherOriginWithoutAllowingIt) {
  rig.publish_with("cors = {origins = [\"https://app.example\"]}\n");
  const MuxStream& stream = answered(
      "OPTIONS /kv/a HTTP/1.1\r\nOrigin: https://evil.example\r\n"
      "Access-Control-Request-Method: PUT\r\n\r\n");
  EXPECT_EQ(stream.head().status, 204);
  EXPECT_EQ(stream.head().field("Access-Control-Allow-Origin"), "(none)");
  EXPECT_EQ(stream.head().field("Access-Control-Allow-Methods"), "(none)");
}

TEST_P(GatewayTest, RefusesABodyThatIsAnnouncedTooLargeBeforeAnUpstreamIsAsked) {
  rig.publish_with("body_max = \"1KiB\"\n");
  expect_refusal(answered("PUT /kv/a HTTP/1.1\r\nContent-Length: 1025\r\n\r\n"), 413,
                 "body_too_large");
}

TEST_P(GatewayTest, PassesABodyOfExactlyTheLargestSize) {
  rig.publish_with("body_max = \"1KiB\"\n");
  rig.upstream.answer_all("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
  for (const char* framing : {"Content-Length: 1024", "Transfer-Encoding: chunked"}) {
    MuxStream& stream =
        rig.connection.open("PUT /kv/a HTTP/1.1\r\n" + std::string{framing} + "\r\n\r\n");
    stream.send(std::string(1000, 'a'));
    stream.send_last(std::string(24, 'b'));
    rig.until_over(stream);
    EXPECT_EQ(stream.head().status, 201) << framing;
  }
}

TEST_P(GatewayTest, RefusesABodyThatGrowsTooLarge) {
  rig.publish_with("body_max = \"1KiB\"\n");
  MuxStream& stream =
      rig.connection.open("PUT /kv/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  stream.send(std::string(1024, 'a'));
  rig.until_request();
  EXPECT_FALSE(stream.over());
  stream.send("b");
  EXPECT_EQ(stream.end(), End::complete);
  EXPECT_EQ(stream.head().status, 413);
  EXPECT_EQ(rig.event(stream).outcome, Outcome::refused);
  EXPECT_EQ(rig.event(stream).attempts, 1);
  rig.until([&] { return rig.upstream.connection(0).ended(); }, "the upstream is let go");
}

TEST_P(GatewayTest, CutsAResponseWhoseRequestGrowsTooLarge) {
  rig.publish_with("body_max = \"1KiB\"\n");
  MuxStream& stream =
      rig.connection.open("PUT /kv/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  stream.send(std::string(1024, 'a'));
  rig.until_request();
  rig.upstream.connection(0).send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  rig.until([&] { return stream.has_head(); }, "the early response");
  stream.send("b");
  EXPECT_EQ(stream.end(), End::reset);
  EXPECT_EQ(rig.event(stream).status, 200);
  EXPECT_EQ(rig.event(stream).outcome, Outcome::refused);
}

TEST_P(GatewayTest, EventHoldsEveryFieldOfTheExchange) {
  MuxStream& stream = rig.connection.open(
      "PUT /kv/x/../%61%20b?q=1 HTTP/1.1\r\nUser-Agent: curl/8\r\nContent-Length: 5\r\n\r\n");
  const uint64_t head_bytes = stream.bytes_in();
  stream.send("he");
  rig.pass(milliseconds{8});
  stream.send_last("llo");
  rig.until(
      [&] {
        return rig.upstream.connection_count() == 1 && rig.upstream.connection(0).body() == "hello";
      },
      "the whole request at the upstream");
  rig.pass(milliseconds{20});
  rig.upstream.connection(0).send("HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nda");
  rig.until([&] { return stream.has_head(); }, "the head");
  rig.pass(milliseconds{30});
  rig.upstream.connection(0).send("ta");
  rig.until_over(stream);
  const Event event = rig.event(stream);
  EXPECT_EQ(traffic::to_string(event.id).substr(0, 24), "1760486400000-0504030201");
  EXPECT_EQ(event.arrival_us, 1760486400'000'000);
  EXPECT_EQ(event.path, "/kv/a%20b");
  EXPECT_EQ(event.method, "PUT");
  EXPECT_EQ(event.user_agent, "curl/8");
  EXPECT_EQ(event.route_id, "kv");
  EXPECT_EQ(event.colo, "node-1");
  EXPECT_EQ(event.client_ip, "192.0.2.7");
  EXPECT_EQ(event.client_hash, 0xabc07U);
  EXPECT_EQ(event.duration_us, 58'000U);
  EXPECT_EQ(event.upstream_us, 28'000U);  // From the first byte sent to the response's head.
  EXPECT_EQ(event.bytes_in, head_bytes + 5);
  EXPECT_EQ(event.bytes_out, stream.bytes_out());
  EXPECT_EQ(event.status, 201);
  EXPECT_EQ(event.flags, 0);
  EXPECT_EQ(event.outcome, Outcome::complete);
  EXPECT_EQ(event.cache, traffic::CacheStatus::none);
  EXPECT_EQ(event.attempts, 1);
}

TEST_P(GatewayTest, EventHoldsOnlyWhatPrivacyAllowsOfTheAddress) {
  rig.publish("[privacy]\nclient_ip = \"truncated\"\n");
  EXPECT_EQ(rig.event(answered("GET /a HTTP/1.1\r\n\r\n")).client_ip, "192.0.2.0");
  rig.publish("[privacy]\nclient_ip = \"none\"\n");
  EXPECT_EQ(rig.event(answered("GET /a HTTP/1.1\r\n\r\n")).client_ip, "");
}

TEST_P(GatewayTest, EventNamesTheClientThatATrustedProxyNames) {
  rig.publish(
      "[listen]\ntraffic = [{address = \"127.0.0.1:0\", client_address = \"x-forwarded-for\", "
      "trusted_proxies = [\"192.0.2.0/24\"]}]\n");
  const MuxStream& stream =
      answered("GET /a HTTP/1.1\r\nX-Forwarded-For: 203.0.113.1, 198.51.100.9, 192.0.2.8\r\n\r\n");
  EXPECT_EQ(rig.event(stream).client_ip, "198.51.100.9");
  EXPECT_EQ(rig.event(stream).client_hash, 0xabc09U);
  // The next request on this connection is somebody else's.
  EXPECT_EQ(rig.event(answered("GET /a HTTP/1.1\r\n\r\n")).client_ip, "192.0.2.7");
}

TEST_P(GatewayTest, KeepsARequestIdThatIsOneAndReplacesAnyOther) {
  const MuxStream& kept = answered("GET /a HTTP/1.1\r\nX-Request-ID: abc-1_2.3\r\n\r\n");
  EXPECT_EQ(kept.head().field("X-Request-ID"), "abc-1_2.3");
  const MuxStream& replaced = answered("GET /a HTTP/1.1\r\nX-Request-ID: \"quoted\"\r\n\r\n");
  EXPECT_EQ(replaced.head().field("X-Request-ID"), traffic::to_string(rig.event(replaced).id));
}

}  // namespace
}  // namespace weir::gateway
