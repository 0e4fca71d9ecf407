// Host names, addresses and ports. Source: RFC 3986 section 3.2, RFC 4291 section 2.2.

#include "http/internal/bytes.h"
#include "http/request_head.h"

namespace weir::http {
namespace {

using internal::hex_value;
using internal::is;

constexpr size_t kPortDigitsMax = 5;
constexpr size_t kNameBytesMax = 255;
static_assert(kHostBytesMax == kNameBytesMax + 1 + kPortDigitsMax);

// Four numbers from 0 to 255, without leading zeros.
bool is_ipv4(std::string_view text) {
  int parts = 0;
  size_t at = 0;
  for (;;) {
    int number = 0;
    const size_t begin = at;
    for (; at < text.size() && is(text[at], internal::kDigit) && at - begin < 3; ++at) {
      number = number * 10 + (text[at] - '0');
    }
    const size_t digits = at - begin;
    if (digits == 0 || number > 255 || (digits > 1 && text[begin] == '0')) return false;
    ++parts;
    if (at == text.size()) return parts == 4;
    if (text[at] != '.' || parts == 4) return false;
    ++at;
  }
}

// Without brackets and without a zone.
bool is_ipv6(std::string_view text) {
  constexpr size_t kGroups = 8;
  size_t groups = 0;
  size_t at = 0;
  bool shortened = false;  // "::" was seen.
  if (text.starts_with("::")) {
    shortened = true;
    at = 2;
  }
  while (at < text.size()) {
    const size_t begin = at;
    while (at < text.size() && at - begin < 4 && hex_value(text[at]) >= 0)
      ++at;
    if (at < text.size() && text[at] == '.') {
      if (!is_ipv4(text.substr(begin))) return false;
      groups += 2;
      break;
    }
    if (at == begin) return false;
    ++groups;
    if (at == text.size()) break;
    if (text[at] != ':' || at + 1 == text.size()) return false;
    ++at;
    if (text[at] == ':') {
      if (shortened) return false;
      shortened = true;
      ++at;
    }
  }
  return shortened ? groups < kGroups : groups == kGroups;
}

// Labels of host characters between single dots; the last one may be empty.
bool is_name(std::string_view text) {
  if (text.empty() || text.size() > kNameBytesMax) return false;
  char previous = '.';
  for (const char byte : text) {
    if (!is(byte, internal::kHost) || (byte == '.' && previous == '.')) return false;
    previous = byte;
  }
  return true;
}

// What follows the host: nothing, or ':' and a port. -1 if it is neither.
int parse_port(std::string_view text) {
  if (text.empty()) return 0;
  if (text.front() != ':' || text.size() > 1 + kPortDigitsMax) return -1;
  int port = 0;
  for (const char byte : text.substr(1)) {
    if (!is(byte, internal::kDigit)) return -1;
    port = port * 10 + (byte - '0');
  }
  return port <= 65535 ? port : -1;
}

}  // namespace

Result<Authority> parse_authority(std::string_view text) {
  size_t name_bytes = text.find(':');
  if (text.starts_with('[')) {
    const size_t bracket = text.find(']');
    if (bracket == std::string_view::npos || !is_ipv6(text.substr(1, bracket - 1))) {
      return Malformed::host_malformed;
    }
    name_bytes = bracket + 1;
  } else if (!is_name(text.substr(0, name_bytes))) {
    return Malformed::host_malformed;
  }
  const std::string_view name = text.substr(0, name_bytes);
  const int port = parse_port(text.substr(name.size()));
  if (port < 0) return Malformed::host_malformed;
  return Authority{name, static_cast<uint16_t>(port)};
}

}  // namespace weir::http
