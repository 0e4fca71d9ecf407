#pragma once
// Parses the head of an HTTP/1.1 request, strictly.
// Source: RFC 9112 sections 2 to 6 and 9; RFC 9110 sections 5, 7.2, 7.8 and 10.1.1; RFC 3986.
//
// A proxy is safe only if it and its upstream see the same messages in the same bytes. So whatever
// has two readings is refused, also where the RFC would let a recipient repair it: bare LF, folded
// lines, space before a colon, a Content-Length that is repeated (even with the same value), that
// is written "+5" or "5, 5", or that stands beside a Transfer-Encoding, any Transfer-Encoding but
// the single word "chunked", and tabs around either.
//
// The path is not normalised here: see uri.h.

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "http/field.h"
#include "http/head_scanner.h"
#include "http/malformed.h"

namespace weir::http {

enum class Method : uint8_t {
  other,  // Any other token, in `RequestHead::method`.
  get,
  head,
  post,
  put,
  delete_,  // NOLINT(readability-identifier-naming): `delete` is a keyword.
  connect,
  options,
  trace,
  patch,
};

// Methods are case-sensitive.
Method method_of(std::string_view method);
std::string_view text(Method method);  // Empty for `other`.
bool is_safe(Method method);           // GET, HEAD, OPTIONS, TRACE.
bool is_idempotent(Method method);     // The safe ones, PUT and DELETE.

enum class BodyKind : uint8_t {
  none,         // No body: `content_length` is 0.
  length,       // Exactly `content_length` bytes, 1 or more.
  chunked,      // The chunked transfer coding.
  until_close,  // All that comes until the connection ends. Responses only.
};

// A parsed request head. Reuse one object for many requests: its memory is kept.
// Ownership: the views point into the bytes given to parse_request_head().
struct RequestHead {
  std::string_view method;
  std::string_view target;  // As sent.

  // Authority of an absolute-form target, else the Host field, as sent: "name" or "name:port".
  // Empty only where an HTTP/1.0 request has none. Source: RFC 9112 section 3.2.2: with an absolute
  // target the Host field is ignored (but must still be there once, and well-formed), and what is
  // sent on must carry this value.
  std::string_view host;
  std::string_view host_name;  // `host` without the port. IPv6 literals keep their brackets.

  // The target's path, as sent: begins with '/', or is empty for the asterisk and authority forms.
  std::string_view path_raw;
  std::string_view query;    // Without the '?'.
  std::string_view upgrade;  // Value of the Upgrade field, if `upgrade_requested`.

  std::vector<Field> fields;  // In order of arrival; all of them, framing fields too.
  std::bitset<kFieldNameCount> present;

  uint64_t content_length = 0;
  int minor_version = 1;  // 0 or 1.
  uint16_t port = 0;      // Of `host`; 0 when there is none.
  Method method_id = Method::other;
  BodyKind body = BodyKind::none;

  bool has_query = false;           // "/a?" has an empty query, "/a" has none.
  bool asterisk_form = false;       // OPTIONS *
  bool absolute_form = false;       // http://host/path, or https://
  bool has_content_length = false;  // Also "Content-Length: 0", where `body` is none.
  bool keep_alive = false;          // May the connection carry another request after this one?
  bool expect_continue = false;     // HTTP/1.1: the client waits for 100 before it sends the body.
  // HTTP/1.1, "Connection: upgrade" and exactly one Upgrade field.
  bool upgrade_requested = false;
  // Connection names something beside close, keep-alive and upgrade: ask connection_names().
  bool connection_names_fields = false;

  const Field* find(FieldName id) const;       // The first one, or nullptr.
  std::string_view value(FieldName id) const;  // Its value, or empty.
  bool has(FieldName id) const { return present.test(static_cast<size_t>(id)); }
};

// Parses a complete head into `out`, which is unspecified after an error.
// `head` is what HeadScanner found: it ends with its only empty line; one empty line may stand
// before the request line. Allocates only while `out.fields` grows to the largest head seen.
//
// Errors: any Malformed up to transfer_encoding_in_http_1_0 but status_line. CONNECT and TRACE are
// parsed like any other method; refusing them is the caller's.
Result<void> parse_request_head(std::string_view head, const RequestLimits& limits,
                                RequestHead& out);

// A Host field's value, or the authority of a target: host [":" port].
// The host is a name of letters, digits, '-', '_', '~' and single dots (one may end it), an IPv4
// address, or an IPv6 address in brackets; percent-encoding, userinfo and sub-delimiters are
// refused. The port is 0 to 65535, or empty.
// Limits: kHostBytesMax bytes in all.
inline constexpr size_t kHostBytesMax = 261;  // A name of 255 bytes, ':' and 5 digits.
struct Authority {
  std::string_view name;
  uint16_t port = 0;  // 0 when there is none.
};
Result<Authority> parse_authority(std::string_view text);

}  // namespace weir::http
