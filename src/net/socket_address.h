#pragma once
// The address of one end of a connection: IPv4, IPv6 or a Unix socket.

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sys/socket.h>

#include "base/result.h"

namespace weir::net {

// An IPv6 address, or an IPv4 one in its mapped form (::ffff:a.b.c.d), in network order.
struct IpAddress {
  std::array<uint8_t, 16> bytes{};
  auto operator<=>(const IpAddress&) const = default;
  bool is_v4() const;
};
std::string to_string(const IpAddress& ip);
// An address of that family, AF_INET or AF_INET6, and nothing else: no port, brackets or zone.
std::optional<IpAddress> parse_ip(int family, std::string_view text);

// Threading: a plain value.
class SocketAddress {
 public:
  SocketAddress() = default;  // Unknown: family() is AF_UNSPEC.
  static SocketAddress ip(const IpAddress& ip, uint16_t port);
  // Requires a path of at most kUnixPathBytesMax bytes.
  static SocketAddress unix_socket(std::string path);
  static SocketAddress from_system(const sockaddr* address, socklen_t bytes);

  // "127.0.0.1:80", "[::1]:80", "unix:/path". Names are not looked up.
  // Errors: invalid_input.
  static base::Result<SocketAddress> parse(std::string_view text);

  static constexpr size_t kUnixPathBytesMax = 107;

  int family() const { return family_; }  // AF_INET, AF_INET6, AF_UNIX or AF_UNSPEC.
  bool is_ip() const { return family_ == AF_INET || family_ == AF_INET6; }
  const IpAddress& ip() const { return ip_; }  // Zero unless is_ip().
  uint16_t port() const { return port_; }
  const std::string& path() const { return path_; }

  // Fills `storage` and returns the length that system calls want.
  socklen_t to_system(sockaddr_storage& storage) const;

  bool operator==(const SocketAddress&) const = default;

 private:
  int16_t family_ = AF_UNSPEC;
  uint16_t port_ = 0;
  IpAddress ip_;
  std::string path_;
};
std::string to_string(const SocketAddress& address);

}  // namespace weir::net
