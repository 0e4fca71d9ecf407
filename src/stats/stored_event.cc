#include "stats/stored_event.h"

#include <array>
#include <charconv>
#include <iterator>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <xxhash.h>

#include "codec/iso_time.h"
#include "codec/text.h"
#include "stats/internal/rows.h"

namespace weir::stats {
namespace {

using base::Error;
using base::ErrorCode;
using nlohmann::json;

constexpr std::array<std::string_view, 4> kGeoActions{"", "allowed", "blocked", "throttled"};
constexpr std::array<std::string_view, 6> kOutcomes{"complete", "client_abort", "upstream_abort",
                                                    "timeout",  "refused",      "open_ended"};
constexpr std::array<std::string_view, 5> kCacheNames{"", "hit", "miss", "stale", "bypass"};

constexpr Error kNoLine{ErrorCode::corrupt, base::Origin::storage, base::Retry::never, 0,
                        "archived line"};

template <size_t kSize>
std::string_view name_in(const std::array<std::string_view, kSize>& names, uint8_t value) {
  return value < kSize ? names[value] : std::string_view{};
}

template <size_t kSize>
uint8_t value_in(const std::array<std::string_view, kSize>& names, std::string_view name) {
  for (size_t i = 0; i < kSize; ++i) {
    if (names[i] == name) return static_cast<uint8_t>(i);
  }
  return static_cast<uint8_t>(kSize);
}

// Length of the UTF-8 sequence at the front of `text`; 0: it is none. Source: RFC 3629.
size_t sequence_bytes(std::string_view text) {
  const auto at = [&text](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = at(0);
  if (lead < 0x80) return 1;
  const size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return 0;
  for (size_t i = 1; i < bytes; ++i) {
    if ((at(i) & 0xc0U) != 0x80) return 0;
  }
  const bool overlong = (lead == 0xe0 && at(1) < 0xa0) || (lead == 0xf0 && at(1) < 0x90);
  const bool surrogate = lead == 0xed && at(1) > 0x9f;
  const bool too_large = lead == 0xf4 && at(1) > 0x8f;
  return overlong || surrogate || too_large ? 0 : bytes;
}

// Appends `text` as a JSON string. False: some of it is no UTF-8 and stands as U+FFFD.
bool append_string(std::string& out, std::string_view text) {
  bool whole = true;
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    const size_t bytes = sequence_bytes(text.substr(i));
    if (bytes == 0) {
      whole = false;
      out += "\xef\xbf\xbd";
      ++i;
      continue;
    }
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<uint8_t>(c) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<uint8_t>(c));
    } else {
      out.append(text, i, bytes);
    }
    i += bytes;
  }
  out += '"';
  return whole;
}

// A field of text; NULL where it is empty. Bytes that JSON cannot hold come once more, in base64.
void append_text(std::string& out, std::string_view name, std::string_view text) {
  fmt::format_to(std::back_inserter(out), ",\"{}\":", name);
  if (text.empty()) {
    out += "null";
    return;
  }
  if (append_string(out, text)) return;
  fmt::format_to(std::back_inserter(out), ",\"{}_bytes\":\"{}\"", name, codec::base64_encode(text));
}

void append_fixed(std::string& out, uint64_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_counted(std::string& out, std::string_view text) {
  append_fixed(out, text.size());
  out += text;
}

// Reads the fields of one line; remembers whether all of them were as they should be.
class Fields {
 public:
  Fields(const json& line, std::vector<std::string>& texts) : line_(line), texts_(texts) {}

  template <typename Number>
  void number(const char* name, Number& value) {
    const auto found = line_.find(name);
    if (found == line_.end() || !found->is_number_integer()) {
      good_ = false;
      return;
    }
    const auto wide = found->get<int64_t>();
    value = static_cast<Number>(wide);
    good_ = good_ && static_cast<int64_t>(value) == wide;
  }

  std::string text(const std::string& name) {
    const auto bytes = line_.find(name + "_bytes");
    if (bytes != line_.end()) {
      good_ = good_ && bytes->is_string();
      auto decoded = codec::base64_decode(bytes->is_string() ? bytes->get<std::string>() : "");
      good_ = good_ && decoded.ok();
      return decoded.ok() ? std::move(decoded).value() : std::string{};
    }
    const auto found = line_.find(name);
    if (found == line_.end() || found->is_null()) return {};
    good_ = good_ && found->is_string();
    return found->is_string() ? found->get<std::string>() : std::string{};
  }

  void keep(const std::string& name) { texts_.push_back(text(name)); }
  bool good() const { return good_; }

 private:
  const json& line_;
  std::vector<std::string>& texts_;
  bool good_ = true;
};

}  // namespace

RowsDigest digest_of(const StoredEvent& event, std::string& scratch) {
  scratch.clear();
  for (const uint64_t value :
       {event.seq, uint64_t{event.epoch}, uint64_t{event.loop}, event.sequence, event.id.unix_ms,
        static_cast<uint64_t>(event.ts_ms), static_cast<uint64_t>(event.created_s), event.client,
        event.us, event.upstream_us, event.bytes_in, event.bytes_out, uint64_t{event.status},
        uint64_t{event.flags}, uint64_t{event.outcome}, uint64_t{event.cache}, uint64_t{event.geo},
        uint64_t{event.attempts}}) {
    append_fixed(scratch, value);
  }
  scratch.append(reinterpret_cast<const char*>(event.id.tail.data()), event.id.tail.size());
  for (const std::string_view text :
       {event.path, event.raw_path, event.method, event.user_agent, event.country, event.city,
        event.colo, event.route, event.ip}) {
    append_counted(scratch, text);
  }
  const XXH128_hash_t hash = XXH3_128bits(scratch.data(), scratch.size());
  return {hash.high64, hash.low64};
}

void append_line(std::string& out, const StoredEvent& event) {
  const auto end = [&out] { return std::back_inserter(out); };
  const std::string_view method = event.method;
  fmt::format_to(end(), "{{\"id\":\"{}\"", traffic::to_string(event.id));
  append_text(out, "path", event.path);
  append_text(out, "method", method);
  fmt::format_to(end(), ",\"status\":{},\"response_time\":{}.{:03}", event.status, event.us / 1000,
                 event.us % 1000);
  fmt::format_to(end(), ",\"client_ip_hash\":\"{:016x}\"", event.client);
  append_text(out, "user_agent", event.user_agent);
  append_text(out, "country", event.country);
  fmt::format_to(end(), ",\"timestamp\":{},\"event_date\":\"{}\",\"is_error\":{},\"created_at\":{}",
                 event.ts_ms, codec::iso_day(codec::unix_day_of_ms(event.ts_ms)),
                 event.status >= 400 ? 1 : 0, event.created_s);
  append_text(out, "ip_address", event.ip);
  append_text(out, "edge_colo", event.colo);
  append_text(out, "geo_action", name_in(kGeoActions, event.geo));
  append_text(out, "city", event.city);
  fmt::format_to(end(), ",\"seq\":{},\"epoch\":{},\"loop\":{},\"sequence\":{}", event.seq,
                 event.epoch, event.loop, event.sequence);
  append_text(out, "raw_path", event.raw_path);
  append_text(out, "route", event.route);
  append_text(out, "outcome", name_in(kOutcomes, event.outcome));
  append_text(out, "cache_status", name_in(kCacheNames, event.cache));
  fmt::format_to(end(),
                 ",\"duration_us\":{},\"upstream_us\":{},\"bytes_in\":{},\"bytes_out\":{},"
                 "\"attempts\":{},\"flags\":{}}}\n",
                 event.us, event.upstream_us, event.bytes_in, event.bytes_out, event.attempts,
                 event.flags);
}

base::Status parse_line(std::string_view line, ParsedEvent& out) {
  const json parsed = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return kNoLine;
  std::vector<std::string> texts;
  Fields fields{parsed, texts};
  StoredEvent event;
  fields.number("seq", event.seq);
  fields.number("epoch", event.epoch);
  fields.number("loop", event.loop);
  fields.number("sequence", event.sequence);
  fields.number("timestamp", event.ts_ms);
  fields.number("created_at", event.created_s);
  fields.number("duration_us", event.us);
  fields.number("upstream_us", event.upstream_us);
  fields.number("bytes_in", event.bytes_in);
  fields.number("bytes_out", event.bytes_out);
  fields.number("status", event.status);
  fields.number("flags", event.flags);
  fields.number("attempts", event.attempts);
  event.id = internal::id_of_text(fields.text("id"));
  event.geo = value_in(kGeoActions, fields.text("geo_action"));
  event.outcome = value_in(kOutcomes, fields.text("outcome"));
  event.cache = value_in(kCacheNames, fields.text("cache_status"));
  const std::string client = fields.text("client_ip_hash");
  const auto read = std::from_chars(client.data(), client.data() + client.size(), event.client, 16);
  if (client.size() != 16 || read.ptr != client.data() + client.size()) return kNoLine;
  for (const char* name : {"path", "raw_path", "method", "user_agent", "country", "city",
                           "edge_colo", "route", "ip_address"}) {
    fields.keep(name);
  }
  if (!fields.good()) return kNoLine;

  out.text.clear();
  size_t bytes = 0;
  for (const std::string& text : texts)
    bytes += text.size();
  out.text.reserve(bytes);  // Views below must not move.
  size_t next = 0;
  for (std::string_view* const view :
       {&event.path, &event.raw_path, &event.method, &event.user_agent, &event.country, &event.city,
        &event.colo, &event.route, &event.ip}) {
    const size_t begin = out.text.size();
    out.text += texts[next++];
    *view = std::string_view{out.text}.substr(begin);
  }
  out.event = event;
  return {};
}

}  // namespace weir::stats
