#include "gateway/client_address.h"

#include <gtest/gtest.h>

namespace weir::gateway {
namespace {

using config::ClientAddress;

ClientAddressRule rule(const std::string& address, ClientAddress source) {
  return ClientAddressRule{
      {.address = address, .client_address = source, .trusted_proxies = {"192.0.2.1"}}};
}

const net::SocketAddress kProxy = net::SocketAddress::parse("192.0.2.1:1234").value();
const net::SocketAddress kStranger = net::SocketAddress::parse("192.0.2.2:1234").value();
const net::SocketAddress kUnix = net::SocketAddress::unix_socket("/run/peer");

// End-to-end tests ask for what the fields then say (tests/e2e/rewriting_test.py).
TEST(ClientAddressRuleTest, ProxiesOnUnixSocketsAreBelievedWhoeverOpenedTheSocket) {
  for (const char* const address : {"unix:/run/weir.sock", "fd:web"}) {
    const ClientAddressRule own = rule(address, ClientAddress::x_forwarded_for);
    EXPECT_TRUE(own.reads_header_of(kUnix)) << address;
    EXPECT_TRUE(own.reads_header_of(kProxy)) << address;
    EXPECT_FALSE(own.reads_header_of(kStranger)) << address;
  }
  EXPECT_FALSE(rule("192.0.2.9:80", ClientAddress::x_forwarded_for).reads_header_of(kUnix));
}

TEST(ClientAddressRuleTest, BehindTheProxyProtocolFieldsAreTheClientsOwn) {
  const ClientAddressRule announced = rule("192.0.2.9:80", ClientAddress::proxy_protocol);
  EXPECT_TRUE(announced.trusts(kProxy)) << "it may announce the client";
  EXPECT_FALSE(announced.believes_fields_of(kProxy));
  EXPECT_FALSE(announced.reads_header_of(kProxy));
  const ClientAddressRule socket = rule("192.0.2.9:80", ClientAddress::socket);
  EXPECT_TRUE(socket.believes_fields_of(kProxy));
  EXPECT_FALSE(socket.reads_header_of(kProxy));
  EXPECT_FALSE(socket.believes_fields_of(kStranger));
}

}  // namespace
}  // namespace weir::gateway
