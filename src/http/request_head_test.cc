#include "http/request_head.h"

#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace weir::http {
namespace {

struct Parsed {
  std::string bytes;  // What the views of `head` point into.
  RequestHead head;
  Malformed error = Malformed::none;
};

Parsed parse(std::string bytes, const RequestLimits& limits = {}) {
  Parsed parsed{.bytes = std::move(bytes)};
  const Result<void> result = parse_request_head(parsed.bytes, limits, parsed.head);
  if (!result.ok()) parsed.error = result.error();
  return parsed;
}

// A request with these field lines beside a Host.
std::string with(std::string_view lines, std::string_view start = "POST / HTTP/1.1") {
  return std::string{start} + "\r\nHost: a\r\n" + std::string{lines} + "\r\n";
}

// A request with this target.
std::string to(std::string_view target, std::string_view method = "GET") {
  return std::string{method} + " " + std::string{target} + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

Malformed error_of(std::string bytes) {
  return parse(std::move(bytes)).error;
}

TEST(RequestHeadTest, ReadsEveryPartOfAnOrdinaryRequest) {
  const Parsed parsed = parse(
      "GET /a/b?c=d&e HTTP/1.1\r\nHost: Example.com:8080\r\nX-Empty:\r\nX-Spaced:  \t b c \t\r\n"
      "user-AGENT:curl\r\n\r\n");
  ASSERT_EQ(parsed.error, Malformed::none);
  const RequestHead& head = parsed.head;
  EXPECT_EQ(head.method, "GET");
  EXPECT_EQ(head.method_id, Method::get);
  EXPECT_EQ(head.target, "/a/b?c=d&e");
  EXPECT_EQ(head.path_raw, "/a/b");
  EXPECT_TRUE(head.has_query);
  EXPECT_EQ(head.query, "c=d&e");
  EXPECT_EQ(head.host, "Example.com:8080");
  EXPECT_EQ(head.host_name, "Example.com");
  EXPECT_EQ(head.port, 8080);
  EXPECT_EQ(head.minor_version, 1);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_EQ(head.body, BodyKind::none);
  ASSERT_EQ(head.fields.size(), 4U);
  EXPECT_EQ(head.fields[1].name, "X-Empty");
  EXPECT_EQ(head.fields[1].value, "");
  EXPECT_EQ(head.fields[2].value, "b c");
  EXPECT_EQ(head.fields[3].id, FieldName::user_agent);
  EXPECT_EQ(head.value(FieldName::user_agent), "curl");
  EXPECT_EQ(head.find(FieldName::cookie), nullptr);
}

TEST(RequestHeadTest, TellsAnEmptyQueryFromNone) {
  EXPECT_FALSE(parse(to("/a")).head.has_query);
  const Parsed empty = parse(to("/a?"));
  EXPECT_TRUE(empty.head.has_query);
  EXPECT_EQ(empty.head.query, "");
  EXPECT_EQ(parse(to("/a?b?c")).head.query, "b?c");
}

TEST(RequestHeadTest, KnowsTheMethodsAndKeepsOtherTokens) {
  for (const char* method :
       {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}) {
    const Parsed parsed = parse(to("/", method));
    EXPECT_EQ(parsed.error, Malformed::none) << method;
    EXPECT_EQ(text(parsed.head.method_id), method);
  }
  EXPECT_EQ(parse(to("/", "get")).head.method_id, Method::other) << "methods are case-sensitive";
  EXPECT_EQ(parse(to("/", "PROPFIND")).head.method, "PROPFIND");
  EXPECT_EQ(parse(to("/", std::string(kMethodBytesMax, 'A'))).error, Malformed::none);
  EXPECT_EQ(parse(to("/", std::string(kMethodBytesMax + 1, 'A'))).error, Malformed::method);
}

TEST(RequestHeadTest, KnowsWhichMethodsMayBeRepeated) {
  for (const Method method : {Method::get, Method::head, Method::options, Method::trace}) {
    EXPECT_TRUE(is_safe(method) && is_idempotent(method));
  }
  for (const Method method : {Method::put, Method::delete_}) {
    EXPECT_TRUE(!is_safe(method) && is_idempotent(method));
  }
  for (const Method method : {Method::post, Method::patch, Method::connect, Method::other}) {
    EXPECT_FALSE(is_safe(method) || is_idempotent(method));
  }
}

TEST(RequestHeadTest, SkipsOneEmptyLineBeforeTheRequestLine) {
  EXPECT_EQ(parse("\r\n" + to("/a")).head.path_raw, "/a");
  EXPECT_EQ(error_of("\r\n\r\n" + to("/a")), Malformed::method);
}

TEST(RequestHeadTest, RefusesBadRequestLines) {
  const std::string host = "Host: a\r\n\r\n";
  for (const auto& [line, kind] : std::vector<std::pair<std::string, Malformed>>{
           {"GET /\r\n", Malformed::request_line},  // HTTP/0.9
           {"GET  / HTTP/1.1\r\n", Malformed::request_line},
           {"GET /  HTTP/1.1\r\n", Malformed::request_line},
           {"GET / HTTP/1.1 \r\n", Malformed::request_line},
           {"GET /a b HTTP/1.1\r\n", Malformed::request_line},
           {"GET / http/1.1\r\n", Malformed::request_line},
           {"GET / HTTP/1.10\r\n", Malformed::request_line},
           {"GET / HTTP/01.1\r\n", Malformed::request_line},
           {"GET / HTTP/1\r\n", Malformed::request_line},
           {"GET / HTTPS/1.1\r\n", Malformed::request_line},
           {" GET / HTTP/1.1\r\n", Malformed::request_line},
           {"GET / \r\n", Malformed::request_line},
           {"GET\t/ HTTP/1.1\r\n", Malformed::method},
           {"GET\r\n", Malformed::method},
           {"G(T / HTTP/1.1\r\n", Malformed::method},
           {"G\xC3\x89T / HTTP/1.1\r\n", Malformed::method},
           {"GET /\tHTTP/1.1\r\n", Malformed::target_malformed},
           {"GET /\x7F HTTP/1.1\r\n", Malformed::target_malformed},
           {"GET /#a HTTP/1.1\r\n", Malformed::path_fragment},
           {"GET /?a#b HTTP/1.1\r\n", Malformed::path_fragment},
           {"GET a HTTP/1.1\r\n", Malformed::target_malformed},
           {"GET * HTTP/1.1\r\n", Malformed::target_malformed},
           {"OPTIONS ** HTTP/1.1\r\n", Malformed::target_malformed},
           {"GET ftp://a/ HTTP/1.1\r\n", Malformed::target_malformed},
           {"GET http:/a/ HTTP/1.1\r\n", Malformed::target_malformed},
           {"GET http:// HTTP/1.1\r\n", Malformed::target_malformed},
           {"GET http:///a HTTP/1.1\r\n", Malformed::target_malformed},
           {"GET http://user@a/ HTTP/1.1\r\n", Malformed::target_malformed},
           {"GET http://a\\b/ HTTP/1.1\r\n", Malformed::target_malformed},
           {"GET a:80 HTTP/1.1\r\n", Malformed::target_malformed},
           {"GET / HTTP/2.0\r\n", Malformed::version},
           {"GET / HTTP/1.2\r\n", Malformed::version},
           {"GET / HTTP/0.9\r\n", Malformed::version},
           {"PRI * HTTP/2.0\r\n", Malformed::version},
           {"GET / HTTP/1.1\n", Malformed::bare_lf},
           {"GET /\n", Malformed::bare_lf},
           {"GET\n", Malformed::bare_lf},
           {"GET / HTTP/1.1\rX", Malformed::bare_cr},
           {"GET /\rX HTTP/1.1\r\n", Malformed::bare_cr},
       }) {
    EXPECT_EQ(error_of(line + host), kind) << line << " " << name(error_of(line + host));
  }
  EXPECT_EQ(error_of(std::string{"GET /\0 HTTP/1.1\r\n", 17} + host), Malformed::nul);
  EXPECT_EQ(error_of(std::string{"G\0T / HTTP/1.1\r\n", 16} + host), Malformed::nul);
}

TEST(RequestHeadTest, AcceptsTheFormsOfTargetsThatMeanSomething) {
  EXPECT_TRUE(parse(to("*", "OPTIONS")).head.asterisk_form);
  EXPECT_EQ(parse(to("*", "OPTIONS")).head.path_raw, "");
  EXPECT_TRUE(parse(to("http://b", "OPTIONS")).head.asterisk_form);

  const Parsed absolute = parse(to("HTTP://b.example:81/c?d"));
  ASSERT_EQ(absolute.error, Malformed::none);
  EXPECT_TRUE(absolute.head.absolute_form);
  EXPECT_EQ(absolute.head.host, "b.example:81") << "the Host field is ignored";
  EXPECT_EQ(absolute.head.host_name, "b.example");
  EXPECT_EQ(absolute.head.port, 81);
  EXPECT_EQ(absolute.head.path_raw, "/c");
  EXPECT_EQ(absolute.head.query, "d");
  EXPECT_EQ(parse(to("https://b")).head.path_raw, "/");
  EXPECT_EQ(parse(to("http://b?c")).head.path_raw, "/");
  EXPECT_EQ(parse(to("http://b?c")).head.query, "c");

  EXPECT_EQ(parse(to("b:443", "CONNECT")).head.method_id, Method::connect);
  EXPECT_EQ(parse(to("//b")).head.path_raw, "//b") << "no authority in origin form";
}

TEST(RequestHeadTest, LimitsTheTargetExactly) {
  const RequestLimits limits{.target_bytes_max = 10};
  EXPECT_EQ(parse(to("/23456789X"), limits).error, Malformed::none);
  EXPECT_EQ(parse(to("/23456789XY"), limits).error, Malformed::target_too_long);
}

TEST(RequestHeadTest, LimitsTheNumberOfFieldsExactly) {
  const RequestLimits limits{.header_count_max = 3};
  EXPECT_EQ(parse(with("A: 1\r\nB: 2\r\n"), limits).error, Malformed::none);
  EXPECT_EQ(parse(with("A: 1\r\nB: 2\r\nC: 3\r\n"), limits).error, Malformed::header_count);
}

TEST(RequestHeadTest, LimitsTheBytesOfTheHeadExactly) {
  const std::string head = with("A: 1\r\n");
  EXPECT_EQ(parse(head, {.header_bytes_max = head.size()}).error, Malformed::none);
  EXPECT_EQ(parse("\r\n" + head, {.header_bytes_max = head.size()}).error, Malformed::none);
  EXPECT_EQ(parse(head, {.header_bytes_max = head.size() - 1}).error, Malformed::header_too_large);
}

TEST(RequestHeadTest, RefusesBadFieldLines) {
  for (const auto& [lines, kind] : std::vector<std::pair<std::string, Malformed>>{
           {"A : 1\r\n", Malformed::space_before_colon},
           {"A\t: 1\r\n", Malformed::space_before_colon},
           {"A \t : 1\r\n", Malformed::space_before_colon},
           {" A: 1\r\n", Malformed::obs_fold},
           {"A: 1\r\n 2\r\n", Malformed::obs_fold},
           {"A: 1\r\n\t2\r\n", Malformed::obs_fold},
           {"A: 1\r\n \r\n", Malformed::obs_fold},
           {": 1\r\n", Malformed::field_name},
           {"A\r\n", Malformed::field_name},
           {"A B: 1\r\n", Malformed::field_name},
           {"A(: 1\r\n", Malformed::field_name},
           {"A\x80: 1\r\n", Malformed::field_name},
           {"A: 1\x01\r\n", Malformed::field_value},
           {"A: 1\x7F\r\n", Malformed::field_value},
           {"A:\x0B"
            "1\r\n",
            Malformed::field_value},
           {"A: 1\n", Malformed::bare_lf},
           {"A: 1\nB: 2\r\n", Malformed::bare_lf},
           {"A\n: 1\r\n", Malformed::bare_lf},
           {"A: 1\rB: 2\r\n", Malformed::bare_cr},
           {"A: 1\r\r\n", Malformed::bare_cr},
           {"A\r: 1\r\n", Malformed::bare_cr},
           {std::string{"A: \0\r\n", 6}, Malformed::nul},
           {std::string{"A\0: 1\r\n", 7}, Malformed::nul},
       }) {
    const Malformed error = error_of(with(lines));
    EXPECT_EQ(error, kind) << lines << " " << name(error);
  }
}

TEST(RequestHeadTest, KeepsBytesAboveAsciiInValues) {
  EXPECT_EQ(parse(with("A: \xC3\xA9\tb\xFF\r\n")).head.fields[1].value, "\xC3\xA9\tb\xFF");
}

TEST(RequestHeadTest, RefusesAHeadThatIsNotOneWholeHead) {
  const std::string head = with("A: 1\r\n");
  for (size_t size = 0; size < head.size(); ++size) {
    EXPECT_EQ(error_of(head.substr(0, size)), Malformed::incomplete) << size;
  }
  EXPECT_EQ(error_of(head + "x"), Malformed::incomplete);
  EXPECT_EQ(error_of(head + head), Malformed::incomplete);
}

TEST(RequestHeadTest, DemandsExactlyOneHostFieldOfHttp11) {
  EXPECT_EQ(error_of("GET / HTTP/1.1\r\n\r\n"), Malformed::host_missing);
  EXPECT_EQ(error_of("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), Malformed::host_repeated);
  EXPECT_EQ(error_of("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), Malformed::host_repeated);
  EXPECT_EQ(error_of("GET http://a/ HTTP/1.1\r\n\r\n"), Malformed::host_missing);
  EXPECT_EQ(error_of("GET http://a/ HTTP/1.1\r\nHost: (\r\n\r\n"), Malformed::host_malformed);
  const Parsed old = parse("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.error, Malformed::none);
  EXPECT_EQ(old.head.host, "");
}

TEST(RequestHeadTest, RefusesEveryContentLengthWithTwoReadings) {
  const Parsed length = parse(with("Content-Length: 42\r\n"));
  EXPECT_EQ(length.head.body, BodyKind::length);
  EXPECT_EQ(length.head.content_length, 42U);
  const Parsed zero = parse(with("content-length: 0\r\n"));
  EXPECT_EQ(zero.head.body, BodyKind::none);
  EXPECT_TRUE(zero.head.has_content_length);
  EXPECT_EQ(parse(with("Content-Length: 999999999999999999\r\n")).head.content_length,
            999'999'999'999'999'999U);
  for (const auto& [value, kind] : std::vector<std::pair<std::string, Malformed>>{
           {"", Malformed::content_length_malformed},
           {"+5", Malformed::content_length_malformed},
           {"-5", Malformed::content_length_malformed},
           {"5 5", Malformed::content_length_malformed},
           {"0x5", Malformed::content_length_malformed},
           {"5;", Malformed::content_length_malformed},
           {"5,", Malformed::content_length_malformed},
           {",5", Malformed::content_length_malformed},
           {"5.0", Malformed::content_length_malformed},
           {"\"5\"", Malformed::content_length_malformed},
           {"5, x", Malformed::content_length_malformed},
           {"5, 5", Malformed::content_length_repeated},
           {"5,6", Malformed::content_length_repeated},
           {"1000000000000000000", Malformed::body_too_large},
           {"18446744073709551616", Malformed::body_too_large},
       }) {
    EXPECT_EQ(error_of(with("Content-Length: " + value + "\r\n")), kind) << value;
  }
  EXPECT_EQ(error_of(with("Content-Length: 5\r\nContent-Length: 5\r\n")),
            Malformed::content_length_repeated);
  EXPECT_EQ(error_of(with("Content-Length: 5\r\nA: b\r\ncontent-length: 6\r\n")),
            Malformed::content_length_repeated);
}

TEST(RequestHeadTest, AcceptsNoTransferEncodingButChunked) {
  EXPECT_EQ(parse(with("Transfer-Encoding: chunked\r\n")).head.body, BodyKind::chunked);
  EXPECT_EQ(parse(with("Transfer-Encoding:  ChunKED \r\n")).head.body, BodyKind::chunked);
  for (const auto& [lines, kind] : std::vector<std::pair<std::string, Malformed>>{
           {"Transfer-Encoding: gzip, chunked\r\n", Malformed::transfer_encoding_unknown},
           {"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
            Malformed::transfer_encoding_unknown},
           {"Transfer-Encoding: identity, chunked\r\n", Malformed::transfer_encoding_unknown},
           {"Transfer-Encoding: gzip\r\n", Malformed::transfer_encoding_malformed},
           {"Transfer-Encoding: identity\r\n", Malformed::transfer_encoding_malformed},
           {"Transfer-Encoding: xchunked\r\n", Malformed::transfer_encoding_malformed},
           {"Transfer-Encoding: chunked, identity\r\n", Malformed::transfer_encoding_malformed},
           {"Transfer-Encoding: chunked, chunked\r\n", Malformed::transfer_encoding_malformed},
           {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            Malformed::transfer_encoding_malformed},
           {"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            Malformed::transfer_encoding_malformed},
           {"Transfer-Encoding:\r\n", Malformed::transfer_encoding_malformed},
           {"Transfer-Encoding: ,chunked\r\n", Malformed::transfer_encoding_malformed},
           {"Transfer-Encoding: chunked,\r\n", Malformed::transfer_encoding_malformed},
           {"Transfer-Encoding: \"chunked\"\r\n", Malformed::transfer_encoding_malformed},
           {"Transfer-Encoding: chunked;q=1\r\n", Malformed::transfer_encoding_malformed},
           {"Transfer-Encoding: chunked chunked\r\n", Malformed::transfer_encoding_malformed},
           {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            Malformed::content_length_with_transfer_encoding},
           {"Content-Length: 0\r\nTransfer-Encoding: x\r\n",
            Malformed::content_length_with_transfer_encoding},
       }) {
    const Malformed error = error_of(with(lines));
    EXPECT_EQ(error, kind) << lines << " " << name(error);
  }
  EXPECT_EQ(error_of(with("Transfer-Encoding: chunked\r\n", "POST / HTTP/1.0")),
            Malformed::transfer_encoding_in_http_1_0);
}

// Some parsers take a tab for a part of the value, and so see another framing.
TEST(RequestHeadTest, RefusesTabsAroundTheValuesThatFrameTheMessage) {
  for (const char* value : {"\tchunked", "chunked\t", " \t chunked", "chunked \t "}) {
    EXPECT_EQ(error_of(with("Transfer-Encoding:" + std::string{value} + "\r\n")),
              Malformed::transfer_encoding_malformed)
        << value;
  }
  for (const char* value : {"\t5", "5\t", "5 \t"}) {
    EXPECT_EQ(error_of(with("Content-Length:" + std::string{value} + "\r\n")),
              Malformed::content_length_malformed)
        << value;
  }
}

TEST(RequestHeadTest, DecidesWhetherTheConnectionStaysOpen) {
  const std::string old = "GET / HTTP/1.0";
  EXPECT_TRUE(parse(with("")).head.keep_alive);
  EXPECT_FALSE(parse(with("Connection: close\r\n")).head.keep_alive);
  EXPECT_FALSE(parse(with("Connection: a\r\nConnection: b, CLOSE\r\n")).head.keep_alive);
  EXPECT_FALSE(parse(with("Connection: keep-alive, close\r\n")).head.keep_alive);
  EXPECT_FALSE(parse(with("Connection: \", close\r\n")).head.keep_alive)
      << "a quotation mark must not hide a member";
  EXPECT_TRUE(parse(with("Connection: closed\r\n")).head.keep_alive);
  EXPECT_FALSE(parse(with("", old)).head.keep_alive);
  EXPECT_TRUE(parse(with("Connection: Keep-Alive\r\n", old)).head.keep_alive);
  EXPECT_FALSE(parse(with("Proxy-Connection: keep-alive\r\n", old)).head.keep_alive);
}

TEST(RequestHeadTest, SaysWhetherConnectionNamesFields) {
  EXPECT_FALSE(parse(with("Connection: close, Upgrade\r\n")).head.connection_names_fields);
  const Parsed named = parse(with("Connection: close, X-A\r\nConnection: Host, x-b\r\n"));
  EXPECT_TRUE(named.head.connection_names_fields);
  EXPECT_TRUE(connection_names(named.head.fields, "x-a"));
  EXPECT_TRUE(connection_names(named.head.fields, "X-B"));
  EXPECT_FALSE(connection_names(named.head.fields, "X-C"));
  EXPECT_FALSE(connection_names(named.head.fields, "Host")) << "a message needs its Host";
}

TEST(RequestHeadTest, ReportsAnUpgradeOnlyWhenItIsWhollyAsked) {
  const Parsed asked = parse(with("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"));
  EXPECT_TRUE(asked.head.upgrade_requested);
  EXPECT_EQ(asked.head.upgrade, "websocket");
  for (const std::string& head : {
           with("Connection: Upgrade\r\n"),
           with("Upgrade: websocket\r\n"),
           with("Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n"),
           with("Connection: Upgrade\r\nUpgrade: websocket\r\n", "GET / HTTP/1.0"),
       }) {
    EXPECT_FALSE(parse(head).head.upgrade_requested) << head;
    EXPECT_EQ(parse(head).head.upgrade, "") << head;
  }
}

TEST(RequestHeadTest, ReportsThatTheClientWaitsFor100) {
  EXPECT_TRUE(parse(with("Expect: 100-Continue\r\n")).head.expect_continue);
  EXPECT_FALSE(parse(with("Expect: 100-continue-not\r\n")).head.expect_continue);
  EXPECT_FALSE(parse(with("Expect: 100-continue\r\n", "POST / HTTP/1.0")).head.expect_continue);
}

TEST(RequestHeadTest, ForgetsThePreviousRequestAndKeepsItsMemory) {
  const std::string first =
      with("Content-Length: 5\r\nConnection: upgrade, x\r\nUpgrade: w\r\nExpect: 100-continue\r\n",
           "POST http://b:1/c?d HTTP/1.1");
  RequestHead head;
  ASSERT_TRUE(parse_request_head(first, {}, head).ok());
  const Field* const memory = head.fields.data();
  const std::string second = "GET / HTTP/1.0\r\n\r\n";
  ASSERT_TRUE(parse_request_head(second, {}, head).ok());
  EXPECT_EQ(head.fields.data(), memory);
  EXPECT_TRUE(head.fields.empty());
  EXPECT_TRUE(head.present.none());
  EXPECT_EQ(head.host, "");
  EXPECT_EQ(head.port, 0);
  EXPECT_EQ(head.body, BodyKind::none);
  EXPECT_EQ(head.content_length, 0U);
  EXPECT_FALSE(head.has_content_length || head.has_query || head.absolute_form ||
               head.upgrade_requested || head.expect_continue || head.keep_alive ||
               head.connection_names_fields);
}

TEST(AuthorityTest, AcceptsNamesAndAddressesWithPorts) {
  for (const auto& [text, host, port] : std::vector<std::tuple<std::string, std::string, int>>{
           {"a", "a", 0},
           {"a.b-c_d~e", "a.b-c_d~e", 0},
           {"example.com.", "example.com.", 0},
           {"a:", "a", 0},
           {"a:0", "a", 0},
           {"a:65535", "a", 65535},
           {"127.0.0.1:80", "127.0.0.1", 80},
           {"[::]", "[::]", 0},
           {"[::1]:80", "[::1]", 80},
           {"[1:2:3:4:5:6:7:8]", "[1:2:3:4:5:6:7:8]", 0},
           {"[1::8]", "[1::8]", 0},
           {"[1::]", "[1::]", 0},
           {"[::ffff:1.2.3.4]", "[::ffff:1.2.3.4]", 0},
           {"[1:2:3:4:5:6:1.2.3.4]", "[1:2:3:4:5:6:1.2.3.4]", 0},
       }) {
    const Result<Authority> parsed = parse_authority(text);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(parsed.value().name, host);
    EXPECT_EQ(parsed.value().port, port) << text;
  }
  EXPECT_TRUE(parse_authority(std::string(255, 'a') + ":65535").ok());
}

TEST(AuthorityTest, RefusesWhatIsNoAuthorityOrHasTwoReadings) {
  for (const char* text : {"",
                           ".",
                           ":80",
                           "a b",
                           "a/b",
                           "a,b",
                           "a@b",
                           "a%2eb",
                           "a..b",
                           ".a",
                           "a\\b",
                           "a:65536",
                           "a:000080",
                           "a:x",
                           "a:-1",
                           "a:1:2",
                           "::1",
                           "[::1",
                           "[::1]x",
                           "[::1]80",
                           "[]",
                           "[:]",
                           "[:::]",
                           "[1::2::3]",
                           "[1:2:3:4:5:6:7]",
                           "[1:2:3:4:5:6:7:8:9]",
                           "[12345::]",
                           "[1:2:]",
                           "[fe80::1%25eth0]",
                           "[v1.a]",
                           "[::1.2.3]",
                           "[::1.2.3.256]",
                           "[::01.2.3.4]",
                           "[1:2:3:4:5:6:7::8]x",
                           "[1:2:3:4:5:6:7:8::]",
                           "[::g]",
                           "a\xC3\xA9",
                           "a?",
                           "a#"}) {
    EXPECT_FALSE(parse_authority(text).ok()) << text;
  }
  EXPECT_FALSE(parse_authority(std::string(256, 'a')).ok());
}

}  // namespace
}  // namespace weir::http
