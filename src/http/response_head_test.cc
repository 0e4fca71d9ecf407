#include "http/response_head.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace weir::http {
namespace {

struct Parsed {
  std::string bytes;  // What the views of `head` point into.
  ResponseHead head;
  Malformed error = Malformed::none;
};

enum class To : uint8_t { get, head };

Parsed parse(std::string bytes, To request = To::get, const ResponseLimits& limits = {}) {
  Parsed parsed{.bytes = std::move(bytes)};
  const Result<void> result =
      parse_response_head(parsed.bytes, request == To::head, limits, parsed.head);
  if (!result.ok()) parsed.error = result.error();
  return parsed;
}

std::string with(std::string_view lines, std::string_view start = "HTTP/1.1 200 OK") {
  return std::string{start} + "\r\n" + std::string{lines} + "\r\n";
}

TEST(ResponseHeadTest, ReadsEveryPartOfAnOrdinaryResponse) {
  const Parsed parsed =
      parse("HTTP/1.1 404 Not \xC3\xA9 Found\r\nServer: x\r\nContent-Length: 3\r\n\r\n");
  ASSERT_EQ(parsed.error, Malformed::none);
  EXPECT_EQ(parsed.head.status, 404);
  EXPECT_EQ(parsed.head.reason, "Not \xC3\xA9 Found");
  EXPECT_EQ(parsed.head.minor_version, 1);
  EXPECT_EQ(parsed.head.value(FieldName::server), "x");
  EXPECT_EQ(parsed.head.body, BodyKind::length);
  EXPECT_EQ(parsed.head.content_length, 3U);
  EXPECT_TRUE(parsed.head.keep_alive);
  EXPECT_FALSE(parsed.head.informational());
}

TEST(ResponseHeadTest, AcceptsAnEmptyReasonWithAndWithoutItsSpace) {
  EXPECT_EQ(parse("HTTP/1.1 200 \r\n\r\n").error, Malformed::none);
  EXPECT_EQ(parse("HTTP/1.1 200\r\n\r\n").error, Malformed::none);
  EXPECT_EQ(parse("HTTP/1.1 200\r\n\r\n").head.reason, "");
}

TEST(ResponseHeadTest, RefusesBadStatusLines) {
  for (const auto& [head, kind] : std::vector<std::pair<std::string, Malformed>>{
           {"HTTP/1.1 99 x\r\n\r\n", Malformed::status_line},
           {"HTTP/1.1 099 x\r\n\r\n", Malformed::status_line},
           {"HTTP/1.1 600 x\r\n\r\n", Malformed::status_line},
           {"HTTP/1.1 2000 x\r\n\r\n", Malformed::status_line},
           {"HTTP/1.1 20x x\r\n\r\n", Malformed::status_line},
           {"HTTP/1.1  200 x\r\n\r\n", Malformed::status_line},
           {"HTTP/1.1\t200 x\r\n\r\n", Malformed::status_line},
           {"HTTP/1.1 200\tOK\r\n\r\n", Malformed::status_line},
           {"HTTP/1.1 200 O\x01K\r\n\r\n", Malformed::status_line},
           {"http/1.1 200 OK\r\n\r\n", Malformed::status_line},
           {"HTTP/11 200 OK\r\n\r\n", Malformed::status_line},
           {"ICY 200 OK\r\n\r\n", Malformed::status_line},
           {"\r\nHTTP/1.1 200 OK\r\n\r\n", Malformed::status_line},
           {"HTTP/2.0 200 OK\r\n\r\n", Malformed::version},
           {"HTTP/1.2 200 OK\r\n\r\n", Malformed::version},
           {"HTTP/0.9 200 OK\r\n\r\n", Malformed::version},
           {"HTTP/1.1 200 OK\n\r\n", Malformed::bare_lf},
           {"HTTP/1.1 200\n\r\n", Malformed::bare_lf},
           {"HTTP/1.1 200 O\rK\r\n\r\n", Malformed::bare_cr},
       }) {
    const Malformed error = parse(head).error;
    EXPECT_EQ(error, kind) << head << " " << name(error);
  }
  EXPECT_EQ(parse(std::string{"HTTP/1.1 200 O\0K\r\n\r\n", 20}).error, Malformed::nul);
  for (const int status : {100, 599}) {
    EXPECT_EQ(parse("HTTP/1.1 " + std::to_string(status) + " x\r\n\r\n").head.status, status);
  }
}

TEST(ResponseHeadTest, RefusesAHeadThatIsNotOneWholeHead) {
  const std::string head = with("A: 1\r\n");
  for (size_t size = 0; size < head.size(); ++size) {
    EXPECT_EQ(parse(head.substr(0, size)).error, Malformed::incomplete) << size;
  }
  EXPECT_EQ(parse(head + "x").error, Malformed::incomplete);
}

TEST(ResponseHeadTest, RefusesBadFieldLinesLikeThoseOfRequests) {
  for (const auto& [lines, kind] : std::vector<std::pair<std::string, Malformed>>{
           {"A : 1\r\n", Malformed::space_before_colon},
           {"A: 1\r\n 2\r\n", Malformed::obs_fold},
           {"A(: 1\r\n", Malformed::field_name},
           {"A: \x02\r\n", Malformed::field_value},
           {"A: 1\nB: 2\r\n", Malformed::bare_lf},
           {"A: 1\rB: 2\r\n", Malformed::bare_cr},
       }) {
    EXPECT_EQ(parse(with(lines)).error, kind) << lines;
  }
}

TEST(ResponseHeadTest, EnforcesEveryLimitExactly) {
  const std::string head = with("A: 1\r\nB: 2\r\n");
  EXPECT_EQ(parse(head, To::get, {head.size(), 2}).error, Malformed::none);
  EXPECT_EQ(parse(head, To::get, {head.size(), 1}).error, Malformed::header_count);
  EXPECT_EQ(parse(head, To::get, {head.size() - 1, 2}).error, Malformed::header_too_large);
}

TEST(ResponseHeadTest, FramesTheBodyByStatusAndMethodFirst) {
  const std::string length = "Content-Length: 5\r\n";
  const std::string chunked = "Transfer-Encoding: chunked\r\n";
  for (const std::string& lines : {length, chunked, std::string{}}) {
    EXPECT_EQ(parse(with(lines), To::head).head.body, BodyKind::none) << lines;
    EXPECT_TRUE(parse(with(lines), To::head).head.keep_alive) << lines;
    EXPECT_EQ(parse(with(lines, "HTTP/1.1 304 x")).head.body, BodyKind::none) << lines;
    EXPECT_EQ(parse(with(lines, "HTTP/1.1 304 x")).head.keep_alive, lines != chunked) << lines;
    EXPECT_EQ(parse(with(lines, "HTTP/1.1 204 x")).head.body, BodyKind::none) << lines;
  }
  EXPECT_EQ(parse(with(length), To::head).head.content_length, 5U);
  EXPECT_EQ(parse(with(length)).head.body, BodyKind::length);
  EXPECT_EQ(parse(with(chunked)).head.body, BodyKind::chunked);
  EXPECT_EQ(parse(with("Content-Length: 0\r\n")).head.body, BodyKind::none);
  EXPECT_TRUE(parse(with("Content-Length: 0\r\n")).head.keep_alive);
  EXPECT_EQ(parse(with("")).head.body, BodyKind::until_close);
  EXPECT_FALSE(parse(with("")).head.keep_alive);
  EXPECT_FALSE(parse(with("Connection: keep-alive\r\n")).head.keep_alive);
}

TEST(ResponseHeadTest, DoesNotTrustAConnectionAfterA204ThatAnnouncesABody) {
  const std::string start = "HTTP/1.1 204 No Content";
  EXPECT_TRUE(parse(with("", start)).head.keep_alive);
  EXPECT_TRUE(parse(with("Content-Length: 0\r\n", start)).head.keep_alive);
  EXPECT_FALSE(parse(with("Content-Length: 5\r\n", start)).head.keep_alive);
  EXPECT_FALSE(parse(with("Transfer-Encoding: chunked\r\n", start)).head.keep_alive);
}

TEST(ResponseHeadTest, RefusesAnInformationalResponseThatAnnouncesABody) {
  const std::string start = "HTTP/1.1 103 Early Hints";
  const Parsed good = parse(with("Link: </a>\r\n", start));
  EXPECT_EQ(good.error, Malformed::none);
  EXPECT_TRUE(good.head.informational());
  EXPECT_EQ(good.head.body, BodyKind::none);
  EXPECT_EQ(parse(with("Content-Length: 0\r\n", start)).error, Malformed::none);
  EXPECT_EQ(parse(with("Content-Length: 1\r\n", start)).error, Malformed::content_length_malformed);
  EXPECT_EQ(parse(with("Transfer-Encoding: chunked\r\n", start)).error,
            Malformed::transfer_encoding_malformed);
}

TEST(ResponseHeadTest, RefusesAmbiguousFraming) {
  for (const auto& [lines, kind] : std::vector<std::pair<std::string, Malformed>>{
           {"Content-Length: 5\r\nContent-Length: 5\r\n", Malformed::content_length_repeated},
           {"Content-Length: 5, 5\r\n", Malformed::content_length_repeated},
           {"Content-Length: +5\r\n", Malformed::content_length_malformed},
           {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            Malformed::content_length_with_transfer_encoding},
           {"Transfer-Encoding: gzip, chunked\r\n", Malformed::transfer_encoding_unknown},
           {"Transfer-Encoding: identity\r\n", Malformed::transfer_encoding_malformed},
       }) {
    EXPECT_EQ(parse(with(lines)).error, kind) << lines;
    EXPECT_EQ(parse(with(lines), To::head).error, kind) << lines;
  }
  EXPECT_EQ(parse(with("Transfer-Encoding: chunked\r\n", "HTTP/1.0 200 OK")).error,
            Malformed::transfer_encoding_in_http_1_0);
}

TEST(ResponseHeadTest, DecidesWhetherTheConnectionStaysOpen) {
  const std::string length = "Content-Length: 1\r\n";
  EXPECT_FALSE(parse(with(length + "Connection: close\r\n")).head.keep_alive);
  EXPECT_FALSE(parse(with(length, "HTTP/1.0 200 OK")).head.keep_alive);
  EXPECT_TRUE(
      parse(with(length + "Connection: keep-alive\r\n", "HTTP/1.0 200 OK")).head.keep_alive);
  EXPECT_TRUE(parse(with(length + "Connection: X-A\r\n")).head.connection_names_fields);
}

TEST(ResponseHeadTest, ReportsTheProtocolOfA101Only) {
  const std::string lines = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  EXPECT_EQ(parse(with(lines, "HTTP/1.1 101 Switching Protocols")).head.upgrade, "websocket");
  EXPECT_EQ(parse(with(lines)).head.upgrade, "");
}

TEST(ResponseHeadTest, ForgetsThePreviousResponseAndKeepsItsMemory) {
  const std::string first = with("Connection: x\r\nContent-Length: 5\r\n", "HTTP/1.0 201 Made");
  const std::string second = "HTTP/1.1 200\r\n\r\n";
  ResponseHead head;
  ASSERT_TRUE(parse_response_head(first, false, {}, head).ok());
  const Field* const memory = head.fields.data();
  ASSERT_TRUE(parse_response_head(second, false, {}, head).ok());
  EXPECT_EQ(head.fields.data(), memory);
  EXPECT_TRUE(head.fields.empty() && head.present.none() && head.reason.empty());
  EXPECT_FALSE(head.has_content_length || head.connection_names_fields);
  EXPECT_EQ(head.content_length, 0U);
}

}  // namespace
}  // namespace weir::http
