#include "traffic/event.h"

#include <array>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "base/random.h"
#include "traffic/testing/event_equal.h"

namespace weir::traffic {
namespace {

using testing::expect_equal;

std::string encoded(const Event& event) {
  std::array<char, kEventBytesMax> bytes{};
  return {bytes.data(), encode(event, bytes)};
}

Event typical() {
  Event event;
  event.id = {1'760'536'987'042, {1, 2, 3, 4, 5, 0, 0, 0, 0, 9}};
  event.arrival_us = 1'760'536'987'042'123;
  event.path = "/api/v1/users/42";
  event.method = "GET";
  event.user_agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36";
  event.route_id = "users";
  event.country = "DE";
  event.city = "Berlin";
  event.client_ip = "192.0.2.17";
  event.client_hash = 0x1122334455667788U;
  event.duration_us = 1234;
  event.upstream_us = 1001;
  event.bytes_in = 310;
  event.bytes_out = 1240;
  event.status = 200;
  event.attempts = 1;
  return event;
}

TEST(EventTest, AnIdIsPrintedAsMillisecondsAndTwentyHexDigits) {
  EXPECT_EQ(to_string(typical().id), "1760536987042-01020304050000000009");
  EXPECT_EQ(to_string(EventId{}), "0000000000000-00000000000000000000");
}

TEST(EventTest, RoundTripsATypicalEventInFewBytes) {
  const std::string bytes = encoded(typical());
  EXPECT_LE(bytes.size(), 160U);
  expect_equal(decode(bytes).value(), typical());
}

TEST(EventTest, RoundTripsTheEmptyEventAndExtremes) {
  expect_equal(decode(encoded(Event{})).value(), Event{});
  Event event;
  event.id.unix_ms = std::numeric_limits<uint64_t>::max();
  event.id.tail.fill(0xff);
  for (const int64_t us :
       {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(), int64_t{-1}}) {
    event.arrival_us = us;
    event.duration_us = event.upstream_us = event.bytes_in = event.bytes_out = event.client_hash =
        std::numeric_limits<uint64_t>::max();
    event.status = event.flags = std::numeric_limits<uint16_t>::max();
    event.attempts = std::numeric_limits<uint8_t>::max();
    event.outcome = Outcome::open_ended;
    event.cache = CacheStatus::bypass;
    event.geo = GeoAction::throttled;
    expect_equal(decode(encoded(event)).value(), event);
  }
}

// Goal: strings at their limit are kept, one byte more is cut and flagged, and everything at its
// limit at once fits into kEventBytesMax.
TEST(EventTest, CutsAndFlagsStringsOneBeyondTheirLimit) {
  const std::string path(Event::kPathBytesMax + 1, 'p');
  const std::string agent(Event::kUserAgentBytesMax + 1, 'u');
  const std::string text(Event::kShortBytesMax + 1, 's');
  const auto make = [&](size_t beyond) {
    Event event = typical();
    event.path = std::string_view{path}.substr(0, Event::kPathBytesMax + beyond);
    event.user_agent = std::string_view{agent}.substr(0, Event::kUserAgentBytesMax + beyond);
    event.method = event.route_id = event.country = event.city = event.colo = event.client_ip =
        std::string_view{text}.substr(0, Event::kShortBytesMax + beyond);
    return event;
  };
  expect_equal(decode(encoded(make(0))).value(), make(0));

  Event expected = make(0);
  expected.flags =
      EventFlag::kPathTruncated | EventFlag::kUserAgentTruncated | EventFlag::kShortTruncated;
  const std::string beyond = encoded(make(1));
  EXPECT_LE(beyond.size(), kEventBytesMax);
  expect_equal(decode(beyond).value(), expected);
}

TEST(EventTest, KeepsInvalidUtf8AndUnusualMethods) {
  Event event = typical();
  event.path = std::string_view{"/\xff\x00\xc3", 4};
  for (const std::string_view method : {"", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS",
                                        "PATCH", "CONNECT", "TRACE", "PROPFIND", "get"}) {
    event.method = method;
    expect_equal(decode(encoded(event)).value(), event);
  }
}

TEST(EventTest, RefusesEveryPrefixAndEveryExtension) {
  const std::string bytes = encoded(typical());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode(std::string_view{bytes}.substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(decode(bytes + '\0').ok());
}

TEST(EventTest, RefusesWhatNoEncoderWrites) {
  const std::string good = encoded(typical());
  const auto with = [&good](size_t at, char value) {
    std::string bytes = good;
    bytes[at] = value;
    return decode(bytes).ok();
  };
  EXPECT_TRUE(with(0, 1));
  EXPECT_FALSE(with(0, 0)) << "version";
  EXPECT_FALSE(with(0, 2)) << "version";
  EXPECT_FALSE(with(5, 6)) << "outcome";
  EXPECT_FALSE(with(5, 5 << 3)) << "cache status";
}

// Goal: whatever is encoded comes back. Method: random events, printed with their seed's index.
TEST(EventTest, RoundTripsRandomEvents) {
  base::Random random{7};
  const auto text = [&random](size_t bytes_max) {
    std::string value(random.below(bytes_max + 1), '\0');
    for (char& c : value)
      c = static_cast<char>(random.next());
    return value;
  };
  const auto number = [&random] { return random.next() >> random.below(64); };
  for (int i = 0; i < 500; ++i) {
    const std::string path = text(Event::kPathBytesMax);
    const std::string agent = text(Event::kUserAgentBytesMax);
    const std::string shorts[] = {text(64), text(64), text(64), text(64), text(64), text(64)};
    Event event;
    event.id.unix_ms = number();
    for (uint8_t& byte : event.id.tail)
      byte = static_cast<uint8_t>(random.next());
    event.arrival_us = static_cast<int64_t>(number());
    event.path = path;
    event.user_agent = agent;
    event.method = shorts[0];
    event.route_id = shorts[1];
    event.country = shorts[2];
    event.city = shorts[3];
    event.colo = shorts[4];
    event.client_ip = shorts[5];
    event.client_hash = number();
    event.duration_us = number();
    event.upstream_us = number();
    event.bytes_in = number();
    event.bytes_out = number();
    event.status = static_cast<uint16_t>(number());
    event.flags = static_cast<uint16_t>(number());
    event.outcome = static_cast<Outcome>(random.below(6));
    event.cache = static_cast<CacheStatus>(random.below(5));
    event.geo = static_cast<GeoAction>(random.below(4));
    event.attempts = static_cast<uint8_t>(number());
    SCOPED_TRACE(i);
    expect_equal(decode(encoded(event)).value(), event);
  }
}

}  // namespace
}  // namespace weir::traffic
