#pragma once
// The PROXY protocol, versions 1 and 2: how a load balancer in front says who the client is.
// Source: "The PROXY protocol, versions 1 & 2", HAProxy, 2020/03/05.

#include <cstddef>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "net/socket_address.h"

namespace weir::net {

struct ProxyHeader {
  size_t bytes = 0;      // Of the header; the client's own bytes follow.
  SocketAddress source;  // Unknown for LOCAL and UNKNOWN: use the socket's peer.
};

inline constexpr size_t kProxyHeaderBytesMax = 4096;  // Version 2 with its TLVs, which are skipped.

// nullopt while more bytes are needed. Pure. Errors: invalid_input (no PROXY header, or longer than
// kProxyHeaderBytesMax).
base::Result<std::optional<ProxyHeader>> parse_proxy_header(std::string_view bytes);

}  // namespace weir::net
