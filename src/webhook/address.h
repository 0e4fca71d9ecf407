#pragma once
// Which addresses are of the public internet. A URL that somebody chose must not make the node a
// way into the network that it stands in: not by an address, not by a name that leads to one, not
// by another spelling of one.

#include <string_view>

#include "config/ip.h"

namespace weir::webhook {

// What the address is, when it is not one of the public internet: "a loopback address", "a private
// address". Empty: it is one.
//
// Not public is what the registries of special-purpose addresses say (loopback, unspecified,
// private, shared (100.64.0.0/10), link-local, unique local, site-local, multicast, documentation,
// benchmarking, protocol assignments, reserved), and of IPv6 everything outside 2000::/3. Addresses
// that stand for an IPv4 address (mapped, NAT64, 6to4, compatible) are what that is; Teredo and
// local NAT64, whose IPv4 address nobody can know here, are not public.
// Source: IANA's IPv4 and IPv6 Special-Purpose Address Registries, as of 2025-10.
std::string_view not_public(const config::IpAddress& ip);

}  // namespace weir::webhook
