#include "webhook/address.h"

#include <gtest/gtest.h>

namespace weir::webhook {
namespace {

std::string_view of(const char* text) {
  const auto ip = config::parse_ip(text);
  EXPECT_TRUE(ip.has_value()) << text;
  return not_public(ip.value_or(config::IpAddress{}));
}

TEST(AddressTest, EveryRangeBeginsAndEndsWhereItsRegistrySays) {
  struct Case {
    const char* before;  // Public; empty: none.
    const char* first;
    const char* last;
    const char* after;
    const char* is;
  };
  for (const Case& each : {
           Case{"", "0.0.0.0", "0.255.255.255", "1.0.0.0", "an unspecified address"},
           Case{"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0", "a private address"},
           Case{"100.63.255.255", "100.64.0.0", "100.127.255.255", "100.128.0.0",
                "a shared address (100.64.0.0/10)"},
           Case{"126.255.255.255", "127.0.0.0", "127.255.255.255", "128.0.0.0",
                "a loopback address"},
           Case{"169.253.255.255", "169.254.0.0", "169.254.255.255", "169.255.0.0",
                "a link-local address"},
           Case{"172.15.255.255", "172.16.0.0", "172.31.255.255", "172.32.0.0",
                "a private address"},
           Case{"191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0", "a reserved address"},
           Case{"192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0",
                "an address for documentation"},
           Case{"192.88.98.255", "192.88.99.0", "192.88.99.255", "192.88.100.0",
                "a reserved address"},
           Case{"192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0",
                "a private address"},
           Case{"198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0",
                "an address for benchmarking"},
           Case{"198.51.99.255", "198.51.100.0", "198.51.100.255", "198.51.101.0",
                "an address for documentation"},
           Case{"203.0.112.255", "203.0.113.0", "203.0.113.255", "203.0.114.0",
                "an address for documentation"},
           Case{"223.255.255.255", "224.0.0.0", "239.255.255.255", "", "a multicast address"},
           Case{"", "240.0.0.0", "255.255.255.255", "", "a reserved address"},
           Case{"2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "",
                "an address that translates to an unknown one"},
           Case{"", "2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", "",
                "an address for benchmarking"},
           Case{"", "2001:10::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:200::", "a reserved address"},
           Case{"2001:db7:ffff::", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
                "2001:db9::", "an address for documentation"},
           Case{"3ffe:ffff::", "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
                "3fff:1000::", "an address for documentation"},
           Case{"3fff:ffff::", "4000::", "fbff:ffff::", "", "a reserved address"},
           Case{"", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", "a private address"},
           Case{"", "fe80::", "febf:ffff::", "", "a link-local address"},
           Case{"", "fec0::", "feff::", "", "a private address"},
           Case{"", "ff00::", "ffff:ffff::", "", "a multicast address"},
           Case{"", "100::", "1fff:ffff::", "2000::", "a reserved address"},
       }) {
    EXPECT_EQ(of(each.first), each.is) << each.first;
    EXPECT_EQ(of(each.last), each.is) << each.last;
    if (*each.before != '\0') {
      EXPECT_EQ(of(each.before), "") << each.before;
    }
    if (*each.after != '\0') {
      EXPECT_EQ(of(each.after), "") << each.after;
    }
  }
  EXPECT_EQ(of("::"), "an unspecified address");
  EXPECT_EQ(of("::1"), "a loopback address");
}

TEST(AddressTest, AnAddressThatStandsForAnIpv4AddressIsWhatThatIs) {
  for (const char* text : {"::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::7f00:1",
                           "2002:7f00:1::", "2002:7f00:1:ffff::1", "::127.0.0.1"}) {
    EXPECT_EQ(of(text), "a loopback address") << text;
  }
  for (const char* text : {"::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::1"})
    EXPECT_EQ(of(text), "a private address") << text;
  for (const char* text : {"::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "8.8.8.8",
                           "2606:4700:4700::1111"}) {
    EXPECT_EQ(of(text), "") << text;
  }
  EXPECT_EQ(of("::8.8.8.8"), "a reserved address");
  EXPECT_EQ(of("64:ff9b:1::808:808"), "an address that translates to an unknown one");
  EXPECT_EQ(of("::ffff:0:127.0.0.1"), "a reserved address");
  EXPECT_EQ(of("64:ff9b::1:0:0"), "a reserved address");
}

}  // namespace
}  // namespace weir::webhook
