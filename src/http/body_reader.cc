#include "http/body_reader.h"

#include <algorithm>

namespace weir::http {

BodyReader::BodyReader(BodyKind kind, uint64_t content_length, uint64_t bytes_max)
    : kind_(kind),
      done_(kind == BodyKind::none || (kind == BodyKind::length && content_length == 0)),
      left_(kind == BodyKind::length ? content_length : 0),
      bytes_max_(bytes_max),
      chunked_(ChunkedDecoder::Limits{.body_bytes_max = bytes_max}) {}

Result<BodyStep> BodyReader::step(std::string_view input) {
  if (done_) return BodyStep{0, {}, true};
  if (kind_ == BodyKind::chunked) {
    const BodyStep step = WEIR_TRY(chunked_.step(input));
    body_bytes_ += step.body.size();
    done_ = step.done;
    return step;
  }
  uint64_t allowed = bytes_max_ - body_bytes_;
  if (kind_ == BodyKind::length) {
    if (left_ > allowed) return Malformed::body_too_large;
    allowed = left_;
  } else if (allowed == 0 && !input.empty()) {
    return Malformed::body_too_large;
  }
  const size_t count = std::min<uint64_t>(allowed, input.size());
  body_bytes_ += count;
  if (kind_ == BodyKind::length) {
    left_ -= count;
    done_ = left_ == 0;
  }
  return BodyStep{count, input.substr(0, count), done_};
}

Result<void> BodyReader::end_of_stream() {
  if (!done_ && kind_ != BodyKind::until_close) return Malformed::incomplete;
  done_ = true;
  return {};
}

}  // namespace weir::http
