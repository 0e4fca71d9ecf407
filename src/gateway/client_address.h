#pragma once
// Who the client is: the address that limits, rules and statistics go by.
//
// A header is believed only where the listener says which one and the socket's peer is one of its
// trusted proxies; in a chain of hops, the rightmost one that is not trusted is the client, because
// everything left of it is whatever that hop claimed.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/ip.h"
#include "http/request_head.h"
#include "net/exchange_stream.h"

namespace weir::gateway {

// One listener's rule, compiled.
// Threading: immutable after construction.
class ClientAddressRule {
 public:
  explicit ClientAddressRule(const config::Listener& listener);

  bool trusts(const net::SocketAddress& peer) const;
  config::ClientAddress source() const { return source_; }
  // Whether what forwarding fields say is the proxy's word. Who speaks the PROXY protocol passes
  // bytes on: the fields are the client's.
  bool believes_fields_of(const net::SocketAddress& peer) const;

  // Whether a request's fields say who its client is: then bytes that are no request do not.
  bool reads_header_of(const net::SocketAddress& peer) const;
  // Who sends on a connection, as far as no field says more: what the PROXY protocol announced, or
  // the peer. Zero as below.
  config::IpAddress sender_of(const net::ClientConnection& connection) const;
  // The client's address; zero for the peers of a Unix socket that nothing says more about.
  config::IpAddress client_of(const net::ClientConnection& connection,
                              const http::RequestHead& head) const;

 private:
  bool walk_list(std::string_view list, config::IpAddress& client) const;
  config::IpAddress from_forwarded(http::Fields fields, const config::IpAddress& peer) const;

  config::ClientAddress source_;
  config::CidrSet trusted_;
  bool trusts_unix_ = false;
};

// What of an address may be recorded, as text: all of it, its /24 or /48, or nothing.
config::IpText recorded_address(const config::IpAddress& ip, config::ClientIpPrivacy privacy);

}  // namespace weir::gateway
