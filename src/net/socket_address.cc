#include "net/socket_address.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "base/assert.h"

namespace weir::net {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

base::Error bad_address() {
  return {base::ErrorCode::invalid_input, base::Origin::self, base::Retry::never, 0,
          "socket address"};
}

IpAddress mapped(const in_addr& v4) {
  IpAddress ip;
  std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), ip.bytes.begin());
  std::memcpy(ip.bytes.data() + kMappedPrefix.size(), &v4, sizeof v4);
  return ip;
}

}  // namespace

bool IpAddress::is_v4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin());
}

std::optional<IpAddress> parse_ip(int family, std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> copy{};  // inet_pton wants a NUL, and would stop at one.
  if (text.size() >= copy.size() || text.find('\0') != std::string_view::npos) return std::nullopt;
  std::copy(text.begin(), text.end(), copy.begin());
  if (family == AF_INET) {
    in_addr v4{};
    if (::inet_pton(AF_INET, copy.data(), &v4) != 1) return std::nullopt;
    return mapped(v4);
  }
  IpAddress ip;
  if (::inet_pton(AF_INET6, copy.data(), ip.bytes.data()) != 1) return std::nullopt;
  return ip;
}

std::string to_string(const IpAddress& ip) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (ip.is_v4()) {
    ::inet_ntop(AF_INET, ip.bytes.data() + kMappedPrefix.size(), text.data(), text.size());
  } else {
    ::inet_ntop(AF_INET6, ip.bytes.data(), text.data(), text.size());
  }
  return text.data();
}

SocketAddress SocketAddress::ip(const IpAddress& ip, uint16_t port) {
  SocketAddress address;
  address.family_ = ip.is_v4() ? AF_INET : AF_INET6;
  address.ip_ = ip;
  address.port_ = port;
  return address;
}

SocketAddress SocketAddress::unix_socket(std::string path) {
  WEIR_ASSERT(path.size() <= kUnixPathBytesMax);
  SocketAddress address;
  address.family_ = AF_UNIX;
  address.path_ = std::move(path);
  return address;
}

SocketAddress SocketAddress::from_system(const sockaddr* address, socklen_t bytes) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    return ip(mapped(v4.sin_addr), ntohs(v4.sin_port));
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, sizeof v6);
    IpAddress bits;
    std::memcpy(bits.bytes.data(), &v6.sin6_addr, bits.bytes.size());
    return ip(bits, ntohs(v6.sin6_port));
  }
  if (address->sa_family == AF_UNIX) {
    sockaddr_un local{};
    std::memcpy(&local, address, std::min<size_t>(bytes, sizeof local));
    return unix_socket({local.sun_path, ::strnlen(local.sun_path, kUnixPathBytesMax)});
  }
  return {};
}

base::Result<SocketAddress> SocketAddress::parse(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix)) {
    const std::string_view path = text.substr(kUnix.size());
    if (path.empty() || path.size() > kUnixPathBytesMax) return bad_address();
    if (path.find('\0') != std::string_view::npos) return bad_address();
    return unix_socket(std::string{path});
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad_address();
  std::string_view host = text.substr(0, colon);
  const bool v6 = host.starts_with('[') && host.ends_with(']');
  if (v6) host = host.substr(1, host.size() - 2);
  uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + colon + 1, end, port);
  if (parsed.ptr != end || parsed.ec != std::errc{}) return bad_address();
  const std::optional<IpAddress> address = parse_ip(v6 ? AF_INET6 : AF_INET, host);
  if (!address) return bad_address();
  return ip(*address, port);
}

socklen_t SocketAddress::to_system(sockaddr_storage& storage) const {
  storage = {};
  if (family_ == AF_INET) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port_);
    std::memcpy(&v4.sin_addr, ip_.bytes.data() + kMappedPrefix.size(), sizeof v4.sin_addr);
    std::memcpy(&storage, &v4, sizeof v4);
    return sizeof v4;
  }
  if (family_ == AF_INET6) {
    sockaddr_in6 v6{};
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port_);
    std::memcpy(&v6.sin6_addr, ip_.bytes.data(), ip_.bytes.size());
    std::memcpy(&storage, &v6, sizeof v6);
    return sizeof v6;
  }
  WEIR_ASSERT(family_ == AF_UNIX);
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  std::memcpy(local.sun_path, path_.data(), path_.size());
  std::memcpy(&storage, &local, sizeof local);
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size() + 1);
}

std::string to_string(const SocketAddress& address) {
  switch (address.family()) {
    case AF_INET:
      return fmt::format("{}:{}", to_string(address.ip()), address.port());
    case AF_INET6:
      return fmt::format("[{}]:{}", to_string(address.ip()), address.port());
    case AF_UNIX:
      return "unix:" + address.path();
    default:
      return "unknown";
  }
}

}  // namespace weir::net
