#include "http/malformed.h"

#include <array>
#include <cstddef>

namespace weir::http {
namespace {

struct Kind {
  Malformed kind;
  std::string_view name;
  int status;
};

constexpr auto kKinds = std::to_array<Kind>({
    {Malformed::none, "none", 0},
    {Malformed::bare_lf, "bare_lf", 400},
    {Malformed::bare_cr, "bare_cr", 400},
    {Malformed::nul, "nul", 400},
    {Malformed::incomplete, "incomplete", 400},
    {Malformed::header_too_large, "header_too_large", 431},
    {Malformed::header_count, "header_count", 431},
    {Malformed::field_name, "field_name", 400},
    {Malformed::field_value, "field_value", 400},
    {Malformed::obs_fold, "obs_fold", 400},
    {Malformed::space_before_colon, "space_before_colon", 400},
    {Malformed::request_line, "request_line", 400},
    {Malformed::method, "method", 400},
    {Malformed::target_malformed, "target_malformed", 400},
    {Malformed::target_too_long, "target_too_long", 414},
    {Malformed::version, "version", 505},
    {Malformed::status_line, "status_line", 400},
    {Malformed::host_missing, "host_missing", 400},
    {Malformed::host_repeated, "host_repeated", 400},
    {Malformed::host_malformed, "host_malformed", 400},
    {Malformed::content_length_malformed, "content_length_malformed", 400},
    {Malformed::content_length_repeated, "content_length_repeated", 400},
    {Malformed::content_length_with_transfer_encoding, "content_length_with_transfer_encoding",
     400},
    {Malformed::transfer_encoding_malformed, "transfer_encoding_malformed", 400},
    {Malformed::transfer_encoding_unknown, "transfer_encoding_unknown", 501},
    {Malformed::transfer_encoding_in_http_1_0, "transfer_encoding_in_http_1_0", 400},
    {Malformed::chunk_size, "chunk_size", 400},
    {Malformed::chunk_extension, "chunk_extension", 400},
    {Malformed::chunk_data, "chunk_data", 400},
    {Malformed::body_too_large, "body_too_large", 413},
    {Malformed::trailer, "trailer", 400},
    {Malformed::trailer_forbidden, "trailer_forbidden", 400},
    {Malformed::trailer_too_large, "trailer_too_large", 431},
    {Malformed::path_nul, "path_nul", 400},
    {Malformed::path_control, "path_control", 400},
    {Malformed::path_backslash, "path_backslash", 400},
    {Malformed::path_escape, "path_escape", 400},
    {Malformed::path_fragment, "path_fragment", 400},
    {Malformed::path_dot_segment, "path_dot_segment", 400},
    {Malformed::path_not_rooted, "path_not_rooted", 400},
});

constexpr bool in_order() {
  for (size_t i = 0; i < kKinds.size(); ++i) {
    if (static_cast<size_t>(kKinds[i].kind) != i) return false;
  }
  return true;
}
static_assert(kKinds.size() == kMalformedCount && in_order());

const Kind& entry(Malformed kind) {
  return kKinds[static_cast<size_t>(kind)];
}

}  // namespace

std::string_view name(Malformed kind) {
  return entry(kind).name;
}

int status_of(Malformed kind) {
  WEIR_ASSERT(kind != Malformed::none);
  return entry(kind).status;
}

}  // namespace weir::http
