#include "stats/stored_event.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

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

// The fields of a line, in their order.
enum class Field : uint8_t {
  id,
  path,
  method,
  status,
  response_time,
  client_ip_hash,
  user_agent,
  country,
  timestamp,
  event_date,
  is_error,
  created_at,
  ip_address,
  edge_colo,
  geo_action,
  city,
  seq,
  epoch,
  loop,
  sequence,
  raw_path,
  route,
  outcome,
  cache_status,
  duration_us,
  upstream_us,
  bytes_in,
  bytes_out,
  attempts,
  flags,
};
constexpr std::array<std::string_view, 30> kFieldNames{
    "id",          "path",        "method",     "status",     "response_time", "client_ip_hash",
    "user_agent",  "country",     "timestamp",  "event_date", "is_error",      "created_at",
    "ip_address",  "edge_colo",   "geo_action", "city",       "seq",           "epoch",
    "loop",        "sequence",    "raw_path",   "route",      "outcome",       "cache_status",
    "duration_us", "upstream_us", "bytes_in",   "bytes_out",  "attempts",      "flags"};
constexpr size_t kNoField = kFieldNames.size();
constexpr std::string_view kBytesSuffix = "_bytes";

// Keeps the fields of one line while it is parsed; of one that is there twice the last, of unknown
// ones nothing. A tree of the line would take three times as long to make.
class Line final : public nlohmann::json_sax<json> {
 public:
  // False: `text` is no JSON object.
  bool parse(std::string_view text) {
    return json::sax_parse(text, static_cast<nlohmann::json_sax<json>*>(this)) && is_object_;
  }

  // Remembers, as text() does, whether all that was asked for is as it should be.
  template <typename Number>
  void number(Field field, Number& value) {
    const Value& found = values_[static_cast<size_t>(field)];
    value = static_cast<Number>(found.integer);
    good_ = good_ && found.kind == Kind::integer && static_cast<int64_t>(value) == found.integer;
  }

  // Valid until the next call.
  std::string_view text(Field field) {
    const auto index = static_cast<size_t>(field);
    const Value& bytes = bytes_[index];
    if (bytes.kind != Kind::absent) {
      auto decoded = codec::base64_decode(bytes.text);
      good_ = good_ && bytes.kind == Kind::text && decoded.ok();
      decoded_ = decoded.ok() ? std::move(decoded).value() : std::string{};
      return decoded_;
    }
    const Value& found = values_[index];
    good_ = good_ && found.kind <= Kind::text;
    return found.text;
  }
  bool good() const { return good_; }

  // ---- nlohmann::json_sax ----
  bool null() override { return take(Kind::null); }
  bool boolean(bool /*value*/) override { return take(Kind::other); }
  bool number_integer(int64_t value) override { return take(Kind::integer, value); }
  bool number_unsigned(uint64_t value) override {
    return take(Kind::integer, static_cast<int64_t>(value));
  }
  bool number_float(double /*value*/, const std::string& /*text*/) override {
    return take(Kind::other);
  }
  bool string(std::string& value) override { return take(Kind::text, 0, value); }
  bool binary(json::binary_t& /*value*/) override { return false; }
  bool start_object(size_t /*count*/) override {
    is_object_ = is_object_ || depth_ == 0;
    take(Kind::other);
    ++depth_;
    return true;
  }
  bool end_object() override { return --depth_, true; }
  bool start_array(size_t /*count*/) override {
    take(Kind::other);
    ++depth_;
    return true;
  }
  bool end_array() override { return --depth_, true; }
  bool key(std::string& name) override {
    if (depth_ != 1) return true;
    // Nearly always it is the one after the last.
    if (next_ < kNoField && kFieldNames[next_] == name) {
      into_ = &values_[next_++];
      return true;
    }
    std::string_view field = name;
    const bool in_bytes = field.ends_with(kBytesSuffix);
    if (in_bytes) field.remove_suffix(kBytesSuffix.size());
    const size_t index = index_of(field);
    into_ = index == kNoField ? nullptr : in_bytes ? &bytes_[index] : &values_[index];
    return true;
  }
  bool parse_error(size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    return false;
  }

 private:
  enum class Kind : uint8_t { absent, null, text, integer, other };
  struct Value {
    Kind kind = Kind::absent;
    int64_t integer = 0;
    std::string text;
  };

  static size_t index_of(std::string_view name) {
    return static_cast<size_t>(std::find(kFieldNames.begin(), kFieldNames.end(), name) -
                               kFieldNames.begin());
  }

  // A value, at any depth.
  bool take(Kind kind, int64_t integer = 0, std::string_view text = {}) {
    if (depth_ == 1 && into_ != nullptr) {
      into_->kind = kind;
      into_->integer = integer;
      into_->text = text;
    }
    return true;
  }

  std::array<Value, kFieldNames.size()> values_;
  std::array<Value, kFieldNames.size()> bytes_;  // Of the fields `{name}_bytes`.
  std::string decoded_;
  Value* into_ = nullptr;
  size_t next_ = 0;
  size_t depth_ = 0;
  bool is_object_ = false;
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
  Line fields;
  if (!fields.parse(line)) return kNoLine;
  StoredEvent event;
  fields.number(Field::seq, event.seq);
  fields.number(Field::epoch, event.epoch);
  fields.number(Field::loop, event.loop);
  fields.number(Field::sequence, event.sequence);
  fields.number(Field::timestamp, event.ts_ms);
  fields.number(Field::created_at, event.created_s);
  fields.number(Field::duration_us, event.us);
  fields.number(Field::upstream_us, event.upstream_us);
  fields.number(Field::bytes_in, event.bytes_in);
  fields.number(Field::bytes_out, event.bytes_out);
  fields.number(Field::status, event.status);
  fields.number(Field::flags, event.flags);
  fields.number(Field::attempts, event.attempts);
  event.id = internal::id_of_text(fields.text(Field::id));
  event.geo = value_in(kGeoActions, fields.text(Field::geo_action));
  event.outcome = value_in(kOutcomes, fields.text(Field::outcome));
  event.cache = value_in(kCacheNames, fields.text(Field::cache_status));
  const std::string_view client = fields.text(Field::client_ip_hash);
  const auto read = std::from_chars(client.data(), client.data() + client.size(), event.client, 16);
  if (client.size() != 16 || read.ptr != client.data() + client.size()) return kNoLine;

  struct Text {
    Field field;
    std::string_view& view;
  };
  const std::array<Text, 9> texts{{{Field::path, event.path},
                                   {Field::raw_path, event.raw_path},
                                   {Field::method, event.method},
                                   {Field::user_agent, event.user_agent},
                                   {Field::country, event.country},
                                   {Field::city, event.city},
                                   {Field::edge_colo, event.colo},
                                   {Field::route, event.route},
                                   {Field::ip_address, event.ip}}};
  // Views are made when all is there and moves no more.
  out.text.clear();
  std::array<size_t, texts.size() + 1> ends{};
  for (size_t i = 0; i < texts.size(); ++i) {
    out.text += fields.text(texts[i].field);
    ends[i + 1] = out.text.size();
  }
  if (!fields.good()) return kNoLine;
  for (size_t i = 0; i < texts.size(); ++i)
    texts[i].view = std::string_view{out.text}.substr(ends[i], ends[i + 1] - ends[i]);
  out.event = event;
  return {};
}

}  // namespace weir::stats
