#include "webhook/sender.h"

#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/thread_annotations.h"

namespace weir::webhook {
namespace {

using alerts::Sent;
using std::chrono::milliseconds;

std::string response(int status, std::string_view body = "ok", std::string_view fields = "") {
  return fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\n{}\r\n{}", status, body.size(), fields,
                     body);
}

// An HTTP server on a loopback port: each connection gets the next of `answers`, the last one for
// all that follow; "hang" says nothing, "close" ends the connection.
class Server {
 public:
  explicit Server(std::vector<std::string> answers, int family = AF_INET)
      : answers_(std::move(answers)), listener_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 in6{};
    in6.sin6_family = AF_INET6;
    in6.sin6_addr = in6addr_loopback;
    const bool v4 = family == AF_INET;
    const auto* const any =
        v4 ? reinterpret_cast<const sockaddr*>(&in) : reinterpret_cast<const sockaddr*>(&in6);
    socklen_t bytes = v4 ? sizeof in : sizeof in6;
    EXPECT_EQ(::bind(listener_, any, bytes), 0);
    EXPECT_EQ(::listen(listener_, 16), 0);
    sockaddr_in6 bound{};
    bytes = sizeof bound;
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&bound), &bytes), 0);
    port_ = ntohs(bound.sin6_port);  // At the same place in both forms.
    thread_ = std::thread{[this] { serve(); }};
  }
  ~Server() {
    end_ = true;
    thread_.join();
    ::close(listener_);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  uint16_t port() const { return port_; }
  std::string url(std::string_view path = "/hook/token-123456") const {
    return fmt::format("http://127.0.0.1:{}{}", port_, path);
  }
  std::vector<std::string> requests() {
    const base::MutexLock lock{mutex_};
    return requests_;
  }

 private:
  bool wait(int fd) const {
    while (!end_) {
      pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
      if (::poll(&ready, 1, 20) > 0) return true;
    }
    return false;
  }
  void serve() {
    while (wait(listener_)) {
      const int fd = ::accept(listener_, nullptr, nullptr);
      if (fd >= 0) answer(fd);
      ::close(fd);
    }
  }
  void answer(int fd) {
    std::string request;
    std::array<char, 4096> buffer{};
    const auto whole = [&request] {
      const size_t head = request.find("\r\n\r\n");
      const size_t at = request.find("Content-Length: ");
      if (head == std::string::npos || at == std::string::npos) return false;
      return request.size() >= head + 4 + std::stoul(request.substr(at + 16));
    };
    while (!whole() && wait(fd)) {
      const ssize_t count = ::read(fd, buffer.data(), buffer.size());
      if (count <= 0) break;
      request.append(buffer.data(), static_cast<size_t>(count));
    }
    std::string text;
    {
      const base::MutexLock lock{mutex_};
      text = answers_[std::min(requests_.size(), answers_.size() - 1)];
      requests_.push_back(request);
    }
    if (text == "close") return;
    if (text == "hang") {
      wait(fd);  // Until the other side gives up.
      return;
    }
    for (size_t at = 0; at < text.size();) {
      const ssize_t sent = ::send(fd, text.data() + at, text.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return;
      at += static_cast<size_t>(sent);
    }
  }

  base::Mutex mutex_;
  const std::vector<std::string> answers_;
  std::vector<std::string> requests_ WEIR_GUARDED_BY(mutex_);
  std::atomic<bool> end_{false};
  int listener_;
  uint16_t port_ = 0;
  std::thread thread_;
};

struct Rig {
  Delivery send(const std::string& url, bool allow_private = true) {
    webhook.url = url;
    webhook.allow_private = allow_private;
    return sender.send(webhook, R"({"text":"h\u00e9llo"})", cancelled);
  }
  config::Webhook webhook{.timeout = milliseconds{10'000}};
  std::atomic<bool> cancelled{false};
  std::vector<milliseconds> pauses;
  Sender sender{{.pause = [this](milliseconds wait) { pauses.push_back(wait); }}};
};
using Pauses = std::vector<milliseconds>;

TEST(SenderTest, PostsTheBodyOnceAsJson) {
  Server server{{response(200)}};
  Rig rig;
  const Delivery delivery = rig.send(server.url("/hook?a=b"));
  EXPECT_EQ(delivery.sent, Sent::delivered);
  EXPECT_EQ(delivery.status, 200);
  EXPECT_EQ(delivery.tries, 1);
  EXPECT_EQ(delivery.text, "answered 200: ok");
  ASSERT_EQ(server.requests().size(), 1U);
  const std::string request = server.requests()[0];
  EXPECT_TRUE(request.starts_with("POST /hook?a=b HTTP/1.1\r\n")) << request;
  EXPECT_NE(request.find("Content-Type: application/json; charset=utf-8\r\n"), std::string::npos);
  EXPECT_EQ(request.find("Expect"), std::string::npos);
  EXPECT_TRUE(request.ends_with("\r\n\r\n{\"text\":\"h\\u00e9llo\"}")) << request;
}

TEST(SenderTest, TriesThreeTimesWhereItMayHelp) {
  for (const int status : {500, 503, 429}) {
    Server server{{response(status), response(status), response(204, "")}};
    Rig rig;
    const Delivery delivery = rig.send(server.url());
    EXPECT_EQ(delivery.sent, Sent::delivered) << status;
    EXPECT_EQ(delivery.text, "answered 204 (3 tries)");
    EXPECT_EQ(rig.pauses, (Pauses{milliseconds{1000}, milliseconds{2000}}));
  }
  Server server{{response(502, "bad\r\ngateway")}};
  Rig rig;
  const Delivery delivery = rig.send(server.url());
  EXPECT_EQ(delivery.sent, Sent::refused);
  EXPECT_EQ(delivery.text, "answered 502: bad  gateway (3 tries)");
  EXPECT_EQ(server.requests().size(), 3U);
}

TEST(SenderTest, AConnectionThatEndsIsTriedAgain) {
  Server server{{"close", response(200)}};
  Rig rig;
  EXPECT_EQ(rig.send(server.url()).sent, Sent::delivered);
  EXPECT_EQ(server.requests().size(), 2U);
}

TEST(SenderTest, WhereNobodyListensNothingIsReached) {
  std::string url;
  {
    const Server server{{response(200)}};
    url = server.url();
  }
  Rig rig;
  const Delivery delivery = rig.send(url);
  EXPECT_EQ(delivery.sent, Sent::unreachable);
  EXPECT_EQ(delivery.tries, Sender::kTriesMax);
  EXPECT_EQ(delivery.status, 0);
  EXPECT_EQ(delivery.text.find("token"), std::string::npos);
  EXPECT_EQ(rig.send("http://no-such-host.invalid/token-123456").sent, Sent::unreachable);
}

TEST(SenderTest, WhatTheOtherSideRefusesIsNotTriedAgain) {
  for (const int status : {400, 401, 404, 410}) {
    Server server{{response(status)}};
    Rig rig;
    const Delivery delivery = rig.send(server.url());
    EXPECT_EQ(delivery.sent, Sent::refused);
    EXPECT_EQ(delivery.tries, 1);
  }
}

TEST(SenderTest, FollowsNoRedirect) {
  Server target{{response(200)}};
  Server server{{response(302, "", "Location: " + target.url() + "\r\n")}};
  Rig rig;
  const Delivery delivery = rig.send(server.url());
  EXPECT_EQ(delivery.sent, Sent::refused);
  EXPECT_EQ(delivery.text, "answered 302, and redirects are not followed");
  EXPECT_TRUE(target.requests().empty());
}

TEST(SenderTest, WaitsForAnAnswerUntilTheTimeoutAndThenTriesNoMore) {
  Server server{{"hang"}};
  Rig rig;
  rig.webhook.timeout = milliseconds{150};
  const Delivery delivery = rig.send(server.url());
  EXPECT_EQ(delivery.sent, Sent::unreachable);
  EXPECT_EQ(delivery.text, "no answer within 150 ms");
  EXPECT_EQ(delivery.tries, 1);
}

TEST(SenderTest, EndsWhenItIsCancelled) {
  Server server{{"hang"}};
  Rig rig;
  rig.webhook.timeout = milliseconds{30'000};
  Delivery delivery;
  std::thread sending{[&] { delivery = rig.send(server.url()); }};
  while (server.requests().empty())
    std::this_thread::yield();
  rig.cancelled = true;
  const auto begun = std::chrono::steady_clock::now();
  sending.join();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds{10});
  EXPECT_EQ(delivery.sent, Sent::unreachable);
  EXPECT_EQ(delivery.text, "given up: the job was cancelled, or the process ends");
}

TEST(SenderTest, ReadsNoMoreOfAnAnswerThanItNeeds) {
  Server server{{response(200, std::string(10 * 1024 * 1024, 'x'))}};
  Rig rig;
  const Delivery delivery = rig.send(server.url());
  EXPECT_EQ(delivery.sent, Sent::delivered);
  EXPECT_LE(delivery.text.size(), Sender::kTextBytesMax);
  EXPECT_EQ(delivery.tries, 1);
}

TEST(SenderTest, WhatIsNoHttpIsNoSuccess) {
  for (const std::string text : {"nonsense\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"}) {
    Server server{{text}};
    Rig rig;
    EXPECT_NE(rig.send(server.url()).sent, Sent::delivered) << text;
  }
}

TEST(SenderTest, NothingOfTheUrlIsInTheTextBeyondItsServer) {
  Server server{{response(404, "no hook /hook/token-123456?key=abcdefg of token-123456, abcdefg")}};
  Rig rig;
  EXPECT_EQ(rig.send(server.url("/hook/token-123456?key=abcdefg")).text,
            "answered 404: no hook *** of ***, ***");
}

TEST(SenderTest, ReachesNoPrivateAddressUnlessAllowedHoweverItIsWritten) {
  Server server{{response(200)}};
  for (const std::string host :
       {"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"}) {
    Rig rig;
    const std::string url = fmt::format("http://{}:{}/hook", host, server.port());
    const Delivery delivery = rig.send(url, false);
    EXPECT_EQ(delivery.sent, Sent::unreachable) << host;
    EXPECT_EQ(delivery.tries, 1) << host;
    EXPECT_NE(
        delivery.text.find(" is a loopback address; alerts.webhook.allow_private = true allows it"),
        std::string::npos)
        << delivery.text;
  }
  EXPECT_TRUE(server.requests().empty());
  Rig rig;
  EXPECT_EQ(rig.send(fmt::format("http://localhost:{}/hook", server.port())).sent, Sent::delivered);
  Server six{{response(200)}, AF_INET6};
  EXPECT_NE(rig.send(fmt::format("http://[::1]:{}/", six.port()), false)
                .text.find("::1 is a loopback address"),
            std::string::npos);
  EXPECT_TRUE(six.requests().empty());
  EXPECT_EQ(rig.send(fmt::format("http://[::1]:{}/", six.port())).sent, Sent::delivered);
}

TEST(SenderTest, OtherPrivateAddressesAreRefusedBeforeAnythingIsSent) {
  for (const auto& [host, is] : std::vector<std::pair<std::string, std::string>>{
           {"0.0.0.0", "an unspecified address"},
           {"10.0.0.1", "a private address"},
           {"100.64.0.1", "a shared address (100.64.0.0/10)"},
           {"169.254.169.254", "a link-local address"},
           {"224.0.0.1", "a multicast address"},
           {"[fd00::1]", "a private address"},
           {"[64:ff9b::a9fe:a9fe]", "a link-local address"}}) {
    Rig rig;
    const std::string text = rig.send("http://" + host + "/", false).text;
    EXPECT_NE(text.find(" is " + is + ";"), std::string::npos) << text;
  }
}

TEST(SenderTest, AProxyOfTheEnvironmentIsNoWayAround) {
  Server proxy{{response(200)}};
  for (const char* name : {"http_proxy", "all_proxy", "ALL_PROXY"})
    ASSERT_EQ(::setenv(name, proxy.url("").c_str(), 1), 0);
  Rig rig;
  EXPECT_EQ(rig.send("http://10.0.0.1/", false).sent, Sent::unreachable);
  Server server{{response(200)}};
  EXPECT_EQ(rig.send(server.url()).sent, Sent::delivered);
  EXPECT_EQ(server.requests().size(), 1U);
  EXPECT_TRUE(proxy.requests().empty());
  for (const char* name : {"http_proxy", "all_proxy", "ALL_PROXY"})
    ::unsetenv(name);
}

TEST(SenderTest, FeishuSaysFailureInItsBody) {
  Server server{{response(200, R"({"code":19024,"msg":"Key Words Not Found"})")}};
  Rig rig;
  rig.webhook.format = config::WebhookFormat::feishu;
  const Delivery delivery = rig.send(server.url());
  EXPECT_EQ(delivery.sent, Sent::refused);
  EXPECT_NE(delivery.text.find("Key Words Not Found"), std::string::npos);
}

}  // namespace
}  // namespace weir::webhook
