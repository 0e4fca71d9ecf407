#include "net/proxy_protocol.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>

#include <netinet/in.h>

namespace weir::net {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kSignatureV2 = "\r\n\r\n\0\r\nQUIT\n"sv;
constexpr std::string_view kPrefixV1 = "PROXY ";
constexpr size_t kLineV1BytesMax = 107;

base::Error malformed() {
  return {base::ErrorCode::invalid_input, base::Origin::client, base::Retry::never, 0,
          "PROXY protocol header"};
}

bool could_begin(std::string_view bytes, std::string_view prefix) {
  const size_t common = std::min(bytes.size(), prefix.size());
  return bytes.substr(0, common) == prefix.substr(0, common);
}

// Decimal, without leading zeros.
std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, port);
  if (parsed.ptr != end || parsed.ec != std::errc{}) return std::nullopt;
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return port;
}

base::Result<std::optional<ProxyHeader>> parse_v1(std::string_view bytes) {
  const size_t end = bytes.substr(0, kLineV1BytesMax).find("\r\n");
  if (end == std::string_view::npos) {
    if (bytes.size() >= kLineV1BytesMax) return malformed();
    return std::optional<ProxyHeader>{};
  }
  std::array<std::string_view, 5> words;  // Family, source, destination, their ports.
  size_t count = 0;
  std::string_view rest = bytes.substr(kPrefixV1.size(), end - kPrefixV1.size());
  while (count < words.size()) {
    // The last word is all that is left, so that a sixth makes it no port.
    const size_t space = count + 1 < words.size() ? rest.find(' ') : std::string_view::npos;
    words[count++] = rest.substr(0, space);
    if (space == std::string_view::npos) break;
    rest.remove_prefix(space + 1);
  }
  ProxyHeader header{.bytes = end + 2};
  if (words[0] == "UNKNOWN") return std::optional{header};  // Whatever follows.
  const int family = words[0] == "TCP4" ? AF_INET : words[0] == "TCP6" ? AF_INET6 : AF_UNSPEC;
  if (count != words.size() || family == AF_UNSPEC) return malformed();
  const auto source = parse_ip(family, words[1]);
  const auto port = parse_port(words[3]);
  if (!source || !port || !parse_ip(family, words[2]) || !parse_port(words[4])) return malformed();
  header.source = SocketAddress::ip(*source, *port);
  return std::optional{header};
}

SocketAddress address_v2(int family, std::string_view block) {
  if (family == AF_INET) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, block.data(), 4);
    std::memcpy(&v4.sin_port, block.data() + 8, 2);
    return SocketAddress::from_system(reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
  }
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  std::memcpy(&v6.sin6_addr, block.data(), 16);
  std::memcpy(&v6.sin6_port, block.data() + 32, 2);
  return SocketAddress::from_system(reinterpret_cast<const sockaddr*>(&v6), sizeof v6);
}

base::Result<std::optional<ProxyHeader>> parse_v2(std::string_view bytes) {
  constexpr size_t kFixedBytes = 16;
  if (bytes.size() < kFixedBytes) return std::optional<ProxyHeader>{};
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(bytes[at]); };
  const size_t length = size_t{byte(14)} << 8U | byte(15);
  if (byte(12) >> 4U != 2 || kFixedBytes + length > kProxyHeaderBytesMax) return malformed();
  if (bytes.size() < kFixedBytes + length) return std::optional<ProxyHeader>{};
  ProxyHeader header{.bytes = kFixedBytes + length};
  const uint8_t command = byte(12) & 0xfU;
  if (command > 1) return malformed();
  if (command == 0) return std::optional{header};  // LOCAL: the proxy's own health check.
  const uint8_t family = byte(13) >> 4U;
  constexpr uint8_t kUnixFamily = 3;
  constexpr uint8_t kDatagram = 2;
  if (family > kUnixFamily || (byte(13) & 0xfU) > kDatagram) return malformed();  // Reserved.
  const std::string_view block = bytes.substr(kFixedBytes, length);
  if (family == 1 && length >= 12) {
    header.source = address_v2(AF_INET, block);
  } else if (family == 2 && length >= 36) {
    header.source = address_v2(AF_INET6, block);
  } else if (family == 1 || family == 2) {
    return malformed();
  }
  return std::optional{header};
}

}  // namespace

base::Result<std::optional<ProxyHeader>> parse_proxy_header(std::string_view bytes) {
  if (bytes.empty()) return std::optional<ProxyHeader>{};
  if (could_begin(bytes, kSignatureV2)) {
    return bytes.size() < kSignatureV2.size() ? std::optional<ProxyHeader>{} : parse_v2(bytes);
  }
  if (!could_begin(bytes, kPrefixV1)) return malformed();
  return bytes.size() < kPrefixV1.size() ? std::optional<ProxyHeader>{} : parse_v1(bytes);
}

}  // namespace weir::net
