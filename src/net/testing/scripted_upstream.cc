#include "net/testing/scripted_upstream.h"

#include <array>

#include <sys/socket.h>

#include "base/assert.h"
#include "http/field.h"
#include "net/socket.h"

namespace weir::net::testing {
namespace {

constexpr std::string_view kEndOfHead = "\r\n\r\n";
// So that back pressure needs megabytes, not tens of them.
constexpr int kReceiveBytes = 64 * 1024;

}  // namespace

UpstreamConnection::UpstreamConnection(ScriptedUpstream& upstream, os::Fd socket)
    : upstream_(upstream), socket_(std::move(socket)) {
  WEIR_ASSERT(upstream_.loop_.watch(socket_.get(), *this).ok());
}

size_t UpstreamConnection::head_count() const {
  size_t count = 0;
  for (size_t at = received_.find(kEndOfHead); at != std::string::npos;
       at = received_.find(kEndOfHead, at + kEndOfHead.size())) {
    ++count;
  }
  return count;
}

std::string_view UpstreamConnection::body() const {
  const size_t end = received_.find(kEndOfHead);
  if (end == std::string::npos) return {};
  return std::string_view{received_}.substr(end + kEndOfHead.size());
}

std::string UpstreamConnection::field(std::string_view name) const {
  std::string_view lines{received_};
  lines = lines.substr(0, lines.find(kEndOfHead));
  while (true) {
    const size_t end = lines.find("\r\n");
    if (end == std::string_view::npos) return "(none)";
    lines.remove_prefix(end + 2);
    const std::string_view line = lines.substr(0, lines.find("\r\n"));
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    if (http::equals_ignore_case(line.substr(0, colon), name)) {
      return std::string{http::trim(line.substr(colon + 1))};
    }
  }
}

void UpstreamConnection::send(std::string_view bytes) {
  unsent_.append(bytes);
  send_more();
}

void UpstreamConnection::send_more() {
  while (socket_.valid() && !unsent_.empty()) {
    const iovec piece{unsent_.data(), unsent_.size()};
    const Moved moved = write_some(socket_.get(), &piece, 1);
    if (moved.kind != Moved::Kind::bytes) return;
    unsent_.erase(0, moved.bytes);
  }
}

void UpstreamConnection::reset() {
  reset_on_close(socket_.get());
  socket_.reset();
}

void UpstreamConnection::resume_reading() {
  reading_ = true;
  read_all();
}

void UpstreamConnection::on_ready(uint32_t ready) {
  if ((ready & loop::Ready::kWritable) != 0) send_more();
  read_all();
}

void UpstreamConnection::read_all() {
  std::array<char, 16 * 1024> bytes;
  bool came = false;
  while (reading_ && !ended_ && socket_.valid()) {
    const Moved moved = read_some(socket_.get(), bytes.data(), bytes.size());
    if (moved.kind == Moved::Kind::would_block) break;
    came = true;
    if (moved.kind == Moved::Kind::bytes) {
      received_.append(bytes.data(), moved.bytes);
    } else {
      ended_ = true;
    }
  }
  if (came && upstream_.on_input) upstream_.on_input(*this);
}

ScriptedUpstream::ScriptedUpstream(loop::Loop& loop) : loop_(loop) {
  const auto address = SocketAddress::parse("127.0.0.1:0").value();
  listener_ = std::move(listen_on(address, PortSharing::exclusive)).value();
  port_ = local_address(listener_.get()).port();
  // Inherited by the sockets that it accepts.
  ::setsockopt(listener_.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBytes, sizeof kReceiveBytes);
  WEIR_ASSERT(loop_.watch_listener(listener_.get(), *this, false).ok());
}

ScriptedUpstream::~ScriptedUpstream() = default;

std::string ScriptedUpstream::authority() const {
  return "127.0.0.1:" + std::to_string(port_);
}

std::string ScriptedUpstream::url() const {
  return "http://" + authority();
}

void ScriptedUpstream::stop_listening() {
  listener_.reset();
}

void ScriptedUpstream::answer_all(std::string response) {
  on_input = [response = std::move(response)](UpstreamConnection& connection) {
    for (; connection.answered < connection.head_count(); ++connection.answered)
      connection.send(response);
  };
}

void ScriptedUpstream::on_ready(uint32_t /*ready*/) {
  while (true) {
    auto accepted = accept_from(listener_.get());
    WEIR_ASSERT(accepted.ok());
    std::optional<Accepted> connection = std::move(accepted).value();
    if (!connection) return;
    connections_.push_back(
        std::make_unique<UpstreamConnection>(*this, std::move(connection->socket)));
  }
}

}  // namespace weir::net::testing
