#include "config/endpoint.h"

#include <gtest/gtest.h>

namespace weir::config {
namespace {

std::string upstream_refusal(std::string_view url) {
  const auto parsed = parse_upstream_url(url);
  return parsed.ok() ? "accepted" : std::string{parsed.error().what.view()};
}

std::string listen_refusal(std::string_view text) {
  const auto parsed = parse_listen_address(text);
  return parsed.ok() ? "accepted" : std::string{parsed.error().what.view()};
}

TEST(UpstreamUrlTest, TakesHostAndPortApart) {
  const Upstream named = parse_upstream_url("http://Example.com").value();
  EXPECT_EQ(named.host, "example.com");
  EXPECT_EQ(named.port, 80);
  EXPECT_EQ(named.url, "http://Example.com");
  const Upstream with_port = parse_upstream_url("HTTP://127.0.0.1:9000/").value();
  EXPECT_EQ(with_port.host, "127.0.0.1");
  EXPECT_EQ(with_port.port, 9000);
  const Upstream v6 = parse_upstream_url("http://[2001:db8::1]:8080").value();
  EXPECT_EQ(v6.host, "2001:db8::1");
  EXPECT_EQ(v6.port, 8080);
  const Upstream path = parse_upstream_url("http+unix:/run/app.sock").value();
  EXPECT_EQ(path.unix_path, "/run/app.sock");
  EXPECT_EQ(path.host, "");
}

TEST(UpstreamUrlTest, RefusesHttpsByName) {
  EXPECT_EQ(upstream_refusal("https://example.com"), "TLS to upstreams is not built yet");
  EXPECT_EQ(upstream_refusal("HTTPS://example.com"), "TLS to upstreams is not built yet");
}

TEST(UpstreamUrlTest, RefusesEverythingElse) {
  constexpr const char* kNoHttp = "no http:// at its beginning";
  for (const char* url : {"", "example.com", "ftp://a", "http:a", "http:/a", "localhost:9000"}) {
    EXPECT_EQ(upstream_refusal(url), kNoHttp) << url;
  }
  for (const char* url :
       {"http://", "http:///", "http://a..b", "http://-a", "http://a_b c", "http://127.1",
        "http://0x7f.1", "http://256.1.1.1", "http://[::1", "http://[127.0.0.1]", "http://[::1]x",
        "http://a.", "http://caf\xc3\xa9", "http://*.a"}) {
    EXPECT_EQ(upstream_refusal(url), "not a valid host") << url;
  }
  for (const char* url : {"http://a:", "http://a:0", "http://a:65536", "http://a:+1", "http://a:x",
                          "http://a:1:2", "http://a:000080"}) {
    EXPECT_EQ(upstream_refusal(url), "not a port from 1 to 65535") << url;
  }
  EXPECT_EQ(upstream_refusal("http://a:65535"), "accepted");
  EXPECT_EQ(upstream_refusal("http://user:pw@a"), "a user name or password");
  EXPECT_EQ(upstream_refusal("http://a/b"), "a path or query (use strip_prefix and rewrite)");
  EXPECT_EQ(upstream_refusal("http://a?b"), "a path or query (use strip_prefix and rewrite)");
  EXPECT_EQ(upstream_refusal("http://a//"), "a path or query (use strip_prefix and rewrite)");
}

TEST(UpstreamUrlTest, LimitsTheSocketPathToWhatTheKernelHolds) {
  constexpr const char* kRefusal = "not an absolute path of at most 107 bytes";
  EXPECT_EQ(upstream_refusal("http+unix:/" + std::string(106, 'a')), "accepted");
  EXPECT_EQ(upstream_refusal("http+unix:/" + std::string(107, 'a')), kRefusal);
  EXPECT_EQ(upstream_refusal("http+unix:run/a"), kRefusal);
  EXPECT_EQ(upstream_refusal("http+unix:/"), kRefusal);
  EXPECT_EQ(upstream_refusal("http+unix:"), kRefusal);
}

TEST(ListenAddressTest, TakesEveryFormApart) {
  const ListenAddress v4 = parse_listen_address("127.0.0.1:8787").value();
  EXPECT_EQ(v4.kind, ListenAddress::Kind::tcp);
  EXPECT_EQ(v4.ip, parse_ip("127.0.0.1"));
  EXPECT_EQ(v4.port, 8787);
  EXPECT_EQ(parse_listen_address("[::]:0").value().ip, parse_ip("::"));
  const ListenAddress socket = parse_listen_address("unix:/run/weir.sock").value();
  EXPECT_EQ(socket.kind, ListenAddress::Kind::unix_path);
  EXPECT_EQ(socket.name, "/run/weir.sock");
  const ListenAddress inherited = parse_listen_address("fd:http").value();
  EXPECT_EQ(inherited.kind, ListenAddress::Kind::descriptor);
  EXPECT_EQ(inherited.name, "http");
}

TEST(ListenAddressTest, RefusesEverythingElse) {
  EXPECT_EQ(listen_refusal("127.0.0.1"), "an address without a port");
  EXPECT_EQ(listen_refusal(""), "an address without a port");
  EXPECT_EQ(listen_refusal("127.0.0.1:65536"), "not a port from 0 to 65535");
  EXPECT_EQ(listen_refusal("127.0.0.1:"), "not a port from 0 to 65535");
  EXPECT_EQ(listen_refusal("localhost:80"), "not an IP address (names are not looked up here)");
  EXPECT_EQ(listen_refusal("[127.0.0.1]:80"), "not an IP address (names are not looked up here)");
  EXPECT_EQ(listen_refusal("::1:80"), "not a port from 0 to 65535");
  EXPECT_EQ(listen_refusal("unix:relative"), "not an absolute path of at most 107 bytes");
  EXPECT_EQ(listen_refusal("fd:"), "not a descriptor name");
}

TEST(HostNameTest, LimitsLabelsAndNames) {
  const std::string label(63, 'a');
  EXPECT_TRUE(is_host_name(label));
  EXPECT_FALSE(is_host_name(label + "a"));
  const std::string three = label + "." + label + "." + label + ".";
  EXPECT_TRUE(is_host_name(three + std::string(61, 'b')));
  EXPECT_FALSE(is_host_name(three + std::string(62, 'b')));
  EXPECT_TRUE(is_host_name("xn--bcher-kva.example"));
  EXPECT_TRUE(is_host_name("_service.example"));
  EXPECT_FALSE(is_host_name("Example.com"));
  EXPECT_FALSE(is_host_name("a.123"));
  EXPECT_TRUE(is_host_name("1.2.3.4"));
}

}  // namespace
}  // namespace weir::config
