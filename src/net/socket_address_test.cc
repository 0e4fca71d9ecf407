#include "net/socket_address.h"

#include <string>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace weir::net {
namespace {

using namespace std::string_literals;

SocketAddress through_the_system(const SocketAddress& address) {
  sockaddr_storage storage{};
  const socklen_t bytes = address.to_system(storage);
  return SocketAddress::from_system(reinterpret_cast<const sockaddr*>(&storage), bytes);
}

TEST(SocketAddressTest, ReadsWhatItWrites) {
  for (const std::string text :
       {"127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:8787", "[::]:1",
        "[2001:db8::7]:443", "unix:/run/weir.sock", "unix:relative"}) {
    const auto address = SocketAddress::parse(text);
    ASSERT_TRUE(address.ok()) << text;
    EXPECT_EQ(to_string(address.value()), text);
    EXPECT_EQ(through_the_system(address.value()), address.value()) << text;
  }
}

TEST(SocketAddressTest, KnowsItsFamily) {
  EXPECT_EQ(SocketAddress::parse("127.0.0.1:80").value().family(), AF_INET);
  EXPECT_EQ(SocketAddress::parse("[::1]:80").value().family(), AF_INET6);
  EXPECT_EQ(SocketAddress::parse("unix:/a").value().family(), AF_UNIX);
  EXPECT_FALSE(SocketAddress::parse("unix:/a").value().is_ip());
  EXPECT_EQ(SocketAddress{}.family(), AF_UNSPEC);
  EXPECT_EQ(to_string(SocketAddress{}), "unknown");
}

// A listener on [::] sees IPv4 clients in their mapped form; they are the same clients.
TEST(SocketAddressTest, MappedAddressIsItsIpv4Address) {
  const SocketAddress mapped = SocketAddress::parse("[::ffff:192.0.2.7]:80").value();
  EXPECT_EQ(mapped, SocketAddress::parse("192.0.2.7:80").value());
  EXPECT_EQ(mapped.family(), AF_INET);
  EXPECT_EQ(to_string(mapped), "192.0.2.7:80");
}

TEST(SocketAddressTest, RefusesWhatIsNoAddress) {
  for (const std::string& text : {""s,
                                  ":"s,
                                  ":80"s,
                                  "127.0.0.1"s,
                                  "127.0.0.1:"s,
                                  "127.0.0.1:x"s,
                                  "127.0.0.1:80 "s,
                                  "127.0.0.1:65536"s,
                                  "127.0.0.1:-1"s,
                                  "127.0.0.1:+1"s,
                                  " 127.0.0.1:80"s,
                                  "127.0.0.01:80"s,
                                  "127.0.0:80"s,
                                  "localhost:80"s,
                                  "::1:80"s,
                                  "[::1]"s,
                                  "[::1]80"s,
                                  "[::1:80"s,
                                  "::1]:80"s,
                                  "[]:80"s,
                                  "[::1%lo]:80"s,
                                  "[127.0.0.1]:80"s,
                                  "127.0.0.1\0:80"s,
                                  "127.0.0.1\0.9:80"s,
                                  "[::1\0]:80"s,
                                  "unix:"s,
                                  "unix:/a\0b"s}) {
    EXPECT_FALSE(SocketAddress::parse(text).ok()) << text;
  }
}

TEST(SocketAddressTest, UnixPathIsAtMostWhatTheSystemTakes) {
  const std::string longest(SocketAddress::kUnixPathBytesMax, 'p');
  const auto address = SocketAddress::parse("unix:" + longest);
  ASSERT_TRUE(address.ok());
  EXPECT_EQ(through_the_system(address.value()).path(), longest);
  EXPECT_FALSE(SocketAddress::parse("unix:" + longest + "p").ok());
}

// What accept() says about the client of a Unix socket, which has no name.
TEST(SocketAddressTest, UnnamedUnixSocketHasAnEmptyPath) {
  sockaddr_un unnamed{};
  unnamed.sun_family = AF_UNIX;
  const SocketAddress address = SocketAddress::from_system(
      reinterpret_cast<const sockaddr*>(&unnamed), offsetof(sockaddr_un, sun_path));
  EXPECT_EQ(address.family(), AF_UNIX);
  EXPECT_EQ(address.path(), "");
}

}  // namespace
}  // namespace weir::net
