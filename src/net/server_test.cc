#include "net/server.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "net/socket.h"

namespace weir::net {
namespace {

using std::chrono::milliseconds;

// Answers every request with 200, at once or when it is told to.
class Answerer final : public ServerHandler, public ServerStreamHandler {
 public:
  void on_request(ServerStream& stream, ClientConnection& client,
                  const http::RequestHead&) override {
    ++requests;
    announced = to_string(client.announced);
    stream.attach(*this);
    held = &stream;
    if (!holds) answer();
  }
  void answer() {
    ServerStream& stream = *std::exchange(held, nullptr);
    stream.respond({.status = 200, .content_length = 2});
    stream.send_body("ok");
    stream.finish({});
  }
  void on_malformed(ServerStream& stream, ClientConnection&, http::Malformed kind) override {
    stream.attach(*this);
    stream.respond({.status = http::status_of(kind), .content_length = 0});
    stream.finish({});
  }
  void on_request_body(std::string_view, bool, http::Fields) override {}
  void on_request_pause() override {}
  void on_request_broken(http::Malformed) override {}
  void on_drained() override {}
  void on_commit(uint64_t, bool) override {}
  void on_answered(bool) override {}
  void on_client_gone(bool, uint64_t, uint64_t) override {}
  void on_deadline() override {}

  int requests = 0;
  bool holds = false;
  ServerStream* held = nullptr;
  std::string announced;
};

class FakeTrust final : public ProxyTrust {
 public:
  bool trusts_proxy(uint32_t, const SocketAddress&) const override { return trusted; }
  bool trusted = true;
};

// A client's end. Reads without blocking.
struct Client {
  explicit Client(const SocketAddress& address) : socket(std::move(connect_to(address)).value()) {}
  void send(std::string_view bytes) const {
    const iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
    ASSERT_EQ(write_some(socket.get(), &piece, 1).bytes, bytes.size());
  }
  void read() {
    std::array<char, 4096> bytes;
    const Moved moved = read_some(socket.get(), bytes.data(), bytes.size());
    if (moved.kind == Moved::Kind::bytes) received.append(bytes.data(), moved.bytes);
    if (moved.kind == Moved::Kind::end_of_stream || moved.kind == Moved::Kind::failed) ended = true;
  }
  os::Fd socket;
  std::string received;
  bool ended = false;
};

constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

// Two servers on two loops, which the test turns one after the other.
class ServerTest : public ::testing::Test {
 protected:
  struct Side {
    Side(base::Clock& clock, FakeTrust& trust, ServerGroup& group, uint32_t index)
        : loop(std::move(loop::Loop::create(clock)).value()),
          context(*loop),
          server(context, answerer, trust, group, index) {}
    std::unique_ptr<loop::Loop> loop;
    LoopContext context;
    Answerer answerer;
    Server server;
  };

  void SetUp() override { make(1); }
  void make(uint32_t loops) {
    sides.clear();
    group.servers.clear();
    group.loads = std::make_unique<ServerGroup::Load[]>(loops);
    for (uint32_t i = 0; i < loops; ++i) {
      sides.push_back(std::make_unique<Side>(clock, trust, group, i));
      group.servers.push_back(&sides.back()->server);
    }
  }
  // All connections are accepted by the first loop.
  void listen(ListenerOptions options = {}) {
    os::Fd listener =
        std::move(listen_on(SocketAddress::parse("127.0.0.1:0").value(), PortSharing::exclusive))
            .value();
    address = local_address(listener.get());
    ASSERT_TRUE(sides[0]->server.listen(std::move(listener), options).ok());
  }
  Client& connect() {
    clients.push_back(std::make_unique<Client>(address));
    return *clients.back();
  }
  // A client that has had an answer, so its connection is there.
  Client& served() {
    Client& client = connect();
    until([&] { return connect_error(client.socket.get()) == 0; });
    client.send(kRequest);
    until([&] { return client.received.ends_with("ok"); });
    return client;
  }
  void until(const std::function<bool()>& condition) {
    for (int i = 0; i < 5000; ++i) {
      for (const auto& side : sides)
        side->loop->turn(milliseconds{1});
      for (const auto& client : clients)
        client->read();
      if (condition()) return;
    }
    FAIL() << "waited in vain";
  }

  base::ManualClock clock;
  FakeTrust trust;
  ServerGroup group;
  std::vector<std::unique_ptr<Side>> sides;
  std::vector<std::unique_ptr<Client>> clients;
  SocketAddress address;
};

TEST_F(ServerTest, ServesAsManyConnectionsAsAllowedAndClosesOneMoreAtOnce) {
  group.connections_max = 2;
  listen();
  Client& first = served();
  Client& second = served();
  EXPECT_EQ(group.connections, 2U);
  Client& third = connect();
  until([&] { return third.ended; });
  EXPECT_EQ(third.received, "");
  EXPECT_EQ(group.refused, 1U);
  EXPECT_FALSE(first.ended || second.ended);
  first.socket.reset();
  until([&] { return group.connections == 1; });
  served();
  EXPECT_EQ(group.refused, 1U);
  EXPECT_EQ(sides[0]->server.connection_count(), 2U);
}

TEST_F(ServerTest, LimitThatIsLoweredClosesNobody) {
  listen();
  Client& first = served();
  Client& second = served();
  group.connections_max = 1;
  Client& third = connect();
  until([&] { return third.ended; });
  for (Client* const client : {&first, &second}) {
    client->received.clear();
    client->send(kRequest);
    until([&] { return client->received.ends_with("ok"); });
  }
}

TEST_F(ServerTest, HandsConnectionsOverToTheLoopThatHasFewest) {
  make(2);
  listen();
  for (int i = 0; i < 6; ++i)
    served();
  EXPECT_EQ(sides[0]->server.connection_count(), 3U);
  EXPECT_EQ(sides[1]->server.connection_count(), 3U);
  EXPECT_EQ(group.loads[0].connections, 3U);
  EXPECT_EQ(group.loads[1].connections, 3U);
  EXPECT_EQ(sides[1]->answerer.requests, 3);
  clients.clear();
  until([&] { return group.connections == 0; });
  EXPECT_EQ(group.loads[0].connections + group.loads[1].connections, 0U);
}

TEST_F(ServerTest, ReadsTheProxyHeaderWhateverItsPieces) {
  listen({.proxy_protocol = true});
  const std::string bytes = "PROXY TCP4 192.0.2.7 10.0.0.1 40000 80\r\n" + std::string{kRequest};
  for (const size_t piece_bytes : {size_t{1}, size_t{7}, bytes.size()}) {
    Client& client = connect();
    until([&] { return connect_error(client.socket.get()) == 0; });
    for (size_t at = 0; at < bytes.size(); at += piece_bytes) {
      client.send(std::string_view{bytes}.substr(at, piece_bytes));
      sides[0]->loop->turn(milliseconds{0});
    }
    until([&] { return client.received.ends_with("ok"); });
    EXPECT_EQ(sides[0]->answerer.announced, "192.0.2.7:40000");
    sides[0]->answerer.announced.clear();
  }
}

TEST_F(ServerTest, ClosesWithoutAnAnswerWhoDoesNotSpeakTheProxyProtocol) {
  listen({.proxy_protocol = true});
  Client& client = connect();
  until([&] { return connect_error(client.socket.get()) == 0; });
  client.send(kRequest);
  until([&] { return client.ended; });
  EXPECT_EQ(client.received, "");
  EXPECT_EQ(sides[0]->answerer.requests, 0);
}

TEST_F(ServerTest, ClosesWhoSpeaksTheProxyProtocolAndIsNoProxy) {
  trust.trusted = false;
  listen({.proxy_protocol = true});
  Client& client = connect();
  until([&] { return connect_error(client.socket.get()) == 0; });
  client.send("PROXY TCP4 192.0.2.7 10.0.0.1 40000 80\r\n" + std::string{kRequest});
  until([&] { return client.ended; });
  EXPECT_EQ(client.received, "");
  EXPECT_EQ(sides[0]->answerer.requests, 0);
}

TEST_F(ServerTest, DrainServesWhoAlreadyWaitsAndThenRefuses) {
  listen();
  Client& kept = served();
  Client& waiting = connect();  // In the kernel's queue; the loop has not turned.
  sides[0]->server.drain();
  until([&] { return connect_error(waiting.socket.get()) == 0; });
  waiting.send(kRequest);
  until([&] { return waiting.ended; });
  EXPECT_NE(waiting.received.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(waiting.received.ends_with("ok"));
  EXPECT_FALSE(kept.ended);
  clock.advance(std::chrono::seconds{1});  // The grace of those at rest is over.
  until([&] { return kept.ended; });
  EXPECT_EQ(group.connections, 0U);
  Client& late = connect();
  until([&] { return late.ended; });
}

// Its end is seen in the moment between the first answer and the second request's turn.
TEST_F(ServerTest, AClientThatSaysNothingMoreGetsEveryAnswerThatItAskedFor) {
  listen();
  Client& client = served();
  Answerer& answerer = sides[0]->answerer;
  answerer.holds = true;
  client.received.clear();
  client.send(std::string{kRequest} + std::string{kRequest});
  until([&] { return answerer.held != nullptr; });
  answerer.holds = false;
  answerer.answer();
  ASSERT_EQ(::shutdown(client.socket.get(), SHUT_WR), 0);
  until([&] { return client.ended; });
  EXPECT_EQ(answerer.requests, 3);
  const size_t first = client.received.find("ok");
  ASSERT_NE(first, std::string::npos);
  EXPECT_NE(client.received.find("ok", first + 1), std::string::npos) << client.received;
}

}  // namespace
}  // namespace weir::net
