#include "net/upstream_pool.h"

#include <functional>
#include <memory>

#include <gtest/gtest.h>

#include "net/testing/scripted_upstream.h"

namespace weir::net {
namespace {

using std::chrono::milliseconds;

// One exchange: GET / and whatever comes back.
class Exchange final : public ClientStreamHandler {
 public:
  void ask(ClientStream& stream) {
    stream_ = &stream;
    stream.send_request({.method = "GET", .target = "/"}, {}, true, {});
  }
  void cancel() { std::exchange(stream_, nullptr)->cancel(); }
  bool asked() const { return stream_ != nullptr; }

  void on_interim(const http::ResponseHead&) override {}
  void on_response(const http::ResponseHead& head) override { status = head.status; }
  void on_response_body(std::string_view, bool last, http::Fields) override { complete = last; }
  void on_response_pause() override {}
  void on_upstream_drained() override {}
  void on_upstream_failure(UpstreamFailure why, bool, bool was_reused) override {
    failure = why;
    reused = was_reused;
  }

  int status = 0;
  bool complete = false;
  bool reused = false;
  std::optional<UpstreamFailure> failure;

 private:
  ClientStream* stream_ = nullptr;
};

class UpstreamPoolTest : public ::testing::Test {
 protected:
  void SetUp() override { upstream.answer_all("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); }

  Endpoint& endpoint(Endpoint::Options options) {
    endpoints_.push_back(std::make_unique<Endpoint>(
        static_cast<uint32_t>(endpoints_.size()),
        SocketAddress::parse(upstream.authority()).value(), "test", options));
    return *endpoints_.back();
  }
  // Begins an exchange; fails the test if it may not.
  void begin(Exchange& exchange, Endpoint& at, bool fresh_only = false) {
    const auto stream = pool.acquire(at, exchange, {}, fresh_only);
    ASSERT_TRUE(stream.ok());
    exchange.ask(*stream.value());
  }
  // A whole exchange.
  void ask(Endpoint& at) {
    Exchange exchange;
    begin(exchange, at);
    until([&] { return exchange.complete; });
  }
  // As many at once, so that as many connections come to rest.
  void ask_at_once(Endpoint& at, size_t count) {
    std::vector<std::unique_ptr<Exchange>> exchanges;
    for (size_t i = 0; i < count; ++i) {
      exchanges.push_back(std::make_unique<Exchange>());
      begin(*exchanges.back(), at);
    }
    for (const auto& exchange : exchanges)
      until([&] { return exchange->complete; });
  }
  void until(const std::function<bool()>& condition) {
    for (int i = 0; i < 5000 && !condition(); ++i)
      loop->turn(milliseconds{1});
    ASSERT_TRUE(condition());
  }
  size_t ended() {
    size_t count = 0;
    for (size_t i = 0; i < upstream.connection_count(); ++i)
      count += upstream.connection(i).ended() ? 1U : 0U;
    return count;
  }

  base::ManualClock clock;
  std::unique_ptr<loop::Loop> loop = std::move(loop::Loop::create(clock)).value();
  testing::ScriptedUpstream upstream{*loop};
  LoopContext context{*loop};

 private:
  std::vector<std::unique_ptr<Endpoint>> endpoints_;

 protected:
  UpstreamPool pool{context};
};

TEST_F(UpstreamPoolTest, ReusesTheConnectionThatCameToRestLast) {
  Endpoint& at = endpoint({});
  ask_at_once(at, 3);
  EXPECT_EQ(upstream.connection_count(), 3U);
  EXPECT_EQ(pool.idle_count(), 3U);
  EXPECT_EQ(at.connections(), 3U);
  for (int i = 0; i < 5; ++i)
    ask(at);
  EXPECT_EQ(upstream.connection_count(), 3U);
  size_t most = 0;
  for (size_t i = 0; i < 3; ++i)
    most = std::max(most, upstream.connection(i).head_count());
  EXPECT_EQ(most, 6U) << "one of them carried all five";
  EXPECT_EQ(context.counts.upstream_reused, 5U);
}

TEST_F(UpstreamPoolTest, KeepsApartWhatLeadsToDifferentEndpoints) {
  Endpoint& one = endpoint({});
  Endpoint& other = endpoint({});
  ask(one);
  ask(other);
  EXPECT_EQ(upstream.connection_count(), 2U);
}

TEST_F(UpstreamPoolTest, ClosesTheOldestAtRestBeyondItsLimit) {
  Endpoint& at = endpoint({});
  pool.set_idle_max(2);
  ask_at_once(at, 3);
  EXPECT_EQ(pool.idle_count(), 2U);
  EXPECT_EQ(at.connections(), 2U);
  until([&] { return ended() == 1; });
}

TEST_F(UpstreamPoolTest, OpensAtMostAsManyConnectionsAsTheEndpointAllows) {
  Endpoint& at = endpoint({.connections_max = 2});
  Exchange one;
  Exchange two;
  Exchange three;
  EXPECT_TRUE(pool.has_room(at));
  begin(one, at);
  begin(two, at);
  EXPECT_FALSE(pool.has_room(at));
  const auto refused = pool.acquire(at, three, {}, false);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, base::ErrorCode::limit_exceeded);
  until([&] { return one.complete && two.complete; });
  EXPECT_TRUE(pool.has_room(at)) << "there is one at rest";
  ask(at);
  EXPECT_EQ(upstream.connection_count(), 2U);
}

TEST_F(UpstreamPoolTest, FreshConnectionTakesThePlaceOfOneAtRest) {
  Endpoint& at = endpoint({.connections_max = 1});
  ask(at);
  Exchange fresh;
  begin(fresh, at, true);
  until([&] { return fresh.complete; });
  EXPECT_EQ(upstream.connection_count(), 2U);
  EXPECT_EQ(at.connections(), 1U);
  until([&] { return ended() == 1; });
}

TEST_F(UpstreamPoolTest, GivesUpConnectionsAtRestThatAnotherLoopWaitsFor) {
  Endpoint& at = endpoint({.connections_max = 1});
  ask(at);
  EXPECT_EQ(at.connections(), 1U);
  at.add_waiting(1);
  clock.advance(UpstreamPool::kShareEvery + loop::Loop::kTick);
  loop->turn(milliseconds{0});
  EXPECT_EQ(at.connections(), 0U);
  at.add_waiting(-1);
}

TEST_F(UpstreamPoolTest, ForgetsAConnectionThatTheUpstreamClosesAtRest) {
  Endpoint& at = endpoint({});
  ask(at);
  upstream.connection(0).close();
  until([&] { return pool.idle_count() == 0; });
  EXPECT_EQ(at.connections(), 0U);
  ask(at);
  EXPECT_EQ(upstream.connection_count(), 2U);
}

TEST_F(UpstreamPoolTest, ClosesAConnectionThatSendsWhatNobodyAskedFor) {
  Endpoint& at = endpoint({});
  ask(at);
  upstream.connection(0).send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  until([&] { return pool.idle_count() == 0; });
}

TEST_F(UpstreamPoolTest, ClosesAtRestAfterTheKeepAliveTime) {
  Endpoint& at = endpoint({});
  ask(at);
  clock.advance(ClientTimeouts{}.keep_alive - milliseconds{1});
  loop->turn(milliseconds{0});
  EXPECT_EQ(pool.idle_count(), 1U);
  clock.advance(milliseconds{1} + 2 * loop::Loop::kTick);
  loop->turn(milliseconds{0});
  EXPECT_EQ(pool.idle_count(), 0U);
}

TEST_F(UpstreamPoolTest, RefusalsInARowEjectTheEndpointForAWhile) {
  Endpoint& at = endpoint({.failures_max = 2, .ejected_for = milliseconds{1000}});
  upstream.stop_listening();
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(at.usable(clock.monotonic()));
    Exchange exchange;
    begin(exchange, at);
    until([&] { return exchange.failure.has_value(); });
    EXPECT_EQ(exchange.failure, UpstreamFailure::refused);
    EXPECT_FALSE(exchange.reused);
  }
  EXPECT_EQ(at.connections(), 0U);
  EXPECT_FALSE(at.usable(clock.monotonic()));
  EXPECT_TRUE(at.usable(clock.monotonic() + milliseconds{1000}));
}

TEST_F(UpstreamPoolTest, OneSuccessForgivesEarlierRefusals) {
  Endpoint& at = endpoint({.failures_max = 2});
  at.on_failure(clock.monotonic());
  ask(at);
  at.on_failure(clock.monotonic());
  EXPECT_TRUE(at.usable(clock.monotonic()));
}

TEST_F(UpstreamPoolTest, CancelledExchangeTakesItsConnectionWithIt) {
  upstream.on_input = nullptr;
  Endpoint& at = endpoint({});
  Exchange exchange;
  begin(exchange, at);
  until(
      [&] { return upstream.connection_count() == 1 && upstream.connection(0).head_count() == 1; });
  exchange.cancel();
  EXPECT_EQ(at.connections(), 0U);
  EXPECT_EQ(pool.idle_count(), 0U);
  until([&] { return ended() == 1; });
  EXPECT_FALSE(exchange.failure.has_value());
}

TEST_F(UpstreamPoolTest, KeepsNothingAtRestWhileItDrains) {
  context.draining = true;
  Endpoint& at = endpoint({});
  ask(at);
  EXPECT_EQ(pool.idle_count(), 0U);
  EXPECT_EQ(at.connections(), 0U);
}

TEST_F(UpstreamPoolTest, ClosesAllAtRestWhenToldTo) {
  Endpoint& at = endpoint({});
  ask_at_once(at, 3);
  pool.close_idle();
  EXPECT_EQ(at.connections(), 0U);
  until([&] { return ended() == 3; });
}

}  // namespace
}  // namespace weir::net
