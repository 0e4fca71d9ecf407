// Goal: whatever this module accepts, another parser reads as the same message with the same end;
// else a proxy in front of such a parser could be used to smuggle requests. Method: random messages
// at the edge of what is well-formed, compared with llhttp (the parser of Node.js) in strict mode.
// The converse need not hold: llhttp accepts much that is refused here.

#include <algorithm>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>
#include <llhttp.h>

#include "http/testing/messages.h"

namespace weir::http::testing {
namespace {

struct Recorder {
  Reading reading;
  bool request_was_head = false;
  bool value_follows = false;
  bool head_complete = false;
  std::string reason;
};

Recorder& recorder(llhttp_t* parser) {
  return *static_cast<Recorder*>(parser->data);
}

int on_url(llhttp_t* parser, const char* at, size_t size) {
  recorder(parser).reading.target.append(at, size);
  return 0;
}

int on_field(llhttp_t* parser, const char* at, size_t size) {
  Recorder& r = recorder(parser);
  if (r.head_complete) return 0;  // Trailers.
  if (r.value_follows || r.reading.fields.empty()) r.reading.fields.emplace_back();
  r.value_follows = false;
  r.reading.fields.back().first.append(at, size);
  return 0;
}

int on_value(llhttp_t* parser, const char* at, size_t size) {
  Recorder& r = recorder(parser);
  if (r.head_complete) return 0;
  r.reading.fields.back().second.append(at, size);
  r.value_follows = true;
  return 0;
}

int on_headers_complete(llhttp_t* parser) {
  Recorder& r = recorder(parser);
  r.head_complete = true;
  r.reading.head_accepted = true;
  r.reading.minor_version = parser->http_minor;
  r.reading.status = parser->status_code;
  if (parser->type == HTTP_REQUEST) {
    r.reading.method = llhttp_method_name(static_cast<llhttp_method_t>(parser->method));
  }
  r.reading.chunked = (parser->flags & F_CHUNKED) != 0;
  if ((parser->flags & F_CONTENT_LENGTH) != 0) r.reading.content_length = parser->content_length;
  r.reading.keep_alive = llhttp_should_keep_alive(parser) != 0;
  // llhttp leaves it to its caller to say which responses have no body whatever their fields say.
  const bool bodiless = r.request_was_head || r.reading.status == 204 || r.reading.status == 304;
  return bodiless ? 1 : 0;
}

int on_body(llhttp_t* parser, const char* at, size_t size) {
  recorder(parser).reading.body.append(at, size);
  return 0;
}

int on_message_complete(llhttp_t* parser) {
  recorder(parser).reading.complete = true;
  return HPE_PAUSED;
}

Recorder read(std::string_view bytes, llhttp_type_t type, bool request_was_head) {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_url = on_url;
  settings.on_header_field = on_field;
  settings.on_header_value = on_value;
  settings.on_headers_complete = on_headers_complete;
  settings.on_body = on_body;
  settings.on_message_complete = on_message_complete;
  Recorder r{.request_was_head = request_was_head};
  llhttp_t parser;
  llhttp_init(&parser, type, &settings);
  parser.data = &r;
  const llhttp_errno_t error = llhttp_execute(&parser, bytes.data(), bytes.size());
  r.reading.message_bytes = bytes.size();
  if (error == HPE_OK) {
    if (llhttp_message_needs_eof(&parser) != 0) llhttp_finish(&parser);
  } else {
    r.reading.message_bytes = static_cast<size_t>(llhttp_get_error_pos(&parser) - bytes.data());
    r.reason = std::string{llhttp_errno_name(error)} + " " + parser.reason;
  }
  for (auto& [name, value] : r.reading.fields)
    value = trim(value);
  return r;
}

void expect_same_head(const Reading& ours, const Recorder& theirs) {
  const Reading& r = theirs.reading;
  ASSERT_TRUE(r.head_accepted) << theirs.reason;
  EXPECT_EQ(r.method, ours.method);
  EXPECT_EQ(r.target, ours.target);
  EXPECT_EQ(r.status, ours.status);
  EXPECT_EQ(r.minor_version, ours.minor_version);
  EXPECT_EQ(r.fields, ours.fields);
  EXPECT_EQ(r.chunked, ours.chunked);
  EXPECT_EQ(r.content_length, ours.content_length);
}

// Excluded: chunk extensions, of which llhttp 8.1 refuses many that RFC 9112 allows. It refuses
// them, so nothing can be smuggled; where it accepts, the outcome is compared.
bool refuses_extension(const Recorder& theirs, std::string_view body) {
  const bool refused = theirs.reason.starts_with("HPE_INVALID_CHUNK_SIZE") ||
                       theirs.reason.find("chunk extensions") != std::string::npos;
  return refused && body.find(';') != std::string_view::npos;
}

void expect_same_message(std::string_view bytes, const Reading& ours, const Recorder& theirs) {
  if (refuses_extension(theirs, bytes.substr(ours.head_bytes))) return;
  if (ours.body_refused) return;
  EXPECT_EQ(theirs.reading.complete, ours.complete) << theirs.reason;
  if (!ours.complete) return;
  EXPECT_EQ(theirs.reading.body, ours.body);
  EXPECT_EQ(theirs.reading.message_bytes, ours.message_bytes) << theirs.reason;
}

// Excluded: methods that llhttp has no number for, and targets with bytes of 0x80 and above. It
// refuses both outright.
bool knows_fewer_requests(const Reading& ours, const Recorder& theirs) {
  const bool high_bytes = std::any_of(ours.target.begin(), ours.target.end(),
                                      [](char byte) { return (byte & 0x80) != 0; });
  return (method_of(ours.method) == Method::other &&
          theirs.reason.starts_with("HPE_INVALID_METHOD")) ||
         (high_bytes && theirs.reason.starts_with("HPE_INVALID_URL"));
}

constexpr int kRounds = 60'000;

uint64_t seed() {
  const char* const text = std::getenv("WEIR_SEED");  // NOLINT(concurrency-mt-unsafe)
  return text == nullptr ? 20251015 : std::strtoull(text, nullptr, 10);
}

TEST(LlhttpOracleTest, ReadsTheSameRequestsAsWeDo) {
  MessageGenerator generator{seed()};
  int accepted = 0;
  int complete = 0;
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    const std::string bytes = generator.request();
    const Reading ours = read_request(bytes);
    if (!ours.head_accepted) continue;
    ++accepted;
    SCOPED_TRACE(::testing::PrintToString(bytes) + ", WEIR_SEED=" + std::to_string(seed()));
    const Recorder theirs = read(bytes, HTTP_REQUEST, false);
    if (knows_fewer_requests(ours, theirs)) continue;
    expect_same_head(ours, theirs);
    // llhttp does not know a "keep-alive" that a tab follows. It closes more often, that is all.
    const bool tab = bytes.find('\t') != std::string::npos;
    EXPECT_TRUE(theirs.reading.keep_alive || !ours.keep_alive || tab);
    complete += ours.complete ? 1 : 0;
    expect_same_message(bytes, ours, theirs);
  }
  EXPECT_GT(accepted, kRounds / 3);
  EXPECT_GT(complete, kRounds / 4);
}

TEST(LlhttpOracleTest, ReadsTheSameResponsesAsWeDo) {
  MessageGenerator generator{seed() + 1};
  int accepted = 0;
  int complete = 0;
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    const std::string bytes = generator.response();
    const bool request_was_head = round % 4 == 0;
    const Reading ours = read_response(bytes, request_was_head);
    if (!ours.head_accepted) continue;
    ++accepted;
    SCOPED_TRACE(::testing::PrintToString(bytes) + ", WEIR_SEED=" + std::to_string(seed()));
    const Recorder theirs = read(bytes, HTTP_RESPONSE, request_was_head);
    expect_same_head(ours, theirs);
    complete += ours.complete ? 1 : 0;
    expect_same_message(bytes, ours, theirs);
  }
  EXPECT_GT(accepted, kRounds / 3);
  EXPECT_GT(complete, kRounds / 4);
}

}  // namespace
}  // namespace weir::http::testing
