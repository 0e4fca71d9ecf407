#include "config/ip.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/assert.h"

namespace weir::config {
namespace {

constexpr std::array<uint8_t, 12> kV4Prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
static_assert(IpText::kBytesMax + 1 == INET6_ADDRSTRLEN);

// Of both: an address, and the bits after its slash in the mapped form; 128 where it has none.
struct Prefix {
  IpAddress ip;
  unsigned bits = 128;
};

std::optional<Prefix> parse_prefix(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string_view address = text.substr(0, slash);
  const auto ip = parse_ip(address);
  if (!ip) return std::nullopt;
  if (slash == std::string_view::npos) return Prefix{*ip};
  const bool dotted = address.find(':') == std::string_view::npos;
  const std::string_view digits = text.substr(slash + 1);
  if (digits.empty() || (digits.size() > 1 && digits.front() == '0')) return std::nullopt;
  unsigned bits = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  if (bits > (dotted ? 32U : 128U)) return std::nullopt;
  if (dotted) bits += 96;
  // A mapped address under a shorter prefix would be neither an IPv4 nor an IPv6 network.
  if (ip->is_v4() && bits < 96) return std::nullopt;
  return Prefix{*ip, bits};
}

}  // namespace

IpAddress IpAddress::from_v4(uint32_t host_order) {
  IpAddress ip;
  std::copy(kV4Prefix.begin(), kV4Prefix.end(), ip.bytes.begin());
  for (size_t index = 0; index < 4; ++index) {
    ip.bytes[12 + index] = static_cast<uint8_t>(host_order >> (24 - 8 * index));
  }
  return ip;
}

bool IpAddress::is_v4() const {
  return std::equal(kV4Prefix.begin(), kV4Prefix.end(), bytes.begin());
}

uint32_t IpAddress::v4() const {
  WEIR_ASSERT(is_v4());
  uint32_t value = 0;
  for (size_t index = 12; index < 16; ++index)
    value = value << 8U | bytes[index];
  return value;
}

std::optional<IpAddress> parse_ip(std::string_view text) {
  if (text.empty() || text.size() > IpText::kBytesMax) return std::nullopt;
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  std::array<char, IpText::kBytesMax + 1> copy{};  // inet_pton wants a NUL.
  std::copy(text.begin(), text.end(), copy.begin());
  IpAddress ip;
  if (text.find(':') != std::string_view::npos) {
    if (inet_pton(AF_INET6, copy.data(), ip.bytes.data()) != 1) return std::nullopt;
    return ip;
  }
  in_addr v4{};
  if (inet_pton(AF_INET, copy.data(), &v4) != 1) return std::nullopt;
  return IpAddress::from_v4(ntohl(v4.s_addr));
}

IpText::IpText(const IpAddress& ip) {
  const bool v4 = ip.is_v4();
  const char* const done = inet_ntop(v4 ? AF_INET : AF_INET6, ip.bytes.data() + (v4 ? 12 : 0),
                                     text_.data(), static_cast<socklen_t>(text_.size()));
  WEIR_ASSERT(done != nullptr);
  bytes_ = static_cast<uint8_t>(std::strlen(text_.data()));
}

std::string to_string(const IpAddress& ip) {
  return std::string{IpText{ip}.view()};
}

bool Cidr::contains(const IpAddress& ip) const {
  if (ip.is_v4() != network.is_v4()) return false;
  const size_t whole = prefix_bits / 8U;
  if (!std::equal(ip.bytes.begin(), ip.bytes.begin() + static_cast<ptrdiff_t>(whole),
                  network.bytes.begin())) {
    return false;
  }
  const unsigned bits = prefix_bits % 8U;
  if (bits == 0) return true;
  return ((ip.bytes[whole] ^ network.bytes[whole]) >> (8U - bits)) == 0;
}

std::optional<Cidr> network_of(std::string_view text) {
  std::optional<Prefix> prefix = parse_prefix(text);
  if (!prefix) return std::nullopt;
  for (unsigned bit = prefix->bits; bit < 128; ++bit)
    prefix->ip.bytes[bit / 8U] &= static_cast<uint8_t>(~(0x80U >> bit % 8U));
  return Cidr{prefix->ip, static_cast<uint8_t>(prefix->bits)};
}

std::optional<Cidr> parse_cidr(std::string_view text) {
  const std::optional<Prefix> prefix = parse_prefix(text);
  if (!prefix) return std::nullopt;
  for (unsigned bit = prefix->bits; bit < 128; ++bit) {
    if ((prefix->ip.bytes[bit / 8U] & (0x80U >> bit % 8U)) != 0) return std::nullopt;
  }
  return Cidr{prefix->ip, static_cast<uint8_t>(prefix->bits)};
}

std::string to_string(const Cidr& cidr) {
  const unsigned bits = cidr.network.is_v4() ? cidr.prefix_bits - 96U : cidr.prefix_bits;
  return to_string(cidr.network) + "/" + std::to_string(bits);
}

CidrSet CidrSet::parse(const std::vector<std::string>& texts) {
  std::vector<Cidr> cidrs;
  for (const std::string& text : texts) {
    if (const auto cidr = parse_cidr(text)) cidrs.push_back(*cidr);
  }
  return CidrSet{std::move(cidrs)};
}

bool CidrSet::contains(const IpAddress& ip) const {
  return std::any_of(cidrs_.begin(), cidrs_.end(),
                     [&](const Cidr& cidr) { return cidr.contains(ip); });
}

}  // namespace weir::config
