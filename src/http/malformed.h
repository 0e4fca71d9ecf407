#pragma once
// Every way in which bytes can fail to be an HTTP/1.1 message that has exactly one reading, and the
// small result type that carries it.
//
// The kinds are finer than the statuses they lead to, because each is a metric label: an operator
// sees "space_before_colon" rise, not only "400". None is ever repaired: see docs of each parser.

#include <cstdint>
#include <string_view>
#include <utility>

#include "base/assert.h"

namespace weir::http {

enum class Malformed : uint8_t {
  none,  // Not an error: what a successful Result holds.

  // Bytes of a head.
  bare_lf,
  bare_cr,
  nul,
  incomplete,        // The bytes, or the stream, ended before the message did.
  header_too_large,  // 431: the whole head, in bytes.
  header_count,      // 431: too many fields.
  field_name,        // Empty, or not a token.
  field_value,       // A control character.
  obs_fold,          // A line that begins with a space or a tab.
  space_before_colon,

  // Request line and status line.
  request_line,
  method,  // Not a token, or longer than kMethodBytesMax.
  target_malformed,
  target_too_long,  // 414
  version,          // 505: neither HTTP/1.0 nor HTTP/1.1.
  status_line,

  // Host.
  host_missing,
  host_repeated,
  host_malformed,

  // Framing.
  content_length_malformed,
  content_length_repeated,  // Also when the values are equal.
  content_length_with_transfer_encoding,
  transfer_encoding_malformed,  // Not a list of tokens, or it does not end in "chunked".
  transfer_encoding_unknown,    // 501: "gzip, chunked" and the like.
  transfer_encoding_in_http_1_0,
  chunk_size,
  chunk_extension,    // Malformed, or too many bytes of extensions.
  chunk_data,         // No CRLF where the data of a chunk must end.
  body_too_large,     // 413
  trailer,            // A malformed trailer field.
  trailer_forbidden,  // A framing or routing field in the trailer section.
  trailer_too_large,  // 431

  // The path (uri.h).
  path_nul,          // Raw or %00.
  path_control,      // Raw or escaped control character.
  path_backslash,    // Raw or %5C.
  path_escape,       // '%' without two hex digits.
  path_fragment,     // '#'
  path_dot_segment,  // Would form a dot segment if %2F were decoded or ";parameters" stripped.
  path_not_rooted,   // Does not begin with '/'.
};

inline constexpr int kMalformedCount = static_cast<int>(Malformed::path_not_rooted) + 1;

// The enumerator's own name: the label of a metric and the code in a log line.
std::string_view name(Malformed kind);

// The status a client gets: 400, 413, 414, 431, 501 or 505. For bytes of an upstream the status is
// always 502, whatever the kind. Requires kind != none.
int status_of(Malformed kind);

// A value, or why there is none. Like base::Result, with the kind as the whole error, so that
// refusing a flood of bad requests costs a byte each.
// Threading: a plain value; no synchronisation.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)
  Result(Malformed error) : error_(error) {      // NOLINT(google-explicit-constructor)
    WEIR_ASSERT(error != Malformed::none);
  }

  bool ok() const { return error_ == Malformed::none; }

  // Requires ok().
  const T& value() const& {
    WEIR_ASSERT(ok());
    return value_;
  }
  T&& value() && {
    WEIR_ASSERT(ok());
    return std::move(value_);
  }

  // Requires !ok().
  Malformed error() const {
    WEIR_ASSERT(!ok());
    return error_;
  }

 private:
  T value_{};
  Malformed error_ = Malformed::none;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Malformed error) : error_(error) {  // NOLINT(google-explicit-constructor)
    WEIR_ASSERT(error != Malformed::none);
  }

  bool ok() const { return error_ == Malformed::none; }
  void value() const { WEIR_ASSERT(ok()); }
  Malformed error() const {
    WEIR_ASSERT(!ok());
    return error_;
  }

 private:
  Malformed error_ = Malformed::none;
};

}  // namespace weir::http
