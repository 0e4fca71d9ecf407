// The floor: what forwarding alone costs. A bare edge-triggered epoll loop between clients and one
// upstream, with no routing, header rewriting, limits, time-outs or records. Four system calls per
// request (receive, send, receive, send) and an amortised epoll_wait; a gateway can approach this
// figure but not beat it with the same calls.
//
// It is correct for the benchmark's workload only: requests without a body, responses with a
// Content-Length, no pipelining; a head may arrive in pieces. Anything else ends the connection.
//
// Usage: floor LISTEN_PORT UPSTREAM_PORT, both on 127.0.0.1. One thread. Runs until killed.
//
// What each choice is worth, measured on its own, stands in docs/performance.md.

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

constexpr size_t kReadBytes = 64 * 1024;  // One buffer for all connections: nothing idle keeps it.
constexpr size_t kHeadBytesMax = 16 * 1024;
constexpr int kReadyMax = 256;
constexpr uint32_t kInterest = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;  // Registered once.

// Either side of an exchange. `peer` is set while an exchange is under way.
struct Connection {
  int fd = -1;
  bool is_client = false;
  bool is_closed = false;
  Connection* peer = nullptr;
  uint64_t body_left = 0;  // Upstream side: bytes of the response's body still to come.
  std::string partial;     // A head that has not ended yet.
  std::string unsent;      // What the socket did not take; sent when it becomes writable.
};

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// True if the first `Content-Length` line of `head` holds a number, stored in `length`.
bool content_length(std::string_view head, uint64_t& length) {
  constexpr std::string_view kName = "\r\ncontent-length:";
  const auto same = [](char a, char b) { return (a | 0x20) == b || a == b; };
  const auto at = std::search(head.begin(), head.end(), kName.begin(), kName.end(), same);
  if (at == head.end()) return false;
  const char* digits = head.data() + (at - head.begin()) + kName.size();
  const char* end = head.data() + head.size();
  while (digits < end && *digits == ' ')
    ++digits;
  return std::from_chars(digits, end, length).ec == std::errc();
}

// Threading: one thread.
class Floor {
 public:
  Floor(uint16_t port, uint16_t upstream_port) : upstream_address_(loopback(upstream_port)) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    listener_.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(listener_.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const sockaddr_in address = loopback(port);
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    if (bind(listener_.fd, generic, sizeof address) != 0) fail("bind");
    if (listen(listener_.fd, 4096) != 0) fail("listen");
    watch(&listener_, EPOLLIN);
  }

  [[noreturn]] void run() {
    epoll_event ready[kReadyMax];
    for (;;) {
      const int count = epoll_wait(epoll_, ready, kReadyMax, -1);
      for (int i = 0; i < count; ++i) {
        auto* connection = static_cast<Connection*>(ready[i].data.ptr);
        if (connection == &listener_) {
          accept_all();
        } else if (!connection->is_closed) {
          serve(connection, ready[i].events);
        }
      }
      for (Connection* closed : closed_)
        delete closed;  // After the batch that may name them.
      closed_.clear();
    }
  }

 private:
  void watch(Connection* connection, uint32_t interest) {
    epoll_event event{};
    event.events = interest;
    event.data.ptr = connection;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, connection->fd, &event) != 0) fail("epoll_ctl");
  }

  void adopt(Connection* connection) {
    const int on = 1;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(connection, kInterest);
  }

  void accept_all() {
    for (;;) {
      const int fd = accept4(listener_.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      adopt(new Connection{.fd = fd, .is_client = true});
    }
  }

  // Last used, first taken: its kernel structures are still in the processor's cache.
  Connection* upstream() {
    if (!idle_.empty()) {
      Connection* last = idle_.back();
      idle_.pop_back();
      return last;
    }
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const auto* generic = reinterpret_cast<const sockaddr*>(&upstream_address_);
    if (fd < 0 || (connect(fd, generic, sizeof upstream_address_) != 0 && errno != EINPROGRESS)) {
      fail("connect");
    }
    auto* fresh = new Connection{.fd = fd};
    adopt(fresh);
    return fresh;
  }

  void serve(Connection* connection, uint32_t events) {
    if ((events & EPOLLOUT) != 0 && !connection->unsent.empty()) {
      const std::string unsent = std::move(connection->unsent);
      connection->unsent.clear();
      send_bytes(connection, unsent);
    }
    if ((events & ~uint32_t{EPOLLOUT}) == 0 || connection->is_closed) return;
    for (;;) {
      const ssize_t got = recv(connection->fd, buffer_, sizeof buffer_, 0);
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) return close_both(connection);
      const auto size = static_cast<size_t>(got);
      consume(connection, std::string_view(buffer_, size));
      if (connection->is_closed) return;
      // A short read has drained the socket: the next bytes raise a new edge. A hang-up does not
      // raise a second one, so it is read at once.
      if (size < sizeof buffer_ && (events & (EPOLLRDHUP | EPOLLHUP)) == 0) return;
    }
  }

  void consume(Connection* connection, std::string_view bytes) {
    if (connection->body_left > 0) return forward_response(connection, bytes, 0);
    std::string joined;
    if (!connection->partial.empty()) {
      joined = std::move(connection->partial);
      connection->partial.clear();
      bytes = joined.append(bytes);
    }
    const size_t end = bytes.find("\r\n\r\n");
    if (end == std::string_view::npos) {
      if (bytes.size() > kHeadBytesMax) return close_both(connection);
      connection->partial = bytes;
      return;
    }
    const size_t head = end + 4;
    if (connection->is_client) {
      if (connection->peer != nullptr || bytes.size() != head) return close_both(connection);
      connection->peer = upstream();
      connection->peer->peer = connection;
      return send_bytes(connection->peer, bytes);
    }
    if (!content_length(bytes.substr(0, end), connection->body_left)) return close_both(connection);
    forward_response(connection, bytes, head);
  }

  // Head and body go out in one send.
  void forward_response(Connection* from, std::string_view bytes, size_t head) {
    Connection* client = from->peer;
    const size_t body = bytes.size() - head;
    if (client == nullptr || body > from->body_left) return close_both(from);
    from->body_left -= body;
    if (from->body_left == 0) {
      from->peer = nullptr;
      client->peer = nullptr;
      idle_.push_back(from);
    }
    send_bytes(client, bytes);
  }

  // Writes first; waits for EPOLLOUT only when the socket is full.
  void send_bytes(Connection* to, std::string_view bytes) {
    if (to->unsent.empty()) {
      const ssize_t sent = send(to->fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent == static_cast<ssize_t>(bytes.size())) return;
      if (sent < 0 && errno != EAGAIN) return close_both(to);
      if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
    }
    to->unsent.append(bytes);
  }

  void close_both(Connection* connection) {
    for (Connection* each : {connection->peer, connection}) {
      if (each == nullptr || each->is_closed) continue;
      if (!each->is_client) idle_.erase(std::remove(idle_.begin(), idle_.end(), each), idle_.end());
      close(each->fd);
      each->is_closed = true;
      closed_.push_back(each);
    }
  }

  sockaddr_in upstream_address_;
  int epoll_ = -1;
  Connection listener_;
  std::vector<Connection*> idle_;
  std::vector<Connection*> closed_;
  char buffer_[kReadBytes];
};

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::fputs("usage: floor LISTEN_PORT UPSTREAM_PORT\n", stderr);
    return 2;
  }
  const auto port = [](const char* text) { return static_cast<uint16_t>(std::atoi(text)); };
  static Floor floor(port(arguments[1]), port(arguments[2]));
  floor.run();
}
