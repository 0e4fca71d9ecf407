#include "http/writer.h"

#include <array>
#include <chrono>
#include <string>

#include <gtest/gtest.h>

#include "http/body_reader.h"
#include "http/response_head.h"

namespace weir::http {
namespace {

using namespace std::chrono_literals;

// What `write` appends to `bytes_max` bytes of memory, or "failed".
template <typename Write>
std::string written(Write write, size_t bytes_max = 500) {
  std::string memory(bytes_max, '?');
  Appender out{memory};
  write(out);
  return out.failed() ? "failed" : std::string{out.view()};
}

// Tries every smaller memory as well: it must fail, and leave nothing half-written.
template <typename Write>
void expect_whole_or_nothing(Write write, const std::string& expected) {
  EXPECT_EQ(written(write, expected.size()), expected);
  for (size_t size = 0; size < expected.size(); ++size) {
    std::string memory(size, '?');
    Appender out{memory};
    write(out);
    EXPECT_TRUE(out.failed()) << size;
    EXPECT_EQ(out.size(), 0U) << size;
  }
}

TEST(WriterTest, AppendsTextAndNumbers) {
  EXPECT_EQ(written([](Appender& out) {
              out.append("a");
              out.append('b');
              out.append(std::string_view{});
              out.append_decimal(0);
              out.append_decimal(UINT64_MAX);
              out.append_hex(0xABC);
              out.append_hex(UINT64_MAX);
            }),
            "ab018446744073709551615abcffffffffffffffff");
}

TEST(WriterTest, WhatDoesNotFitIsLeftOutWhole) {
  std::array<char, 4> memory{};
  Appender out{memory};
  out.append("abc");
  EXPECT_EQ(out.free_bytes(), 1U);
  out.append("de");
  EXPECT_TRUE(out.failed());
  EXPECT_EQ(out.view(), "abc");
  expect_whole_or_nothing([](Appender& o) { append_status_line(o, 200); }, "HTTP/1.1 200 OK\r\n");
  expect_whole_or_nothing([](Appender& o) { append_request_line(o, "GET", "/a?b"); },
                          "GET /a?b HTTP/1.1\r\n");
  expect_whole_or_nothing([](Appender& o) { append_field(o, "X-A", "b"); }, "X-A: b\r\n");
  expect_whole_or_nothing([](Appender& o) { append_field(o, FieldName::age, "b"); }, "Age: b\r\n");
  expect_whole_or_nothing([](Appender& o) { append_field(o, FieldName::content_length, 1234U); },
                          "Content-Length: 1234\r\n");
  expect_whole_or_nothing([](Appender& o) { append_chunk_header(o, 0x1a2b); }, "1a2b\r\n");
}

TEST(WriterTest, WritesAStatusLineOfAnyStatus) {
  EXPECT_EQ(written([](Appender& out) { append_status_line(out, 404); }),
            "HTTP/1.1 404 Not Found\r\n");
  EXPECT_EQ(written([](Appender& out) { append_status_line(out, 599); }), "HTTP/1.1 599 \r\n");
  EXPECT_EQ(written([](Appender& out) { append_status_line(out, 200, "Fine"); }),
            "HTTP/1.1 200 Fine\r\n");
}

TEST(WriterTest, NoTextCanEndItsLine) {
  for (const char* text : {"a\r\nb", "a\nb", "a\rb", "\x01", "\x7F"}) {
    EXPECT_EQ(written([text](Appender& out) { append_field(out, "A", text); }), "failed");
    EXPECT_EQ(written([text](Appender& out) { append_field(out, FieldName::age, text); }),
              "failed");
    EXPECT_EQ(written([text](Appender& out) { append_field(out, text, "b"); }), "failed");
    EXPECT_EQ(written([text](Appender& out) { append_status_line(out, 200, text); }), "failed");
    EXPECT_EQ(written([text](Appender& out) { append_request_line(out, text, "/"); }), "failed");
    EXPECT_EQ(written([text](Appender& out) { append_request_line(out, "GET", text); }), "failed");
  }
  EXPECT_EQ(written([](Appender& out) { append_request_line(out, "GET", "/a b"); }), "failed");
  EXPECT_EQ(written([](Appender& out) { append_request_line(out, "GET", ""); }), "failed");
  EXPECT_EQ(written([](Appender& out) { append_field(out, "A b", "c"); }), "failed");
}

TEST(WriterTest, WhatItWritesIsReadBack) {
  const std::string head = written([](Appender& out) {
    append_status_line(out, 503);
    append_field(out, FieldName::content_length, 17U);
    append_field(out, "X-A", "b c");
    append_end_of_head(out);
  });
  ResponseHead parsed;
  ASSERT_TRUE(parse_response_head(head, false, {}, parsed).ok());
  EXPECT_EQ(parsed.status, 503);
  EXPECT_EQ(parsed.reason, "Service Unavailable");
  EXPECT_EQ(parsed.content_length, 17U);
  EXPECT_EQ(parsed.fields[1].value, "b c");

  const Field trailer{"X-Sum", "1"};
  const std::string body = written([&trailer](Appender& out) {
    append_chunk_header(out, 5);
    out.append("hello");
    out.append(kChunkEnd);
    append_last_chunk(out, {&trailer, 1});
  });
  BodyReader reader{BodyKind::chunked, 0};
  const BodyStep first = reader.step(body).value();
  EXPECT_EQ(first.body, "hello");
  EXPECT_TRUE(reader.step(std::string_view{body}.substr(first.consumed)).value().done);
  EXPECT_EQ(reader.trailers()[0].value, "1");
  EXPECT_EQ(written([](Appender& out) { append_last_chunk(out, {}); }), kLastChunk);
}

TEST(WriterTest, TheLongestChunkHeaderFits) {
  EXPECT_EQ(written([](Appender& out) { append_chunk_header(out, UINT64_MAX); }).size(),
            kChunkHeaderBytesMax);
}

TEST(WriterTest, KnowsTheRegisteredReasons) {
  EXPECT_EQ(reason_phrase(100), "Continue");
  EXPECT_EQ(reason_phrase(431), "Request Header Fields Too Large");
  EXPECT_EQ(reason_phrase(511), "Network Authentication Required");
  for (const int status : {0, 99, 299, 306, 418, 512, 999, -1}) {
    EXPECT_EQ(reason_phrase(status), "") << status;
  }
}

std::string date(base::Wall time) {
  std::array<char, kDateBytes> text{};
  format_date(time, text);
  return {text.data(), text.size()};
}

TEST(WriterTest, WritesDatesAsHttpDoes) {
  const auto day = [](int year, unsigned month, unsigned of_month) {
    return std::chrono::sys_days{std::chrono::year{year} / static_cast<int>(month) /
                                 static_cast<int>(of_month)};
  };
  EXPECT_EQ(date(base::Wall{}), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(date(day(1994, 11, 6) + 8h + 49min + 37s), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(date(day(2024, 2, 29) + 23h + 59min + 59s + 999'999us),
            "Thu, 29 Feb 2024 23:59:59 GMT");
  EXPECT_EQ(date(day(2000, 12, 30)), "Sat, 30 Dec 2000 00:00:00 GMT");
}

TEST(WriterTest, CachedDatesFollowTheClockInBothDirections) {
  DateCache cache;
  const base::Wall start{std::chrono::sys_days{std::chrono::year{2025} / 10 / 15} + 12h};
  EXPECT_EQ(cache.at(start), "Wed, 15 Oct 2025 12:00:00 GMT");
  EXPECT_EQ(cache.at(start + 999'999us), "Wed, 15 Oct 2025 12:00:00 GMT");
  EXPECT_EQ(cache.at(start + 1s), "Wed, 15 Oct 2025 12:00:01 GMT");
  EXPECT_EQ(cache.at(start - 1us), "Wed, 15 Oct 2025 11:59:59 GMT");
}

}  // namespace
}  // namespace weir::http
