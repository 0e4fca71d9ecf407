#include "stats/stored_event.h"

#include <cstdlib>

#include <gtest/gtest.h>

#include "base/random.h"

namespace weir::stats {
namespace {

StoredEvent sample() {
  StoredEvent event;
  event.seq = 9;
  event.epoch = 3;
  event.loop = 1;
  event.sequence = 77;
  event.id.unix_ms = 1'760'000'000'123;
  event.id.tail = {1, 2, 3, 4, 5, 6, 7, 8, 9, 250};
  event.ts_ms = 1'760'000'000'123;
  event.created_s = 1'760'000'001;
  event.path = "/kv/{id}";
  event.raw_path = "/kv/17";
  event.method = "GET";
  event.user_agent = "curl/8 \"quoted\" \\ \n \xc3\xa9";
  event.ip = "2001:db8::1";
  event.client = 0xfedcba9876543210U;
  event.us = 1'234'567;
  event.bytes_out = 5000;
  event.status = 404;
  event.flags = 3;
  event.cache = 2;
  event.geo = 1;
  event.attempts = 1;
  return event;
}

std::string line_of(const StoredEvent& event) {
  std::string line;
  append_line(line, event);
  return line;
}

TEST(StoredEventTest, ALineHasTheFoundingColumns) {
  EXPECT_EQ(
      line_of(sample()),
      "{\"id\":\"1760000000123-010203040506070809fa\",\"path\":\"/kv/{id}\",\"method\":\"GET\","
      "\"status\":404,\"response_time\":1234.567,\"client_ip_hash\":\"fedcba9876543210\","
      "\"user_agent\":\"curl/8 \\\"quoted\\\" \\\\ \\u000a \xc3\xa9\",\"country\":null,"
      "\"timestamp\":1760000000123,\"event_date\":\"2025-10-09\",\"is_error\":1,"
      "\"created_at\":1760000001,\"ip_address\":\"2001:db8::1\",\"edge_colo\":null,"
      "\"geo_action\":\"allowed\",\"city\":null,\"seq\":9,\"epoch\":3,\"loop\":1,"
      "\"sequence\":77,\"raw_path\":\"/kv/17\",\"route\":null,\"outcome\":\"complete\","
      "\"cache_status\":\"miss\",\"duration_us\":1234567,\"upstream_us\":0,\"bytes_in\":0,"
      "\"bytes_out\":5000,\"attempts\":1,\"flags\":3}\n");
}

// Goal: every row comes back from its line as it was, and with its digest. Method: random fields,
// texts of arbitrary bytes among them.
TEST(StoredEventTest, ALineGivesTheSameRowBack) {
  const char* const given = std::getenv("WEIR_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 7;
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed));
  base::Random random{seed};
  std::string scratch;
  for (int i = 0; i < 3000; ++i) {
    std::vector<std::string> texts(9);
    for (std::string& text : texts) {
      for (uint64_t n = random.below(12); n > 0; --n)
        text += static_cast<char>(random.below(3) == 0 ? random.below(256) : 32 + random.below(95));
    }
    StoredEvent event = sample();
    event.path = texts[0];
    event.raw_path = texts[1];
    event.method = texts[2];
    event.user_agent = texts[3];
    event.country = texts[4];
    event.city = texts[5];
    event.colo = texts[6];
    event.route = texts[7];
    event.ip = texts[8];
    event.seq = random.below(uint64_t{1} << 62U);
    event.client = random.next();
    event.us = random.below(uint64_t{1} << 60U);
    event.ts_ms = static_cast<int64_t>(random.below(uint64_t{1} << 42U)) - 1'000'000;
    event.id.unix_ms = random.below(10'000'000'000'000U);
    event.outcome = static_cast<uint8_t>(random.below(6));
    event.cache = static_cast<uint8_t>(random.below(5));
    event.geo = static_cast<uint8_t>(random.below(4));
    const std::string line = line_of(event);
    ASSERT_EQ(line.find('\n'), line.size() - 1);
    ParsedEvent parsed;
    ASSERT_TRUE(parse_line(std::string_view{line}.substr(0, line.size() - 1), parsed).ok()) << line;
    ASSERT_EQ(parsed.event, event) << line;
    const RowsDigest digest = digest_of(event, scratch);
    ASSERT_EQ(digest_of(parsed.event, scratch), digest);
  }
}

TEST(StoredEventTest, EveryFieldChangesTheDigest) {
  const StoredEvent event = sample();
  std::string scratch;
  const RowsDigest digest = digest_of(event, scratch);
  const auto differs = [&](auto change) {
    StoredEvent other = event;
    change(other);
    return !(digest_of(other, scratch) == digest);
  };
  EXPECT_TRUE(differs([](StoredEvent& e) { e.seq = 10; }));
  EXPECT_TRUE(differs([](StoredEvent& e) { e.sequence = 78; }));
  EXPECT_TRUE(differs([](StoredEvent& e) { e.id.tail[9] = 0; }));
  EXPECT_TRUE(differs([](StoredEvent& e) { e.status = 405; }));
  EXPECT_TRUE(differs([](StoredEvent& e) { e.user_agent = ""; }));
  EXPECT_TRUE(differs([](StoredEvent& e) { e.attempts = 2; }));
  EXPECT_TRUE(differs([](StoredEvent& e) { e.path = "/kv/"; }));
  EXPECT_TRUE(differs([](StoredEvent& e) { std::swap(e.path, e.raw_path); }));
}

TEST(StoredEventTest, TheSumDoesNotDependOnOrderAndCanBeTakenBack) {
  RowsDigest sum;
  const RowsDigest a{1, ~uint64_t{0}};
  const RowsDigest b{2, 5};
  sum += a;
  sum += b;
  RowsDigest other;
  other += b;
  other += a;
  EXPECT_EQ(sum, other);
  EXPECT_EQ(sum, (RowsDigest{4, 4}));
  sum -= b;
  EXPECT_EQ(sum, a);
}

// `line` with the first `from` replaced.
std::string with(std::string line, std::string_view from, std::string_view to) {
  const size_t at = line.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return line.replace(at, from.size(), to);
}

TEST(StoredEventTest, OrderSpaceUnknownAndRepeatedFieldsDoNotMatter) {
  const StoredEvent event = sample();
  const std::string line = line_of(event);
  const auto parses = [&](const std::string& text) {
    ParsedEvent parsed;
    return parse_line(text, parsed).ok() && parsed.event == event;
  };
  EXPECT_TRUE(parses(line)) << "with its end of line";
  EXPECT_TRUE(parses(with(line, ",\"status\":404", " ,\n \"status\" : 404 ")));
  EXPECT_TRUE(parses(with(with(line, "\"status\":404,", ""), "{", "{\"status\":404,")));
  EXPECT_TRUE(parses(with(line, "{", "{\"new\":{\"seq\":[1,{\"path\":2}]},\"n\":[[],{}],")));
  EXPECT_TRUE(parses(with(line, "{", "{\"seq\":8,\"path\":[],\"epoch\":null,"))) << "the last";
  EXPECT_TRUE(parses(with(line, "\"country\":null", "\"unknown\":null"))) << "absent is null";
  EXPECT_TRUE(parses(with(line, "\"GET\"", "\"no\",\"method_bytes\":\"R0VU\"")));
  EXPECT_TRUE(parses(with(line, "\"GET\"", "7,\"method_bytes\":\"R0VU\"")));
  EXPECT_TRUE(parses(with(line, "GET", "\\u0047ET")));
  EXPECT_TRUE(parses(with(line, "1234.567", "[true]"))) << "not read";
}

TEST(StoredEventTest, FieldsOfAnotherTypeAreRefused) {
  const std::string line = line_of(sample());
  const auto refused = [&](std::string_view from, std::string_view to) {
    ParsedEvent parsed;
    return !parse_line(with(line, from, to), parsed).ok();
  };
  for (const char* const bad : {"9.0", "9e0", "\"9\"", "null", "true", "[9]", "{}", "x", "01",
                                "99999999999999999999", "1e999"})
    EXPECT_TRUE(refused("\"seq\":9", std::string{"\"seq\":"} + bad)) << bad;
  EXPECT_TRUE(refused("\"seq\":9,", "")) << "absent";
  EXPECT_TRUE(refused("\"status\":404", "\"status\":65536"));
  EXPECT_TRUE(refused("\"status\":404", "\"status\":-1"));
  EXPECT_TRUE(refused("\"attempts\":1", "\"attempts\":256"));
  EXPECT_TRUE(refused("\"GET\"", "7"));
  EXPECT_TRUE(refused("\"GET\"", "[\"GET\"]"));
  EXPECT_TRUE(refused("\"GET\"", "false"));
  EXPECT_TRUE(refused("\"GET\"", "\"GET\",\"method_bytes\":\"R0VU=\""));
  EXPECT_TRUE(refused("\"GET\"", "\"GET\",\"method_bytes\":null"));
  EXPECT_TRUE(refused("\"GET\"", "\"\xff\"")) << "no UTF-8";
  EXPECT_TRUE(refused("\"fedcba9876543210\"", "\"fedcba987654321\""));
  EXPECT_TRUE(refused("\"fedcba9876543210\"", "\"fedcba987654321x\""));
  EXPECT_TRUE(refused("\"flags\":3}", "\"flags\":3}x"));
  EXPECT_TRUE(refused("{", "[{"));
}

TEST(StoredEventTest, WhatIsNoLineIsRefused) {
  ParsedEvent parsed;
  const std::string line = line_of(sample());
  for (const char* const bad : {"", "{}", "[]", "null", "{\"id\":1}"})
    EXPECT_EQ(parse_line(bad, parsed).error().code, base::ErrorCode::corrupt) << bad;
  for (size_t end = 1; end < line.size() - 1; end += 7)
    EXPECT_FALSE(parse_line(std::string_view{line}.substr(0, end), parsed).ok());
}

}  // namespace
}  // namespace weir::stats
