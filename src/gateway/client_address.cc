#include "gateway/client_address.h"

#include <algorithm>
#include <optional>

namespace weir::gateway {
namespace {

using config::ClientAddress;
using config::IpAddress;

IpAddress address_of(const net::SocketAddress& address) {
  return {address.ip().bytes};
}

// Nothing, or ":80". Source: RFC 7239, section 6 (also ":_obfuscated").
bool is_port_or_empty(std::string_view text) {
  if (text.empty()) return true;
  return text.size() > 1 && text.front() == ':' &&
         std::all_of(text.begin() + 1, text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '.' || c == '_' || c == '-';
         });
}

// "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]", "[2001:db8::1]:80", "2001:db8::1".
std::optional<IpAddress> parse_hop(std::string_view text) {
  text = http::trim(text);
  size_t end = text.size();
  if (text.starts_with('[')) {
    text.remove_prefix(1);
    end = text.find(']');
    if (end == std::string_view::npos || !is_port_or_empty(text.substr(end + 1))) {
      return std::nullopt;
    }
  } else if (std::count(text.begin(), text.end(), ':') == 1) {
    end = text.find(':');
    if (!is_port_or_empty(text.substr(end))) return std::nullopt;
  }
  return config::parse_ip(text.substr(0, end));
}

// Value of the "for" parameter of one element of Forwarded, without quotes. Source: RFC 7239.
std::string_view for_parameter(std::string_view element) {
  while (!element.empty()) {
    const size_t semicolon = element.find(';');
    const std::string_view pair = http::trim(element.substr(0, semicolon));
    if (pair.size() > 4 && http::equals_ignore_case(pair.substr(0, 4), "for=")) {
      std::string_view value = pair.substr(4);
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
        value = value.substr(1, value.size() - 2);
      }
      return value;
    }
    if (semicolon == std::string_view::npos) break;
    element.remove_prefix(semicolon + 1);
  }
  return {};
}

// The address in the last field of that name: a proxy that adds one, instead of replacing what the
// client sent, adds it behind the client's.
std::optional<IpAddress> last_of(http::Fields fields, http::FieldName name) {
  for (size_t i = fields.size(); i-- > 0;) {
    if (fields[i].id == name) return parse_hop(fields[i].value);
  }
  return std::nullopt;
}

}  // namespace

ClientAddressRule::ClientAddressRule(const config::Listener& listener)
    : source_(listener.client_address),
      trusted_(config::CidrSet::parse(listener.trusted_proxies)),
      // A Unix socket is as private as its file: whoever may open it is a proxy of this machine.
      // What a passed descriptor is, its peers tell.
      trusts_unix_(listener.address.starts_with("unix:") || listener.address.starts_with("fd:")) {}

bool ClientAddressRule::trusts(const net::SocketAddress& peer) const {
  return peer.is_ip() ? trusted_.contains(address_of(peer)) : trusts_unix_;
}

bool ClientAddressRule::believes_fields_of(const net::SocketAddress& peer) const {
  return source_ != ClientAddress::proxy_protocol && trusts(peer);
}

bool ClientAddressRule::reads_header_of(const net::SocketAddress& peer) const {
  return source_ != ClientAddress::socket && believes_fields_of(peer);
}

config::IpAddress ClientAddressRule::sender_of(const net::ClientConnection& connection) const {
  const bool is_announced = source_ == ClientAddress::proxy_protocol && trusts(connection.peer) &&
                            connection.announced.is_ip();
  return address_of(is_announced ? connection.announced : connection.peer);
}

config::IpAddress ClientAddressRule::client_of(const net::ClientConnection& connection,
                                               const http::RequestHead& head) const {
  const IpAddress peer = sender_of(connection);
  if (!reads_header_of(connection.peer)) return peer;
  switch (source_) {
    case ClientAddress::x_forwarded_for: {
      // Several fields are one list: walk them from the last to the first.
      IpAddress client = peer;
      for (size_t i = head.fields.size(); i-- > 0;) {
        if (head.fields[i].id != http::FieldName::x_forwarded_for) continue;
        if (!walk_list(head.fields[i].value, client)) break;
      }
      return client;
    }
    case ClientAddress::forwarded:
      return from_forwarded(head.fields, peer);
    case ClientAddress::cf_connecting_ip:
      return last_of(head.fields, http::FieldName::cf_connecting_ip).value_or(peer);
    case ClientAddress::x_real_ip:
      return last_of(head.fields, http::FieldName::x_real_ip).value_or(peer);
    case ClientAddress::socket:
    case ClientAddress::proxy_protocol:
      break;
  }
  return peer;
}

// Walks one list from its right end; true while every hop of it is trusted, so that what stands
// left of the list decides. What stands left of garbage is not to be believed either.
bool ClientAddressRule::walk_list(std::string_view list, IpAddress& client) const {
  if (http::trim(list).empty()) return true;
  while (true) {
    const size_t comma = list.rfind(',');
    const std::string_view hop = comma == std::string_view::npos ? list : list.substr(comma + 1);
    const std::optional<IpAddress> address = parse_hop(hop);
    if (!address) return false;
    client = *address;
    if (!trusted_.contains(client)) return false;
    if (comma == std::string_view::npos) return true;
    list = list.substr(0, comma);
  }
}

// Commas inside quotes separate too: a quote that a client opened must not hide the hop that a
// trusted proxy added behind it.
IpAddress ClientAddressRule::from_forwarded(http::Fields fields, const IpAddress& peer) const {
  IpAddress client = peer;
  for (size_t i = fields.size(); i-- > 0;) {
    if (fields[i].id != http::FieldName::forwarded) continue;
    std::string_view list = fields[i].value;
    for (bool more = !http::trim(list).empty(); more;) {
      const size_t comma = list.rfind(',');
      more = comma != std::string_view::npos;
      const std::string_view element = more ? list.substr(comma + 1) : list;
      const std::optional<IpAddress> address = parse_hop(for_parameter(element));
      if (!address) return client;
      client = *address;
      if (!trusted_.contains(client)) return client;
      if (more) list = list.substr(0, comma);
    }
  }
  return client;
}

config::IpText recorded_address(const config::IpAddress& ip, config::ClientIpPrivacy privacy) {
  if (privacy == config::ClientIpPrivacy::none) return {};
  config::IpAddress kept = ip;
  if (privacy == config::ClientIpPrivacy::truncated) {
    constexpr size_t kV4Bytes = 15;  // Of the mapped form: all but the last byte.
    constexpr size_t kV6Bytes = 6;
    std::fill(kept.bytes.begin() + (ip.is_v4() ? kV4Bytes : kV6Bytes), kept.bytes.end(), 0);
  }
  return config::IpText{kept};
}

}  // namespace weir::gateway
