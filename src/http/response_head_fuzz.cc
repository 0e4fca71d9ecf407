// Properties: the scanner's outcome does not depend on how the bytes are split; a head that is
// accepted is what the scanner delimited, and written again from its parts it is read the same.
// The first byte of the input decides whether the request was HEAD.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "http/response_head.h"
#include "http/writer.h"

namespace {

using weir::http::Appender;
using weir::http::BodyKind;
using weir::http::Field;
using weir::http::Malformed;
using weir::http::ResponseHead;
using weir::http::ResponseLimits;

constexpr ResponseLimits kLimits{.header_bytes_max = 2000, .header_count_max = 20};

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

std::string written(const ResponseHead& head) {
  std::string memory(4 * kLimits.header_bytes_max, '\0');
  Appender out{memory};
  append_status_line(out, head.status, head.reason);
  for (const Field& field : head.fields)
    append_field(out, field.name, field.value);
  append_end_of_head(out);
  WEIR_ASSERT(!out.failed());
  return std::string{out.view()};
}

void check_framing(const ResponseHead& head, bool request_was_head) {
  const bool bodiless =
      request_was_head || head.informational() || head.status == 204 || head.status == 304;
  WEIR_ASSERT(!bodiless || head.body == BodyKind::none);
  WEIR_ASSERT(head.body != BodyKind::until_close || !head.keep_alive);
  WEIR_ASSERT(head.body != BodyKind::length || head.content_length > 0);
  WEIR_ASSERT(head.body != BodyKind::chunked || !head.has_content_length);
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const bool request_was_head = data[0] == 'H';
  const std::string_view input{reinterpret_cast<const char*>(data) + 1, size - 1};
  const Scan whole = scan(input, input.size());
  WEIR_ASSERT(scan(input, 1) == whole);
  WEIR_ASSERT(scan(input, 7) == whole);

  ResponseHead head;
  if (!parse_response_head(input, request_was_head, kLimits, head).ok()) {
    if (whole.length == 0) return 0;
    const std::string_view found = input.substr(0, whole.length);
    if (!parse_response_head(found, request_was_head, kLimits, head).ok()) return 0;
  } else {
    WEIR_ASSERT(whole.length == input.size());
  }
  check_framing(head, request_was_head);

  const std::string again = written(head);
  ResponseHead reparsed;
  const ResponseLimits roomy{8000, kLimits.header_count_max};
  WEIR_ASSERT(parse_response_head(again, request_was_head, roomy, reparsed).ok());
  WEIR_ASSERT(head.status == reparsed.status && head.body == reparsed.body);
  WEIR_ASSERT(head.content_length == reparsed.content_length);
  WEIR_ASSERT(head.fields.size() == reparsed.fields.size());
  for (size_t i = 0; i < head.fields.size(); ++i) {
    WEIR_ASSERT(head.fields[i].name == reparsed.fields[i].name);
    WEIR_ASSERT(head.fields[i].value == reparsed.fields[i].value);
  }
  return 0;
}
