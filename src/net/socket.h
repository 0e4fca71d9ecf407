#pragma once
// Non-blocking stream sockets: how they are opened, with which options, and the two calls that move
// bytes. Every descriptor is close-on-exec and non-blocking.

#include <cstdint>
#include <optional>
#include <string_view>

#include <sys/uio.h>

#include "base/result.h"
#include "net/socket_address.h"
#include "os/fd.h"

namespace weir::net {

enum class PortSharing : uint8_t {
  exclusive,  // Fails when anybody else, this process included, listens there.
  reuse,      // SO_REUSEPORT: one descriptor per loop, balanced by the kernel.
};

// Proves that nobody listens on `address`, and returns it with the port that the kernel chose if it
// said 0. With SO_REUSEPORT alone, a second process of the same user would silently get a share of
// the connections. Requires an IP address. Errors: as listen_on().
base::Result<SocketAddress> prove_free(const SocketAddress& address);

// A listening socket. A Unix socket's stale path (nobody listens behind it) is replaced.
// Errors (Origin::self): conflict (address in use), invalid_input (not an address of this machine),
//   unavailable (anything else; see os_errno).
base::Result<os::Fd> listen_on(const SocketAddress& address, PortSharing sharing);

// Begins to connect; the socket becomes writable when it is established or has failed, and
// connect_error() tells which. Errors (Origin::upstream): unavailable.
base::Result<os::Fd> connect_to(const SocketAddress& address);
int connect_error(int descriptor);  // 0, or an errno.

struct Accepted {
  os::Fd socket;
  SocketAddress peer;
};
// nullopt when nobody waits. Errors: unavailable (out of descriptors: see os_errno).
base::Result<std::optional<Accepted>> accept_from(int listener);

SocketAddress local_address(int descriptor);
void reset_on_close(int descriptor);  // close() sends RST, so the peer cannot take it for an end.

// What one read or write did: bytes moved; would_block; or an end. A read of 0 bytes is
// end_of_stream.
struct Moved {
  enum class Kind : uint8_t { bytes, would_block, end_of_stream, failed };
  Kind kind = Kind::failed;
  size_t bytes = 0;
};
Moved read_some(int descriptor, char* into, size_t bytes_max);
bool has_input(int descriptor);  // Bytes, or the end, can be read at once.
Moved write_some(int descriptor, const iovec* pieces, size_t count);

}  // namespace weir::net
