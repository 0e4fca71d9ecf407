// Properties: the scanner's outcome does not depend on how the bytes are split; a head that is
// accepted is what the scanner delimited, and written again from its parts it is read the same.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "http/request_head.h"
#include "http/uri.h"
#include "http/writer.h"

namespace {

using weir::http::Appender;
using weir::http::Field;
using weir::http::Malformed;
using weir::http::RequestHead;
using weir::http::RequestLimits;

constexpr RequestLimits kLimits{
    .header_bytes_max = 2000, .header_count_max = 20, .target_bytes_max = 500};

struct Scan {
  size_t length = 0;
  Malformed error = Malformed::none;
  bool operator==(const Scan&) const = default;
};

Scan scan(std::string_view input, size_t piece_bytes) {
  weir::http::HeadScanner scanner{kLimits};
  for (size_t seen = 0; seen < input.size();) {
    seen = std::min(input.size(), seen + piece_bytes);
    const auto found = scanner.scan(input.substr(0, seen));
    if (!found.ok()) return {0, found.error()};
    if (found.value()) return {*found.value()};
  }
  return {};
}

std::string written(const RequestHead& head) {
  std::string memory(4 * kLimits.header_bytes_max, '\0');
  Appender out{memory};
  append_request_line(out, head.method, head.target);
  for (const Field& field : head.fields)
    append_field(out, field.name, field.value);
  append_end_of_head(out);
  WEIR_ASSERT(!out.failed());
  return std::string{out.view()};
}

void check_same(const RequestHead& a, const RequestHead& b) {
  WEIR_ASSERT(a.method == b.method && a.method_id == b.method_id && a.target == b.target);
  WEIR_ASSERT(a.host == b.host && a.host_name == b.host_name && a.port == b.port);
  WEIR_ASSERT(a.path_raw == b.path_raw && a.query == b.query && a.has_query == b.has_query);
  WEIR_ASSERT(a.body == b.body && a.content_length == b.content_length);
  WEIR_ASSERT(a.fields.size() == b.fields.size());
  for (size_t i = 0; i < a.fields.size(); ++i) {
    WEIR_ASSERT(a.fields[i].name == b.fields[i].name && a.fields[i].value == b.fields[i].value);
    WEIR_ASSERT(a.fields[i].id == b.fields[i].id);
  }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const Scan whole = scan(input, size);
  WEIR_ASSERT(scan(input, 1) == whole);
  WEIR_ASSERT(scan(input, 7) == whole);

  RequestHead head;
  if (!parse_request_head(input, kLimits, head).ok()) {
    if (whole.length == 0) return 0;
    if (!parse_request_head(input.substr(0, whole.length), kLimits, head).ok()) return 0;
  } else {
    WEIR_ASSERT(whole.length == size);
  }
  std::string scratch;
  if (head.path_raw.starts_with('/')) (void)weir::http::normalise_path(head.path_raw, scratch).ok();
  WEIR_ASSERT(head.path_raw.starts_with('/') || head.asterisk_form ||
              head.method_id == weir::http::Method::connect);
  WEIR_ASSERT((head.body == weir::http::BodyKind::length) == (head.content_length > 0));

  if (head.minor_version == 0) return 0;  // The writer writes HTTP/1.1, where more is demanded.
  const std::string again = written(head);
  RequestHead reparsed;
  const RequestLimits roomy{8000, kLimits.header_count_max, kLimits.target_bytes_max};
  WEIR_ASSERT(parse_request_head(again, roomy, reparsed).ok());
  check_same(head, reparsed);
  return 0;
}
