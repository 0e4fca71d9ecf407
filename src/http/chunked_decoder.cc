#include "http/chunked_decoder.h"

#include <algorithm>

#include "http/internal/bytes.h"
#include "http/internal/field_lines.h"

namespace weir::http {
namespace {

using internal::is;

// Any 15 hex digits fit in 60 bits, so the size cannot overflow. Leading zeros count too: without a
// limit, "0000..." would be an endless message.
constexpr uint8_t kSizeDigitsMax = 15;
static_assert(kSizeDigitsMax * 4 < 64);

constexpr size_t kTrailersMax = 64;

// A byte that stands where none of the allowed ones does.
Malformed misplaced(char byte, Malformed otherwise) {
  if (byte == '\n') return Malformed::bare_lf;
  return byte == '\0' ? Malformed::nul : otherwise;
}

}  // namespace

Result<ChunkedDecoder::Step> ChunkedDecoder::step(std::string_view input) {
  size_t at = 0;
  while (at < input.size() && state_ != State::done) {
    if (state_ == State::body) {
      const size_t count = std::min<uint64_t>(chunk_left_, input.size() - at);
      chunk_left_ -= count;
      if (chunk_left_ == 0) state_ = State::body_cr;
      return Step{at + count, input.substr(at, count), false};
    }
    WEIR_TRY(accept(input[at]));
    ++at;
  }
  return Step{at, {}, state_ == State::done};
}

Result<void> ChunkedDecoder::accept(char byte) {
  switch (state_) {
    case State::size_first:
    case State::size:
      return accept_size(byte);
    case State::extension_name_first:
    case State::extension_name:
    case State::extension_value_first:
    case State::extension_value:
    case State::extension_quoted:
    case State::extension_escape:
    case State::extension_end:
      return accept_extension(byte);
    case State::size_lf:
      if (byte != '\n') return Malformed::bare_cr;
      return end_size_line();
    case State::body_cr:
      if (byte != '\r') return misplaced(byte, Malformed::chunk_data);
      state_ = State::body_lf;
      return {};
    case State::body_lf:
      if (byte != '\n') return Malformed::bare_cr;
      state_ = State::size_first;
      return {};
    case State::trailer_first:
    case State::trailer:
    case State::trailer_lf:
    case State::end_lf:
      return accept_trailer(byte);
    case State::body:
    case State::done:
      break;
  }
  WEIR_ASSERT(false);  // step() never calls us in these states.
  return {};
}

Result<void> ChunkedDecoder::accept_size(char byte) {
  const int digit = internal::hex_value(byte);
  if (digit >= 0) {
    if (size_digits_ == kSizeDigitsMax) return Malformed::chunk_size;
    ++size_digits_;
    chunk_left_ = chunk_left_ * 16 + static_cast<uint64_t>(digit);
    state_ = State::size;
    return {};
  }
  if (state_ == State::size_first) return misplaced(byte, Malformed::chunk_size);
  if (byte == ';') {
    state_ = State::extension_name_first;
    return {};
  }
  if (byte != '\r') return misplaced(byte, Malformed::chunk_size);
  state_ = State::size_lf;
  return {};
}

// chunk-ext = *( ";" token [ "=" ( token / quoted-string ) ] )
Result<void> ChunkedDecoder::accept_extension(char byte) {
  const bool token = is(byte, internal::kToken);
  State next = state_;
  bool allowed = false;
  switch (state_) {
    case State::extension_name_first:
      allowed = token;
      next = State::extension_name;
      break;
    case State::extension_value_first:
      allowed = token || byte == '"';
      next = byte == '"' ? State::extension_quoted : State::extension_value;
      break;
    case State::extension_quoted:
      allowed = !internal::is_control(byte) || byte == '\t';
      if (byte == '"') next = State::extension_end;
      if (byte == '\\') next = State::extension_escape;
      break;
    case State::extension_escape:
      allowed = !internal::is_control(byte) || byte == '\t';
      next = State::extension_quoted;
      break;
    default:  // Inside a name or a value, or after a quoted string: the extension may end here.
      allowed = token && state_ != State::extension_end;
      if (byte == '=' && state_ == State::extension_name) {
        allowed = true;
        next = State::extension_value_first;
      } else if (byte == ';') {
        allowed = true;
        next = State::extension_name_first;
      } else if (byte == '\r') {
        state_ = State::size_lf;
        return {};
      }
      break;
  }
  if (!allowed) return misplaced(byte, Malformed::chunk_extension);
  if (extension_bytes_ == limits_.extension_bytes_max) return Malformed::chunk_extension;
  ++extension_bytes_;
  state_ = next;
  return {};
}

Result<void> ChunkedDecoder::end_size_line() {
  size_digits_ = 0;
  if (chunk_left_ == 0) {
    state_ = State::trailer_first;
    return {};
  }
  if (chunk_left_ > limits_.body_bytes_max - body_bytes_) return Malformed::body_too_large;
  body_bytes_ += chunk_left_;
  state_ = State::body;
  return {};
}

Result<void> ChunkedDecoder::accept_trailer(char byte) {
  State next = State::trailer;
  if (state_ == State::trailer_first && byte == '\r') {
    state_ = State::end_lf;
    return {};
  }
  if (state_ == State::end_lf) return byte == '\n' ? end_trailers() : Malformed::bare_cr;
  if (state_ == State::trailer_lf) {
    if (byte != '\n') return Malformed::bare_cr;
    next = State::trailer_first;
  } else if (byte == '\r') {
    next = State::trailer_lf;
  } else if (byte == '\n' || byte == '\0') {
    return misplaced(byte, Malformed::trailer);
  }
  if (trailer_bytes_.size() == limits_.trailer_bytes_max) return Malformed::trailer_too_large;
  trailer_bytes_.push_back(byte);
  state_ = next;
  return {};
}

Result<void> ChunkedDecoder::end_trailers() {
  if (trailer_bytes_.empty()) {
    state_ = State::done;
    return {};
  }
  trailer_bytes_.push_back('\r');
  trailer_bytes_.push_back('\n');
  internal::Present present;
  const Result<void> parsed = internal::parse_field_lines(
      {trailer_bytes_.data(), trailer_bytes_.size()}, kTrailersMax, trailers_, present);
  if (!parsed.ok()) {
    trailers_.clear();
    return parsed.error() == Malformed::header_count ? Malformed::trailer_too_large
                                                     : Malformed::trailer;
  }
  for (const FieldName framing :
       {FieldName::transfer_encoding, FieldName::content_length, FieldName::host}) {
    if (!present.test(static_cast<size_t>(framing))) continue;
    trailers_.clear();
    return Malformed::trailer_forbidden;
  }
  std::erase_if(trailers_, [](const Field& field) { return !trailer_may_be_sent_on(field); });
  state_ = State::done;
  return {};
}

bool trailer_may_be_sent_on(const Field& field) {
  if (is_hop_by_hop(field.id)) return false;
  switch (field.id) {
    case FieldName::host:  // Framing and routing.
    case FieldName::content_length:
    case FieldName::via:
    case FieldName::forwarded:
    case FieldName::x_forwarded_for:
    case FieldName::x_forwarded_proto:
    case FieldName::x_forwarded_host:
    case FieldName::x_forwarded_port:
    case FieldName::x_real_ip:
    case FieldName::x_client_ip:
    case FieldName::x_cluster_client_ip:
    case FieldName::true_client_ip:
    case FieldName::cf_connecting_ip:
    case FieldName::cf_connecting_ipv6:
    case FieldName::cf_ipcountry:
    case FieldName::cf_ray:
    case FieldName::x_request_id:
    case FieldName::expect:  // Modifiers of the request.
    case FieldName::max_forwards:
    case FieldName::if_match:
    case FieldName::if_none_match:
    case FieldName::if_modified_since:
    case FieldName::if_unmodified_since:
    case FieldName::if_range:
    case FieldName::range:
    case FieldName::cache_control:
    case FieldName::cdn_cache_control:
    case FieldName::pragma:
    case FieldName::authorization:  // Authentication.
    case FieldName::www_authenticate:
    case FieldName::cookie:
    case FieldName::set_cookie:
    case FieldName::age:  // Response control.
    case FieldName::expires:
    case FieldName::date:
    case FieldName::location:
    case FieldName::retry_after:
    case FieldName::vary:
    case FieldName::warning:
    case FieldName::content_type:  // How to process the content.
    case FieldName::content_encoding:
    case FieldName::content_range:
      return false;
    default:
      return true;
  }
}

}  // namespace weir::http
