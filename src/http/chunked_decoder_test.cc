#include "http/chunked_decoder.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace weir::http {
namespace {

struct Outcome {
  std::string body;
  std::string trailers;  // "name=value;" each.
  bool done = false;
  size_t consumed = 0;
  Malformed error = Malformed::none;

  bool operator==(const Outcome&) const = default;
};

// Feeds `message` in pieces of at most `piece_bytes`, the way a slow socket would.
Outcome decode(std::string_view message, size_t piece_bytes = SIZE_MAX,
               ChunkedDecoder::Limits limits = {.body_bytes_max = 1000}) {
  ChunkedDecoder decoder{limits};
  Outcome outcome;
  while (!outcome.done && outcome.consumed < message.size()) {
    const auto step = decoder.step(message.substr(outcome.consumed, piece_bytes));
    if (!step.ok()) {
      outcome.error = step.error();
      outcome.consumed = 0;  // Unspecified after an error.
      break;
    }
    outcome.body += step.value().body;
    outcome.consumed += step.value().consumed;
    outcome.done = step.value().done;
  }
  EXPECT_TRUE(outcome.done || decoder.trailers().empty());
  for (const Field& field : decoder.trailers()) {
    outcome.trailers += std::string{field.name} + "=" + std::string{field.value} + ";";
  }
  return outcome;
}

TEST(ChunkedDecoderTest, DecodesChunksAndStopsAtTheEndOfTheMessage) {
  const std::string message =
      "4\r\nWiki\r\nA;name=\"v\\\",;\";b;c=d\r\npedia in c\r\n000\r\nX-Sum: 1\r\n\r\n";
  const Outcome outcome = decode(message + "GET / HTTP/1.1\r\n");
  EXPECT_EQ(outcome.body, "Wikipedia in c");
  EXPECT_TRUE(outcome.done);
  EXPECT_EQ(outcome.consumed, message.size()) << "must not eat the next request";
  EXPECT_EQ(outcome.trailers, "X-Sum=1;");
}

TEST(ChunkedDecoderTest, HandsOutARunOfBodyBytesWithoutCopyingIt) {
  const std::string input = "1000\r\n" + std::string(0x1000, 'x') + "\r\n";
  ChunkedDecoder decoder{{}};
  const auto step = decoder.step(input).value();
  EXPECT_EQ(step.body.data(), input.data() + 6);
  EXPECT_EQ(step.body.size(), 0x1000U);
  EXPECT_EQ(decoder.body_bytes(), 0x1000U);
  EXPECT_FALSE(decoder.done());
}

TEST(ChunkedDecoderTest, RejectsWhatTwoParsersCouldReadDifferently) {
  for (const auto& [message, kind] : std::vector<std::pair<std::string, Malformed>>{
           {"4\nWiki\r\n0\r\n\r\n", Malformed::bare_lf},
           {"\n", Malformed::bare_lf},
           {"4\rWiki", Malformed::bare_cr},
           {" 4\r\nWiki\r\n0\r\n\r\n", Malformed::chunk_size},
           {"4 \r\nWiki\r\n0\r\n\r\n", Malformed::chunk_size},
           {"4\t;a\r\nWiki\r\n0\r\n\r\n", Malformed::chunk_size},
           {"0x4\r\nWiki\r\n0\r\n\r\n", Malformed::chunk_size},
           {"+4\r\nWiki\r\n0\r\n\r\n", Malformed::chunk_size},
           {"-1\r\n", Malformed::chunk_size},
           {"\r\n", Malformed::chunk_size},
           {";a\r\n", Malformed::chunk_size},
           {"4,4\r\nWiki", Malformed::chunk_size},
           {"G\r\n", Malformed::chunk_size},
           {std::string{"4\0", 2}, Malformed::nul},
           {"4\r\nWikiX\r\n0\r\n\r\n", Malformed::chunk_data},  // Data longer than its size.
           {"4\r\nWiki\n0\r\n\r\n", Malformed::bare_lf},
           {"4\r\nWiki\rX", Malformed::bare_cr},
           {"4\r\nWiki0\r\n\r\n", Malformed::chunk_data},
           {"0\r\nX: 1\n\r\n\r\n", Malformed::bare_lf},
           {"0\r\n\n", Malformed::bare_lf},
           {"0\r\n\rX", Malformed::bare_cr},
           {"0\r\nX: 1\rY", Malformed::bare_cr},
           {std::string{"0\r\nX: \0", 7}, Malformed::nul},
       }) {
    const Outcome outcome = decode(message);
    EXPECT_EQ(outcome.error, kind) << message << " " << name(outcome.error);
  }
}

TEST(ChunkedDecoderTest, RejectsBadExtensions) {
  for (const char* extension :
       {";", ";;", "; a", ";a ", ";a=", ";a= b", ";a =b", ";a==b", ";a=b=c", ";=b", ";a=\"b\"c",
        ";a=\"\x01\"", ";a=\"b\\\x7F\"", ";a=\"b\r\"", ";(", ";a,b"}) {
    EXPECT_EQ(decode("4" + std::string{extension} + "\r\nWiki\r\n").error,
              Malformed::chunk_extension)
        << extension;
  }
  EXPECT_EQ(decode("4;a\nb\r\nWiki").error, Malformed::bare_lf);
  EXPECT_EQ(decode("4;a=\"\n").error, Malformed::bare_lf);
  EXPECT_EQ(decode("4;a\rb").error, Malformed::bare_cr);
}

TEST(ChunkedDecoderTest, EnforcesEveryLimitExactly) {
  const ChunkedDecoder::Limits limits{
      .body_bytes_max = 4, .extension_bytes_max = 2, .trailer_bytes_max = 5};
  EXPECT_TRUE(decode("4;ab\r\nWiki\r\n0\r\nx:1\r\n\r\n", SIZE_MAX, limits).done);
  EXPECT_TRUE(decode("000000000000004\r\nWiki\r\n0\r\n\r\n", SIZE_MAX, limits).done);
  for (const auto& [message, kind] : std::vector<std::pair<std::string, Malformed>>{
           // One body byte too many, refused before it is sent.
           {"5\r\n", Malformed::body_too_large},
           {"3\r\nabc\r\n2\r\n", Malformed::body_too_large},
           {"FFFFFFFFFFFFFFF\r\n", Malformed::body_too_large},
           {"4;abc\r\n", Malformed::chunk_extension},
           // Extensions are counted over the whole message.
           {"1;a\r\nx\r\n1;b\r\ny\r\n1;c", Malformed::chunk_extension},
           // Leading zeros are not free, and a size cannot wrap around 64 bits.
           {"0000000000000004\r\n", Malformed::chunk_size},
           {"FFFFFFFFFFFFFFFFFFFFFF\r\n", Malformed::chunk_size},
           {"10000000000000000\r\n", Malformed::chunk_size},
           {"0\r\nx:12\r\n", Malformed::trailer_too_large},
           {"0\r\nx:1\r\ny", Malformed::trailer_too_large},
       }) {
    EXPECT_EQ(decode(message, SIZE_MAX, limits).error, kind) << message;
  }
}

TEST(ChunkedDecoderTest, TheDigitsOfEachSizeAreCountedAnew) {
  EXPECT_TRUE(decode("000000000000001\r\na\r\n000000000000001\r\nb\r\n0\r\n\r\n").done);
}

TEST(ChunkedDecoderTest, LimitsTheNumberOfTrailers) {
  std::string lines;
  for (int i = 0; i < 64; ++i)
    lines += "x:\r\n";
  EXPECT_TRUE(decode("0\r\n" + lines + "\r\n").done);
  EXPECT_EQ(decode("0\r\n" + lines + "x:\r\n\r\n").error, Malformed::trailer_too_large);
}

TEST(ChunkedDecoderTest, ChecksTrailersLikeFieldsOfAHead) {
  for (const char* line : {"a : b", " a: b", "a", ": b", "a: \x01", "a: b\r\n c", "(: b"}) {
    EXPECT_EQ(decode("0\r\n" + std::string{line} + "\r\n\r\n").error, Malformed::trailer) << line;
  }
}

TEST(ChunkedDecoderTest, RefusesTrailersThatFrameOrRouteTheMessage) {
  for (const char* line : {"Content-Length: 5", "transfer-encoding: chunked", "HOST: a"}) {
    EXPECT_EQ(decode("0\r\nx: y\r\n" + std::string{line} + "\r\n\r\n").error,
              Malformed::trailer_forbidden)
        << line;
  }
}

TEST(ChunkedDecoderTest, DropsTrailersThatMustNotBeMergedIntoTheHead) {
  for (const char* field : {"Connection",
                            "Keep-Alive",
                            "TE",
                            "Trailer",
                            "Upgrade",
                            "Proxy-Authorization",
                            "Authorization",
                            "Cookie",
                            "Set-Cookie",
                            "X-Forwarded-For",
                            "Forwarded",
                            "X-Request-ID",
                            "CF-Connecting-IP",
                            "Content-Type",
                            "Content-Encoding",
                            "Content-Range",
                            "Cache-Control",
                            "Expect",
                            "Range",
                            "If-None-Match",
                            "Age",
                            "Vary",
                            "Location",
                            "Via",
                            "Date"}) {
    const Outcome outcome =
        decode("0\r\nA: 1\r\n" + std::string{field} + ": x\r\nServer-Timing: 2\r\n\r\n");
    EXPECT_TRUE(outcome.done) << field;
    EXPECT_EQ(outcome.trailers, "A=1;Server-Timing=2;") << field;
  }
  EXPECT_EQ(decode("0\r\nETag: \"1\"\r\ngrpc-status: 0\r\n\r\n").trailers,
            "ETag=\"1\";grpc-status=0;");
}

TEST(ChunkedDecoderTest, TrailersSurviveAMove) {
  ChunkedDecoder decoder{{}};
  ASSERT_TRUE(decoder.step("0\r\na: b\r\n\r\n").ok());
  const ChunkedDecoder moved = std::move(decoder);
  ASSERT_EQ(moved.trailers().size(), 1U);
  EXPECT_EQ(moved.trailers()[0].value, "b");
}

TEST(ChunkedDecoderTest, ConsumesNothingOnceDone) {
  ChunkedDecoder decoder{{}};
  ASSERT_TRUE(decoder.step("0\r\n\r\n").value().done);
  const auto step = decoder.step("4\r\n").value();
  EXPECT_EQ(step.consumed, 0U);
  EXPECT_TRUE(step.done && decoder.done());
}

// Goal: no behaviour may depend on how TCP happened to split the bytes. Method: decode every
// message, good or bad, whole and in pieces of every size, and require the same outcome.
TEST(ChunkedDecoderTest, OutcomeDoesNotDependOnHowTheInputIsSplit) {
  for (const std::string_view message : {
           "4\r\nWiki\r\n5;x=\"y\";z\r\npedia\r\n0\r\nA: b\r\nC: d\r\n\r\n",
           "0\r\n\r\n",
           "4\r\nWikiX\r\n0\r\n\r\n",
           "4\r\nWi",
           "z",
           "0\r\nX: 1\n\r\n\r\n",
           "0\r\nHost: a\r\nB c\r\n\r\nrest",
           "3e9\r\n",
       }) {
    const Outcome whole = decode(message, message.size());
    for (size_t piece_bytes = 1; piece_bytes < message.size(); ++piece_bytes) {
      EXPECT_EQ(decode(message, piece_bytes), whole) << message << " in " << piece_bytes;
    }
  }
}

}  // namespace
}  // namespace weir::http
