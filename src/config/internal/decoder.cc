#include "config/internal/decoder.h"

#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "codec/iso_time.h"
#include "config/endpoint.h"
#include "config/internal/checks.h"
#include "config/internal/ranges.h"
#include "config/internal/schema.h"
#include "config/internal/suggest.h"
#include "config/units.h"
#include "config/validate.h"

namespace weir::config::internal {
namespace {

// A visitor of the schema that fills in what the file says.
//
// Threading: one thread at a time.
class Decoder {
 public:
  Decoder(const Value& root, Decoded& out) : out_(out) { frame_ = {&root, {}, {}}; }

  void restart(bool /*needed*/) {}
  void present(bool& flag) { flag = true; }

  void boolean(std::string_view key, bool& out) {
    const Value* value = find(key);
    if (value == nullptr) return;
    if (value->kind != Value::Kind::boolean) return wrong_kind(key, *value, "true or false");
    out = value->boolean;
  }

  void text(std::string_view key, std::string& out) {
    const Value* value = find(key);
    if (value == nullptr) return;
    if (value->kind != Value::Kind::text) return wrong_kind(key, *value, "a string");
    out = value->text;
  }

  void secret_url(std::string_view key, std::string& out) { text(key, out); }

  void texts(std::string_view key, std::vector<std::string>& out) {
    const Value* value = find(key);
    if (value == nullptr) return;
    constexpr std::string_view kAllowed = "an array of strings";
    if (value->kind != Value::Kind::array) return wrong_kind(key, *value, kAllowed);
    out.clear();
    for (size_t index = 0; index < value->items.size(); ++index) {
      const Value& item = value->items[index];
      const std::string item_key = fmt::format("{}[{}]", key, index);
      place(item_key, item.place);
      if (item.kind != Value::Kind::text) {
        wrong_kind(item_key, item, "a string");
      }
      out.push_back(item.text);  // Empty when wrong: places go by index.
    }
  }

  template <typename Integer>
  void integer(std::string_view key, Integer& out, Range range) {
    const Value* value = find(key);
    if (value == nullptr) return;
    if (value->kind != Value::Kind::integer) return wrong_kind(key, *value, integer_range(range));
    if (!std::in_range<Integer>(value->integer)) {
      return problem(key, value->place, fmt::format("{} is out of range", value->integer),
                     integer_range(range));
    }
    out = static_cast<Integer>(value->integer);
  }

  void real(std::string_view key, double& out, double min, double max) {
    const Value* value = find(key);
    if (value == nullptr) return;
    if (value->kind == Value::Kind::integer) {
      out = static_cast<double>(value->integer);
    } else if (value->kind == Value::Kind::real) {
      out = value->real;
    } else {
      wrong_kind(key, *value, real_range(min, max));
    }
  }

  template <typename Integer>
  void size(std::string_view key, Integer& out, Range range) {
    const Value* value = find(key);
    if (value == nullptr) return;
    std::optional<uint64_t> bytes;
    if (value->kind == Value::Kind::integer) {
      if (value->integer >= 0) bytes = static_cast<uint64_t>(value->integer);
    } else if (value->kind == Value::Kind::text) {
      bytes = parse_size(value->text);
    } else {
      return wrong_kind(key, *value, size_range(range));
    }
    if (!bytes || !std::in_range<Integer>(*bytes)) {
      return problem(key, value->place, written(*value) + " is not a size", size_range(range));
    }
    out = static_cast<Integer>(*bytes);
  }

  template <typename Duration>
  void duration(std::string_view key, Duration& out, Range range) {
    const Value* value = find(key);
    if (value == nullptr) return;
    std::optional<milliseconds> parsed;
    if (value->kind == Value::Kind::integer) {
      constexpr int64_t kSecondsMax = 100LL * 366 * 86'400;
      if (value->integer >= 0 && value->integer <= kSecondsMax) {
        parsed = std::chrono::seconds{value->integer};
      }
    } else if (value->kind == Value::Kind::text) {
      parsed = parse_duration(value->text);
    } else {
      return wrong_kind(key, *value, duration_range(range));
    }
    if (!parsed) {
      return problem(key, value->place, written(*value) + " is not a duration",
                     duration_range(range));
    }
    if (std::chrono::duration_cast<Duration>(*parsed) != *parsed) {
      return problem(key, value->place, written(*value) + " is not in whole seconds",
                     duration_range(range));
    }
    out = std::chrono::duration_cast<Duration>(*parsed);
  }

  void time(std::string_view key, std::optional<std::chrono::sys_seconds>& out) {
    const Value* value = find(key);
    if (value == nullptr) return;
    constexpr std::string_view kAllowed =
        R"("2026-12-01T00:00:00Z", in quotes: UTC, whole seconds; or "": never)";
    if (value->kind != Value::Kind::text) return wrong_kind(key, *value, kAllowed);
    out.reset();
    if (value->text.empty()) return;
    const base::Result<int64_t> unix_ms = codec::parse_iso_ms(value->text);
    if (!unix_ms.ok() || unix_ms.value() % 1000 != 0) {
      return problem(key, value->place, written(*value) + " is not a time", kAllowed);
    }
    out = std::chrono::sys_seconds{std::chrono::seconds{unix_ms.value() / 1000}};
  }

  template <typename Enum, size_t Count>
  void choice(std::string_view key, Enum& out, const std::array<Choice<Enum>, Count>& choices) {
    const Value* value = find(key);
    if (value != nullptr) read_choice(key, *value, out, choices);
  }

  template <typename Value, typename Describe>
  void maybe(std::string_view key, std::optional<Value>& out, Describe describe_value) {
    if (find(key) == nullptr) return;
    frame_.known.pop_back();  // Named once: describe_value() asks again.
    describe_value(out.emplace());
  }

  using Pairs = std::vector<std::pair<std::string, std::string>>;

  void pairs(std::string_view key, Pairs& out) { read_pairs(key, out, false); }
  void multi_pairs(std::string_view key, Pairs& out) { read_pairs(key, out, true); }

  template <typename Describe>
  void table(std::string_view key, Describe describe_members) {
    const Value* value = find(key);
    if (value == nullptr) return;
    if (value->kind != Value::Kind::table) return wrong_kind(key, *value, "a table");
    enter(*value, std::string{key}, describe_members);
  }

  void listeners(std::string_view key, std::vector<Listener>& out) {
    const Value* value = find(key);
    if (value == nullptr) return;
    constexpr std::string_view kAllowed =
        R"(an array of strings "127.0.0.1:8787", "[::1]:8787", "unix:/path", "fd:NAME" and of tables)"
        " {address, client_address, trusted_proxies}";
    if (value->kind == Value::Kind::text) {
      out = {Listener{.address = value->text}};
      return;
    }
    if (value->kind != Value::Kind::array) return wrong_kind(key, *value, kAllowed);
    out.clear();
    for (size_t index = 0; index < value->items.size(); ++index) {
      const Value& item = value->items[index];
      Listener listener;
      const std::string item_key = fmt::format("{}[{}]", key, index);
      place(item_key, item.place);
      if (item.kind == Value::Kind::text) {
        listener.address = item.text;
        place(item_key + ".address", item.place);
      } else if (item.kind == Value::Kind::table) {
        enter(item, item_key, [&] {
          text("address", listener.address);
          choice("client_address", listener.client_address, kClientAddresses);
          texts("trusted_proxies", listener.trusted_proxies);
        });
      } else {
        wrong_kind(item_key, item, kAllowed);
      }
      out.push_back(std::move(listener));
    }
  }

  void upstreams(std::string_view key, std::vector<Upstream>& out) {
    const Value* value = find(key);
    if (value == nullptr) return;
    constexpr std::string_view kAllowed =
        R"(an array of strings "http://host:port", "http+unix:/path" and of tables {url, weight})";
    if (value->kind != Value::Kind::array) return wrong_kind(key, *value, kAllowed);
    for (size_t index = 0; index < value->items.size(); ++index) {
      const Value& item = value->items[index];
      Upstream upstream;
      const std::string item_key = fmt::format("{}[{}]", key, index);
      place(item_key, item.place);
      if (item.kind == Value::Kind::text) {
        upstream.url = item.text;
        place(item_key + ".url", item.place);
      } else if (item.kind == Value::Kind::table) {
        enter(item, item_key, [&] {
          text("url", upstream.url);
          integer("weight", upstream.weight, kUpstreamWeights);
        });
      } else {
        wrong_kind(item_key, item, kAllowed);
      }
      out.push_back(std::move(upstream));
    }
  }

  // One limit is named without an index, however it is written.
  void rate_limits(std::string_view key, std::vector<RateLimitFields>& out) {
    const Value* value = find(key);
    if (value == nullptr) return;
    constexpr std::string_view kAllowed =
        "a table {limit, window, per, header, ipv6_prefix_bits, enabled, enforce}, or an array of"
        " such tables";
    if (value->kind == Value::Kind::table) {
      RateLimitFields& limit = out.emplace_back();
      return enter(*value, std::string{key}, [&] { describe_rate_limit(*this, limit); });
    }
    if (value->kind != Value::Kind::array) return wrong_kind(key, *value, kAllowed);
    for (size_t index = 0; index < value->items.size(); ++index) {
      const Value& item = value->items[index];
      const std::string item_key = rate_limit_key(key, index, value->items.size());
      place(item_key, item.place);
      RateLimitFields& limit = out.emplace_back();
      if (item.kind != Value::Kind::table) {
        wrong_kind(item_key, item, kAllowed);
      } else {
        enter(item, item_key, [&] { describe_rate_limit(*this, limit); });
      }
    }
  }

  void path_templates(std::string_view key, std::vector<codec::PathRule>& out) {
    const Value* value = find(key);
    if (value == nullptr) return;
    constexpr std::string_view kAllowed = "tables {pattern, replace}";
    if (value->kind != Value::Kind::array) return wrong_kind(key, *value, kAllowed);
    for (size_t index = 0; index < value->items.size(); ++index) {
      const Value& item = value->items[index];
      const std::string item_key = fmt::format("{}[{}]", key, index);
      place(item_key, item.place);
      codec::PathRule& rule = out.emplace_back();
      if (item.kind != Value::Kind::table) {
        wrong_kind(item_key, item, kAllowed);
      } else {
        enter(item, item_key, [&] {
          text("pattern", rule.pattern);
          text("replace", rule.replace);
        });
      }
    }
  }

  void host(std::string_view key, HostMode& mode, std::string& literal) {
    const Value* value = find(key);
    if (value == nullptr) return;
    constexpr std::string_view kAllowed = R"("upstream", "preserve" or "literal NAME")";
    constexpr std::string_view kLiteral = "literal ";
    if (value->kind != Value::Kind::text) return wrong_kind(key, *value, kAllowed);
    if (value->text == "upstream") {
      mode = HostMode::upstream;
    } else if (value->text == "preserve") {
      mode = HostMode::preserve;
    } else if (value->text.starts_with(kLiteral)) {
      mode = HostMode::literal;
      literal = value->text.substr(kLiteral.size());
    } else {
      problem(key, value->place, "cannot be " + written(*value), kAllowed);
    }
  }

  void vars(std::string_view key, std::map<std::string, std::string>& out) {
    const Value* value = find(key);
    if (value == nullptr) return;
    if (value->kind != Value::Kind::table) return wrong_kind(key, *value, "a table");
    for (const Member& member : value->members) {
      const std::string member_key = fmt::format("{}.{}", key, member.key);
      place(member_key, member.value.place);
      const Value& v = member.value;
      switch (v.kind) {
        case Value::Kind::text:
          out[member.key] = v.text;
          break;
        case Value::Kind::integer:
          out[member.key] = std::to_string(v.integer);
          break;
        case Value::Kind::real:
          out[member.key] = fmt::format("{}", v.real);
          break;
        case Value::Kind::boolean:
          out[member.key] = v.boolean ? "true" : "false";
          break;
        default:
          wrong_kind(member_key, v, "a string, number or boolean");
      }
    }
  }

  void ip_rules(std::string_view key, std::vector<IpRule>& out) {
    array_of_tables(key, out, [&](IpRule& rule) { describe_ip_rule(*this, rule); });
  }
  void ban_rules(std::string_view key, std::vector<BanRule>& out) {
    array_of_tables(key, out, [&](BanRule& rule) { describe_ban_rule(*this, rule); });
  }
  void geo_rules(std::string_view key, std::vector<GeoRule>& out) {
    array_of_tables(key, out, [&](GeoRule& rule) { describe_geo_rule(*this, rule); });
  }
  void path_rules(std::string_view key, std::vector<PathRule>& out) {
    array_of_tables(key, out, [&](PathRule& rule) { describe_path_rule(*this, rule); });
  }
  void routes(std::string_view key, std::vector<Route>& out) {
    array_of_tables(key, out, [&](Route& route) { describe_route(*this, route); });
  }

  // Names the keys of the current table that nothing asked for.
  void report_unknown() {
    for (const Member& member : frame_.table->members) {
      bool known = false;
      for (const std::string_view candidate : frame_.known)
        known = known || candidate == member.key;
      if (known) continue;
      if (out_.problems.size() >= kProblemsMax) return;
      const std::string_view near = out_.problems.size() < kSuggestionsMax
                                        ? closest(member.key, frame_.known)
                                        : std::string_view{};
      std::string allowed;
      for (const std::string_view candidate : frame_.known) {
        if (!allowed.empty()) allowed += ", ";
        allowed += candidate;
      }
      std::string message = "is not a known key";
      if (!near.empty()) message += fmt::format(", did you mean \"{}\"?", near);
      problem(plain(member.key), member.place, std::move(message), allowed);
    }
  }

 private:
  struct Frame {
    const Value* table = nullptr;
    std::string path;
    std::vector<std::string_view> known;  // Keys asked for; they are literals of the schema.
  };

  std::string path_of(std::string_view key) const {
    return frame_.path.empty() ? std::string{key} : fmt::format("{}.{}", frame_.path, key);
  }

  void place(std::string_view key, Place at) { out_.places[path_of(key)] = at; }

  const Value* find(std::string_view key) {
    frame_.known.push_back(key);
    for (const Member& member : frame_.table->members) {
      if (member.key != key) continue;
      place(key, member.value.kind == Value::Kind::table ? member.place : member.value.place);
      return &member.value;
    }
    return nullptr;
  }

  template <typename Describe>
  void enter(const Value& table_value, const std::string& key, Describe describe_members) {
    Frame outer = std::exchange(frame_, Frame{&table_value, path_of(key), {}});
    describe_members();
    report_unknown();
    frame_ = std::move(outer);
  }

  template <typename Member, typename Describe>
  void array_of_tables(std::string_view key, std::vector<Member>& out, Describe describe_one) {
    const Value* value = find(key);
    if (value == nullptr) return;
    if (value->kind != Value::Kind::array) {
      return wrong_kind(key, *value, fmt::format("tables under [[{}]]", key));
    }
    out.reserve(value->items.size());
    for (size_t index = 0; index < value->items.size(); ++index) {
      const Value& item = value->items[index];
      const std::string item_key = fmt::format("{}[{}]", key, index);
      place(item_key, item.place);
      Member& member = out.emplace_back();
      if (item.kind != Value::Kind::table) {
        wrong_kind(item_key, item, "a table");
      } else {
        enter(item, item_key, [&] { describe_one(member); });
      }
    }
  }

  template <typename Enum, size_t Count>
  void read_choice(std::string_view key, const Value& value, Enum& out,
                   const std::array<Choice<Enum>, Count>& choices) {
    if (value.kind == Value::Kind::text) {
      for (const Choice<Enum>& candidate : choices) {
        if (candidate.name != value.text) continue;
        out = candidate.value;
        return;
      }
    }
    problem(key, value.place, "cannot be " + written(value), choice_list(choices));
  }

  void read_pairs(std::string_view key, Pairs& out, bool arrays) {
    const Value* value = find(key);
    if (value == nullptr) return;
    if (value->kind != Value::Kind::table) return wrong_kind(key, *value, "a table");
    out.clear();
    for (const Member& member : value->members) {
      const std::string member_key = fmt::format("{}.{}", key, member.key);
      place(member_key, member.place);
      if (member.value.kind == Value::Kind::text) {
        out.emplace_back(member.key, member.value.text);
      } else if (arrays && member.value.kind == Value::Kind::array) {
        for (const Value& item : member.value.items) {
          if (item.kind != Value::Kind::text) {
            wrong_kind(member_key, item, "a string");
          } else {
            out.emplace_back(member.key, item.text);
          }
        }
      } else {
        wrong_kind(member_key, member.value,
                   arrays ? "a string or an array of strings" : "a string");
      }
    }
  }

  static std::string written(const Value& value) {
    switch (value.kind) {
      case Value::Kind::text:
        return in_quotes(value.text);
      case Value::Kind::integer:
        return std::to_string(value.integer);
      case Value::Kind::real:
        return fmt::format("{}", value.real);
      case Value::Kind::boolean:
        return value.boolean ? "true" : "false";
      default:
        return std::string{kind_name(value.kind)};
    }
  }

  void wrong_kind(std::string_view key, const Value& value, std::string_view allowed) {
    problem(key, value.place, fmt::format("cannot be {}", kind_name(value.kind)), allowed);
  }

  void problem(std::string_view key, Place at, std::string message, std::string_view allowed) {
    add({{}, at.line, at.column, path_of(key), std::move(message), std::string{allowed}});
  }

  void add(Problem problem) {
    if (out_.problems.size() < kProblemsMax) out_.problems.push_back(std::move(problem));
  }

  Decoded& out_;
  Frame frame_;
};

}  // namespace

Decoded decode(const Value& root) {
  Decoded out;
  Decoder decoder{root, out};
  describe(decoder, out.config);
  decoder.report_unknown();
  complete(out.config);
  return out;
}

Decoded decode_rules(const Value& root) {
  Decoded out;
  Decoder decoder{root, out};
  describe_rules(decoder, out.config);
  decoder.report_unknown();
  complete(out.config);
  return out;
}

}  // namespace weir::config::internal
