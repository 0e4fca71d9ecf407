#include "http/response_head.h"

#include <utility>

#include "http/internal/bytes.h"
#include "http/internal/field_lines.h"

namespace weir::http {
namespace {

using internal::is;
using internal::judge;

// Sets `at` to the first byte of the next line.
Result<void> parse_status_line(const char*& at, const char* end, ResponseHead& out) {
  constexpr std::string_view kShape = "HTTP/d.d ddd";
  const char* const begin = at;
  for (const char expected : kShape) {
    const bool right = at != end && (expected == 'd' ? is(*at, internal::kDigit) : *at == expected);
    if (!right) return judge(at, end, Malformed::status_line);
    ++at;
  }
  if (begin[5] != '1' || begin[7] > '1') return Malformed::version;
  out.minor_version = begin[7] - '0';
  out.status = (begin[9] - '0') * 100 + (begin[10] - '0') * 10 + (begin[11] - '0');
  if (out.status < 100 || out.status > 599) return Malformed::status_line;

  // The space may be missing where the reason is empty: many servers leave it out, and nothing
  // can be misread because of it.
  const char* reason = at;
  if (at != end && *at == ' ') {
    reason = ++at;
  } else if (at == end || *at != '\r') {
    return judge(at, end, Malformed::status_line);
  }
  at = internal::find_control(at, end);
  while (at != end && *at == '\t')
    at = internal::find_control(at + 1, end);
  if (end - at < 2 || at[0] != '\r' || at[1] != '\n') {
    return judge(at, end, Malformed::status_line);
  }
  out.reason = {reason, static_cast<size_t>(at - reason)};
  at += 2;
  return {};
}

// Source: RFC 9112 section 6.3.
Result<void> frame(bool request_was_head, ResponseHead& out) {
  const internal::Framing framing =
      WEIR_TRY(internal::parse_framing(out.fields, out.present, out.minor_version));
  out.has_content_length = framing.has_content_length;
  out.content_length = framing.content_length;
  if (out.informational()) {
    if (framing.chunked) return Malformed::transfer_encoding_malformed;
    if (framing.content_length > 0) return Malformed::content_length_malformed;
  }
  // What these announce never comes, but some servers send it all the same, and some parsers expect
  // it: so the connection ends here.
  if (out.status == 204 && framing.content_length > 0) out.keep_alive = false;
  if ((out.status == 204 || out.status == 304) && framing.chunked) out.keep_alive = false;
  if (request_was_head || out.informational() || out.status == 204 || out.status == 304) {
    out.body = BodyKind::none;
  } else if (framing.chunked) {
    out.body = BodyKind::chunked;
  } else if (framing.has_content_length) {
    out.body = framing.content_length > 0 ? BodyKind::length : BodyKind::none;
  } else {
    out.body = BodyKind::until_close;
    out.keep_alive = false;
  }
  return {};
}

// Everything but the memory of `fields`.
void clear(ResponseHead& head) {
  std::vector<Field> fields = std::move(head.fields);
  head = {};
  head.fields = std::move(fields);
}

}  // namespace

const Field* ResponseHead::find(FieldName id) const {
  return has(id) ? http::find(fields, id) : nullptr;
}

std::string_view ResponseHead::value(FieldName id) const {
  return has(id) ? value_of(fields, id) : std::string_view{};
}

Result<void> parse_response_head(std::string_view head, bool request_was_head,
                                 const ResponseLimits& limits, ResponseHead& out) {
  clear(out);
  if (head.size() > limits.header_bytes_max) return Malformed::header_too_large;
  const char* at = head.data();
  const char* const end = at + head.size();
  WEIR_TRY(parse_status_line(at, end, out));
  WEIR_TRY(internal::parse_field_lines({at, static_cast<size_t>(end - at)}, limits.header_count_max,
                                       out.fields, out.present));

  const internal::ConnectionOptions options = internal::parse_connection(out.fields, out.present);
  out.keep_alive = internal::may_keep_alive(options, out.minor_version);
  out.connection_names_fields = options.names_fields;
  WEIR_TRY(frame(request_was_head, out));
  if (out.status == 101) out.upgrade = out.value(FieldName::upgrade);
  return {};
}

}  // namespace weir::http
