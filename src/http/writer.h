#pragma once
// Writes heads, chunks and dates into memory that the caller owns.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "base/thread_annotations.h"
#include "http/field.h"

namespace weir::http {

// Appends to a fixed piece of memory. What does not fit, or must never be sent, sets failed() and
// is left out whole: check once, at the end.
// Ownership: borrows the memory.
// Threading: one thread at a time.
class Appender {
 public:
  explicit Appender(std::span<char> memory WEIR_LIFETIMEBOUND) : memory_(memory) {}

  void append(std::string_view text) {
    if (text.size() > memory_.size() - size_) {
      failed_ = true;
      return;
    }
    put(text);
  }
  void append(char byte) { append(std::string_view{&byte, 1}); }
  // All of them or, when they do not fit, none.
  template <typename... Pieces>
  void append_all(const Pieces&... pieces) {
    if (total_bytes(pieces...) > free_bytes()) return fail();
    (put(view_of(pieces)), ...);
  }
  template <typename... Pieces>
  static size_t total_bytes(const Pieces&... pieces) {
    return (view_of(pieces).size() + ...);
  }
  void append_decimal(uint64_t number);
  void append_hex(uint64_t number);  // Lower case, without leading zeros.

  bool failed() const { return failed_; }
  void fail() { failed_ = true; }
  size_t size() const { return size_; }
  size_t free_bytes() const { return memory_.size() - size_; }
  std::string_view view() const WEIR_LIFETIMEBOUND { return {memory_.data(), size_}; }

 private:
  // Of a literal, whose length is known when this is compiled.
  template <size_t kBytes>
  static std::string_view view_of(const char (&literal)[kBytes]) {
    return {literal, kBytes - 1};
  }
  static std::string_view view_of(std::string_view text) { return text; }
  void put(std::string_view text) {
    if (!text.empty()) std::memcpy(memory_.data() + size_, text.data(), text.size());
    size_ += text.size();
  }

  std::span<char> memory_;
  size_t size_ = 0;
  bool failed_ = false;
};

// The phrase registered for `status`, or "" for one that is not.
std::string_view reason_phrase(int status);

// "HTTP/1.1 200 OK\r\n". With an empty `reason`, that of reason_phrase(). Fails on a reason that
// holds a control character.
void append_status_line(Appender& out, int status, std::string_view reason = {});

// "GET /path?query HTTP/1.1\r\n". Fails on a method that is no token and on a target that is empty
// or holds a space or a control character.
void append_request_line(Appender& out, std::string_view method, std::string_view target);

// "Name: value\r\n". Fails on a name that is no token and on a value with a control character, so
// that no text, wherever it came from, can end its line.
void append_field(Appender& out, std::string_view name, std::string_view value);
void append_field(Appender& out, FieldName name, std::string_view value);
void append_field(Appender& out, FieldName name, uint64_t value);

// The same for a field that the parsers of this module produced, without looking at it again.
inline void append_parsed_field(Appender& out, const Field& field) {
  out.append_all(field.name, ": ", field.value, "\r\n");
}

inline void append_end_of_head(Appender& out) {
  out.append("\r\n");
}

// What stands around the data of a chunk: "1a2b\r\n" before it, "\r\n" after it.
// Requires body_bytes > 0: a chunk of 0 bytes would end the message.
inline constexpr size_t kChunkHeaderBytesMax = 18;  // 16 hex digits, CRLF.
void append_chunk_header(Appender& out, uint64_t body_bytes);
inline constexpr std::string_view kChunkEnd = "\r\n";
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";  // Without trailers.
// "0\r\n", the trailers, "\r\n". The fields are those of ChunkedDecoder::trailers().
void append_last_chunk(Appender& out, Fields trailers);

// "Sun, 06 Nov 1994 08:49:37 GMT". Source: RFC 9110 section 5.6.7.
inline constexpr size_t kDateBytes = 29;
void format_date(base::Wall time, std::span<char, kDateBytes> out);

// The same, formatted once a second.
// Threading: one thread at a time.
class DateCache {
 public:
  // Valid until the next call.
  std::string_view at(base::Wall now) WEIR_LIFETIMEBOUND;

 private:
  std::chrono::sys_seconds second_ = std::chrono::sys_seconds::max();
  std::array<char, kDateBytes> text_{};
};

}  // namespace weir::http
