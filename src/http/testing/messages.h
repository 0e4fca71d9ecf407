#pragma once
// For the differential tests: random messages at the edge of what is well-formed, and what this
// module reads in them, as one comparable value.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "http/body_reader.h"
#include "http/request_head.h"
#include "http/response_head.h"

namespace weir::http::testing {

// One message as some parser sees it.
struct Reading {
  bool head_accepted = false;
  size_t head_bytes = 0;
  std::string method;
  std::string target;
  int status = 0;
  int minor_version = 0;
  std::vector<std::pair<std::string, std::string>> fields;
  bool chunked = false;
  std::optional<uint64_t> content_length;
  bool keep_alive = false;
  bool complete = false;      // All of the body is there, and well-formed.
  bool body_refused = false;  // It is not.
  bool until_close = false;
  std::string body;
  size_t message_bytes = 0;
};

// Reads the body that begins at `reading.head_bytes`.
inline void read_body(std::string_view bytes, BodyReader reader, Reading& reading) {
  size_t at = reading.head_bytes;
  bool done = reader.done();
  while (!done && at < bytes.size()) {
    const auto step = reader.step(bytes.substr(at));
    reading.body_refused = !step.ok();
    if (reading.body_refused) return;
    at += step.value().consumed;
    reading.body += step.value().body;
    done = step.value().done;
  }
  reading.until_close = reader.kind() == BodyKind::until_close;
  reading.complete = reader.end_of_stream().ok();
  reading.message_bytes = at;
}

template <typename Head>
void copy_head(const Head& head, size_t head_bytes, Reading& reading) {
  reading.head_accepted = true;
  reading.head_bytes = head_bytes;
  reading.minor_version = head.minor_version;
  for (const Field& field : head.fields)
    reading.fields.emplace_back(field.name, field.value);
  reading.chunked = head.has(FieldName::transfer_encoding);
  if (head.has_content_length) reading.content_length = head.content_length;
  reading.keep_alive = head.keep_alive;
}

inline Reading read_request(std::string_view bytes) {
  Reading reading;
  HeadScanner scanner{RequestLimits{}};
  const auto length = scanner.scan(bytes);
  if (!length.ok() || !length.value()) return reading;
  RequestHead head;
  if (!parse_request_head(bytes.substr(0, *length.value()), {}, head).ok()) return reading;
  reading.method = head.method;
  reading.target = head.target;
  copy_head(head, *length.value(), reading);
  read_body(bytes, BodyReader{head}, reading);
  return reading;
}

inline Reading read_response(std::string_view bytes, bool request_was_head) {
  Reading reading;
  HeadScanner scanner{ResponseLimits{}};
  const auto length = scanner.scan(bytes);
  if (!length.ok() || !length.value()) return reading;
  ResponseHead head;
  const std::string_view found = bytes.substr(0, *length.value());
  if (!parse_response_head(found, request_was_head, {}, head).ok()) return reading;
  reading.status = head.status;
  copy_head(head, *length.value(), reading);
  read_body(bytes, BodyReader{head}, reading);
  return reading;
}

// Messages made of parts that matter to framing, most of them well-formed, about half of them then
// damaged at one or two places.
// Threading: one thread at a time.
class MessageGenerator {
 public:
  explicit MessageGenerator(uint64_t seed) : random_(seed) {}

  std::string request() {
    std::string message{
        one_of({"GET ", "POST ", "PUT ", "HEAD ", "DELETE ", "OPTIONS ", "PATCH "})};
    message += one_of({"/", "/a/b?c=d&e", "/a%20b;c/..//d?\\?", "*", "http://b.example:81/c?d",
                       "https://b", "/\"<>[]^`{|}~!$&'()*+,;=:@-._", "/a?%zz"});
    message += one_of({" HTTP/1.1\r\n", " HTTP/1.1\r\n", " HTTP/1.1\r\n", " HTTP/1.0\r\n"});
    if (random_.below(12) != 0) {
      message += one_of({"Host: a\r\n", "host: example.com:8080\r\n", "HOST:[::1]:443\r\n"});
    }
    return finish(std::move(message));
  }

  std::string response() {
    std::string message{
        one_of({"HTTP/1.1 200 OK\r\n", "HTTP/1.1 404 Not Found\r\n", "HTTP/1.1 204 No Content\r\n",
                "HTTP/1.1 304 Not Modified\r\n", "HTTP/1.0 200 OK\r\n", "HTTP/1.1 500 \r\n",
                "HTTP/1.1 103 Early Hints\r\n"})};
    return finish(std::move(message));
  }

 private:
  using Parts = std::initializer_list<std::string_view>;

  std::string_view one_of(Parts parts) { return parts.begin()[random_.below(parts.size())]; }

  // Adds fields, framing, a body and the bytes of a next message; then, perhaps, damage.
  std::string finish(std::string message) {
    for (uint64_t count = random_.below(4); count > 0; --count) {
      message += one_of(
          {"A: b\r\n", "X-Empty:\r\n", "x-spaced: \t b c\t \r\n", "B:c\r\n",
           "Connection: close\r\n", "Connection: keep-alive\r\n", "Connection: X-A, keep-alive\r\n",
           "Accept: text/html, */*;q=0.1\r\n", "Obs: \xC3\xA9\xFF\r\n", "Expect: 100-continue\r\n",
           "!#$%&'*+-.^_`|~: 1\r\n", "Content-Length : 3\r\n", "Content_Length: 3\r\n"});
    }
    const uint64_t framing = random_.below(8);
    if (framing < 3) {
      message +=
          one_of({"Content-Length: 5\r\n", "content-length:5\r\n", "Content-Length: 0\r\n",
                  "Content-Length: 005\r\n", "Content-Length: 5 \r\n", "Content-Length: 5, 5\r\n"});
    } else if (framing < 7) {
      message += one_of({"Transfer-Encoding: chunked\r\n", "transfer-encoding:  Chunked \r\n",
                         "Transfer-Encoding: gzip, chunked\r\n"});
    }
    message += "\r\n";
    if (framing < 3) message += "hello";
    if (framing >= 3 && framing < 7) append_chunks(message);
    message += one_of({"", "GET /next HTTP/1.1\r\nHost: n\r\n\r\n", "x"});
    if (random_.below(2) == 0) damage(message);
    if (random_.below(4) == 0) damage(message);
    return message;
  }

  void append_chunks(std::string& message) {
    for (uint64_t count = random_.below(3); count > 0; --count) {
      message += one_of({"5\r\nhello\r\n", "0A\r\n0123456789\r\n", "1;a\r\nx\r\n",
                         "1;a=b;c\r\nx\r\n", "00002\r\n\r\n\r\n", "1;q=\"z\"\r\nx\r\n"});
    }
    message += one_of({"0\r\n", "000\r\n", "0;a=b\r\n"});
    message += one_of({"", "", "X-Sum: 1\r\n", "X-Sum: 1\r\nb:c\r\n"});
    message += "\r\n";
  }

  void damage(std::string& message) {
    static constexpr char kText[] = "\r\n\0 \t:,;=\"\\5aA0+-/?#%\x01\x7F\x80[";
    constexpr std::string_view kBytes{kText, sizeof kText - 1};
    const size_t at = random_.below(message.size());
    const char byte = kBytes[random_.below(kBytes.size())];
    switch (random_.below(4)) {
      case 0:
        message[at] = byte;
        break;
      case 1:
        message.insert(at, 1, byte);
        break;
      case 2:
        message.erase(at, 1 + random_.below(2));
        break;
      default:  // Repeat a piece.
        message.insert(at, message.substr(at, 1 + random_.below(20)));
        break;
    }
  }

  base::Random random_;
};

}  // namespace weir::http::testing
