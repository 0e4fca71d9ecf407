#include "app/control_socket.h"

#include <array>
#include <cerrno>
#include <utility>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/socket.h"

namespace weir::app {

class ControlSocket::Connection final : public loop::Task {
 public:
  Connection(ControlSocket& owner, os::Fd socket) : owner_(owner), socket_(std::move(socket)) {}

  base::Status start() {
    owner_.loop_.set_deadline(*this, kPatience);
    return owner_.loop_.watch(socket_.get(), *this);
  }

 private:
  void on_ready(uint32_t /*ready*/) override {
    if (answer_.empty() && !read_request()) return;
    send_answer();
  }

  void on_deadline() override { end(); }

  // True when the request is complete and answer_ is there.
  bool read_request() {
    std::array<char, 4096> piece{};
    while (true) {
      const net::Moved moved = net::read_some(socket_.get(), piece.data(), piece.size());
      if (moved.kind == net::Moved::Kind::would_block) return false;
      if (moved.kind != net::Moved::Kind::bytes) return end(), false;
      request_.append(piece.data(), moved.bytes);
      const size_t line_end = request_.find('\n');
      if (line_end != std::string::npos) {
        answer_ = owner_.answer_(std::string_view{request_}.substr(0, line_end)) + "\n";
        return true;
      }
      if (request_.size() > kRequestBytesMax) return end(), false;
    }
  }

  void send_answer() {
    while (sent_ < answer_.size()) {
      const iovec rest{answer_.data() + sent_, answer_.size() - sent_};
      const net::Moved moved = net::write_some(socket_.get(), &rest, 1);
      if (moved.kind == net::Moved::Kind::would_block) return;
      if (moved.kind != net::Moved::Kind::bytes) break;
      sent_ += moved.bytes;
    }
    end();
  }

  void end() {
    socket_.reset();
    for (auto& connection : owner_.connections_) {
      if (connection.get() != this) continue;
      std::swap(connection, owner_.connections_.back());
      std::unique_ptr<Connection> gone = std::move(owner_.connections_.back());
      owner_.connections_.pop_back();
      return owner_.loop_.dispose(std::move(gone));
    }
  }

  ControlSocket& owner_;
  os::Fd socket_;
  std::string request_;
  std::string answer_;
  size_t sent_ = 0;
};

base::Result<std::unique_ptr<ControlSocket>> ControlSocket::open(loop::Loop& loop,
                                                                 const std::string& path,
                                                                 Answer answer) {
  if (path.size() > net::SocketAddress::kUnixPathBytesMax) {
    return base::Error{base::ErrorCode::invalid_input, base::Origin::self, base::Retry::never, 0,
                       "path of the control socket (at most 107 bytes)"};
  }
  const mode_t before = ::umask(0177);
  auto listener =
      net::listen_on(net::SocketAddress::unix_socket(path), net::PortSharing::exclusive);
  ::umask(before);
  if (!listener.ok()) return listener.error();
  std::unique_ptr<ControlSocket> socket{
      new ControlSocket{loop, std::move(listener).value(), path, std::move(answer)}};  // Private.
  WEIR_TRY(loop.watch_listener(socket->listener_.get(), *socket, false));
  return socket;
}

ControlSocket::ControlSocket(loop::Loop& loop, os::Fd listener, std::string path, Answer answer)
    : loop_(loop),
      listener_(std::move(listener)),
      path_(std::move(path)),
      answer_(std::move(answer)) {}

ControlSocket::~ControlSocket() {
  ::unlink(path_.c_str());
}

void ControlSocket::on_ready(uint32_t /*ready*/) {
  auto accepted = net::accept_from(listener_.get());
  if (!accepted.ok() || !accepted.value()) return;
  if (connections_.size() >= kConnectionsMax) return;
  std::optional<net::Accepted> connection = std::move(accepted).value();
  connections_.push_back(std::make_unique<Connection>(*this, std::move(connection->socket)));
  if (!connections_.back()->start().ok()) connections_.pop_back();
}

base::Result<std::string> ask_server(const std::string& data_dir, std::string_view request,
                                     std::chrono::milliseconds patience) {
  const auto failed = [](base::ErrorCode code, base::StaticText what) {
    return base::Error{code, base::Origin::self, base::Retry::never, errno, what};
  };
  const std::string path = data_dir + "/" + std::string{kControlSocketName};
  if (path.size() > net::SocketAddress::kUnixPathBytesMax) {
    return failed(base::ErrorCode::not_found, "server of this data directory");
  }
  const os::Fd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const timeval limit{.tv_sec = patience.count() / 1000, .tv_usec = patience.count() % 1000 * 1000};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_storage storage{};
  const socklen_t bytes = net::SocketAddress::unix_socket(path).to_system(storage);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&storage), bytes) != 0) {
    return failed(base::ErrorCode::not_found, "server of this data directory");
  }
  const std::string line = std::string{request} + "\n";
  if (::send(socket.get(), line.data(), line.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(line.size())) {
    return failed(base::ErrorCode::unavailable, "request to the server");
  }
  std::string answer;
  std::array<char, 16384> piece{};
  while (true) {
    const ssize_t count = ::recv(socket.get(), piece.data(), piece.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed(base::ErrorCode::timed_out, "answer of the server");
    if (count == 0) break;
    answer.append(piece.data(), static_cast<size_t>(count));
  }
  if (!answer.ends_with('\n')) return failed(base::ErrorCode::unavailable, "answer of the server");
  answer.pop_back();
  return answer;
}

}  // namespace weir::app
