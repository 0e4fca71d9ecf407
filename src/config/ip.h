#pragma once
// IP addresses and prefixes as plain values: parsing, canonical text, membership.
//
// IPv4 is held as IPv4-mapped IPv6, so "10.0.0.1" and "::ffff:10.0.0.1" are one address, whichever
// kind of socket or header it came from. No names, no zones, no ports here.

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_annotations.h"

namespace weir::config {

struct IpAddress {
  std::array<uint8_t, 16> bytes{};  // Network order; IPv4 as ::ffff:a.b.c.d.

  static IpAddress from_v4(uint32_t host_order);
  bool is_v4() const;
  // Requires is_v4(). Host order.
  uint32_t v4() const;
  auto operator<=>(const IpAddress&) const = default;
};

// "192.0.2.1" (four decimals, no leading zeros) or "2001:db8::1", without brackets, zone or port.
std::optional<IpAddress> parse_ip(std::string_view text);

// An address as text, which takes nothing from the heap: for data loops. IPv4 in dotted form; IPv6
// as RFC 5952 wants it: lower case, the longest run of zeros as "::".
// Threading: a plain value.
class IpText {
 public:
  static constexpr size_t kBytesMax = 45;

  IpText() = default;  // Empty.
  explicit IpText(const IpAddress& ip);

  std::string_view view() const WEIR_LIFETIMEBOUND { return {text_.data(), bytes_}; }

 private:
  std::array<char, kBytesMax + 1> text_{};  // With a NUL.
  uint8_t bytes_ = 0;
};
std::string to_string(const IpAddress& ip);

struct Cidr {
  IpAddress network;
  uint8_t prefix_bits = 128;  // 0 to 128, counted in the mapped form: 10.0.0.0/8 has 104.

  // An IPv4 address is only ever in an IPv4 prefix: "::/0" means every IPv6 address.
  bool contains(const IpAddress& ip) const;
  bool operator==(const Cidr&) const = default;
};

// "10.0.0.0/8", "2001:db8::/32", or an address alone. The bits after the prefix must be zero, so
// that a slip of the pen ("10.0.0.1/8") is seen.
std::optional<Cidr> parse_cidr(std::string_view text);
std::string to_string(const Cidr& cidr);
// The prefix that was meant by one with bits after it, for messages: 10.0.0.0/8 for "10.0.0.1/8".
std::optional<Cidr> network_of(std::string_view text);

// Threading: immutable after construction.
class CidrSet {
 public:
  CidrSet() = default;
  explicit CidrSet(std::vector<Cidr> cidrs) : cidrs_(std::move(cidrs)) {}
  // Skips what parse_cidr() refuses: validate() has named it.
  static CidrSet parse(const std::vector<std::string>& texts);

  bool contains(const IpAddress& ip) const;
  bool empty() const { return cidrs_.empty(); }

 private:
  std::vector<Cidr> cidrs_;
};

}  // namespace weir::config
