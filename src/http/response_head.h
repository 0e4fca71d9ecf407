#pragma once
// Parses the head of an HTTP/1.1 response of an upstream, as strictly as requests are parsed.
// Source: RFC 9112 sections 4 and 6.3; RFC 9110 section 15.

#include <bitset>
#include <cstdint>
#include <string_view>
#include <vector>

#include "http/field.h"
#include "http/head_scanner.h"
#include "http/malformed.h"
#include "http/request_head.h"

namespace weir::http {

// A parsed response head. Reuse one object for many responses: its memory is kept.
// Ownership: the views point into the bytes given to parse_response_head().
struct ResponseHead {
  int status = 0;  // 100 to 599.
  std::string_view reason;
  int minor_version = 1;  // 0 or 1.
  std::vector<Field> fields;

  // Framing of the body that follows: none for HEAD, 1xx, 204 and 304 whatever the fields say.
  BodyKind body = BodyKind::none;
  bool has_content_length = false;  // Also where no body follows.
  uint64_t content_length = 0;      // What the field says, 0 without it.
  // May the connection carry another exchange after this one? False for until_close, and for a 204
  // that announces a body, or a 304 that announces chunks, since such a server may well send them.
  bool keep_alive = false;
  std::string_view upgrade;              // Value of the Upgrade field of a 101, else empty.
  bool connection_names_fields = false;  // As in RequestHead.

  bool informational() const { return status < 200; }  // Another head follows, except after 101.
  const Field* find(FieldName id) const;
  std::string_view value(FieldName id) const;
  bool has(FieldName id) const { return present.test(static_cast<size_t>(id)); }
  std::bitset<kFieldNameCount> present;
};

// Parses a complete head into `out`, which is unspecified after an error.
//
// Errors: status_line, version, those of field lines, and those of framing: two Content-Lengths
// (even equal ones), Content-Length with Transfer-Encoding, any coding but "chunked", any
// Transfer-Encoding from HTTP/1.0, and a body announced by a 1xx (content_length_malformed,
// transfer_encoding_malformed). All of them mean 502.
Result<void> parse_response_head(std::string_view head, bool request_was_head,
                                 const ResponseLimits& limits, ResponseHead& out);

}  // namespace weir::http
