#include "http/internal/field_lines.h"

#include "http/internal/bytes.h"

namespace weir::http::internal {
namespace {

constexpr bool is_space(char byte) {
  return byte == ' ' || byte == '\t';
}

constexpr size_t kContentLengthDigitsMax = 18;  // Below 10^18, so it cannot overflow 64 bits.

// Sets `at` to the colon.
Result<void> scan_name(const char*& at, const char* end) {
  const char* const begin = at;
  if (is_space(*at)) return Malformed::obs_fold;
  while (at != end && is(*at, kToken))
    ++at;
  if (at != end && *at == ':' && at != begin) return {};
  const char* after = at;
  while (after != end && is_space(*after))
    ++after;
  if (after != at && at != begin && after != end && *after == ':') {
    return Malformed::space_before_colon;
  }
  return judge(at, end, Malformed::field_name);
}

// Sets `at` to the CR that ends the line.
Result<void> scan_value(const char*& at, const char* end) {
  at = find_control(at, end);
  while (at != end && *at == '\t')
    at = find_control(at + 1, end);
  if (at == end) return Malformed::incomplete;
  if (*at != '\r' || end - at < 2 || at[1] != '\n') return judge(at, end, Malformed::field_value);
  return {};
}

// Not every parser strips tabs around a value, and the fields that frame a message must not depend
// on that. `padded` is the value with the whitespace around it.
Result<void> check_padding(FieldName id, std::string_view padded) {
  if (id != FieldName::transfer_encoding && id != FieldName::content_length) return {};
  if (padded.find('\t') == std::string_view::npos) return {};
  return id == FieldName::content_length ? Malformed::content_length_malformed
                                         : Malformed::transfer_encoding_malformed;
}

Result<uint64_t> parse_content_length(std::string_view value) {
  bool digits = !value.empty();
  for (const char byte : value)
    digits = digits && is(byte, kDigit);
  if (digits) {
    if (value.size() > kContentLengthDigitsMax) return Malformed::body_too_large;
    uint64_t length = 0;
    for (const char byte : value)
      length = length * 10 + static_cast<uint64_t>(byte - '0');
    return length;
  }
  // "5, 5" is a repeated Content-Length that somebody has joined into one line.
  size_t members = 0;
  for (ListMembers list{value}; list.next(); ++members) {
    for (const char byte : list.member()) {
      if (!is(byte, kDigit)) return Malformed::content_length_malformed;
    }
  }
  return members > 1 ? Malformed::content_length_repeated : Malformed::content_length_malformed;
}

// Requires a Transfer-Encoding field. Succeeds for the single word "chunked".
Result<void> check_transfer_encoding(Fields fields) {
  size_t codings = 0;
  size_t chunked = 0;
  bool last_is_chunked = false;
  for (const Field& field : fields) {
    if (field.id != FieldName::transfer_encoding) continue;
    std::string_view rest = field.value;
    for (bool more = true; more;) {
      const size_t comma = rest.find(',');
      const std::string_view coding = trim(rest.substr(0, comma));
      if (!is_token(coding)) return Malformed::transfer_encoding_malformed;
      last_is_chunked = equals_ignore_case(coding, "chunked");
      if (last_is_chunked) ++chunked;
      ++codings;
      more = comma != std::string_view::npos;
      if (more) rest.remove_prefix(comma + 1);
    }
  }
  if (!last_is_chunked || chunked > 1) return Malformed::transfer_encoding_malformed;
  if (codings > 1) return Malformed::transfer_encoding_unknown;
  return {};
}

}  // namespace

Malformed judge(const char* at, const char* end, Malformed otherwise) {
  if (at == end) return Malformed::incomplete;
  if (*at == '\n') return Malformed::bare_lf;
  if (*at == '\0') return Malformed::nul;
  if (*at != '\r') return otherwise;
  if (end - at < 2) return Malformed::incomplete;
  return at[1] == '\n' ? otherwise : Malformed::bare_cr;
}

Result<void> parse_field_lines(std::string_view lines, size_t count_max, std::vector<Field>& fields,
                               Present& present) {
  fields.clear();
  present.reset();
  const char* at = lines.data();
  const char* const end = at + lines.size();
  for (;;) {
    if (end - at >= 2 && at[0] == '\r' && at[1] == '\n') {
      if (end - at != 2) return Malformed::incomplete;  // The head ended before its last byte.
      return {};
    }
    if (at == end) return Malformed::incomplete;
    const char* const name = at;
    WEIR_TRY(scan_name(at, end));
    const std::string_view name_text{name, static_cast<size_t>(at - name)};
    const char* const padding = ++at;
    while (at != end && is_space(*at))
      ++at;
    const char* const value = at;
    WEIR_TRY(scan_value(at, end));
    const char* value_end = at;
    while (value_end != value && is_space(value_end[-1]))
      --value_end;
    if (fields.size() == count_max) return Malformed::header_count;
    const FieldName id = field_name(name_text);
    WEIR_TRY(check_padding(id, {padding, static_cast<size_t>(at - padding)}));
    present.set(static_cast<size_t>(id));
    fields.push_back({name_text, {value, static_cast<size_t>(value_end - value)}, id});
    at += 2;
  }
}

Result<Framing> parse_framing(Fields fields, const Present& present, int minor_version) {
  Framing framing;
  const bool has_coding = present.test(static_cast<size_t>(FieldName::transfer_encoding));
  if (present.test(static_cast<size_t>(FieldName::content_length))) {
    if (has_coding) return Malformed::content_length_with_transfer_encoding;
    for (const Field& field : fields) {
      if (field.id != FieldName::content_length) continue;
      if (framing.has_content_length) return Malformed::content_length_repeated;
      framing.content_length = WEIR_TRY(parse_content_length(field.value));
      framing.has_content_length = true;
    }
  }
  if (has_coding) {
    if (minor_version == 0) return Malformed::transfer_encoding_in_http_1_0;
    WEIR_TRY(check_transfer_encoding(fields));
    framing.chunked = true;
  }
  return framing;
}

ConnectionOptions parse_connection(Fields fields, const Present& present) {
  ConnectionOptions options;
  if (!present.test(static_cast<size_t>(FieldName::connection))) return options;
  for (const Field& field : fields) {
    if (field.id != FieldName::connection) continue;
    for (ListMembers list{field.value}; list.next();) {
      if (equals_ignore_case(list.member(), "keep-alive")) {
        options.keep_alive = true;
      } else if (equals_ignore_case(list.member(), "close")) {
        options.close = true;
      } else if (equals_ignore_case(list.member(), "upgrade")) {
        options.upgrade = true;
      } else {
        options.names_fields = true;
      }
    }
  }
  return options;
}

bool may_keep_alive(const ConnectionOptions& options, int minor_version) {
  if (options.close) return false;
  return minor_version >= 1 || options.keep_alive;
}

}  // namespace weir::http::internal
