// The stage suite: upstreams and clients that fail. See gateway_test.cc.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "gateway/testing/stage_rig.h"
#include "net/socket.h"

namespace weir::gateway {
namespace {

using std::chrono::milliseconds;
using testing::End;
using testing::MuxStream;
using testing::Neighbour;
using testing::ScriptedUpstream;
using testing::StageRig;
using testing::UpstreamConnection;
using traffic::Event;
using traffic::Outcome;

constexpr std::string_view kGet = "GET /kv/a HTTP/1.1\r\n\r\n";
constexpr std::string_view kPost = "POST /kv/a HTTP/1.1\r\nContent-Length: 5\r\n\r\n";
constexpr std::string_view kPut = "PUT /kv/a HTTP/1.1\r\nContent-Length: 5\r\n\r\n";
constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

class GatewayFailureTest : public ::testing::TestWithParam<Neighbour> {
 protected:
  MuxStream& asked(std::string_view head) {
    const size_t before = rig.upstream.connection_count();
    MuxStream& stream = rig.connection.open(head);
    rig.until_request(before);
    return stream;
  }
  UpstreamConnection& upstream(size_t index = 0) { return rig.upstream.connection(index); }

  // Lets time pass, little by little, until the response is over.
  void until_over_in_time(const MuxStream& stream) {
    for (int i = 0; i < 1000 && !stream.over(); ++i)
      rig.pass(milliseconds{8});
    ASSERT_TRUE(stream.over());
  }
  void expect_failure(const MuxStream& stream, int status, std::string_view code, Outcome outcome,
                      int attempts) {
    EXPECT_EQ(stream.end(), End::complete);
    EXPECT_EQ(stream.head().status, status);
    EXPECT_NE(stream.body().find("\"code\":\"" + std::string{code} + "\""), std::string::npos)
        << stream.body();
    expect_event(stream, status, outcome, attempts);
  }
  void expect_event(const MuxStream& stream, int status, Outcome outcome, int attempts) {
    const Event event = rig.event(stream);
    EXPECT_EQ(event.status, status);
    EXPECT_EQ(event.outcome, outcome);
    EXPECT_EQ(event.attempts, attempts);
    EXPECT_EQ(event.bytes_in, stream.bytes_in());
    EXPECT_EQ(event.bytes_out, stream.bytes_out());
  }

  StageRig rig{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(, GatewayFailureTest, ::testing::Values(Neighbour::none, Neighbour::busy),
                         [](const auto& which) {
                           return which.param == Neighbour::none ? "Alone" : "Interleaved";
                         });

// ---- 502, 503 and 504 ----

TEST_P(GatewayFailureTest, UpstreamThatRefusesIsAskedAgainAndThen502) {
  rig.upstream.stop_listening();
  const MuxStream& stream = rig.connection.open(kGet);
  until_over_in_time(stream);
  expect_failure(stream, 502, "upstream_refused", Outcome::upstream_abort, 3);
  EXPECT_EQ(rig.gateway.counts().retries, 2U);
}

TEST_P(GatewayFailureTest, RetryGoesToAnotherUpstream) {
  ScriptedUpstream refusing{*rig.loop};
  rig.publish(
      "[[routes]]\nid = \"kv\"\npattern = \"/kv/*\"\npassive_health = {failures = 0}\n"
      "upstreams = [\"{upstream}\", \"" +
      refusing.url() + "\"]\n");
  refusing.stop_listening();
  rig.upstream.answer_all(std::string{kOk});
  int attempts = 0;
  for (int i = 0; i < 2; ++i) {  // In turn: one of the two begins at the wrong one.
    const MuxStream& stream = rig.connection.open(kGet);
    until_over_in_time(stream);
    EXPECT_EQ(stream.head().status, 200);
    EXPECT_EQ(rig.event(stream).outcome, Outcome::complete);
    attempts += rig.event(stream).attempts;
  }
  EXPECT_EQ(attempts, 3);
}

TEST_P(GatewayFailureTest, UpstreamThatClosesWithoutAnAnswerIs502) {
  MuxStream& stream = rig.connection.open(kPost);
  stream.send_last("hello");
  rig.until_request();
  upstream().close();
  rig.until_over(stream);
  // It may have acted on it already: nobody but the client may try again.
  expect_failure(stream, 502, "upstream_closed", Outcome::upstream_abort, 1);
}

TEST_P(GatewayFailureTest, UpstreamThatSendsNoHttpIs502) {
  const MuxStream& stream = asked(kGet);
  upstream().send("SSH-2.0-OpenSSH_9.2\r\n\r\n");
  rig.until_over(stream);
  expect_failure(stream, 502, "upstream_malformed", Outcome::upstream_abort, 1);
}

TEST_P(GatewayFailureTest, RouteWithoutAResolvedUpstreamIs503) {
  rig.publish(
      "[[routes]]\nid = \"kv\"\npattern = \"/kv/*\"\n"
      "upstreams = [\"http://nowhere.invalid:80\"]\n");
  const MuxStream& stream = rig.connection.open(kGet);
  expect_failure(stream, 503, "no_upstream", Outcome::refused, 0);
  EXPECT_EQ(stream.head().field("Retry-After"), "1");
}

TEST_P(GatewayFailureTest, UpstreamWithoutAFreeConnectionIs503) {
  rig.publish_with("max_connections = 1\ntimeouts = {connect = \"100ms\"}\n");
  MuxStream& holder = asked(kGet);
  const MuxStream& stream = rig.connection.open(kGet);
  rig.pass(milliseconds{60});
  EXPECT_FALSE(stream.over());
  until_over_in_time(stream);
  expect_failure(stream, 503, "upstream_busy", Outcome::refused, 0);
  EXPECT_EQ(rig.upstream.connection_count(), 1U);
  upstream().send(kOk);
  rig.until_over(holder);
}

TEST_P(GatewayFailureTest, ExchangeWaitsForAConnectionAndGetsIt) {
  rig.publish_with("max_connections = 1\n");
  MuxStream& holder = asked(kGet);
  const MuxStream& stream = rig.connection.open(kGet);
  upstream().send(kOk);
  rig.until_over(holder);
  for (int i = 0; i < 100 && rig.upstream.connection_count() < 2; ++i)
    rig.pass(milliseconds{8});
  ASSERT_EQ(rig.upstream.connection_count(), 2U);
  rig.until_request(1);
  upstream(1).send(kOk);
  rig.until_over(stream);
  expect_event(stream, 200, Outcome::complete, 1);
}

// A listener whose queue is full answers no SYN.
TEST_P(GatewayFailureTest, UpstreamThatDoesNotAcceptIs504) {
  const os::Fd listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_storage storage{};
  const auto any = net::SocketAddress::parse("127.0.0.1:0").value();
  ASSERT_EQ(
      ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&storage), any.to_system(storage)),
      0);
  ASSERT_EQ(::listen(listener.get(), 0), 0);
  const net::SocketAddress full = net::local_address(listener.get());
  const auto filler = net::connect_to(full);
  rig.publish("[[routes]]\nid = \"kv\"\npattern = \"/kv/*\"\nupstreams = [\"http://" +
              net::to_string(full) + "\"]\nretry_attempts = 1\n" +
              "timeouts = {connect = \"100ms\"}\n");
  const MuxStream& stream = rig.connection.open(kGet);
  rig.pass(milliseconds{80});
  EXPECT_FALSE(stream.over());
  until_over_in_time(stream);
  expect_failure(stream, 504, "upstream_connect_timeout", Outcome::timeout, 1);
}

TEST_P(GatewayFailureTest, SilentUpstreamIs504) {
  rig.publish_with("timeouts = {first_byte = \"100ms\"}\n");
  const MuxStream& stream = asked(kGet);
  rig.pass(milliseconds{80});
  EXPECT_FALSE(stream.over());
  until_over_in_time(stream);
  expect_failure(stream, 504, "upstream_timeout", Outcome::timeout, 1);
}

TEST_P(GatewayFailureTest, ExchangeOverItsTotalTimeIs504) {
  rig.publish_with("timeouts = {total = \"100ms\"}\n");
  const MuxStream& stream = asked(kGet);
  rig.pass(milliseconds{80});
  EXPECT_FALSE(stream.over());
  until_over_in_time(stream);
  expect_failure(stream, 504, "total_timeout", Outcome::timeout, 1);
  rig.until([&] { return upstream().ended(); }, "the upstream is let go");
}

// ---- Within the response ----

TEST_P(GatewayFailureTest, UpstreamCutWithinItsBodyCutsTheResponse) {
  for (const char* framing : {"Content-Length: 10", "Transfer-Encoding: chunked"}) {
    const size_t index = rig.upstream.connection_count();
    const MuxStream& stream = asked(kGet);
    upstream(index).send("HTTP/1.1 200 OK\r\n" + std::string{framing} + "\r\n\r\n3\r\nhey\r\n");
    rig.until([&] { return !stream.body().empty(); }, "a part of the body");
    upstream(index).close();
    rig.until_over(stream);
    EXPECT_EQ(stream.end(), End::reset) << framing;
    expect_event(stream, 200, Outcome::upstream_abort, 1);
  }
}

TEST_P(GatewayFailureTest, UpstreamThatStopsWithinItsBodyCutsTheResponse) {
  rig.publish_with("timeouts = {idle = \"100ms\"}\n");
  const MuxStream& stream = asked(kGet);
  upstream().send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhey");
  rig.until([&] { return stream.body() == "hey"; }, "a part of the body");
  until_over_in_time(stream);
  EXPECT_EQ(stream.end(), End::reset);
  expect_event(stream, 200, Outcome::timeout, 1);
}

// Between pieces only the idle time counts, also when head and first piece came together.
TEST_P(GatewayFailureTest, UpstreamMayTakeLongerOverItsBodyThanOverItsFirstByte) {
  rig.publish_with("timeouts = {first_byte = \"100ms\", idle = \"1s\"}\n");
  const MuxStream& stream = asked(kGet);
  rig.pass(milliseconds{80});
  upstream().send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhey");
  rig.until([&] { return stream.body() == "hey"; }, "a part of the body");
  rig.pass(milliseconds{500});
  upstream().send("you");
  rig.until_over(stream);
  EXPECT_EQ(stream.end(), End::complete);
  expect_event(stream, 200, Outcome::complete, 1);
}

TEST_P(GatewayFailureTest, TotalTimeCutsAResponseThatIsOnItsWay) {
  rig.publish_with("timeouts = {total = \"100ms\"}\n");
  const MuxStream& stream = asked(kGet);
  upstream().send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhey");
  rig.until([&] { return stream.body() == "hey"; }, "a part of the body");
  until_over_in_time(stream);
  EXPECT_EQ(stream.end(), End::reset);
  expect_event(stream, 200, Outcome::timeout, 1);
}

// ---- Retries ----

TEST_P(GatewayFailureTest, IdempotentRequestIsSentAgainWithItsBody) {
  MuxStream& stream = rig.connection.open(kPut);
  stream.send_last("hello");
  rig.until([&] { return rig.upstream.connection_count() == 1 && upstream().body() == "hello"; },
            "the first attempt");
  upstream().close();
  while (rig.upstream.connection_count() < 2 && !stream.over())
    rig.pass(milliseconds{8});
  rig.until([&] { return upstream(1).body() == "hello"; }, "the second attempt");
  EXPECT_EQ(upstream(1).field("X-Request-ID"), upstream(0).field("X-Request-ID"));
  upstream(1).send(kOk);
  rig.until_over(stream);
  expect_event(stream, 200, Outcome::complete, 2);
}

TEST_P(GatewayFailureTest, BodyThatTheReplayBufferDoesNotHoldIsNotSentAgain) {
  rig.publish_with("retry_buffer = \"4B\"\n");
  MuxStream& stream = rig.connection.open(kPut);
  stream.send_last("hello");
  rig.until([&] { return rig.upstream.connection_count() == 1 && upstream().body() == "hello"; },
            "the only attempt");
  upstream().close();
  rig.until_over(stream);
  expect_failure(stream, 502, "upstream_closed", Outcome::upstream_abort, 1);
}

TEST_P(GatewayFailureTest, ConnectionThatClosedAtRestIsReplacedAtOnce) {
  const MuxStream& first = asked(kGet);
  upstream().send(kOk);
  rig.until_over(first);
  const MuxStream& second = rig.connection.open(kGet);
  rig.until([&] { return upstream().head_count() == 2; }, "the second request, on it again");
  upstream().close();
  rig.until_request(1);  // Without any time passing.
  upstream(1).send(kOk);
  rig.until_over(second);
  expect_event(second, 200, Outcome::complete, 2);
}

TEST_P(GatewayFailureTest, NothingIsRetriedOnceAnInterimAnswerWentOut) {
  const MuxStream& stream = asked(kGet);
  upstream().send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
  rig.until([&] { return stream.interims().size() == 1; }, "the 103");
  upstream().close();
  rig.until_over(stream);
  expect_failure(stream, 502, "upstream_closed", Outcome::upstream_abort, 1);
}

// ---- Clients ----

TEST_P(GatewayFailureTest, ClientThatGoesBeforeTheHeadIs499) {
  MuxStream& stream = asked(kGet);
  stream.give_up();
  expect_event(stream, 499, Outcome::client_abort, 1);
  rig.until([&] { return upstream().ended(); }, "the upstream is let go");
}

TEST_P(GatewayFailureTest, ClientThatGoesWithinTheResponseKeepsItsStatus) {
  for (const bool timed_out : {false, true}) {
    const size_t index = rig.upstream.connection_count();
    MuxStream& stream = asked(kGet);
    upstream(index).send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhey");
    rig.until([&] { return stream.body() == "hey"; }, "a part of the body");
    stream.give_up(timed_out);
    expect_event(stream, 200, timed_out ? Outcome::timeout : Outcome::client_abort, 1);
    rig.until([&] { return upstream(index).ended(); }, "the upstream is let go");
  }
}

TEST_P(GatewayFailureTest, ClientThatGoesWhileARetryWaitsIsRecordedOnce) {
  rig.upstream.stop_listening();
  MuxStream& stream = rig.connection.open(kGet);
  rig.until([&] { return rig.gateway.counts().retries == 1; }, "the first attempt fails");
  stream.give_up();
  expect_event(stream, 499, Outcome::client_abort, 1);
  rig.pass(milliseconds{1000});
  EXPECT_EQ(rig.gateway.counts().retries, 1U);
}

TEST_P(GatewayFailureTest, BrokenBodyIsRefusedWithItsKind) {
  MuxStream& broken =
      rig.connection.open("PUT /kv/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  broken.send("one");
  rig.until_request();
  broken.break_body(http::Malformed::chunk_size);
  expect_failure(broken, 400, "chunk_size", Outcome::refused, 1);
  rig.until([&] { return upstream().ended(); }, "the upstream is let go");
}

TEST_P(GatewayFailureTest, BodyThatDoesNotComeIs408) {
  MuxStream& late = rig.connection.open(kPut);
  late.break_body(http::Malformed::incomplete);
  expect_failure(late, 408, "incomplete", Outcome::refused, 0);
}

TEST_P(GatewayFailureTest, BodyThatBreaksUnderAResponseCutsIt) {
  MuxStream& stream =
      rig.connection.open("PUT /kv/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  stream.send("one");
  rig.until_request();
  upstream().send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhey\r\n");
  rig.until([&] { return stream.body() == "hey"; }, "a part of the body");
  stream.break_body(http::Malformed::incomplete);
  EXPECT_EQ(stream.end(), End::reset);
  expect_event(stream, 200, Outcome::timeout, 1);
}

TEST_P(GatewayFailureTest, LostConnectionEndsAllItsExchangesEachWithItsOwnEvent) {
  MuxStream& waiting = asked(kGet);
  MuxStream& streaming = asked(kGet);
  upstream(1).send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhey");
  rig.until([&] { return streaming.body() == "hey"; }, "a part of the body");
  rig.connection.lose();
  expect_event(waiting, 499, Outcome::client_abort, 1);
  expect_event(streaming, 200, Outcome::client_abort, 1);
  EXPECT_EQ(rig.gateway.exchanges_in_progress(), 0U);
}

}  // namespace
}  // namespace weir::gateway
