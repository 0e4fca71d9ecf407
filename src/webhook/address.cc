#include "webhook/address.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace weir::webhook {
namespace {

using config::IpAddress;

struct Range4 {
  uint32_t network;
  int prefix_bits;
  std::string_view is;
};

constexpr std::string_view kPrivate = "a private address";
constexpr std::string_view kLoopback = "a loopback address";
constexpr std::string_view kLinkLocal = "a link-local address";
constexpr std::string_view kUnspecified = "an unspecified address";
constexpr std::string_view kMulticast = "a multicast address";
constexpr std::string_view kDocumentation = "an address for documentation";
constexpr std::string_view kBenchmarking = "an address for benchmarking";
constexpr std::string_view kReserved = "a reserved address";
constexpr std::string_view kTranslated = "an address that translates to an unknown one";

constexpr uint32_t v4(uint32_t a, uint32_t b, uint32_t c) {
  return a << 24U | b << 16U | c << 8U;
}

constexpr std::array<Range4, 15> kRanges4{{{v4(0, 0, 0), 8, kUnspecified},
                                           {v4(10, 0, 0), 8, kPrivate},
                                           {v4(100, 64, 0), 10, "a shared address (100.64.0.0/10)"},
                                           {v4(127, 0, 0), 8, kLoopback},
                                           {v4(169, 254, 0), 16, kLinkLocal},
                                           {v4(172, 16, 0), 12, kPrivate},
                                           {v4(192, 0, 0), 24, kReserved},
                                           {v4(192, 0, 2), 24, kDocumentation},
                                           {v4(192, 88, 99), 24, kReserved},
                                           {v4(192, 168, 0), 16, kPrivate},
                                           {v4(198, 18, 0), 15, kBenchmarking},
                                           {v4(198, 51, 100), 24, kDocumentation},
                                           {v4(203, 0, 113), 24, kDocumentation},
                                           {v4(224, 0, 0), 4, kMulticast},
                                           {v4(240, 0, 0), 4, kReserved}}};

struct Range6 {
  std::array<uint8_t, 6> network;  // The longest prefix here has 48 bits.
  int prefix_bits;
  std::string_view is;
};

// What lies outside 2000::/3 and has a name of its own, and what lies inside and is not public.
constexpr std::array<Range6, 10> kRanges6{
    {{{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, kTranslated},
     {{0x20, 0x01, 0x00, 0x00}, 32, kTranslated},  // Teredo.
     {{0x20, 0x01, 0x00, 0x02, 0x00, 0x00}, 48, kBenchmarking},
     {{0x20, 0x01, 0x00}, 23, kReserved},
     {{0x20, 0x01, 0x0d, 0xb8}, 32, kDocumentation},
     {{0x3f, 0xff, 0x00}, 20, kDocumentation},
     {{0xfc}, 7, kPrivate},
     {{0xfe, 0x80}, 10, kLinkLocal},
     {{0xfe, 0xc0}, 10, kPrivate},
     {{0xff}, 8, kMulticast}}};

bool begins_with(const IpAddress& ip, const uint8_t* network, int bits) {
  for (int at = 0; bits > 0; ++at, bits -= 8) {
    const auto mask = static_cast<uint8_t>(bits >= 8 ? 0xff : 0xff << (8 - bits));
    if (((ip.bytes[static_cast<size_t>(at)] ^ network[at]) & mask) != 0) return false;
  }
  return true;
}

IpAddress v4_at(const IpAddress& ip, size_t at) {
  const auto byte = [&](size_t index) { return static_cast<uint32_t>(ip.bytes[at + index]); };
  return IpAddress::from_v4(byte(0) << 24U | byte(1) << 16U | byte(2) << 8U | byte(3));
}

std::string_view not_public_v4(uint32_t address) {
  for (const Range4& range : kRanges4) {
    if (((address ^ range.network) >> static_cast<uint32_t>(32 - range.prefix_bits)) == 0)
      return range.is;
  }
  return {};
}

}  // namespace

std::string_view not_public(const IpAddress& ip) {
  if (ip.is_v4()) return not_public_v4(ip.v4());
  constexpr std::array<uint8_t, 12> kNat64{0x00, 0x64, 0xff, 0x9b};
  if (begins_with(ip, kNat64.data(), 96)) return not_public_v4(v4_at(ip, 12).v4());
  constexpr std::array<uint8_t, 2> kSixToFour{0x20, 0x02};
  if (begins_with(ip, kSixToFour.data(), 16)) return not_public_v4(v4_at(ip, 2).v4());
  constexpr std::array<uint8_t, 12> kZeros{};
  if (begins_with(ip, kZeros.data(), 96)) {  // ::1, ::, and the compatible ones.
    const uint32_t low = v4_at(ip, 12).v4();
    if (low == 0) return kUnspecified;
    if (low == 1) return kLoopback;
    const std::string_view is = not_public_v4(low);
    return is.empty() ? kReserved : is;
  }
  for (const Range6& range : kRanges6) {
    if (begins_with(ip, range.network.data(), range.prefix_bits)) return range.is;
  }
  return (ip.bytes[0] & 0xe0U) == 0x20U ? std::string_view{} : kReserved;
}

}  // namespace weir::webhook
