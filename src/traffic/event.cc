#include "traffic/event.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.h"
#include "codec/varint.h"

// The stored form is docs/formats/event.md.

namespace weir::traffic {
namespace {

constexpr uint8_t kVersion = 1;

constexpr base::Error corrupt(base::StaticText what) {
  return {base::ErrorCode::corrupt, base::Origin::storage, base::Retry::never, 0, what};
}

// Methods that have a code of one byte; 0 means that the name follows.
constexpr std::array<std::string_view, 10> kMethods = {
    "", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE"};

uint8_t method_code(std::string_view method) {
  for (size_t i = 1; i < kMethods.size(); ++i) {
    if (kMethods[i] == method) return static_cast<uint8_t>(i);
  }
  return 0;
}

// Writes without looking at the end: encode() requires kEventBytesMax bytes, and the static_assert
// below shows that this is enough for everything at its limit.
struct Writer {
  char* at;

  void byte(uint8_t value) { *at++ = static_cast<char>(value); }
  template <typename T>
  void fixed(T value) {
    std::memcpy(at, &value, sizeof value);
    at += sizeof value;
  }
  void varint(uint64_t value) { at = codec::write_varint(at, value); }
  void text(std::string_view value) {
    varint(value.size());
    if (!value.empty()) std::memcpy(at, value.data(), value.size());
    at += value.size();
  }
};

constexpr size_t kFixedBytesMax = 1 + 2 + 2 + 1 + 1 + 8 + 8 + 10 + 5 * codec::kVarintBytesMax + 1;
constexpr size_t kTextsBytesMax =
    Event::kPathBytesMax + Event::kUserAgentBytesMax + 6 * Event::kShortBytesMax;
static_assert(kFixedBytesMax + kTextsBytesMax + 8 * codec::kVarintBytesMax <= kEventBytesMax);

struct Reader {
  std::string_view in;
  bool ok = true;

  template <typename T>
  T fixed() {
    T value{};
    ok = ok && in.size() >= sizeof value;
    if (ok) {
      std::memcpy(&value, in.data(), sizeof value);
      in.remove_prefix(sizeof value);
    }
    return value;
  }
  uint64_t varint() {
    uint64_t value = 0;
    ok = ok && codec::read_varint(in, value);
    return ok ? value : 0;
  }
  std::string_view text(size_t bytes_max) {
    const uint64_t size = varint();
    ok = ok && size <= bytes_max && size <= in.size();
    if (!ok) return {};
    const std::string_view value = in.substr(0, size);
    in.remove_prefix(size);
    return value;
  }
};

std::string_view cut(std::string_view text, size_t bytes_max, uint16_t flag, uint16_t& flags) {
  if (text.size() <= bytes_max) return text;
  flags = static_cast<uint16_t>(flags | flag);
  return text.substr(0, bytes_max);
}

}  // namespace

void write_text(const EventId& id, std::span<char, kEventIdTextBytes> out) {
  constexpr const char* kDigits = "0123456789abcdef";
  constexpr size_t kMsDigits = 13;
  static_assert(kMsDigits + 1 + 2 * std::tuple_size_v<decltype(id.tail)> == kEventIdTextBytes);
  char* at = out.data();
  uint64_t ms = id.unix_ms;
  for (size_t i = kMsDigits; i > 0; --i, ms /= 10)
    at[i - 1] = static_cast<char>('0' + ms % 10);
  at += kMsDigits;
  *at++ = '-';
  for (const uint8_t byte : id.tail) {
    *at++ = kDigits[byte >> 4U];
    *at++ = kDigits[byte & 15U];
  }
}

std::string to_string(const EventId& id) {
  std::array<char, kEventIdTextBytes> text;
  write_text(id, text);
  return {text.data(), text.size()};
}

size_t encode(const Event& event, std::span<char> out) {
  WEIR_ASSERT(out.size() >= kEventBytesMax);
  uint16_t flags = event.flags;
  const std::string_view path =
      cut(event.path, Event::kPathBytesMax, EventFlag::kPathTruncated, flags);
  const std::string_view user_agent =
      cut(event.user_agent, Event::kUserAgentBytesMax, EventFlag::kUserAgentTruncated, flags);
  const auto cut_short = [&flags](std::string_view text) {
    return cut(text, Event::kShortBytesMax, EventFlag::kShortTruncated, flags);
  };
  const std::string_view method = cut_short(event.method);
  const std::string_view route_id = cut_short(event.route_id);
  const std::string_view country = cut_short(event.country);
  const std::string_view city = cut_short(event.city);
  const std::string_view colo = cut_short(event.colo);
  const std::string_view client_ip = cut_short(event.client_ip);

  Writer w{out.data()};
  w.byte(kVersion);
  w.fixed(event.status);
  w.fixed(flags);
  // Outcome in 3 bits, cache in 3, geography in 2.
  w.byte(static_cast<uint8_t>(static_cast<unsigned>(event.outcome) |
                              static_cast<unsigned>(event.cache) << 3U |
                              static_cast<unsigned>(event.geo) << 6U));
  w.byte(event.attempts);
  w.fixed(event.arrival_us);
  w.fixed(event.client_hash);
  w.fixed(event.id.tail);
  // Nearly always 0: the id is made of the arrival. Wraps for absurd values, and decode() undoes
  // it.
  w.varint(codec::zigzag(
      static_cast<int64_t>(event.id.unix_ms - static_cast<uint64_t>(event.arrival_us / 1000))));
  w.varint(event.duration_us);
  w.varint(event.upstream_us);
  w.varint(event.bytes_in);
  w.varint(event.bytes_out);
  const uint8_t code = method_code(method);
  w.byte(code);
  if (code == 0) w.text(method);
  w.text(path);
  w.text(user_agent);
  w.text(route_id);
  w.text(country);
  w.text(city);
  w.text(colo);
  w.text(client_ip);
  return static_cast<size_t>(w.at - out.data());
}

base::Result<Event> decode(std::string_view payload) {
  Reader r{payload};
  if (r.fixed<uint8_t>() != kVersion) return corrupt("event version");
  Event event;
  event.status = r.fixed<uint16_t>();
  event.flags = r.fixed<uint16_t>();
  const auto packed = r.fixed<uint8_t>();
  event.attempts = r.fixed<uint8_t>();
  event.arrival_us = r.fixed<int64_t>();
  event.client_hash = r.fixed<uint64_t>();
  event.id.tail = r.fixed<std::array<uint8_t, 10>>();
  event.id.unix_ms = static_cast<uint64_t>(codec::unzigzag(r.varint())) +
                     static_cast<uint64_t>(event.arrival_us / 1000);
  event.duration_us = r.varint();
  event.upstream_us = r.varint();
  event.bytes_in = r.varint();
  event.bytes_out = r.varint();
  const auto code = r.fixed<uint8_t>();
  if (code >= kMethods.size()) return corrupt("event method");
  event.method = code != 0 ? kMethods[code] : r.text(Event::kShortBytesMax);
  event.path = r.text(Event::kPathBytesMax);
  event.user_agent = r.text(Event::kUserAgentBytesMax);
  event.route_id = r.text(Event::kShortBytesMax);
  event.country = r.text(Event::kShortBytesMax);
  event.city = r.text(Event::kShortBytesMax);
  event.colo = r.text(Event::kShortBytesMax);
  event.client_ip = r.text(Event::kShortBytesMax);
  if (!r.ok) return corrupt("event fields");
  if (!r.in.empty()) return corrupt("event length");

  const unsigned outcome = packed & 7U;
  const unsigned cache = packed >> 3U & 7U;
  if (outcome > static_cast<unsigned>(Outcome::open_ended)) return corrupt("event outcome");
  if (cache > static_cast<unsigned>(CacheStatus::bypass)) return corrupt("event cache status");
  event.outcome = static_cast<Outcome>(outcome);
  event.cache = static_cast<CacheStatus>(cache);
  event.geo = static_cast<GeoAction>(packed >> 6U);
  return event;
}

}  // namespace weir::traffic
