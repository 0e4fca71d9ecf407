#include "app/smoke_load.h"

#include <array>
#include <cerrno>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "http/body_reader.h"
#include "http/head_scanner.h"
#include "http/response_head.h"
#include "os/clock.h"
#include "os/fd.h"

namespace weir::app {
namespace {

using std::chrono::microseconds;

base::Error failed(base::StaticText what) {
  return {base::ErrorCode::unavailable, base::Origin::upstream, base::Retry::never, errno, what};
}

base::Error malformed() {
  return {base::ErrorCode::invalid_input, base::Origin::upstream, base::Retry::never, 0,
          "the response is no HTTP/1.1"};
}

base::Result<os::Fd> connect_blocking(const net::SocketAddress& address) {
  os::Fd socket{::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const timeval limit{.tv_sec = SmokeLoad::kPatience.count(), .tv_usec = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_storage storage{};
  const socklen_t bytes = address.to_system(storage);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&storage), bytes) != 0) {
    return failed("nobody listens there");
  }
  return socket;
}

}  // namespace

// Threading: one thread at a time: that of its share of a wave.
class SmokeLoad::Connection {
 public:
  Connection(const net::SocketAddress& address, std::string request)
      : address_(address), request_(std::move(request)) {}

  void send(uint32_t count) {
    const os::RealClock clock;
    answers = {};
    for (uint32_t i = 0; i < count; ++i) {
      const base::Monotonic began = clock.monotonic();
      const base::Result<int> status = ask();
      if (!status.ok()) {
        answers.problem = status.error().what.view();
        socket_.reset();
        continue;
      }
      answers.times.push_back(std::chrono::duration_cast<microseconds>(clock.monotonic() - began));
      ++answers.complete;
      ++answers.statuses[status.value()];
    }
  }

  SmokeAnswers answers;  // Of the last send().

 private:
  base::Result<int> ask() {
    if (!socket_.valid()) {
      input_.clear();
      socket_ = WEIR_TRY(connect_blocking(address_));
    }
    if (::send(socket_.get(), request_.data(), request_.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request_.size())) {
      return failed("the request cannot be sent");
    }
    do {
      WEIR_TRY(read_head());
    } while (head_.informational());
    WEIR_TRY(read_body());
    if (!head_.keep_alive) socket_.reset();
    return head_.status;
  }

  base::Status read_head() {
    http::HeadScanner scanner{limits_};
    while (true) {
      const auto end = scanner.scan(input_);
      if (!end.ok()) return malformed();
      if (end.value()) {
        head_bytes_ = input_.substr(0, *end.value());
        input_.erase(0, *end.value());
        break;
      }
      WEIR_TRY(fill());
    }
    const bool parsed = http::parse_response_head(head_bytes_, false, limits_, head_).ok();
    return parsed ? base::Status{} : base::Status{malformed()};
  }

  base::Status read_body() {
    http::BodyReader reader{head_, kBodyBytesMax};
    while (!reader.done()) {
      const auto step = reader.step(input_);
      if (!step.ok()) return malformed();
      input_.erase(0, step.value().consumed);
      if (reader.done() || step.value().consumed > 0) continue;
      const base::Status filled = fill();
      if (filled.ok()) continue;
      return ended_ && reader.end_of_stream().ok() ? base::Status{} : filled;
    }
    return {};
  }

  base::Status fill() {
    std::array<char, 16384> piece{};
    const ssize_t count = ::recv(socket_.get(), piece.data(), piece.size(), 0);
    ended_ = count == 0;
    if (ended_) return failed("the connection was closed");
    if (count < 0) return failed("no response in time");
    input_.append(piece.data(), static_cast<size_t>(count));
    return {};
  }

  const net::SocketAddress address_;
  const std::string request_;
  const http::ResponseLimits limits_;
  os::Fd socket_;
  std::string input_;
  std::string head_bytes_;  // What head_ points into.
  http::ResponseHead head_;
  bool ended_ = false;
};

SmokeLoad::SmokeLoad(const net::SocketAddress& address, const std::string& host,
                     const std::string& path, const std::string& user_agent) {
  const std::string request =
      fmt::format("GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\nAccept: */*\r\n\r\n", path,
                  host, user_agent);
  for (uint32_t i = 0; i < kConnections; ++i)
    connections_.push_back(std::make_unique<Connection>(address, request));
}

SmokeLoad::~SmokeLoad() = default;

void SmokeLoad::send(uint32_t count) {
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kConnections; ++i) {
    const uint32_t share = count / kConnections + (i < count % kConnections ? 1 : 0);
    threads.emplace_back([connection = connections_[i].get(), share] { connection->send(share); });
  }
  for (std::thread& thread : threads)
    thread.join();
  for (const auto& connection : connections_) {
    const SmokeAnswers& part = connection->answers;
    answers_.complete += part.complete;
    for (const auto& [status, times] : part.statuses)
      answers_.statuses[status] += times;
    answers_.times.insert(answers_.times.end(), part.times.begin(), part.times.end());
    if (!part.problem.empty()) answers_.problem = part.problem;
  }
}

}  // namespace weir::app
