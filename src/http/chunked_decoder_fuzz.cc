// Properties: one call, and a few bytes per call, decode the same body and trailers or fail the
// same way; a message that is decoded, written again, is decoded the same.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/assert.h"
#include "http/chunked_decoder.h"
#include "http/writer.h"

namespace {

using weir::http::Appender;
using weir::http::ChunkedDecoder;
using weir::http::Malformed;

struct Outcome {
  std::string body;
  std::string trailers;
  size_t consumed = 0;
  bool done = false;
  Malformed error = Malformed::none;
  bool operator==(const Outcome&) const = default;
};

std::string written(weir::http::Fields fields) {
  std::string memory(8192, '\0');
  Appender out{memory};
  append_last_chunk(out, fields);
  WEIR_ASSERT(!out.failed());
  return std::string{out.view()};
}

Outcome decode(std::string_view input, size_t piece_bytes) {
  ChunkedDecoder decoder{
      {.body_bytes_max = 1 << 16, .extension_bytes_max = 32, .trailer_bytes_max = 128}};
  Outcome outcome;
  while (!outcome.done && outcome.consumed < input.size()) {
    const std::string_view piece = input.substr(outcome.consumed, piece_bytes);
    const auto step = decoder.step(piece);
    if (!step.ok()) {
      outcome.error = step.error();
      outcome.consumed = 0;  // Unspecified after an error.
      break;
    }
    WEIR_ASSERT(step.value().consumed <= piece.size() && step.value().consumed > 0);
    outcome.body += step.value().body;
    outcome.consumed += step.value().consumed;
    outcome.done = step.value().done;
  }
  WEIR_ASSERT(outcome.done == decoder.done());
  WEIR_ASSERT(outcome.body.size() <= decoder.body_bytes());
  if (outcome.done) outcome.trailers = written(decoder.trailers());
  return outcome;
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const Outcome whole = decode(input, size);
  WEIR_ASSERT(decode(input, 1) == whole);
  WEIR_ASSERT(decode(input, 5) == whole);
  if (!whole.done) return 0;

  std::string again(weir::http::kChunkHeaderBytesMax, '\0');
  Appender header{again};
  if (!whole.body.empty()) append_chunk_header(header, whole.body.size());
  again = std::string{header.view()} + whole.body + (whole.body.empty() ? "" : "\r\n");
  again += whole.trailers;
  const Outcome reread = decode(again, again.size());
  // "a:b" grows by a space when it is written, so a trailer section may outgrow its limit.
  if (reread.error == Malformed::trailer_too_large) return 0;
  WEIR_ASSERT(reread.done && reread.consumed == again.size());
  WEIR_ASSERT(reread.body == whole.body && reread.trailers == whole.trailers);
  return 0;
}
