#pragma once
// Where Weir listens and where it forwards to, as written in the configuration, taken apart.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "config/config.h"
#include "config/ip.h"

namespace weir::config {

struct ListenAddress {
  enum class Kind : uint8_t {
    tcp,         // `ip` and `port`.
    unix_path,   // `name` is the socket's path.
    descriptor,  // `name` is the name in LISTEN_FDNAMES.
  };
  Kind kind = Kind::tcp;
  IpAddress ip;
  uint16_t port = 0;  // 0: the kernel chooses.
  std::string name;
  bool operator==(const ListenAddress&) const = default;
};

// sun_path holds 108 bytes with its NUL.
inline constexpr size_t kUnixPathBytesMax = 107;

// "127.0.0.1:8787", "[::1]:8787", "unix:/run/weir.sock", "fd:http". Names are not resolved here:
// a listener states its address. Errors: invalid_input; `what` is a noun phrase for the user.
base::Result<ListenAddress> parse_listen_address(std::string_view text);

// "http://host", "http://host:port", either with a "/" at the end, or "http+unix:/path". Fills in
// everything but the weight. Errors: invalid_input; `what` is a noun phrase for the user.
base::Result<Upstream> parse_upstream_url(std::string_view url);

// Lower case, digits, '-', '_' and '.', labels of 1 to 63 bytes, 253 bytes in all; a name that ends
// in a number must be an IPv4 address, so that "127.1" and "0x7f.1" mean nothing to anybody.
bool is_host_name(std::string_view text);

}  // namespace weir::config
