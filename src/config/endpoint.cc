#include "config/endpoint.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "config/internal/text.h"

namespace weir::config {
namespace {

using base::Error;
using base::ErrorCode;
using base::Origin;
using base::Result;
using base::Retry;

constexpr Error bad_endpoint(base::StaticText what) {
  return {ErrorCode::invalid_input, Origin::self, Retry::never, 0, what};
}

std::optional<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  if (text.empty() || text.size() > 5) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

struct HostPort {
  std::string_view host;  // Without brackets.
  std::string_view port;  // Empty when there is no colon.
  bool bracketed;
  bool colon;
};

std::optional<HostPort> split_host_port(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    const std::string_view after = text.substr(close + 1);
    if (!after.empty() && after.front() != ':') return std::nullopt;
    const bool colon = !after.empty();
    return HostPort{text.substr(1, close - 1), colon ? after.substr(1) : after, true, colon};
  }
  const size_t at = text.find(':');
  if (at == std::string_view::npos) return HostPort{text, {}, false, false};
  return HostPort{text.substr(0, at), text.substr(at + 1), false, true};
}

bool is_socket_path(std::string_view path) {
  return path.size() > 1 && path.front() == '/' && path.size() <= kUnixPathBytesMax &&
         std::none_of(path.begin(), path.end(), internal::is_control);
}

}  // namespace

bool is_host_name(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  std::string_view last_label;
  for (size_t at = 0; at <= text.size();) {
    const std::string_view label = text.substr(at, text.find('.', at) - at);
    at += label.size() + 1;
    if (label.empty() || label.size() > 63) return false;
    if (label.front() == '-' || label.back() == '-') return false;
    const bool valid = std::all_of(label.begin(), label.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || internal::is_digit(c) || c == '-' || c == '_';
    });
    if (!valid) return false;
    last_label = label;
  }
  // As browsers decide it: an address begins to look like one at its last label.
  const bool numeric = std::all_of(last_label.begin(), last_label.end(), internal::is_digit) ||
                       last_label.starts_with("0x");
  return !numeric || parse_ip(text).has_value();
}

Result<ListenAddress> parse_listen_address(std::string_view text) {
  ListenAddress out;
  if (text.starts_with("unix:")) {
    out.kind = ListenAddress::Kind::unix_path;
    out.name = text.substr(5);
    if (!is_socket_path(out.name)) return bad_endpoint("not an absolute path of at most 107 bytes");
    return out;
  }
  if (text.starts_with("fd:")) {
    out.kind = ListenAddress::Kind::descriptor;
    out.name = text.substr(3);
    const bool valid = !out.name.empty() && out.name.size() <= 255 &&
                       std::all_of(out.name.begin(), out.name.end(),
                                   [](char c) { return c > 0x20 && c < 0x7f && c != ':'; });
    if (!valid) return bad_endpoint("not a descriptor name");
    return out;
  }
  const auto parts = split_host_port(text);
  if (!parts || !parts->colon) return bad_endpoint("an address without a port");
  const auto port = parse_port(parts->port);
  if (!port) return bad_endpoint("not a port from 0 to 65535");
  const auto ip = parse_ip(parts->host);
  if (!ip || parts->bracketed != (parts->host.find(':') != std::string_view::npos)) {
    return bad_endpoint("not an IP address (names are not looked up here)");
  }
  out.ip = *ip;
  out.port = *port;
  return out;
}

Result<Upstream> parse_upstream_url(std::string_view url) {
  Upstream out;
  out.url = url;
  const std::string lower = internal::to_lower(url.substr(0, url.find(':')));
  if (url.find(':') == std::string_view::npos) return bad_endpoint("no http:// at its beginning");
  if (lower == "https") return bad_endpoint("TLS to upstreams is not built yet");
  if (lower == "http+unix") {
    out.unix_path = url.substr(10);
    out.port = 0;
    if (!is_socket_path(out.unix_path)) {
      return bad_endpoint("not an absolute path of at most 107 bytes");
    }
    return out;
  }
  if (lower != "http" || !url.substr(4).starts_with("://"))
    return bad_endpoint("no http:// at its beginning");
  std::string_view authority = url.substr(7);
  if (authority.ends_with('/')) authority.remove_suffix(1);
  if (authority.find('@') != std::string_view::npos) return bad_endpoint("a user name or password");
  if (authority.find_first_of("/?#") != std::string_view::npos) {
    return bad_endpoint("a path or query (use strip_prefix and rewrite)");
  }
  const auto parts = split_host_port(authority);
  if (!parts) return bad_endpoint("not a valid host");
  if (parts->colon) {
    const auto port = parse_port(parts->port);
    if (!port || *port == 0) return bad_endpoint("not a port from 1 to 65535");
    out.port = *port;
  }
  out.host = internal::to_lower(parts->host);
  const bool has_colon = parts->host.find(':') != std::string_view::npos;
  const bool valid =
      parts->bracketed ? has_colon && parse_ip(parts->host).has_value() : is_host_name(out.host);
  if (!valid) return bad_endpoint("not a valid host");
  return out;
}

}  // namespace weir::config
