#pragma once
// Field lines ("header fields") and what the rest of the program asks about them: which well-known
// name is this, what are the members of this list, which field has this name.
//
// Names are classified once, by the parser, so that later stages compare a byte and not a string.
// Source: RFC 9110 sections 5 and 7.6.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/thread_annotations.h"

namespace weir::http {

enum class FieldName : uint8_t {
  other,  // Any name that is not in the list.
  host,
  connection,
  keep_alive,
  proxy_connection,
  transfer_encoding,
  te,
  trailer,
  upgrade,
  http2_settings,
  content_length,
  content_type,
  content_encoding,
  content_range,
  expect,
  max_forwards,
  via,
  date,
  server,
  forwarded,
  x_forwarded_for,
  x_forwarded_proto,
  x_forwarded_host,
  x_forwarded_port,
  x_real_ip,
  x_client_ip,
  x_cluster_client_ip,
  true_client_ip,
  cf_connecting_ip,
  cf_connecting_ipv6,
  x_request_id,
  traceparent,
  tracestate,
  proxy_authenticate,
  proxy_authorization,
  proxy_authentication_info,
  www_authenticate,
  authorization,
  cookie,
  set_cookie,
  user_agent,
  referer,
  accept,
  accept_encoding,
  accept_language,
  origin,
  access_control_request_method,
  access_control_request_headers,
  access_control_allow_origin,
  access_control_allow_methods,
  access_control_allow_headers,
  access_control_allow_credentials,
  access_control_expose_headers,
  access_control_max_age,
  location,
  cache_control,
  pragma,
  age,
  expires,
  vary,
  etag,
  last_modified,
  if_match,
  if_none_match,
  if_modified_since,
  if_unmodified_since,
  if_range,
  range,
  accept_ranges,
  retry_after,
  allow,
  warning,
  cdn_cache_control,
  sec_websocket_key,
  cf_ipcountry,
  cf_ray,
};

struct NamedField {
  FieldName id;
  std::string_view text;
};

// The usual spellings; the index is the enumerator.
inline constexpr auto kFieldNames = std::to_array<NamedField>({
    {FieldName::other, ""},
    {FieldName::host, "Host"},
    {FieldName::connection, "Connection"},
    {FieldName::keep_alive, "Keep-Alive"},
    {FieldName::proxy_connection, "Proxy-Connection"},
    {FieldName::transfer_encoding, "Transfer-Encoding"},
    {FieldName::te, "TE"},
    {FieldName::trailer, "Trailer"},
    {FieldName::upgrade, "Upgrade"},
    {FieldName::http2_settings, "HTTP2-Settings"},
    {FieldName::content_length, "Content-Length"},
    {FieldName::content_type, "Content-Type"},
    {FieldName::content_encoding, "Content-Encoding"},
    {FieldName::content_range, "Content-Range"},
    {FieldName::expect, "Expect"},
    {FieldName::max_forwards, "Max-Forwards"},
    {FieldName::via, "Via"},
    {FieldName::date, "Date"},
    {FieldName::server, "Server"},
    {FieldName::forwarded, "Forwarded"},
    {FieldName::x_forwarded_for, "X-Forwarded-For"},
    {FieldName::x_forwarded_proto, "X-Forwarded-Proto"},
    {FieldName::x_forwarded_host, "X-Forwarded-Host"},
    {FieldName::x_forwarded_port, "X-Forwarded-Port"},
    {FieldName::x_real_ip, "X-Real-IP"},
    {FieldName::x_client_ip, "X-Client-IP"},
    {FieldName::x_cluster_client_ip, "X-Cluster-Client-IP"},
    {FieldName::true_client_ip, "True-Client-IP"},
    {FieldName::cf_connecting_ip, "CF-Connecting-IP"},
    {FieldName::cf_connecting_ipv6, "CF-Connecting-IPv6"},
    {FieldName::x_request_id, "X-Request-ID"},
    {FieldName::traceparent, "Traceparent"},
    {FieldName::tracestate, "Tracestate"},
    {FieldName::proxy_authenticate, "Proxy-Authenticate"},
    {FieldName::proxy_authorization, "Proxy-Authorization"},
    {FieldName::proxy_authentication_info, "Proxy-Authentication-Info"},
    {FieldName::www_authenticate, "WWW-Authenticate"},
    {FieldName::authorization, "Authorization"},
    {FieldName::cookie, "Cookie"},
    {FieldName::set_cookie, "Set-Cookie"},
    {FieldName::user_agent, "User-Agent"},
    {FieldName::referer, "Referer"},
    {FieldName::accept, "Accept"},
    {FieldName::accept_encoding, "Accept-Encoding"},
    {FieldName::accept_language, "Accept-Language"},
    {FieldName::origin, "Origin"},
    {FieldName::access_control_request_method, "Access-Control-Request-Method"},
    {FieldName::access_control_request_headers, "Access-Control-Request-Headers"},
    {FieldName::access_control_allow_origin, "Access-Control-Allow-Origin"},
    {FieldName::access_control_allow_methods, "Access-Control-Allow-Methods"},
    {FieldName::access_control_allow_headers, "Access-Control-Allow-Headers"},
    {FieldName::access_control_allow_credentials, "Access-Control-Allow-Credentials"},
    {FieldName::access_control_expose_headers, "Access-Control-Expose-Headers"},
    {FieldName::access_control_max_age, "Access-Control-Max-Age"},
    {FieldName::location, "Location"},
    {FieldName::cache_control, "Cache-Control"},
    {FieldName::pragma, "Pragma"},
    {FieldName::age, "Age"},
    {FieldName::expires, "Expires"},
    {FieldName::vary, "Vary"},
    {FieldName::etag, "ETag"},
    {FieldName::last_modified, "Last-Modified"},
    {FieldName::if_match, "If-Match"},
    {FieldName::if_none_match, "If-None-Match"},
    {FieldName::if_modified_since, "If-Modified-Since"},
    {FieldName::if_unmodified_since, "If-Unmodified-Since"},
    {FieldName::if_range, "If-Range"},
    {FieldName::range, "Range"},
    {FieldName::accept_ranges, "Accept-Ranges"},
    {FieldName::retry_after, "Retry-After"},
    {FieldName::allow, "Allow"},
    {FieldName::warning, "Warning"},
    {FieldName::cdn_cache_control, "CDN-Cache-Control"},
    {FieldName::sec_websocket_key, "Sec-WebSocket-Key"},
    {FieldName::cf_ipcountry, "CF-IPCountry"},
    {FieldName::cf_ray, "CF-Ray"},
});
inline constexpr size_t kFieldNameCount = kFieldNames.size();

// One field line. The views point into the bytes that were parsed.
struct Field {
  std::string_view name;   // A token, in the sender's spelling.
  std::string_view value;  // Without surrounding whitespace; may be empty, may hold 0x80 to 0xFF.
  FieldName id = FieldName::other;
};

using Fields = std::span<const Field>;

// Classifies a name, ignoring case.
FieldName field_name(std::string_view name);

// The usual spelling; empty for `other`.
constexpr std::string_view text(FieldName id) {
  return kFieldNames[static_cast<size_t>(id)].text;
}

// ASCII only: bytes of 0x80 and above match themselves.
bool equals_ignore_case(std::string_view a, std::string_view b);

constexpr char lower_case(char byte) {
  return byte >= 'A' && byte <= 'Z' ? static_cast<char>(byte + ('a' - 'A')) : byte;
}

// True for 1 or more characters of RFC 9110's token.
bool is_token(std::string_view text);

// True if a field of this value can be sent: no control character but the tab.
bool is_field_value(std::string_view text);

// `text` without spaces and tabs at both ends.
std::string_view trim(std::string_view text WEIR_LIFETIMEBOUND);

// The members of a comma-separated list, one after the other, trimmed. Empty members are skipped.
// A comma inside a quoted string does not separate.
//   for (ListMembers list{value}; list.next();) use(list.member());
// Threading: one thread at a time.
class ListMembers {
 public:
  explicit ListMembers(std::string_view list WEIR_LIFETIMEBOUND) : rest_(list) {}

  bool next();
  std::string_view member() const { return member_; }  // Requires that next() returned true.

 private:
  std::string_view rest_;
  std::string_view member_;
};

// True if `list` has the member `token`, ignoring case.
bool list_has(std::string_view list, std::string_view token);

// The first field of that name, or nullptr.
const Field* find(Fields fields, FieldName id);
const Field* find(Fields fields, std::string_view name);  // Ignoring case.
// Its value, or an empty view.
std::string_view value_of(Fields fields, FieldName id);

// True if a field is meant for the next hop only, whatever Connection says: Connection, Keep-Alive,
// Proxy-Connection, Transfer-Encoding, TE, Trailer, Upgrade, HTTP2-Settings, Proxy-Authenticate,
// Proxy-Authorization and Proxy-Authentication-Info. Source: RFC 9110 section 7.6.1.
bool is_hop_by_hop(FieldName id);

// True if some Connection field names `name`, which is then hop-by-hop too. Fields without which a
// message would change its meaning cannot be taken out this way: Host, Content-Length and
// Content-Type are never named, so that a client cannot make a proxy drop them.
bool connection_names(Fields fields, std::string_view name);

}  // namespace weir::http
