#include "http/body_reader.h"

#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace weir::http {
namespace {

struct Outcome {
  std::string body;
  size_t consumed = 0;
  bool done = false;
  Malformed error = Malformed::none;
};

Outcome read(BodyReader reader, std::string_view input, size_t piece_bytes) {
  Outcome outcome{.done = reader.done()};
  while (!outcome.done && outcome.consumed < input.size()) {
    const auto step = reader.step(input.substr(outcome.consumed, piece_bytes));
    if (!step.ok()) {
      outcome.error = step.error();
      break;
    }
    outcome.consumed += step.value().consumed;
    outcome.body += step.value().body;
    outcome.done = step.value().done;
    EXPECT_EQ(outcome.done, reader.done());
  }
  EXPECT_EQ(reader.body_bytes(), outcome.body.size());
  return outcome;
}

TEST(BodyReaderTest, NoBodyIsDoneAtOnce) {
  EXPECT_TRUE(BodyReader{}.done());
  EXPECT_TRUE((BodyReader{BodyKind::none, 0}.done()));
  EXPECT_TRUE((BodyReader{BodyKind::length, 0}.done()));
  BodyReader none;
  const BodyStep step = none.step("GET").value();
  EXPECT_EQ(step.consumed, 0U);
  EXPECT_TRUE(step.done);
  EXPECT_TRUE(none.end_of_stream().ok());
}

TEST(BodyReaderTest, ReadsALengthAndNotAByteMore) {
  for (const size_t piece_bytes : {1U, 2U, 3U, 100U}) {
    const Outcome outcome = read(BodyReader{BodyKind::length, 5}, "helloGET /", piece_bytes);
    EXPECT_EQ(outcome.body, "hello");
    EXPECT_EQ(outcome.consumed, 5U);
    EXPECT_TRUE(outcome.done);
  }
}

TEST(BodyReaderTest, ReadsChunksWithTheirTrailers) {
  const std::string message = "5\r\nhello\r\n0\r\na: b\r\n\r\n";
  for (const size_t piece_bytes : {1U, 2U, 3U, 100U}) {
    const Outcome outcome = read(BodyReader{BodyKind::chunked, 0}, message + "GET", piece_bytes);
    EXPECT_EQ(outcome.body, "hello");
    EXPECT_EQ(outcome.consumed, message.size());
    EXPECT_TRUE(outcome.done);
  }
  BodyReader reader{BodyKind::chunked, 0};
  ASSERT_TRUE(reader.step("0\r\na: b\r\n\r\n").value().done);
  EXPECT_EQ(value_of(reader.trailers(), FieldName::cookie), "");
  EXPECT_EQ(find(reader.trailers(), "a")->value, "b");
}

TEST(BodyReaderTest, ReadsUntilTheStreamEnds) {
  BodyReader reader{BodyKind::until_close, 0};
  EXPECT_EQ(reader.step("abc").value().body, "abc");
  EXPECT_FALSE(reader.done());
  EXPECT_TRUE(reader.end_of_stream().ok());
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(reader.step("x").value().consumed, 0U);
}

TEST(BodyReaderTest, AStreamThatEndsEarlyIsAnError) {
  BodyReader length{BodyKind::length, 5};
  ASSERT_TRUE(length.step("hell").ok());
  EXPECT_EQ(length.length_left(), 1U);
  EXPECT_EQ(length.end_of_stream().error(), Malformed::incomplete);
  ASSERT_TRUE(length.step("o").ok());
  EXPECT_TRUE(length.end_of_stream().ok());

  BodyReader chunked{BodyKind::chunked, 0};
  ASSERT_EQ(chunked.step("5\r\nhello").value().body, "hello");
  ASSERT_TRUE(chunked.step("\r\n0\r\n\r").ok());
  EXPECT_EQ(chunked.end_of_stream().error(), Malformed::incomplete);
  ASSERT_TRUE(chunked.step("\n").value().done);
  EXPECT_TRUE(chunked.end_of_stream().ok());
}

TEST(BodyReaderTest, LimitsTheBodyExactlyWhateverItsFraming) {
  EXPECT_TRUE(read(BodyReader{BodyKind::length, 5, 5}, "hello", 9).done);
  EXPECT_EQ(read(BodyReader{BodyKind::length, 6, 5}, "h", 9).error, Malformed::body_too_large);
  EXPECT_TRUE(read(BodyReader{BodyKind::chunked, 0, 5}, "5\r\nhello\r\n0\r\n\r\n", 99).done);
  EXPECT_EQ(read(BodyReader{BodyKind::chunked, 0, 5}, "6\r\n", 9).error, Malformed::body_too_large);
  EXPECT_EQ(read(BodyReader{BodyKind::until_close, 0, 5}, "hello", 9).error, Malformed::none);
  const Outcome outcome = read(BodyReader{BodyKind::until_close, 0, 5}, "hello!", 4);
  EXPECT_EQ(outcome.error, Malformed::body_too_large);
  EXPECT_EQ(outcome.body, "hello");
}

TEST(BodyReaderTest, TakesItsFramingFromAHead) {
  const std::string bytes = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
  RequestHead head;
  ASSERT_TRUE(parse_request_head(bytes, {}, head).ok());
  const BodyReader reader{head};
  EXPECT_EQ(reader.kind(), BodyKind::length);
  EXPECT_EQ(reader.length_left(), 3U);
  ResponseHead response;
  ASSERT_TRUE(parse_response_head("HTTP/1.1 200 OK\r\n\r\n", false, {}, response).ok());
  EXPECT_EQ(BodyReader{response}.kind(), BodyKind::until_close);
}

}  // namespace
}  // namespace weir::http
