// The stage suite: exchanges that an upstream answers. See gateway_test.cc.
#include <gtest/gtest.h>

#include "gateway/testing/stage_rig.h"

namespace weir::gateway {
namespace {

using std::chrono::milliseconds;
using testing::End;
using testing::FieldList;
using testing::MuxStream;
using testing::Neighbour;
using testing::StageRig;
using testing::UpstreamConnection;
using traffic::Event;
using traffic::Outcome;

class GatewayProxyTest : public ::testing::TestWithParam<Neighbour> {
 protected:
  // Opens the exchange and waits until its head is at the upstream.
  MuxStream& asked(std::string_view head) {
    const size_t before = rig.upstream.connection_count();
    MuxStream& stream = rig.connection.open(head);
    rig.until_request(before);
    return stream;
  }
  UpstreamConnection& upstream(size_t index = 0) { return rig.upstream.connection(index); }
  // The upstream's answer to the only request of its first connection.
  void answer(MuxStream& stream, std::string_view response) {
    upstream().send(response);
    rig.until_over(stream);
  }
  void expect_complete(const MuxStream& stream, int status) {
    EXPECT_EQ(stream.end(), End::complete);
    EXPECT_EQ(stream.head().status, status);
    const Event event = rig.event(stream);
    EXPECT_EQ(event.status, status);
    EXPECT_EQ(event.outcome, Outcome::complete);
    EXPECT_EQ(event.attempts, 1);
    EXPECT_EQ(event.bytes_in, stream.bytes_in());
    EXPECT_EQ(event.bytes_out, stream.bytes_out());
  }

  StageRig rig{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(, GatewayProxyTest, ::testing::Values(Neighbour::none, Neighbour::busy),
                         [](const auto& which) {
                           return which.param == Neighbour::none ? "Alone" : "Interleaved";
                         });

TEST_P(GatewayProxyTest, PassesAGetAndAnAnswerWithALength) {
  MuxStream& stream = asked(
      "GET /kv/a?b=%20 HTTP/1.1\r\nHost: weir.example\r\nAccept: */*\r\n"
      "Connection: x-drop\r\nX-Drop: 1\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n");
  EXPECT_EQ(upstream().request_line(), "GET /kv/a?b=%20 HTTP/1.1");
  EXPECT_EQ(upstream().field("Host"), rig.upstream.authority());
  EXPECT_EQ(upstream().field("Accept"), "*/*");
  EXPECT_EQ(upstream().field("X-Drop"), "(none)");
  EXPECT_EQ(upstream().field("Connection"), "(none)");
  EXPECT_EQ(upstream().field("X-Forwarded-For"), "192.0.2.7");
  EXPECT_EQ(upstream().field("X-Forwarded-Host"), "weir.example");
  EXPECT_EQ(upstream().field("Via"), "1.1 weir");
  EXPECT_EQ(upstream().field("Content-Length"), "(none)");
  EXPECT_EQ(upstream().body(), "");
  answer(stream,
         "HTTP/1.1 203 Fine\r\nContent-Length: 5\r\nETag: \"e\"\r\nKeep-Alive: 5\r\n\r\nhello");
  expect_complete(stream, 203);
  EXPECT_EQ(stream.head().content_length, 5U);
  EXPECT_EQ(stream.head().field("ETag"), "\"e\"");
  EXPECT_EQ(stream.head().field("Keep-Alive"), "(none)");
  EXPECT_EQ(stream.head().field("X-Request-ID"), upstream().field("X-Request-ID"));
  EXPECT_EQ(stream.body(), "hello");
}

TEST_P(GatewayProxyTest, PassesAChunkedAnswerPieceByPieceWithItsTrailers) {
  MuxStream& stream = asked("GET /kv/a HTTP/1.1\r\n\r\n");
  upstream().send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  rig.until([&] { return stream.body() == "hello"; }, "the first piece, before the last is there");
  EXPECT_FALSE(stream.over());
  EXPECT_EQ(stream.head().content_length, std::nullopt);
  answer(stream, "1\r\n!\r\n0\r\nX-Sum: 42\r\n\r\n");
  expect_complete(stream, 200);
  EXPECT_EQ(stream.body(), "hello!");
  EXPECT_EQ(stream.trailers(), (FieldList{{"X-Sum", "42"}}));
}

TEST_P(GatewayProxyTest, PassesAnAnswerThatEndsWithItsConnection) {
  MuxStream& stream = asked("GET /kv/a HTTP/1.1\r\n\r\n");
  upstream().send("HTTP/1.1 200 OK\r\n\r\nall of it");
  rig.until([&] { return stream.body() == "all of it"; }, "the body");
  EXPECT_FALSE(stream.over());
  upstream().close();
  rig.until_over(stream);
  expect_complete(stream, 200);
}

TEST_P(GatewayProxyTest, AnswerToHeadHasALengthAndNoBody) {
  MuxStream& stream = asked("HEAD /kv/a HTTP/1.1\r\n\r\n");
  answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  expect_complete(stream, 200);
  EXPECT_EQ(stream.head().content_length, 1000U);
  EXPECT_EQ(stream.body(), "");
}

TEST_P(GatewayProxyTest, AnswersWithoutABodyEndWithTheirHeads) {
  for (const int status : {204, 304}) {
    MuxStream& stream = rig.connection.open("GET /kv/a HTTP/1.1\r\n\r\n");
    rig.until(
        [&] {
          return rig.upstream.connection_count() == 1 &&
                 upstream().head_count() > upstream().answered;
        },
        "the request");
    ++upstream().answered;
    answer(stream, "HTTP/1.1 " + std::to_string(status) + " So\r\nETag: \"e\"\r\n\r\n");
    expect_complete(stream, status);
    EXPECT_EQ(stream.body(), "");
  }
}

TEST_P(GatewayProxyTest, EmptyBodyOfKnownLengthIsComplete) {
  MuxStream& stream = asked("GET /kv/a HTTP/1.1\r\n\r\n");
  answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  expect_complete(stream, 200);
  EXPECT_EQ(stream.head().content_length, 0U);
}

TEST_P(GatewayProxyTest, KeepsOneUpstreamConnectionForOneExchangeAfterAnother) {
  rig.upstream.answer_all("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  for (int i = 0; i < 5; ++i) {
    MuxStream& stream = rig.connection.open("GET /kv/a HTTP/1.1\r\n\r\n");
    rig.until_over(stream);
    expect_complete(stream, 200);
  }
  EXPECT_EQ(rig.upstream.connection_count(), 1U);
  EXPECT_EQ(upstream().head_count(), 5U);
}

TEST_P(GatewayProxyTest, AnswersOvertakeEachOther) {
  MuxStream& first = asked("GET /kv/first HTTP/1.1\r\n\r\n");
  MuxStream& second = asked("GET /kv/second HTTP/1.1\r\n\r\n");
  upstream(1).send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond");
  rig.until_over(second);
  EXPECT_FALSE(first.has_head());
  answer(first, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
  expect_complete(first, 200);
  expect_complete(second, 200);
  EXPECT_EQ(first.body() + second.body(), "firstsecond");
}

// ---- Request bodies ----

TEST_P(GatewayProxyTest, HeadWaitsForTheFirstPieceOfTheBody) {
  MuxStream& stream = rig.connection.open("PUT /kv/a HTTP/1.1\r\nContent-Length: 5\r\n\r\n");
  rig.turns(3);
  EXPECT_EQ(rig.upstream.connection_count(), 0U);
  stream.send("he");
  rig.until_request();
  rig.until([&] { return upstream().body() == "he"; }, "the first piece");
  EXPECT_EQ(upstream().field("Content-Length"), "5");
  stream.send_last("llo");
  rig.until([&] { return upstream().body() == "hello"; }, "the second piece");
  answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  expect_complete(stream, 200);
}

TEST_P(GatewayProxyTest, PassesAChunkedBodyWithItsTrailers) {
  MuxStream& stream = rig.connection.open(
      "POST /kv/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n");
  stream.send("hello");
  rig.until_request();
  stream.send_last("", {{"x-sum", "42"}});
  rig.until([&] { return upstream().body() == "5\r\nhello\r\n0\r\nx-sum: 42\r\n\r\n"; },
            "body and trailers");
  EXPECT_EQ(upstream().field("Transfer-Encoding"), "chunked");
  answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  expect_complete(stream, 200);
}

TEST_P(GatewayProxyTest, SlowUpstreamPausesTheClientsBody) {
  constexpr size_t kPieceBytes = 64 * 1024;
  constexpr size_t kPiecesMax = 400;  // Far more than the kernel's buffers hold.
  MuxStream& stream =
      rig.connection.open("PUT /kv/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  stream.send("first");
  rig.until_request();
  upstream().pause_reading();
  size_t pieces = 0;
  while (!stream.paused() && pieces < kPiecesMax) {
    stream.send(std::string(kPieceBytes, static_cast<char>('a' + pieces++ % 26)));
    rig.turns(1);
  }
  ASSERT_TRUE(stream.paused()) << "the gateway took " << pieces * kPieceBytes << " bytes";
  stream.send_last("last");
  rig.turns(3);
  EXPECT_EQ(stream.waiting_bytes(), 4U) << "a paused body is not delivered";
  upstream().resume_reading();
  rig.until([&] { return upstream().body().ends_with("4\r\nlast\r\n0\r\n\r\n"); }, "all of it");
  size_t at = upstream().body().find("first") + 7;
  for (size_t i = 0; i < pieces; ++i) {
    ASSERT_EQ(upstream().body().substr(at, 7), "10000\r\n");
    ASSERT_EQ(upstream().body()[at + 7], static_cast<char>('a' + i % 26));
    at += 7 + kPieceBytes + 2;
  }
  answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  expect_complete(stream, 200);
}

TEST_P(GatewayProxyTest, EarlyAnswerArrivesWhileTheBodyIsStillComing) {
  MuxStream& stream =
      rig.connection.open("PUT /kv/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  stream.send("one");
  rig.until_request();
  upstream().send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nheld\r\n");
  rig.until([&] { return stream.body() == "held"; }, "the early piece");
  stream.send_last("two");
  rig.until([&] { return upstream().body() == "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"; }, "the body");
  answer(stream, "0\r\n\r\n");
  expect_complete(stream, 200);
}

TEST_P(GatewayProxyTest, CompleteEarlyAnswerDoesNotWaitForTheBody) {
  MuxStream& stream =
      rig.connection.open("PUT /kv/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  stream.send("one");
  rig.until_request();
  answer(stream, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
  EXPECT_EQ(stream.end(), End::complete);
  EXPECT_EQ(stream.head().status, 403);
  EXPECT_EQ(rig.event(stream).outcome, Outcome::complete);
}

// ---- Interim answers ----

TEST_P(GatewayProxyTest, UpstreamDecidesAboutExpectContinue) {
  MuxStream& stream =
      asked("PUT /kv/a HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(upstream().field("Expect"), "100-continue");
  EXPECT_TRUE(stream.interims().empty());
  upstream().send("HTTP/1.1 100 Continue\r\n\r\n");
  rig.until([&] { return stream.interims().size() == 1; }, "the 100");
  EXPECT_EQ(stream.interims()[0].status, 100);
  stream.send_last("hello");
  rig.until([&] { return upstream().body() == "hello"; }, "the body");
  answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  expect_complete(stream, 200);
}

TEST_P(GatewayProxyTest, PassesInterimAnswersButNoContinueThatNobodyAskedFor) {
  MuxStream& stream = asked("GET /kv/a HTTP/1.1\r\n\r\n");
  upstream().send(
      "HTTP/1.1 100 Continue\r\n\r\n"
      "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n");
  answer(stream, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  expect_complete(stream, 200);
  ASSERT_EQ(stream.interims().size(), 1U);
  EXPECT_EQ(stream.interims()[0].status, 103);
  EXPECT_EQ(stream.interims()[0].fields, (FieldList{{"Link", "</a>"}}));
}

// ---- Back pressure towards the client ----

TEST_P(GatewayProxyTest, SlowClientPausesTheUpstream) {
  constexpr size_t kBytes = 16 * 1024 * 1024;  // More than the kernel's buffers hold.
  MuxStream& stream = asked("GET /kv/a HTTP/1.1\r\n\r\n");
  stream.limit_window(1000);
  std::string body(kBytes, '.');
  for (size_t i = 0; i < kBytes; i += 997)
    body[i] = static_cast<char>('a' + i % 26);
  upstream().send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kBytes) + "\r\n\r\n");
  upstream().send(body);
  rig.until([&] { return stream.body().size() == 1000; }, "what the client takes");
  size_t queued_max = 0;
  for (int i = 0; i < 200; ++i) {
    rig.turns(1);
    queued_max = std::max(queued_max, stream.queued_bytes());
  }
  EXPECT_GT(upstream().unsent_bytes(), 0U) << "the upstream could send everything";
  EXPECT_GE(queued_max, net::kQueuedBytesHigh);
  EXPECT_LE(queued_max, net::kQueuedBytesHigh + net::LoopContext::kReadBytes);
  while (!stream.over()) {
    stream.grant(40'000);
    rig.turns(1);
    ASSERT_LE(stream.queued_bytes(), net::kQueuedBytesHigh + net::LoopContext::kReadBytes);
  }
  expect_complete(stream, 200);
  EXPECT_TRUE(stream.body() == body);
}

TEST_P(GatewayProxyTest, SlowClientDelaysTheCommitUntilTheFinalByteLeaves) {
  MuxStream& stream = asked("GET /kv/a HTTP/1.1\r\n\r\n");
  stream.limit_window(4);
  const size_t before = rig.recorder.count();
  upstream().send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
  rig.until([&] { return stream.body() == "hell"; }, "what the client takes");
  rig.pass(milliseconds{500});
  EXPECT_EQ(rig.recorder.count(), before);
  stream.grant(1);
  EXPECT_EQ(rig.recorder.count(), before + 1);
  expect_complete(stream, 200);
  EXPECT_EQ(stream.body(), "hello");
}

// ---- Rewriting ----

TEST_P(GatewayProxyTest, RouteRewritesPathHostAndFields) {
  rig.publish_with(
      "strip_prefix = true\nhost = \"preserve\"\nproxy_headers = true\n"
      "request_headers = {set = {X-Set = \"1\"}, remove = [\"X-Out\"]}\n"
      "response_headers = {set = {X-Answer = \"2\"}, remove = [\"Server\"]}\n");
  MuxStream& stream =
      asked("GET /kv/a/b?c HTTP/1.1\r\nHost: weir.example\r\nX-Out: 1\r\nX-Set: 0\r\n\r\n");
  EXPECT_EQ(upstream().request_line(), "GET /a/b?c HTTP/1.1");
  EXPECT_EQ(upstream().field("Host"), "weir.example");
  EXPECT_EQ(upstream().field("X-Set"), "1");
  EXPECT_EQ(upstream().field("X-Out"), "(none)");
  answer(stream, "HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 0\r\n\r\n");
  expect_complete(stream, 200);
  EXPECT_EQ(stream.head().field("X-Answer"), "2");
  EXPECT_EQ(stream.head().field("Server"), "(none)");
  EXPECT_EQ(stream.head().field("x-proxy-route"), "/kv/*");
  EXPECT_EQ(stream.head().field("x-proxy-target"), rig.upstream.url());
  EXPECT_EQ(rig.event(stream).path, "/kv/a/b") << "what the client asked for is counted";
}

TEST_P(GatewayProxyTest, ExchangeKeepsTheConfigurationThatItBeganWith) {
  rig.publish_with("response_headers = {set = {X-Version = \"one\"}}\n");
  MuxStream& first = asked("GET /kv/a HTTP/1.1\r\n\r\n");
  rig.publish(
      "[[routes]]\nid = \"new\"\npattern = \"/kv/*\"\nupstreams = [\"{upstream}\"]\n"
      "response_headers = {set = {X-Version = \"two\"}}\n");
  const size_t in_use = rig.gateway.snapshots_in_use();
  EXPECT_GE(in_use, 2U);
  MuxStream& second = asked("GET /kv/a HTTP/1.1\r\n\r\n");
  for (size_t i = 0; i < 2; ++i)
    upstream(i).send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  rig.until_over(first);
  rig.until_over(second);
  EXPECT_EQ(first.head().field("X-Version"), "one");
  EXPECT_EQ(rig.event(first).route_id, "kv");
  EXPECT_EQ(second.head().field("X-Version"), "two");
  EXPECT_EQ(rig.event(second).route_id, "new");
  EXPECT_EQ(rig.gateway.snapshots_in_use(), in_use - 1) << "the old version is released";
}

// ---- Tunnels ----

class GatewayTunnelTest : public GatewayProxyTest {
 protected:
  static constexpr std::string_view kUpgrade =
      "GET /kv/ws HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
  static constexpr std::string_view kSwitched =
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";

  MuxStream& tunnel() {
    rig.publish_with("upgrade = [\"websocket\"]\ntimeouts = {tunnel_idle = \"1s\"}\n");
    MuxStream& stream = asked(kUpgrade);
    upstream().send(kSwitched);
    rig.until([&] { return stream.has_head(); }, "the 101");
    return stream;
  }
};

INSTANTIATE_TEST_SUITE_P(, GatewayTunnelTest, ::testing::Values(Neighbour::none, Neighbour::busy),
                         [](const auto& which) {
                           return which.param == Neighbour::none ? "Alone" : "Interleaved";
                         });

TEST_P(GatewayTunnelTest, CarriesBytesBothWaysAndIsCommittedBeforeItsHead) {
  MuxStream& stream = tunnel();
  EXPECT_EQ(stream.head().status, 101);
  EXPECT_EQ(stream.head().upgrade, "websocket");
  EXPECT_EQ(rig.event(stream).outcome, Outcome::open_ended);
  EXPECT_EQ(rig.shared.tunnels, 1U);
  stream.send("ping");
  rig.until([&] { return upstream().body() == "ping"; }, "the client's bytes");
  upstream().send("pong");
  rig.until([&] { return stream.body() == "pong"; }, "the upstream's bytes");
  upstream().close();
  rig.until_over(stream);
  EXPECT_EQ(stream.end(), End::complete);
  EXPECT_EQ(rig.shared.tunnels, 0U);
}

TEST_P(GatewayTunnelTest, KeepsNothingOfTheConfigurationThatItBeganUnder) {
  MuxStream& stream = tunnel();
  const size_t in_use = rig.gateway.snapshots_in_use();
  for (int version = 0; version < 10; ++version)
    rig.publish_with("timeouts = {tunnel_idle = \"9s\"}\n");
  EXPECT_EQ(rig.gateway.snapshots_in_use(), in_use) << "ten versions later";
  stream.send("ping");
  rig.until([&] { return upstream().body() == "ping"; }, "the client's bytes");
  rig.pass(milliseconds{1100});
  rig.until_over(stream);
  EXPECT_EQ(stream.end(), End::complete) << "its own time of rest";
  EXPECT_EQ(rig.shared.tunnels, 0U);
}

TEST_P(GatewayTunnelTest, EndsWhenNothingMovesForLong) {
  MuxStream& stream = tunnel();
  rig.pass(milliseconds{900});
  stream.send("still here");
  rig.until([&] { return upstream().body() == "still here"; }, "the client's bytes");
  rig.pass(milliseconds{900});
  EXPECT_FALSE(stream.over());
  rig.pass(milliseconds{200});
  rig.until_over(stream);
  EXPECT_EQ(stream.end(), End::complete);
  rig.until([&] { return upstream().ended(); }, "the upstream is let go");
}

TEST_P(GatewayTunnelTest, RefusesOneOverTheLimitOfTheNode) {
  rig.publish(
      "[limits]\ntunnels_max = 0\n[[routes]]\nid = \"kv\"\npattern = \"/kv/*\"\n"
      "upstreams = [\"{upstream}\"]\nupgrade = [\"websocket\"]\n");
  MuxStream& stream = asked(kUpgrade);
  answer(stream, kSwitched);
  EXPECT_EQ(stream.head().status, 503);
  EXPECT_NE(stream.body().find("too_many_tunnels"), std::string::npos);
  EXPECT_EQ(rig.shared.tunnels, 0U);
}

TEST_P(GatewayTunnelTest, SwitchThatNobodyAskedForIsABadAnswer) {
  MuxStream& stream = asked(kUpgrade);  // The route does not allow it.
  EXPECT_EQ(upstream().field("Upgrade"), "(none)");
  answer(stream, kSwitched);
  EXPECT_EQ(stream.head().status, 502);
  EXPECT_NE(stream.body().find("upstream_malformed"), std::string::npos);
}

}  // namespace
}  // namespace weir::gateway
