// Goal and method as in llhttp_oracle_test.cc, with Boost.Beast as the other parser.

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <boost/beast/core/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <gtest/gtest.h>

#include "http/testing/messages.h"

namespace weir::http::testing {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;

using Names = std::vector<std::pair<std::string, std::string>>;

// Beast keeps fields of one name together, so both sides are brought into one order.
Names in_order(Names fields) {
  for (auto& [name, value] : fields) {
    std::transform(name.begin(), name.end(), name.begin(), lower_case);
  }
  std::stable_sort(fields.begin(), fields.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return fields;
}

struct Theirs {
  Reading reading;
  std::string reason;
};

// Trailers become fields of Beast's message, so the head is read alone first.
template <bool kIsRequest>
Theirs read_head(std::string_view head, bool request_was_head) {
  Theirs theirs;
  beast::http::parser<kIsRequest, beast::http::string_body> parser;
  parser.header_limit(1 << 20);
  parser.body_limit(UINT64_MAX);
  parser.skip(request_was_head);
  beast::error_code error;
  parser.put(asio::buffer(head.data(), head.size()), error);
  if (error == beast::http::error::need_more) error = {};
  theirs.reason = error.message();
  Reading& r = theirs.reading;
  r.head_accepted = !error && parser.is_header_done();
  if (!r.head_accepted) return theirs;
  const auto& message = parser.get();
  if constexpr (kIsRequest) {
    r.method = std::string{message.method_string()};
    r.target = std::string{message.target()};
  } else {
    r.status = static_cast<int>(message.result_int());
  }
  r.minor_version = static_cast<int>(message.version()) - 10;
  for (const auto& field : message) {
    r.fields.emplace_back(std::string{field.name_string()}, std::string{field.value()});
  }
  r.chunked = parser.chunked();
  r.keep_alive = parser.keep_alive();
  if (const auto length = parser.content_length()) r.content_length = *length;
  return theirs;
}

template <bool kIsRequest>
Theirs read_message(std::string_view bytes, bool request_was_head) {
  Theirs theirs;
  beast::http::parser<kIsRequest, beast::http::string_body> parser;
  parser.header_limit(1 << 20);
  parser.body_limit(UINT64_MAX);
  parser.skip(request_was_head);
  parser.eager(true);
  beast::error_code error;
  size_t at = 0;
  while (!parser.is_done() && !error && at < bytes.size()) {
    const size_t consumed = parser.put(asio::buffer(bytes.data() + at, bytes.size() - at), error);
    at += consumed;
    if (consumed == 0) break;
  }
  if (error == beast::http::error::need_more) error = {};
  if (!error && !parser.is_done() && parser.need_eof()) parser.put_eof(error);
  theirs.reason = error.message();
  theirs.reading.complete = !error && parser.is_done();
  theirs.reading.message_bytes = at;
  theirs.reading.body = parser.get().body();
  return theirs;
}

void expect_same_head(const Reading& ours, const Theirs& theirs) {
  const Reading& r = theirs.reading;
  ASSERT_TRUE(r.head_accepted) << theirs.reason;
  EXPECT_EQ(r.method, ours.method);
  EXPECT_EQ(r.target, ours.target);
  EXPECT_EQ(r.status, ours.status);
  EXPECT_EQ(r.minor_version, ours.minor_version);
  EXPECT_EQ(in_order(r.fields), in_order(ours.fields));
  EXPECT_EQ(r.chunked, ours.chunked);
  EXPECT_EQ(r.content_length, ours.content_length);
  EXPECT_TRUE(r.keep_alive || !ours.keep_alive);
}

void expect_same_message(const Reading& ours, const Theirs& theirs) {
  if (ours.body_refused) return;
  EXPECT_EQ(theirs.reading.complete, ours.complete) << theirs.reason;
  if (!ours.complete) return;
  EXPECT_EQ(theirs.reading.body, ours.body);
  EXPECT_EQ(theirs.reading.message_bytes, ours.message_bytes) << theirs.reason;
}

// Excluded: a Connection, Proxy-Connection or Upgrade field that is no list of tokens. Beast
// refuses it; we overlook members that are none, since these fields decide nothing about where a
// message ends, and are never sent on.
bool refuses_token_list(const Reading& ours, const Theirs& theirs) {
  if (theirs.reason != "bad value") return false;
  for (const auto& [name, value] : ours.fields) {
    const FieldName id = field_name(name);
    if (id != FieldName::connection && id != FieldName::proxy_connection &&
        id != FieldName::upgrade) {
      continue;
    }
    for (ListMembers list{value}; list.next();) {
      if (!is_token(list.member())) return true;
    }
  }
  return false;
}

// Excluded: a status line that ends right after the status. We take it, because many servers leave
// the space out; Beast does not.
bool refuses_missing_space(std::string_view head, const Theirs& theirs) {
  return theirs.reason == "bad status" && head.find("\r\n") == head.find(' ') + 4;
}

constexpr int kRounds = 30'000;

uint64_t seed() {
  const char* const text = std::getenv("WEIR_SEED");  // NOLINT(concurrency-mt-unsafe)
  return text == nullptr ? 20251015 : std::strtoull(text, nullptr, 10);
}

TEST(BeastOracleTest, ReadsTheSameRequestsAsWeDo) {
  MessageGenerator generator{seed()};
  int accepted = 0;
  int complete = 0;
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    const std::string bytes = generator.request();
    const Reading ours = read_request(bytes);
    if (!ours.head_accepted) continue;
    ++accepted;
    SCOPED_TRACE(::testing::PrintToString(bytes) + ", WEIR_SEED=" + std::to_string(seed()));
    const std::string_view head = std::string_view{bytes}.substr(0, ours.head_bytes);
    const Theirs theirs = read_head<true>(head, false);
    if (refuses_token_list(ours, theirs)) continue;
    expect_same_head(ours, theirs);
    complete += ours.complete ? 1 : 0;
    expect_same_message(ours, read_message<true>(bytes, false));
  }
  EXPECT_GT(accepted, kRounds / 3);
  EXPECT_GT(complete, kRounds / 4);
}

TEST(BeastOracleTest, ReadsTheSameResponsesAsWeDo) {
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
    const std::string_view head = std::string_view{bytes}.substr(0, ours.head_bytes);
    const Theirs theirs = read_head<false>(head, request_was_head);
    if (refuses_token_list(ours, theirs) || refuses_missing_space(head, theirs)) continue;
    expect_same_head(ours, theirs);
    complete += ours.complete ? 1 : 0;
    expect_same_message(ours, read_message<false>(bytes, request_was_head));
  }
  EXPECT_GT(accepted, kRounds / 3);
  EXPECT_GT(complete, kRounds / 4);
}

}  // namespace
}  // namespace weir::http::testing
