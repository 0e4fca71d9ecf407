#include "net/socket.h"

#include <cerrno>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace weir::net {
namespace {

using base::Error;
using base::ErrorCode;
using base::Origin;
using base::Retry;

constexpr int kBacklog = 4096;  // The kernel caps it at net.core.somaxconn.

void set_option(int descriptor, int level, int name, int value) {
  // Options here tune; a kernel that refuses one still carries traffic.
  ::setsockopt(descriptor, level, name, &value, sizeof value);
}

bool somebody_listens(const SocketAddress& address) {
  const os::Fd probe{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  sockaddr_storage storage{};
  const socklen_t bytes = address.to_system(storage);
  return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&storage), bytes) == 0 ||
         errno == EAGAIN;
}

Error listen_error(int code) {
  if (code == EADDRINUSE) {
    return {ErrorCode::conflict, Origin::self, Retry::never, code, "address already in use"};
  }
  if (code == EADDRNOTAVAIL) {
    return {ErrorCode::invalid_input, Origin::self, Retry::never, code,
            "address not of this machine"};
  }
  return {ErrorCode::unavailable, Origin::self, Retry::never, code, "listening socket"};
}

}  // namespace

base::Result<SocketAddress> prove_free(const SocketAddress& address) {
  const os::Fd socket{::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!socket.valid()) return listen_error(errno);
  set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.family() == AF_INET6) set_option(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  sockaddr_storage storage{};
  const socklen_t bytes = address.to_system(storage);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&storage), bytes) != 0) {
    return listen_error(errno);
  }
  return local_address(socket.get());
}

base::Result<os::Fd> listen_on(const SocketAddress& address, PortSharing sharing) {
  os::Fd socket{::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!socket.valid()) return listen_error(errno);
  if (address.family() == AF_UNIX) {
    if (somebody_listens(address)) return listen_error(EADDRINUSE);
    ::unlink(address.path().c_str());
  } else {
    set_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (sharing == PortSharing::reuse) set_option(socket.get(), SOL_SOCKET, SO_REUSEPORT, 1);
    if (address.family() == AF_INET6) set_option(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1);
  }
  sockaddr_storage storage{};
  const socklen_t bytes = address.to_system(storage);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&storage), bytes) != 0 ||
      ::listen(socket.get(), kBacklog) != 0) {
    return listen_error(errno);
  }
  return socket;
}

base::Result<os::Fd> connect_to(const SocketAddress& address) {
  const auto failed = [](int code) {
    return Error{ErrorCode::unavailable, Origin::upstream, Retry::immediately, code, "connect"};
  };
  os::Fd socket{::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!socket.valid()) return failed(errno);
  if (address.is_ip()) set_option(socket.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  sockaddr_storage storage{};
  const socklen_t bytes = address.to_system(storage);
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&storage), bytes) != 0 &&
      errno != EINPROGRESS) {
    return failed(errno);
  }
  return socket;
}

int connect_error(int descriptor) {
  int error = 0;
  socklen_t bytes = sizeof error;
  if (::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) return errno;
  return error;
}

base::Result<std::optional<Accepted>> accept_from(int listener) {
  sockaddr_storage storage{};
  socklen_t bytes = sizeof storage;
  while (true) {
    const int descriptor = ::accept4(listener, reinterpret_cast<sockaddr*>(&storage), &bytes,
                                     SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (descriptor >= 0) {
      Accepted accepted{os::Fd{descriptor},
                        SocketAddress::from_system(reinterpret_cast<sockaddr*>(&storage), bytes)};
      if (accepted.peer.is_ip()) set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
      return std::optional<Accepted>{std::move(accepted)};
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::optional<Accepted>{};
    // The peer gave up while it waited in the queue: the next one may be there already.
    if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO) continue;
    return Error{ErrorCode::unavailable, Origin::self, Retry::with_backoff, errno, "accept"};
  }
}

SocketAddress local_address(int descriptor) {
  sockaddr_storage storage{};
  socklen_t bytes = sizeof storage;
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&storage), &bytes) != 0) return {};
  return SocketAddress::from_system(reinterpret_cast<sockaddr*>(&storage), bytes);
}

void reset_on_close(int descriptor) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

Moved read_some(int descriptor, char* into, size_t bytes_max) {
  while (true) {
    const ssize_t count = ::recv(descriptor, into, bytes_max, 0);
    if (count > 0) return {Moved::Kind::bytes, static_cast<size_t>(count)};
    if (count == 0) return {Moved::Kind::end_of_stream};
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {Moved::Kind::would_block};
    return {Moved::Kind::failed};
  }
}

bool has_input(int descriptor) {
  char byte = 0;
  return ::recv(descriptor, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

Moved write_some(int descriptor, const iovec* pieces, size_t count) {
  while (true) {
    ssize_t sent = 0;
    if (count == 1) {
      sent = ::send(descriptor, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL);
    } else {
      msghdr message{};
      message.msg_iov = const_cast<iovec*>(pieces);  // The kernel reads it only.
      message.msg_iovlen = count;
      sent = ::sendmsg(descriptor, &message, MSG_NOSIGNAL);
    }
    if (sent >= 0) return {Moved::Kind::bytes, static_cast<size_t>(sent)};
    if (errno == EINTR) continue;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return {Moved::Kind::would_block};
    return {Moved::Kind::failed};
  }
}

}  // namespace weir::net
