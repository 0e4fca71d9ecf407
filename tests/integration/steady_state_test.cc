// Goal: a proxied request in steady state takes nothing from the heap (design 9). Method: a real
// data plane with one loop and real recording between a client and an upstream on real sockets;
// once each kind of request has been made some times, there must be a thousand more on the same
// connection that do not allocate on the loop's thread.
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "app/data_plane.h"
#include "app/recording.h"
#include "base/logger.h"
#include "config/load.h"
#include "counting_allocator.h"
#include "gateway/endpoint_table.h"
#include "geo/places.h"
#include "net/socket.h"
#include "os/clock.h"
#include "os/files.h"
#include "sqlite/testing/temp_directory.h"

namespace weir {
namespace {

constexpr int kWarmUp = 100;
constexpr int kCounted = 1000;
constexpr int kRoundsMax = 4;

// A blocking connection that reads messages with a length, chunks or neither.
class Wire {
 public:
  explicit Wire(os::Fd socket) : socket_(std::move(socket)) {}

  static os::Fd connect(const net::SocketAddress& address) {
    os::Fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_storage storage{};
    const socklen_t bytes = address.to_system(storage);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&storage), bytes), 0);
    return socket;
  }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  // One message, head and body; empty at the end of the stream.
  std::string receive() {
    while (true) {
      const size_t bytes = message_bytes();
      if (bytes > 0) {
        std::string message = input_.substr(0, bytes);
        input_.erase(0, bytes);
        return message;
      }
      std::array<char, 65536> piece;
      const ssize_t count = ::recv(socket_.get(), piece.data(), piece.size(), 0);
      if (count <= 0) return {};
      input_.append(piece.data(), static_cast<size_t>(count));
    }
  }

 private:
  size_t message_bytes() const {
    const size_t head = input_.find("\r\n\r\n");
    if (head == std::string::npos) return 0;
    size_t bytes = head + 4;
    constexpr std::string_view kLength = "Content-Length: ";
    if (const size_t at = input_.find(kLength); at < head) {
      bytes += std::strtoul(input_.c_str() + at + kLength.size(), nullptr, 10);
    } else if (input_.find("Transfer-Encoding: chunked") < head) {
      const size_t end = input_.find("0\r\n\r\n", bytes);
      if (end == std::string::npos) return 0;
      bytes = end + 5;
    }
    return input_.size() >= bytes ? bytes : 0;
  }

  os::Fd socket_;
  std::string input_;
};

std::string response_of(size_t body_bytes) {
  return "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Wed, 15 Oct 2025 10:00:00 GMT\r\n"
         "Content-Type: application/json; charset=utf-8\r\nETag: \"68ef5e2c-400\"\r\n"
         "Cache-Control: public, max-age=60\r\nVary: Accept-Encoding\r\n"
         "Set-Cookie: session=0123456789abcdef; Path=/; HttpOnly\r\nContent-Length: " +
         std::to_string(body_bytes) + "\r\n\r\n" + std::string(body_bytes, 'x');
}

std::string chunked_response() {
  std::string response =
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 5; ++i)
    response += "1000\r\n" + std::string(4096, 'x') + "\r\n";
  return response + "0\r\n\r\n";
}

// Answers what the path of the request asks for; a thread for each connection.
class Upstream {
 public:
  Upstream() {
    listener_ = os::Fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_storage storage{};
    const auto any = net::SocketAddress::parse("127.0.0.1:0").value();
    const socklen_t bytes = any.to_system(storage);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&storage), bytes), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    accepting_ = std::thread{[this] { accept_all(); }};
  }
  ~Upstream() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    accepting_.join();
    for (std::thread& thread : serving_)
      thread.join();
  }
  std::string url() const { return "http://" + to_string(net::local_address(listener_.get())); }

 private:
  void accept_all() {
    while (true) {
      os::Fd socket{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
      if (!socket.valid()) return;
      const auto wire = std::make_shared<Wire>(std::move(socket));
      serving_.emplace_back([wire] {
        const std::string small = response_of(1024);
        const std::string large = response_of(100'000);
        const std::string chunked = chunked_response();
        for (std::string request = wire->receive(); !request.empty(); request = wire->receive()) {
          const bool wants_large = request.find(" /large") != std::string::npos;
          const bool wants_chunks = request.find(" /chunked") != std::string::npos;
          if (!wire->send(wants_large ? large : wants_chunks ? chunked : small)) return;
        }
      });
    }
  }

  os::Fd listener_;
  std::vector<std::thread> serving_;
  std::thread accepting_;
};

// All of IPv6 is in a city of Germany, the rest nowhere.
class Places final : public geo::Places {
 public:
  geo::Place find(const config::IpAddress& ip) const override {
    if (ip.is_v4()) return {};
    return {config::Country::of("DE"), "Villingen-Schwenningen in the Black Forest"};
  }
};

class SteadyStateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    config_ = load({});
    recording_ =
        std::move(app::Recording::open(*config_, directory_.path(), 1, clock_, files_, logger_))
            .value();
    plane_ =
        std::move(app::DataPlane::create({.loops = 1,
                                          .node = "node-1",
                                          .on_apply =
                                              [this](uint32_t index, const config::Config& config) {
                                                recording_->apply(index, config);
                                                if (started_)
                                                  testing::watch_allocations_of_this_thread();
                                              }},
                                         clock_, recording_->recorders(), *recording_))
            .value();
    address_ = net::prove_free(net::SocketAddress::parse("127.0.0.1:0").value()).value();
    ASSERT_TRUE(plane_->listen(address_, {}).ok());
    plane_->start(endpoints_.build(config_, version_, {}));
    started_ = true;
    publish({});  // On the loop's thread, which is watched from here on.
  }
  void TearDown() override { plane_->stop(); }

  std::shared_ptr<const config::Config> load(const std::string& more) {
    config::LoadResult loaded = config::load(
        more +
            "[listen]\ntraffic = [{address = \"127.0.0.1:1\", client_address = "
            "\"x-forwarded-for\", trusted_proxies = [\"127.0.0.1\"]}]\n"
            "[[routes]]\nid = \"all\"\npattern = \"/**\"\nproxy_headers = true\n"
            "upstreams = [\"" +
            upstream_.url() +
            "\"]\nrequest_headers = {set = {X-Tenant = \"one\"}, remove = [\"X-Debug\"]}\n"
            "response_headers = {set = {X-Frame-Options = \"DENY\"}, remove = [\"Server\"]}\n"
            "cors = {origins = [\"https://app.example\"]}\n",
        "test", {});
    EXPECT_TRUE(loaded.ok());
    return std::make_shared<const config::Config>(std::move(loaded.config));
  }
  void publish(const std::string& more) {
    ASSERT_TRUE(
        plane_
            ->publish(endpoints_.build(load(more), ++version_, {}, std::make_shared<Places>()),
                      std::chrono::seconds{10})
            .empty());
  }

  // `line` and `more` are the request's; a number that differs each time replaces "{n}".
  void expect_none(const std::string& line, const std::string& more, const std::string& body) {
    Wire client{Wire::connect(address_)};
    const auto ask = [&](int number) {
      std::string request = line + " HTTP/1.1\r\nHost: api.example.com\r\n" +
                            "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101\r\n"
                            "Accept: application/json, text/plain, */*\r\n"
                            "Accept-Encoding: gzip, deflate, br\r\nX-Debug: 1\r\n"
                            "Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n"
                            "Cookie: session=0123456789abcdef; theme=dark\r\n" +
                            more + "\r\n" + body;
      // As long each time as the first.
      const size_t at = request.find("{n}");
      if (at != std::string::npos) request.replace(at, 3, std::to_string(1000 + number));
      return client.send(request) && client.receive().starts_with("HTTP/1.1 200 ");
    };
    for (int i = 0; i < kWarmUp; ++i)
      ASSERT_TRUE(ask(i));
    // How much of a response waits for the client is a matter of chance, so a block of a size that
    // was never needed may be needed late, once. What every request takes is taken in each round.
    for (int round = 1;; ++round) {
      const testing::AllocationCount count;
      for (int i = 0; i < kCounted; ++i)
        ASSERT_TRUE(ask(i));
      if (count.allocations() == 0) return;
      if (round < kRoundsMax) continue;
      FAIL() << count.allocations() << " allocations: " << line << '\n' << more << count.stacks();
    }
  }

  sqlite::testing::TempDirectory directory_;
  os::RealClock clock_;
  os::RealFiles files_;
  base::NullLogger logger_;
  Upstream upstream_;
  gateway::EndpointTable endpoints_;
  uint64_t version_ = 1;
  std::shared_ptr<const config::Config> config_;
  std::unique_ptr<app::Recording> recording_;
  std::atomic<bool> started_{false};
  net::SocketAddress address_;
  std::unique_ptr<app::DataPlane> plane_;
};

TEST_F(SteadyStateTest, CountsWhatALoopAllocates) {
  const testing::AllocationCount count;
  Wire client{Wire::connect(address_)};
  ASSERT_TRUE(client.send("GET /first HTTP/1.1\r\nHost: test\r\n\r\n"));
  ASSERT_TRUE(client.receive().starts_with("HTTP/1.1 200 "));
  EXPECT_GT(count.allocations(), 0U) << "a first connection needs memory: else nothing is counted";
}

TEST_F(SteadyStateTest, GetAllocatesNothing) {
  expect_none("GET /small/{n}?page=2&sort=name", "", "");
}

TEST_F(SteadyStateTest, GetOfALargeBodyAllocatesNothing) {
  expect_none("GET /large", "", "");
}

TEST_F(SteadyStateTest, GetOfAChunkedBodyAllocatesNothing) {
  expect_none("GET /chunked", "", "");
}

TEST_F(SteadyStateTest, PostAllocatesNothing) {
  expect_none("POST /small", "Content-Length: 2048\r\n", std::string(2048, 'p'));
}

TEST_F(SteadyStateTest, GetWithAnOriginAllocatesNothing) {
  expect_none("GET /small", "Origin: https://app.example\r\n", "");
}

TEST_F(SteadyStateTest, GetForEverOtherClientsBehindAProxyAllocatesNothing) {
  expect_none("GET /small", "X-Forwarded-For: 2001:db8:85a3:8d3:1319:8a2e:370:{n}\r\n", "");
}

TEST_F(SteadyStateTest, GetThatIsCountedAsATotalOnlyAllocatesNothing) {
  publish("[stats]\ndetail = false\n");
  expect_none("GET /small", "", "");
}

TEST_F(SteadyStateTest, GetThatIpRulesLetPassAllocatesNothing) {
  publish(R"(
[[ip_rules]]
match = ["2001:db8::/32"]
action = "block"
[[ip_rules]]
match = ["2001:db8:1::/48"]
action = "allow"
[[ip_rules]]
match = ["2001:db8:2::/48"]
action = "throttle"
limit = 1000000
window = "1m"
[[ip_rules]]
match = ["2001:db8:1::/64"]
action = "throttle"
limit = 1
window = "1m"
enforce = false
)");
  Wire blocked{Wire::connect(address_)};
  ASSERT_TRUE(
      blocked.send("GET /small HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 2001:db8:9::1\r\n\r\n"));
  ASSERT_TRUE(blocked.receive().starts_with("HTTP/1.1 403 ")) << "the rules are in force";
  for (const char* client : {"2001:db8:1::{n}", "2001:db8:1:1::{n}", "2001:db8:2::{n}", "::{n}"})
    expect_none("GET /small", std::string{"X-Forwarded-For: "} + client + "\r\n", "");
}

TEST_F(SteadyStateTest, GetThatGeographicRulesLetPassAllocatesNothing) {
  publish(R"(
[geo]
country_header = "CF-IPCountry"
[[geo_rules]]
action = "block"
countries = ["CN", "unknown"]
[[geo_rules]]
action = "throttle"
cities = ["villingen-schwenningen in the black forest"]
limit = 1000000
window = "1m"
[[geo_rules]]
action = "throttle"
continents = ["EU"]
paths = ["/**"]
limit = 1
window = "1m"
enforce = false
)");
  Wire blocked{Wire::connect(address_)};
  ASSERT_TRUE(blocked.send("GET /small HTTP/1.1\r\nHost: a\r\nCF-IPCountry: CN\r\n\r\n"));
  ASSERT_TRUE(blocked.receive().starts_with("HTTP/1.1 403 ")) << "the rules are in force";
  // The country is looked up for each request, because each has another address; then for one.
  expect_none("GET /small", "X-Forwarded-For: 2001:db8:1::{n}\r\n", "");
  expect_none("GET /small", "X-Forwarded-For: 2001:db8:1::1\r\n", "");
  expect_none("GET /small", "X-Forwarded-For: 2001:db8:1::1\r\nCF-IPCountry: FR\r\n", "");
}

}  // namespace
}  // namespace weir
