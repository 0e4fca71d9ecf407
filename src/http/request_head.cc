#include "http/request_head.h"

#include <algorithm>

#include "http/internal/bytes.h"
#include "http/internal/field_lines.h"

namespace weir::http {
namespace {

using internal::is;
using internal::judge;

constexpr auto kMethods = std::to_array<std::string_view>(
    {"", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"});
static_assert(kMethods.size() == static_cast<size_t>(Method::patch) + 1);

// Sets `at` to the space after the method.
Result<void> parse_method(const char*& at, const char* end, RequestHead& out) {
  const char* const begin = at;
  while (at != end && is(*at, internal::kToken))
    ++at;
  if (at == end || *at != ' ') return judge(at, end, Malformed::method);
  out.method = {begin, static_cast<size_t>(at - begin)};
  if (out.method.empty()) return Malformed::request_line;
  if (out.method.size() > kMethodBytesMax) return Malformed::method;
  out.method_id = method_of(out.method);
  return {};
}

// Sets `at` to the space after the target.
Result<void> scan_target(const char*& at, const char* end, size_t bytes_max, RequestHead& out) {
  const char* const begin = at;
  while (at != end && is(*at, internal::kTarget))
    ++at;
  out.target = {begin, static_cast<size_t>(at - begin)};
  if (out.target.size() > bytes_max) return Malformed::target_too_long;
  if (at != end && *at == ' ' && at != begin) return {};
  if (at != end && *at == '#') return Malformed::path_fragment;
  const bool line_is_wrong = at != end && (*at == ' ' || *at == '\r');
  return judge(at, end, line_is_wrong ? Malformed::request_line : Malformed::target_malformed);
}

// Sets `at` to the first byte of the next line.
Result<void> parse_version(const char*& at, const char* end, RequestHead& out) {
  constexpr std::string_view kShape = "HTTP/d.d";
  for (const char expected : kShape) {
    const bool right = at != end && (expected == 'd' ? is(*at, internal::kDigit) : *at == expected);
    if (!right) return judge(at, end, Malformed::request_line);
    ++at;
  }
  if (end - at < 2)
    return at == end ? Malformed::incomplete : judge(at, end, Malformed::request_line);
  if (at[0] != '\r' || at[1] != '\n') return judge(at, end, Malformed::request_line);
  if (at[-3] != '1' || at[-1] > '1') return Malformed::version;
  out.minor_version = at[-1] - '0';
  at += 2;
  return {};
}

bool starts_with_ignore_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && equals_ignore_case(text.substr(0, prefix.size()), prefix);
}

void split_query(std::string_view path_and_query, RequestHead& out) {
  const size_t mark = path_and_query.find('?');
  out.path_raw = path_and_query.substr(0, mark);
  out.has_query = mark != std::string_view::npos;
  out.query = out.has_query ? path_and_query.substr(mark + 1) : std::string_view{};
}

Result<void> parse_absolute_form(std::string_view after_scheme, RequestHead& out) {
  const size_t authority_end = after_scheme.find_first_of("/?");
  const std::string_view authority = after_scheme.substr(0, authority_end);
  const Result<Authority> parsed = parse_authority(authority);
  if (!parsed.ok()) return Malformed::target_malformed;
  out.absolute_form = true;
  out.host = authority;
  out.host_name = parsed.value().name;
  out.port = parsed.value().port;
  split_query(after_scheme.substr(authority.size()), out);
  if (!out.path_raw.empty()) return {};
  if (out.method_id == Method::options && !out.has_query) {
    out.asterisk_form = true;  // RFC 9112 section 3.2.4: "OPTIONS http://host" means "OPTIONS *".
  } else {
    out.path_raw = "/";
  }
  return {};
}

Result<void> parse_target(RequestHead& out) {
  const std::string_view target = out.target;
  if (out.method_id == Method::connect) return {};  // Never served, so never looked at.
  if (target.front() == '/') {
    split_query(target, out);
    return {};
  }
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (starts_with_ignore_case(target, scheme)) {
      return parse_absolute_form(target.substr(scheme.size()), out);
    }
  }
  if (target != "*" || out.method_id != Method::options) return Malformed::target_malformed;
  out.asterisk_form = true;
  return {};
}

Result<void> parse_host(RequestHead& out) {
  const Field* host = nullptr;
  if (out.has(FieldName::host)) {
    for (const Field& field : out.fields) {
      if (field.id != FieldName::host) continue;
      if (host != nullptr) return Malformed::host_repeated;
      host = &field;
    }
  }
  if (host == nullptr) {
    if (out.minor_version >= 1) return Malformed::host_missing;
    return {};
  }
  const Authority parsed = WEIR_TRY(parse_authority(host->value));
  if (out.absolute_form) return {};
  out.host = host->value;
  out.host_name = parsed.name;
  out.port = parsed.port;
  return {};
}

void read_expect(RequestHead& out) {
  if (!out.has(FieldName::expect) || out.minor_version == 0) return;
  for (const Field& field : out.fields) {
    if (field.id == FieldName::expect && list_has(field.value, "100-continue")) {
      out.expect_continue = true;
    }
  }
}

void read_upgrade(RequestHead& out) {
  if (!out.has(FieldName::upgrade) || out.minor_version == 0) return;
  size_t count = 0;
  for (const Field& field : out.fields) {
    if (field.id != FieldName::upgrade) continue;
    out.upgrade = field.value;
    ++count;
  }
  out.upgrade_requested = count == 1;
  if (count != 1) out.upgrade = {};
}

// Everything but the memory of `fields`.
void clear(RequestHead& head) {
  std::vector<Field> fields = std::move(head.fields);
  head = {};
  head.fields = std::move(fields);
}

}  // namespace

Method method_of(std::string_view method) {
  for (size_t i = 1; i < kMethods.size(); ++i) {
    if (method == kMethods[i]) return static_cast<Method>(i);
  }
  return Method::other;
}

std::string_view text(Method method) {
  return kMethods[static_cast<size_t>(method)];
}

bool is_safe(Method method) {
  return method == Method::get || method == Method::head || method == Method::options ||
         method == Method::trace;
}

bool is_idempotent(Method method) {
  return is_safe(method) || method == Method::put || method == Method::delete_;
}

const Field* RequestHead::find(FieldName id) const {
  return has(id) ? http::find(fields, id) : nullptr;
}

std::string_view RequestHead::value(FieldName id) const {
  return has(id) ? value_of(fields, id) : std::string_view{};
}

Result<void> parse_request_head(std::string_view head, const RequestLimits& limits,
                                RequestHead& out) {
  clear(out);
  if (head.starts_with("\r\n")) head.remove_prefix(2);
  if (head.size() > limits.header_bytes_max) return Malformed::header_too_large;
  const char* at = head.data();
  const char* const end = at + head.size();
  WEIR_TRY(parse_method(at, end, out));
  ++at;
  WEIR_TRY(scan_target(at, end, limits.target_bytes_max, out));
  ++at;
  WEIR_TRY(parse_version(at, end, out));
  WEIR_TRY(internal::parse_field_lines({at, static_cast<size_t>(end - at)}, limits.header_count_max,
                                       out.fields, out.present));
  WEIR_TRY(parse_target(out));
  WEIR_TRY(parse_host(out));

  const internal::Framing framing =
      WEIR_TRY(internal::parse_framing(out.fields, out.present, out.minor_version));
  out.has_content_length = framing.has_content_length;
  out.content_length = framing.content_length;
  out.body = framing.chunked              ? BodyKind::chunked
             : framing.content_length > 0 ? BodyKind::length
                                          : BodyKind::none;

  const internal::ConnectionOptions options = internal::parse_connection(out.fields, out.present);
  out.keep_alive = internal::may_keep_alive(options, out.minor_version);
  out.connection_names_fields = options.names_fields;
  if (options.upgrade) read_upgrade(out);
  read_expect(out);
  return {};
}

}  // namespace weir::http
