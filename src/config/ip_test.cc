#include "config/ip.h"

#include <gtest/gtest.h>

namespace weir::config {
namespace {

std::string canonical(std::string_view text) {
  const auto ip = parse_ip(text);
  return ip ? to_string(*ip) : "refused";
}

TEST(IpTest, WritesAddressesInOneForm) {
  EXPECT_EQ(canonical("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(canonical("2001:DB8:0:0:0:0:0:1"), "2001:db8::1");
  EXPECT_EQ(canonical("::"), "::");
  EXPECT_EQ(canonical("::1"), "::1");
  EXPECT_EQ(canonical("2001:db8:0:1:0:0:0:1"), "2001:db8:0:1::1");
}

TEST(IpTest, MappedIpv4IsIpv4) {
  EXPECT_EQ(parse_ip("::ffff:192.0.2.1"), parse_ip("192.0.2.1"));
  EXPECT_EQ(canonical("::ffff:c000:201"), "192.0.2.1");
  EXPECT_EQ(parse_ip("192.0.2.1")->v4(), 0xc0000201U);
  EXPECT_EQ(IpAddress::from_v4(0xc0000201U), parse_ip("192.0.2.1"));
  EXPECT_FALSE(parse_ip("::192.0.2.1")->is_v4());
}

TEST(IpTest, RefusesWhatCouldBeReadTwoWays) {
  using std::string_view_literals::operator""sv;
  for (const std::string_view text :
       {""sv, "1"sv, "127.1"sv, "010.0.0.1"sv, "0x7f.0.0.1"sv, "1.2.3.256"sv, "1.2.3.4.5"sv,
        " 1.2.3.4"sv, "1.2.3.4 "sv, "1.2.3.4\0"sv, "1.2.3.4/8"sv, "[::1]"sv, "fe80::1%eth0"sv,
        ":::"sv, "1::2::3"sv, "12345::"sv, "::g"sv, "1:2:3:4:5:6:7"sv,
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"sv}) {
    EXPECT_EQ(parse_ip(text), std::nullopt) << text;
  }
}

TEST(CidrTest, ContainsExactlyItsPrefix) {
  const auto ten = *parse_cidr("10.0.0.0/9");
  EXPECT_TRUE(ten.contains(*parse_ip("10.0.0.0")));
  EXPECT_TRUE(ten.contains(*parse_ip("10.127.255.255")));
  EXPECT_FALSE(ten.contains(*parse_ip("10.128.0.0")));
  EXPECT_FALSE(ten.contains(*parse_ip("9.255.255.255")));
  const auto doc = *parse_cidr("2001:db8::/33");
  EXPECT_TRUE(doc.contains(*parse_ip("2001:db8:7fff::1")));
  EXPECT_FALSE(doc.contains(*parse_ip("2001:db8:8000::")));
  const auto one = *parse_cidr("192.0.2.1");
  EXPECT_TRUE(one.contains(*parse_ip("192.0.2.1")));
  EXPECT_FALSE(one.contains(*parse_ip("192.0.2.0")));
}

TEST(CidrTest, FamiliesStayApart) {
  EXPECT_TRUE(parse_cidr("0.0.0.0/0")->contains(*parse_ip("255.1.2.3")));
  EXPECT_FALSE(parse_cidr("0.0.0.0/0")->contains(*parse_ip("::1")));
  EXPECT_TRUE(parse_cidr("::/0")->contains(*parse_ip("2001:db8::1")));
  EXPECT_FALSE(parse_cidr("::/0")->contains(*parse_ip("10.0.0.1")));
  EXPECT_TRUE(parse_cidr("::/0")->contains(*parse_ip("::1")));
  EXPECT_EQ(parse_cidr("::ffff:10.0.0.0/104"), parse_cidr("10.0.0.0/8"));
}

TEST(CidrTest, RefusesBitsAfterThePrefixAndBadLengths) {
  for (const char* text :
       {"10.0.0.1/8", "10.0.0.0/33", "::1/127", "::/129", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/-1",
        "10.0.0.0/8 ", "/8", "a/8", "10.0.0.0/8/8", "::ffff:0.0.0.0/95"}) {
    EXPECT_EQ(parse_cidr(text), std::nullopt) << text;
  }
}

TEST(CidrTest, IsWrittenAsItIsRead) {
  for (const char* text :
       {"10.0.0.0/8", "0.0.0.0/0", "192.0.2.1/32", "2001:db8::/32", "::/0", "::1/128"}) {
    EXPECT_EQ(to_string(*parse_cidr(text)), text);
  }
}

TEST(CidrSetTest, ContainsWhatAnyOfItsPrefixesContains) {
  const CidrSet set = CidrSet::parse({"10.0.0.0/8", "2001:db8::/32", "not an address"});
  EXPECT_TRUE(set.contains(*parse_ip("10.1.2.3")));
  EXPECT_TRUE(set.contains(*parse_ip("::ffff:10.1.2.3")));
  EXPECT_TRUE(set.contains(*parse_ip("2001:db8::1")));
  EXPECT_FALSE(set.contains(*parse_ip("11.1.2.3")));
  EXPECT_TRUE(CidrSet{}.empty());
  EXPECT_FALSE(CidrSet{}.contains(*parse_ip("10.1.2.3")));
}

}  // namespace
}  // namespace weir::config
