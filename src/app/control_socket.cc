#include "app/control_socket.h"

#include <algorithm>
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

//   reading ──a whole line──► waiting ──answer()──► sending ──all sent──► ended
//                                └──stream()──► streaming ──the other side hangs up──► ended
class ControlSocket::Connection final : public loop::Task {
 public:
  Connection(ControlSocket& owner, os::Fd socket, Ticket ticket)
      : owner_(owner), socket_(std::move(socket)), ticket_(ticket) {}

  base::Status start() {
    owner_.loop_.set_deadline(*this, kPatience);
    return owner_.loop_.watch(socket_.get(), *this);
  }

  Ticket ticket() const { return ticket_; }

  std::optional<uid_t> user() const {
    ucred peer{};
    socklen_t bytes = sizeof peer;
    if (::getsockopt(socket_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) return {};
    return peer.uid;
  }

  void answer(std::string text) {
    if (state_ != State::waiting) return;
    state_ = State::sending;
    out_ = std::move(text) + "\n";
    send();
  }

  void stream(std::unique_ptr<LineStream> lines) {
    if (state_ != State::waiting) return;
    state_ = State::streaming;
    owner_.loop_.clear_deadline(*this);
    lines_ = std::move(lines);
    send();
  }

  bool streams() const { return state_ == State::streaming; }

  // May end this connection.
  void send() {
    do {
      while (sent_ < out_.size()) {
        const iovec rest{out_.data() + sent_, out_.size() - sent_};
        const net::Moved moved = net::write_some(socket_.get(), &rest, 1);
        if (moved.kind == net::Moved::Kind::would_block) return;
        if (moved.kind != net::Moved::Kind::bytes) return end();
        sent_ += moved.bytes;
      }
      if (state_ != State::streaming) return end();
      sent_ = 0;
      out_ = lines_->next();
    } while (!out_.empty());
  }

 private:
  enum class State : uint8_t { reading, waiting, sending, streaming };

  void on_ready(uint32_t /*ready*/) override {
    if (state_ == State::reading) return read_request();
    if (state_ == State::streaming && hung_up()) return end();
    if (state_ != State::waiting) send();
  }

  void on_deadline() override { end(); }

  void read_request() {
    std::array<char, 4096> piece{};
    while (true) {
      const net::Moved moved = net::read_some(socket_.get(), piece.data(), piece.size());
      if (moved.kind == net::Moved::Kind::would_block) return;
      if (moved.kind != net::Moved::Kind::bytes) return end();
      const size_t line_end = std::string_view{piece.data(), moved.bytes}.find('\n');
      request_.append(piece.data(), std::min(line_end, moved.bytes));
      if (line_end != std::string_view::npos) return ask();
      if (request_.size() > kRequestBytesMax) return end();
    }
  }

  void ask() {
    state_ = State::waiting;
    const std::string request = std::exchange(request_, {});
    std::optional<std::string> text = owner_.answer_(request, ticket_);
    if (text) answer(*std::move(text));
  }

  // Whatever the other side still says is of no interest.
  bool hung_up() {
    std::array<char, 512> piece{};
    while (true) {
      const net::Moved moved = net::read_some(socket_.get(), piece.data(), piece.size());
      if (moved.kind == net::Moved::Kind::would_block) return false;
      if (moved.kind != net::Moved::Kind::bytes) return true;
    }
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
  const Ticket ticket_;
  State state_ = State::reading;
  std::string request_;
  std::string out_;
  size_t sent_ = 0;
  std::unique_ptr<LineStream> lines_;
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
  if (!accepted.ok()) return rest();
  if (!accepted.value()) return;
  std::optional<net::Accepted> connection = std::move(accepted).value();
  if (connections_.size() >= kConnectionsMax) return;  // Closed; they say that no answer came.
  connections_.push_back(
      std::make_unique<Connection>(*this, std::move(connection->socket), Ticket{++tickets_}));
  if (!connections_.back()->start().ok()) connections_.pop_back();
}

// Out of descriptors: the next connection would be reported again and again meanwhile.
void ControlSocket::rest() {
  constexpr std::chrono::milliseconds kRest{100};
  loop_.unwatch(listener_.get());
  loop_.set_deadline(*this, kRest);
}

void ControlSocket::on_deadline() {
  if (!loop_.watch_listener(listener_.get(), *this, false).ok()) rest();
}

ControlSocket::Connection* ControlSocket::find(Ticket ticket) {
  const auto found = std::find_if(connections_.begin(), connections_.end(),
                                  [ticket](const auto& each) { return each->ticket() == ticket; });
  return found == connections_.end() ? nullptr : found->get();
}

std::optional<uid_t> ControlSocket::user_of(Ticket ticket) {
  const Connection* const connection = find(ticket);
  return connection == nullptr ? std::nullopt : connection->user();
}

void ControlSocket::answer(Ticket ticket, std::string text) {
  if (Connection* const connection = find(ticket)) connection->answer(std::move(text));
}

void ControlSocket::stream(Ticket ticket, std::unique_ptr<LineStream> lines) {
  if (Connection* const connection = find(ticket)) connection->stream(std::move(lines));
}

// Backwards: a connection that ends makes room with the last one, which was already served.
void ControlSocket::pump() {
  for (size_t i = connections_.size(); i-- > 0;) {
    if (connections_[i]->streams()) connections_[i]->send();
  }
}

namespace {

base::Error failed(base::ErrorCode code, base::StaticText what) {
  return {code, base::Origin::self, base::Retry::never, errno, what};
}

// A connection to the server of `data_dir` that has sent `request`.
base::Result<os::Fd> connect_and_send(const std::string& data_dir, std::string_view request,
                                      std::chrono::milliseconds patience) {
  const std::string path = data_dir + "/" + std::string{kControlSocketName};
  if (path.size() > net::SocketAddress::kUnixPathBytesMax) {
    return failed(base::ErrorCode::not_found, "server of this data directory");
  }
  os::Fd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const timeval limit{.tv_sec = patience.count() / 1000, .tv_usec = patience.count() % 1000 * 1000};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  sockaddr_storage storage{};
  const socklen_t bytes = net::SocketAddress::unix_socket(path).to_system(storage);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&storage), bytes) != 0) {
    return failed(base::ErrorCode::not_found, "server of this data directory");
  }
  const std::string line = std::string{request} + "\n";
  for (size_t sent = 0; sent < line.size();) {
    const ssize_t count =
        ::send(socket.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return failed(base::ErrorCode::timed_out, "request to the server");
    sent += static_cast<size_t>(count);
  }
  return socket;
}

}  // namespace

base::Result<std::string> ask_server(const std::string& data_dir, std::string_view request,
                                     std::chrono::milliseconds patience) {
  const os::Fd socket = WEIR_TRY(connect_and_send(data_dir, request, patience));
  std::string answer;
  std::array<char, 16384> piece{};
  while (true) {
    const ssize_t count = ::recv(socket.get(), piece.data(), piece.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed(base::ErrorCode::timed_out, "answer of the server");
    if (count == 0) break;
    answer.append(piece.data(), static_cast<size_t>(count));
  }
  if (!answer.ends_with('\n')) return failed(base::ErrorCode::timed_out, "answer of the server");
  answer.pop_back();
  return answer;
}

base::Status follow_server(const std::string& data_dir, std::string_view request,
                           const std::function<bool(std::string_view line)>& each) {
  // No limit: a quiet server says nothing for a long time.
  const os::Fd socket = WEIR_TRY(connect_and_send(data_dir, request, std::chrono::milliseconds{0}));
  std::string pending;
  std::array<char, 16384> piece{};
  while (true) {
    const ssize_t count = ::recv(socket.get(), piece.data(), piece.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed(base::ErrorCode::unavailable, "lines of the server");
    if (count == 0) return {};
    pending.append(piece.data(), static_cast<size_t>(count));
    size_t begin = 0;
    for (size_t end = pending.find('\n'); end != std::string::npos;
         end = pending.find('\n', begin)) {
      if (!each(std::string_view{pending}.substr(begin, end - begin))) return {};
      begin = end + 1;
    }
    pending.erase(0, begin);
  }
}

}  // namespace weir::app
