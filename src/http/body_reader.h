#pragma once
// Reads the body of a message, whatever its framing: none, Content-Length, chunked, until close.

#include <cstdint>
#include <string_view>

#include "http/chunked_decoder.h"
#include "http/malformed.h"
#include "http/request_head.h"
#include "http/response_head.h"

namespace weir::http {

// Ownership: as ChunkedDecoder.
// Threading: one thread at a time.
// Limits: `bytes_max` decoded bytes.
class BodyReader {
 public:
  BodyReader() = default;  // No body: done.
  BodyReader(BodyKind kind, uint64_t content_length, uint64_t bytes_max = UINT64_MAX);
  explicit BodyReader(const RequestHead& head, uint64_t bytes_max = UINT64_MAX)
      : BodyReader(head.body, head.content_length, bytes_max) {}
  explicit BodyReader(const ResponseHead& head, uint64_t bytes_max = UINT64_MAX)
      : BodyReader(head.body, head.content_length, bytes_max) {}

  // Decodes a prefix of `input`: at least one byte unless it is empty or the body is done; never
  // the bytes after the body, which belong to the next message.
  //
  // Errors: those of ChunkedDecoder::step(); body_too_large before a byte over `bytes_max`, and for
  // a Content-Length over it at the first call.
  Result<BodyStep> step(std::string_view input WEIR_LIFETIMEBOUND);

  // Says that no byte will follow. Errors: incomplete, where the framing promised more.
  Result<void> end_of_stream();

  bool done() const { return done_; }
  uint64_t body_bytes() const { return body_bytes_; }  // Handed out so far.
  BodyKind kind() const { return kind_; }
  // For a length, the bytes still to come; else 0.
  uint64_t length_left() const { return kind_ == BodyKind::length ? left_ : 0; }
  Fields trailers() const WEIR_LIFETIMEBOUND { return chunked_.trailers(); }

 private:
  BodyKind kind_ = BodyKind::none;
  bool done_ = true;
  uint64_t left_ = 0;
  uint64_t bytes_max_ = 0;
  uint64_t body_bytes_ = 0;
  ChunkedDecoder chunked_{ChunkedDecoder::Limits{}};
};

}  // namespace weir::http
