#pragma once
// Decoder for the chunked transfer coding of HTTP/1.1.
// Source: RFC 9112 section 7.1.
//
// It does no I/O: the owner of the socket feeds it whatever bytes arrived and forwards the body
// bytes it hands back. The same code therefore serves requests, responses, unit tests and fuzzers.
//
// It is deliberately stricter than the RFC allows a recipient to be (no bare LF, no whitespace
// around a size or an extension), because every leniency is a chance for a proxy and its upstream
// to disagree on where a message ends: request smuggling. Extensions are checked and discarded.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_annotations.h"
#include "http/field.h"
#include "http/malformed.h"

namespace weir::http {

// What one call to a body decoder did.
struct BodyStep {
  size_t consumed = 0;    // Leading bytes of the input that are finished with.
  std::string_view body;  // Decoded bytes, inside the consumed prefix; often empty.
  bool done = false;      // The last byte consumed ended the message.
};

// Ownership: keeps no bytes of the body; every view it returns points into the caller's input. It
//   keeps the trailer section.
// Threading: one thread at a time.
// Limits: `Limits`, all enforced before the offending byte is accepted. Allocates for a trailer
//   section only.
class ChunkedDecoder {
 public:
  struct Limits {
    uint64_t body_bytes_max = UINT64_MAX;  // Decoded body, over all chunks.
    // Over all chunks: per chunk, 1-byte chunks could cost 1 KiB each.
    uint32_t extension_bytes_max = 1024;
    uint32_t trailer_bytes_max = 4096;  // Whole trailer section, line ends included.
  };
  using Step = BodyStep;

  explicit ChunkedDecoder(Limits limits) : limits_(limits) {}

  // Decodes a prefix of `input`: at most up to the end of one run of body bytes, and at least one
  // byte unless `input` is empty or the message is done. The outcome depends only on the bytes, not
  // on how they were split between calls.
  //
  // Errors: chunk_size, chunk_extension, chunk_data, body_too_large (as soon as a size exceeds the
  // limit), trailer, trailer_forbidden, trailer_too_large, bare_lf, nul. After an error the
  // connection must be closed, because its framing is lost.
  Result<Step> step(std::string_view input WEIR_LIFETIMEBOUND);

  bool done() const { return state_ == State::done; }
  uint64_t body_bytes() const { return body_bytes_; }  // Of the chunks whose size is known.

  // The trailer fields that may be sent on; empty before the message is done. Valid while this
  // decoder lives and is not assigned to.
  //
  // Fields that frame or route the message (Transfer-Encoding, Content-Length, Host) make the
  // message an error. Hop-by-hop fields, and those that modify, authenticate or describe the
  // request or response (see trailer_may_be_sent_on()), are dropped, as any recipient may.
  // Source: RFC 9110 section 6.5.1.
  Fields trailers() const WEIR_LIFETIMEBOUND { return trailers_; }

 private:
  enum class State : uint8_t {
    size_first,             // Expects the first hex digit of a chunk size.
    size,                   // Expects a hex digit, ';' or CR.
    extension_name_first,   // Expects the first character of an extension's name.
    extension_name,         // Expects more of it, '=', ';' or CR.
    extension_value_first,  // Expects a token character or '"'.
    extension_value,        // Expects more of a token, ';' or CR.
    extension_quoted,       // Inside a quoted string.
    extension_escape,       // After '\' inside a quoted string.
    extension_end,          // After a quoted string: ';' or CR.
    size_lf,                // Expects the LF that ends a size line.
    body,                   // `chunk_left_` > 0 bytes of data remain.
    body_cr,                // Expects the CR after chunk data.
    body_lf,                // Expects the LF after chunk data.
    trailer_first,          // At the start of a trailer line; CR ends the section.
    trailer,                // Collects until CR.
    trailer_lf,             // Expects the LF that ends a trailer line.
    end_lf,                 // Expects the LF that ends the message.
    done,
  };

  Result<void> accept(char byte);            // One framing byte.
  Result<void> accept_size(char byte);       // One byte of a chunk size.
  Result<void> accept_extension(char byte);  // One byte of a chunk extension.
  Result<void> accept_trailer(char byte);    // One byte of the trailer section.
  Result<void> end_size_line();
  Result<void> end_trailers();

  Limits limits_;
  State state_ = State::size_first;
  uint8_t size_digits_ = 0;
  uint64_t chunk_left_ = 0;
  uint64_t body_bytes_ = 0;
  uint32_t extension_bytes_ = 0;
  std::string trailer_bytes_;
  std::vector<Field> trailers_;
};

// False for the names that trailers() drops.
bool trailer_may_be_sent_on(const Field& field);

}  // namespace weir::http
