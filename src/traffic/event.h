#pragma once
// The traffic event: the one record of one exchange (a request and its response, on any protocol
// version). Everything Weir counts is derived from events; nothing else is counted.
//
// Field names follow the founding system (spec 8.1) where they exist there. The stored form is in
// docs/formats/event.md; encode() and decode() are its only writers and readers.

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/thread_annotations.h"

namespace weir::traffic {

// Made once, at arrival: Unix milliseconds, then 40 bits drawn per epoch and loop, then 40 bits
// counted. Printed as 13 digits, '-', 20 hex digits. Unique without coordination; order between
// events comes from the consumer's sequence, never from here.
struct EventId {
  uint64_t unix_ms = 0;
  std::array<uint8_t, 10> tail{};
  auto operator<=>(const EventId&) const = default;
};
inline constexpr size_t kEventIdTextBytes = 34;
void write_text(const EventId& id, std::span<char, kEventIdTextBytes> out);
std::string to_string(const EventId& id);

// How the exchange ended, as far as it was known when the event was committed.
enum class Outcome : uint8_t {
  complete,
  client_abort,    // The client went away before the response was complete.
  upstream_abort,  // The upstream ended its response early or wrongly.
  timeout,
  refused,     // Weir answered by itself: malformed, no route, limits, no upstream.
  open_ended,  // Tunnels and close-delimited responses: committed before their first byte.
};

enum class CacheStatus : uint8_t { none, hit, miss, stale, bypass };
enum class GeoAction : uint8_t { none, allowed, blocked, throttled };

// Bits of Event::flags.
struct EventFlag {
  static constexpr uint16_t kPathTruncated = 1U << 0U;
  static constexpr uint16_t kUserAgentTruncated = 1U << 1U;
  static constexpr uint16_t kMalformed = 1U << 2U;       // Path is `__malformed__`.
  static constexpr uint16_t kUnrouted = 1U << 3U;        // No route matched.
  static constexpr uint16_t kTotalsOnly = 1U << 4U;      // Counted in hourly rows; no detail row.
  static constexpr uint16_t kSampledOut = 1U << 5U;      // Counted in hourly rows; no detail row.
  static constexpr uint16_t kShortTruncated = 1U << 6U;  // Set by encode(), like the first two.
  static constexpr uint16_t kWouldBeDenied = 1U << 7U;   // By a rule, were it enforced.
};

// All views are borrowed: on the way in they live until commit() returns, out of decode() as long
// as the payload.
struct Event {
  static constexpr size_t kPathBytesMax = 2048;
  static constexpr size_t kUserAgentBytesMax = 256;
  static constexpr size_t kShortBytesMax = 64;  // Method, route id, country, city, colo, node.

  EventId id;
  int64_t arrival_us = 0;  // Unix microseconds: the time stamp of the exchange.
  std::string_view path;   // Normalised, without query.
  std::string_view method;
  std::string_view user_agent;
  std::string_view route_id;  // Empty when no route matched.
  std::string_view country, city, colo;
  std::string_view client_ip;  // As text, subject to privacy.client_ip; may be empty.
  uint64_t client_hash = 0;    // First 8 bytes of HMAC-SHA-256(installation key, address).
  uint64_t duration_us = 0;    // Arrival to commit.
  uint64_t upstream_us = 0;    // First byte to the upstream until the end of its head; 0 without.
  uint64_t bytes_in = 0;       // From the client, head included.
  uint64_t bytes_out = 0;      // Offered to the client by commit, head included.
  uint16_t status = 0;         // 100 to 599; 499 only where no final status line was sent.
  uint16_t flags = 0;          // EventFlag.
  Outcome outcome = Outcome::complete;
  CacheStatus cache = CacheStatus::none;
  GeoAction geo = GeoAction::none;
  uint8_t attempts = 0;  // Upstream attempts; 0 when none was asked.

  bool is_error() const { return status >= 400; }
};

// Largest encoded event, all strings at their limits.
inline constexpr size_t kEventBytesMax = 4096;

// Writes the event to `out` and returns the bytes used: about 60 and the strings. Strings over
// their limit are cut and flagged; invalid UTF-8 is kept as it is. Never fails, never allocates.
// Requires out.size() >= kEventBytesMax.
size_t encode(const Event& event, std::span<char> out);

// Errors: corrupt (Origin::storage): the bytes are no event of a known version. `status` and
// `flags` are taken as they are stored.
base::Result<Event> decode(std::string_view payload WEIR_LIFETIMEBOUND);

}  // namespace weir::traffic
