#include "net/proxy_protocol.h"

#include <string>

#include <gtest/gtest.h>

namespace weir::net {
namespace {

using namespace std::string_literals;

constexpr std::string_view kSignature{"\r\n\r\n\0\r\nQUIT\n", 12};

// Version 2: `command` 0 LOCAL, 1 PROXY; `family` the whole byte 13.
std::string v2(int command, int family, const std::string& block, int version = 2) {
  std::string header{kSignature};
  header += static_cast<char>(version << 4 | command);
  header += static_cast<char>(family);
  header += static_cast<char>(block.size() >> 8U);
  header += static_cast<char>(block.size() & 0xffU);
  return header + block;
}
const std::string kBlock4 = "\xc0\x00\x02\x07\x0a\x00\x00\x01\x9c\x40\x00\x50"s;
const std::string kBlock6 =
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x9c\x40\x00\x50"s;

// What a header says: its source, "unknown", "more" or "refused".
std::string outcome(std::string_view bytes) {
  const auto parsed = parse_proxy_header(bytes);
  if (!parsed.ok()) return "refused";
  if (!parsed.value()) return "more";
  return to_string(parsed.value()->source);
}

struct Good {
  std::string bytes;
  std::string source;
};
std::vector<Good> good() {
  return {
      {"PROXY TCP4 192.0.2.7 10.0.0.1 40000 80\r\n", "192.0.2.7:40000"},
      {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535"},
      {"PROXY TCP6 2001:db8::7 ::1 40000 80\r\n", "[2001:db8::7]:40000"},
      {"PROXY TCP6 ::ffff:192.0.2.7 ::1 0 0\r\n", "192.0.2.7:0"},
      {"PROXY UNKNOWN\r\n", "unknown"},
      {"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", "unknown"},
      {v2(1, 0x11, kBlock4), "192.0.2.7:40000"},
      {v2(1, 0x12, kBlock4), "192.0.2.7:40000"},
      {v2(1, 0x21, kBlock6), "[2001:db8::7]:40000"},
      {v2(1, 0x11, kBlock4 + "\x03\x00\x04\x01\x02\x03\x04"s), "192.0.2.7:40000"},
      {v2(1, 0x00, ""), "unknown"},
      {v2(1, 0x31, std::string(216, 'u')), "unknown"},  // A Unix socket.
      {v2(0, 0x00, ""), "unknown"},                     // LOCAL.
      {v2(0, 0x11, kBlock4), "unknown"},
  };
}

TEST(ProxyProtocolTest, ReadsTheSource) {
  for (const Good& each : good()) {
    EXPECT_EQ(outcome(each.bytes), each.source) << each.bytes;
    EXPECT_EQ(parse_proxy_header(each.bytes).value()->bytes, each.bytes.size()) << each.bytes;
  }
}

// Goal: nothing depends on how TCP split the bytes. Method: every prefix wants more, and the bytes
// that follow are left for HTTP.
TEST(ProxyProtocolTest, WantsMoreUntilItsLastByteAndLeavesTheRest) {
  for (const Good& each : good()) {
    for (size_t bytes = 0; bytes < each.bytes.size(); ++bytes)
      ASSERT_EQ(outcome(each.bytes.substr(0, bytes)), "more") << each.bytes << " at " << bytes;
    for (const char* rest : {"GET / HTTP/1.1\r\n\r\n", "\r\n", "PROXY UNKNOWN\r\n"}) {
      const auto parsed = parse_proxy_header(each.bytes + rest);
      ASSERT_TRUE(parsed.ok() && parsed.value());
      EXPECT_EQ(parsed.value()->bytes, each.bytes.size());
      EXPECT_EQ(to_string(parsed.value()->source), each.source);
    }
  }
}

TEST(ProxyProtocolTest, RefusesWhatIsNoHeaderAtItsFirstWrongByte) {
  EXPECT_EQ(outcome("G"), "refused");
  EXPECT_EQ(outcome("PROXX"), "refused");
  EXPECT_EQ(outcome("proxy "), "refused");
  EXPECT_EQ(outcome("\r\n\r\nG"), "refused");
  EXPECT_EQ(outcome("\r\r"), "refused");
}

TEST(ProxyProtocolTest, RefusesVersion1ThatCouldBeReadInTwoWays) {
  for (const std::string& bad : {
           "PROXY \r\n"s,
           "PROXY TCP5 192.0.2.7 10.0.0.1 1 2\r\n"s,
           "PROXY UNKNOWNS\r\n"s,
           "PROXY TCP4 192.0.2.7\r\n"s,
           "PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n"s,
           "PROXY TCP4 192.0.2.7 10.0.0.1 1 2 3\r\n"s,
           "PROXY TCP4  192.0.2.7 10.0.0.1 1 2\r\n"s,
           "PROXY TCP4 192.0.2.7 10.0.0.1 1 2 \r\n"s,
           "PROXY TCP4 192.0.2.7 10.0.0.1 1 \r\n"s,
           "PROXY TCP4 192.0.2.7\t10.0.0.1 1 2\r\n"s,
           "PROXY TCP4 192.0.2.7 10.0.0.1 1 2\n\r\n"s,
           "PROXY TCP4 192.0.2.007 10.0.0.1 1 2\r\n"s,
           "PROXY TCP4 192.0.2.256 10.0.0.1 1 2\r\n"s,
           "PROXY TCP4 192.0.2.7\0 10.0.0.1 1 2\r\n"s,
           "PROXY TCP4 192.0.2.7\0.1 10.0.0.1 1 2\r\n"s,
           "PROXY TCP4 192.0.2.7 nowhere 1 2\r\n"s,
           "PROXY TCP4 192.0.2.7 10.0.0.1 65536 2\r\n"s,
           "PROXY TCP4 192.0.2.7 10.0.0.1 1 65536\r\n"s,
           "PROXY TCP4 192.0.2.7 10.0.0.1 -1 2\r\n"s,
           "PROXY TCP4 192.0.2.7 10.0.0.1 01 2\r\n"s,
           "PROXY TCP4 192.0.2.7 10.0.0.1 1x 2\r\n"s,
           "PROXY TCP4 2001:db8::7 10.0.0.1 1 2\r\n"s,
           "PROXY TCP4 [2001:db8::7] ::1 1 2\r\n"s,
           "PROXY TCP4 unix:/path 10.0.0.1 1 2\r\n"s,
           "PROXY TCP6 192.0.2.7 ::1 1 2\r\n"s,
           "PROXY TCP6 2001:db8::7 10.0.0.1 1 2\r\n"s,
           "PROXY TCP6 [2001:db8::7] [::1] 1 2\r\n"s,
           "PROXY TCP6 2001:db8::7%eth0 ::1 1 2\r\n"s,
       }) {
    EXPECT_EQ(outcome(bad), "refused") << bad;
  }
}

TEST(ProxyProtocolTest, RefusesVersion2ThatIsReserved) {
  EXPECT_EQ(outcome(v2(1, 0x11, kBlock4, 1)), "refused") << "another version";
  EXPECT_EQ(outcome(v2(1, 0x11, kBlock4, 3)), "refused");
  EXPECT_EQ(outcome(v2(2, 0x11, kBlock4)), "refused") << "another command";
  EXPECT_EQ(outcome(v2(1, 0x41, kBlock6)), "refused") << "another family";
  EXPECT_EQ(outcome(v2(1, 0x13, kBlock4)), "refused") << "another transport";
  EXPECT_EQ(outcome(v2(1, 0x11, kBlock4.substr(1))), "refused") << "too short for its family";
  EXPECT_EQ(outcome(v2(1, 0x21, kBlock6.substr(1))), "refused");
}

TEST(ProxyProtocolTest, KeepsItsLimits) {
  const auto line = [](size_t bytes) {
    return "PROXY UNKNOWN " + std::string(bytes - 16, 'x') + "\r\n";
  };
  EXPECT_EQ(outcome(line(107)), "unknown");
  EXPECT_EQ(outcome(line(108)), "refused");
  EXPECT_EQ(outcome("PROXY UNKNOWN " + std::string(92, 'x')), "more");
  EXPECT_EQ(outcome("PROXY UNKNOWN " + std::string(93, 'x')), "refused") << "no end in 107 bytes";
  EXPECT_EQ(outcome(v2(1, 0x11, kBlock4 + std::string(kProxyHeaderBytesMax - 28, 't'))),
            "192.0.2.7:40000");
  EXPECT_EQ(outcome(v2(1, 0x11, kBlock4 + std::string(kProxyHeaderBytesMax - 27, 't'))), "refused");
  // Refused by what it announces, before it is there.
  EXPECT_EQ(outcome(v2(1, 0x11, std::string(65535, 't')).substr(0, 16)), "refused");
}

}  // namespace
}  // namespace weir::net
