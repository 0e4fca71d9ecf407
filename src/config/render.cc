#include "config/render.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "codec/iso_time.h"
#include "config/internal/ranges.h"
#include "config/internal/schema.h"

namespace weir::config {
namespace {

std::string toml_text(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string toml_texts(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts) {
    if (out.size() > 1) out += ", ";
    out += toml_text(text);
  }
  return out + "]";
}

enum class Of : uint8_t { section, ip_rule, ban_rule, geo_rule, path_rule, route };

// A setting and where it stands in a file.
struct Line {
  std::string section;  // "server", the id of a route or path rule, or another rule's index.
  std::string name;     // Within the section: "timeouts.connect".
  std::string value;
  Of of;
  bool restart;
  bool implied = false;  // True where its table is there, whatever the default.
  std::string shown;     // Of a secret: what stands in its place; else empty.
};

// A visitor of the schema that writes every key down.
//
// Threading: one thread at a time.
class Renderer {
 public:
  using Pairs = std::vector<std::pair<std::string, std::string>>;

  explicit Renderer(bool with_rules) : with_rules_(with_rules) {}

  void restart(bool needed) { restart_ = needed; }
  void present(bool /*flag*/) { is_implied_ = true; }

  void boolean(std::string_view key, bool value) { add(key, value ? "true" : "false"); }
  void text(std::string_view key, const std::string& value) { add(key, toml_text(value)); }
  void secret_url(std::string_view key, const std::string& value) {
    add(key, toml_text(value));
    if (!value.empty()) lines_.back().shown = toml_text(shown_url(value));
  }
  void texts(std::string_view key, const std::vector<std::string>& value) {
    add(key, toml_texts(value));
  }
  template <typename Integer>
  void integer(std::string_view key, Integer value, internal::Range /*range*/) {
    add(key, std::to_string(value));
  }
  void real(std::string_view key, double value, double /*min*/, double /*max*/) {
    add(key, fmt::format("{}", value));
  }
  void size(std::string_view key, uint64_t value, internal::Range /*range*/) {
    add(key, toml_text(format_size(value)));
  }
  void duration(std::string_view key, milliseconds value, internal::Range /*range*/) {
    add(key, toml_text(format_duration(value)));
  }
  template <typename Enum, size_t Count>
  void choice(std::string_view key, Enum value,
              const std::array<internal::Choice<Enum>, Count>& choices) {
    add(key, toml_text(choice_name(choices, value)));
  }

  void pairs(std::string_view key, const Pairs& value) {
    std::string out;
    for (const auto& [name, text] : value) {
      out += fmt::format("{}{} = {}", out.empty() ? "" : ", ", toml_text(name), toml_text(text));
    }
    add(key, "{" + out + "}");
  }

  void multi_pairs(std::string_view key, const Pairs& value) {
    std::map<std::string_view, std::vector<std::string>> grouped;
    for (const auto& [name, text] : value)
      grouped[name].push_back(text);
    std::string out;
    for (const auto& [name, texts] : grouped) {
      out += fmt::format("{}{} = {}", out.empty() ? "" : ", ", toml_text(name), toml_texts(texts));
    }
    add(key, "{" + out + "}");
  }

  template <typename Describe>
  void table(std::string_view key, Describe describe_members) {
    if (section_.empty() && of_ == Of::section) {
      section_ = key;
      describe_members();
      section_.clear();
      return;
    }
    const size_t outer = prefix_.size();
    prefix_ += fmt::format("{}.", key);
    describe_members();
    prefix_.resize(outer);
  }

  void listeners(std::string_view key, const std::vector<Listener>& listeners) {
    std::string out;
    for (const Listener& listener : listeners) {
      out +=
          fmt::format("{}{{address = {}, client_address = {}, trusted_proxies = {}}}",
                      out.empty() ? "" : ", ", toml_text(listener.address),
                      toml_text(choice_name(internal::kClientAddresses, listener.client_address)),
                      toml_texts(listener.trusted_proxies));
    }
    add(key, "[" + out + "]");
  }

  void upstreams(std::string_view key, const std::vector<Upstream>& upstreams) {
    std::string out;
    for (const Upstream& upstream : upstreams) {
      out += fmt::format("{}{{url = {}, weight = {}}}", out.empty() ? "" : ", ",
                         toml_text(upstream.url), upstream.weight);
    }
    add(key, "[" + out + "]");
  }

  void rate_limits(std::string_view key, const std::vector<RateLimitFields>& limits) {
    std::string out;
    for (const RateLimitFields& limit : limits) {
      Renderer one{false};
      internal::describe_rate_limit(one, limit);
      std::string members;
      for (const Line& line : one.take())
        members += fmt::format("{}{} = {}", members.empty() ? "" : ", ", line.name, line.value);
      out += fmt::format("{}{{{}}}", out.empty() ? "" : ", ", members);
    }
    add(key, "[" + out + "]");
  }

  template <typename Value, typename Describe>
  void maybe(std::string_view /*key*/, const std::optional<Value>& value, Describe describe_value) {
    if (value) describe_value(*value);
  }

  void path_templates(std::string_view key, const std::vector<codec::PathRule>& rules) {
    std::string out;
    for (const codec::PathRule& rule : rules) {
      out += fmt::format("{}{{pattern = {}, replace = {}}}", out.empty() ? "" : ", ",
                         toml_text(rule.pattern), toml_text(rule.replace));
    }
    add(key, "[" + out + "]");
  }

  void time(std::string_view key, const std::optional<std::chrono::sys_seconds>& value) {
    std::string text;
    if (value) {
      text = codec::iso_ms(std::chrono::milliseconds{value->time_since_epoch()}.count());
      text.replace(text.size() - 5, 5, "Z");  // Without ".000".
    }
    add(key, toml_text(text));
  }

  void host(std::string_view key, HostMode mode, const std::string& literal) {
    switch (mode) {
      case HostMode::upstream:
        return add(key, "\"upstream\"");
      case HostMode::preserve:
        return add(key, "\"preserve\"");
      case HostMode::literal:
        return add(key, toml_text("literal " + literal));
    }
  }

  void vars(std::string_view key, const std::map<std::string, std::string>& vars) {
    section_ = key;
    for (const auto& [name, value] : vars)
      add(toml_text(name), toml_text(value));
    section_.clear();
  }

  void ip_rules(std::string_view /*key*/, const std::vector<IpRule>& rules) {
    each_rule(Of::ip_rule, rules,
              [&](const IpRule& rule) { internal::describe_ip_rule(*this, rule); });
  }
  void geo_rules(std::string_view /*key*/, const std::vector<GeoRule>& rules) {
    each_rule(Of::geo_rule, rules,
              [&](const GeoRule& rule) { internal::describe_geo_rule(*this, rule); });
  }

  void ban_rules(std::string_view /*key*/, const std::vector<BanRule>& rules) {
    named(Of::ban_rule, rules,
          [this](const BanRule& rule) { internal::describe_ban_rule(*this, rule); });
  }
  void path_rules(std::string_view /*key*/, const std::vector<PathRule>& rules) {
    named(Of::path_rule, rules,
          [this](const PathRule& rule) { internal::describe_path_rule(*this, rule); });
  }
  void routes(std::string_view /*key*/, const std::vector<Route>& routes) {
    named(Of::route, routes,
          [this](const Route& route) { internal::describe_route(*this, route); });
  }

  std::vector<Line> take() { return std::move(lines_); }

 private:
  template <typename Rule, typename Describe>
  void each_rule(Of of, const std::vector<Rule>& rules, Describe describe_one) {
    if (!with_rules_) return;
    of_ = of;
    for (size_t index = 0; index < rules.size(); ++index) {
      section_ = std::to_string(index);
      describe_one(rules[index]);
    }
    section_.clear();
    of_ = Of::section;
  }

  template <typename Member, typename Describe>
  void named(Of of, const std::vector<Member>& members, Describe describe_one) {
    of_ = of;
    for (const Member& member : members) {
      section_ = member.id;
      describe_one(member);
    }
    section_.clear();
    of_ = Of::section;
  }

  void add(std::string_view key, std::string value) {
    lines_.push_back({.section = section_,
                      .name = prefix_ + std::string{key},
                      .value = std::move(value),
                      .of = of_,
                      .restart = restart_,
                      .implied = std::exchange(is_implied_, false),
                      .shown = {}});
  }

  const bool with_rules_;
  std::vector<Line> lines_;
  std::string section_;
  std::string prefix_;
  Of of_ = Of::section;
  bool restart_ = false;
  bool is_implied_ = false;  // Of the next line.
};

std::vector<Line> render(const Config& config, bool with_rules = true) {
  Renderer renderer{with_rules};
  internal::describe(renderer, config);
  return renderer.take();
}

std::string_view list_of(Of of) {
  switch (of) {
    case Of::ip_rule:
      return "ip_rules";
    case Of::ban_rule:
      return "ban_rules";
    case Of::geo_rule:
      return "geo_rules";
    case Of::path_rule:
      return "path_rules";
    case Of::route:
      return "routes";
    case Of::section:
      break;
  }
  return {};
}

// "routes.", "path_rules." or "ban_rules."; empty: a section's lines stand for themselves.
std::string_view prefix_of(Of of) {
  switch (of) {
    case Of::ban_rule:
      return "ban_rules.";
    case Of::path_rule:
      return "path_rules.";
    case Of::route:
      return "routes.";
    case Of::section:
    case Of::ip_rule:
    case Of::geo_rule:
      break;
  }
  return {};
}

// Whose lines come and go together; empty: none.
std::string member_of(const Line& line) {
  const std::string_view prefix = prefix_of(line.of);
  return prefix.empty() ? std::string{} : member_key(prefix, line.section);
}

std::string key_of(const Line& line) {
  if (line.of == Of::ip_rule) return fmt::format("ip_rules[{}].{}", line.section, line.name);
  if (line.of == Of::geo_rule) return fmt::format("geo_rules[{}].{}", line.section, line.name);
  if (line.of == Of::section) return fmt::format("{}.{}", line.section, line.name);
  return fmt::format("{}.{}", member_of(line), line.name);
}

// A table of rules begins with it, whatever its value.
bool begins_table(const Line& line) {
  return line.of != Of::section && line.name == (line.of == Of::ip_rule ? "match" : "id");
}

// What stands for itself where it is not written.
std::vector<Line> without_defaults(std::vector<Line> lines) {
  Config ordinary;
  ordinary.ip_rules.emplace_back();
  ordinary.ban_rules.emplace_back();
  ordinary.geo_rules.emplace_back();
  ordinary.path_rules.emplace_back();
  ordinary.routes.emplace_back();
  Renderer renderer{/*with_rules=*/true};
  internal::describe_rules(renderer, ordinary);
  const auto name_of = [](const Line& line) {
    return std::tuple{line.of, line.of == Of::section ? line.section : std::string{}, line.name};
  };
  std::map<std::tuple<Of, std::string, std::string>, std::string> defaults;
  for (Line& line : renderer.take())
    defaults.emplace(name_of(line), std::move(line.value));
  const auto is_default = [&](const Line& line) {
    const auto found = defaults.find(name_of(line));
    return !begins_table(line) && found != defaults.end() && found->second == line.value;
  };
  const auto table_of = [](const Line& line) {
    return std::tuple{line.of, line.section, line.name.substr(0, line.name.rfind('.') + 1)};
  };
  std::set<std::tuple<Of, std::string, std::string>> tables;
  for (const Line& line : lines) {
    if (!is_default(line)) tables.insert(table_of(line));
  }
  std::erase_if(lines, [&](const Line& line) {
    return is_default(line) && !(line.implied && tables.contains(table_of(line)));
  });
  return lines;
}

std::set<std::string> members_of(const std::vector<Line>& lines) {
  std::set<std::string> members;
  for (const Line& line : lines)
    members.insert(member_of(line));
  return members;
}

// The settings that differ, without their values.
std::vector<Setting> changed(const Config& before, const Config& after) {
  const std::vector<Line> lines_before = render(before, false);
  const std::vector<Line> lines_after = render(after, false);
  const std::set<std::string> members_before = members_of(lines_before);
  const std::set<std::string> members_after = members_of(lines_after);
  std::map<std::string, std::string_view> values_before;
  for (const Line& line : lines_before)
    values_before.emplace(key_of(line), line.value);

  std::vector<Setting> out;
  const auto add = [&](std::string key, bool restart) {
    if (out.empty() || out.back().key != key) out.push_back({std::move(key), {}, restart});
  };
  // These rules need no names: with one more in front, every other one would differ. And there may
  // be a hundred thousand.
  if (before.ip_rules != after.ip_rules) add("ip_rules", false);
  if (before.geo_rules != after.geo_rules) add("geo_rules", false);
  // These have names, but of several bans that end together the first one answers.
  const auto same_id = [](const BanRule& a, const BanRule& b) { return a.id == b.id; };
  const std::vector<BanRule>& was = before.ban_rules;
  const std::vector<BanRule>& is = after.ban_rules;
  if (!std::equal(was.begin(), was.end(), is.begin(), is.end(), same_id) &&
      std::is_permutation(was.begin(), was.end(), is.begin(), is.end(), same_id)) {
    add("ban_rules", false);
  }
  for (const Line& line : lines_after) {
    if (!members_before.contains(member_of(line))) {
      add(member_of(line), false);
      continue;
    }
    const auto found = values_before.find(key_of(line));
    const bool same = found != values_before.end() && found->second == line.value;
    if (!same) add(key_of(line), line.restart);
    if (found != values_before.end()) values_before.erase(found);
  }
  for (const Line& line : lines_before) {  // What is left has no counterpart.
    if (!members_after.contains(member_of(line))) {
      add(member_of(line), false);
    } else if (values_before.contains(key_of(line))) {
      add(key_of(line), line.restart);
    }
  }
  return out;
}

const std::string& shown_value(const Line& line, Secrets secrets) {
  return secrets == Secrets::shown || line.shown.empty() ? line.value : line.shown;
}

std::string toml_of(const std::vector<Line>& lines, Secrets secrets) {
  std::string out;
  std::string section;
  for (const Line& line : lines) {
    if (begins_table(line)) {
      out += fmt::format("\n[[{}]]\n", list_of(line.of));
    } else if (line.of == Of::section && line.section != section) {
      out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", line.section);
      section = line.section;
    }
    out += fmt::format("{} = {}\n", line.name, shown_value(line, secrets));
  }
  return out;
}

}  // namespace

std::string member_key(std::string_view list, std::string_view id) {
  const bool is_plain = id.find('.') == std::string_view::npos;
  return is_plain ? fmt::format("{}{}", list, id) : fmt::format("{}\"{}\"", list, id);
}

std::vector<Setting> settings(const Config& config) {
  std::vector<Setting> out;
  for (const Line& line : render(config)) {
    std::string key = key_of(line);
    out.push_back({std::move(key), shown_value(line, Secrets::hidden), line.restart});
  }
  return out;
}

std::string to_toml(const Config& config, Secrets secrets) {
  return toml_of(render(config), secrets);
}

std::string rules_to_toml(const Config& config) {
  Renderer renderer{/*with_rules=*/true};
  internal::describe_rules(renderer, config);
  return toml_of(without_defaults(renderer.take()), Secrets::shown);  // Rules hold none.
}

std::string ip_rules_to_toml(const std::vector<IpRule>& rules) {
  Renderer renderer{/*with_rules=*/true};
  renderer.ip_rules({}, rules);
  return toml_of(without_defaults(renderer.take()), Secrets::shown);
}

std::vector<std::string> changed_keys(const Config& before, const Config& after) {
  std::vector<std::string> keys;
  for (Setting& setting : changed(before, after))
    keys.push_back(std::move(setting.key));
  return keys;
}

namespace {

// The keys of one rule in a line, without defaults and without the one named `but`.
template <typename Rule>
std::string one_line(const Rule& rule, std::string_view but) {
  Renderer renderer{/*with_rules=*/true};
  if constexpr (std::is_same_v<Rule, IpRule>) {
    renderer.ip_rules({}, {rule});
  } else {
    renderer.geo_rules({}, {rule});
  }
  std::string text;
  for (const Line& line : without_defaults(renderer.take())) {
    if (line.name == but) continue;
    text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", line.name, line.value);
  }
  return text;
}

using Texts = std::map<std::string, std::string>;

// What each address or prefix stands under.
Texts ip_rule_texts(const Config& config) {
  Texts texts;
  for (const IpRule& rule : config.ip_rules) {
    const std::string text = one_line(rule, "match");
    for (const std::string& match : rule.match) {
      std::string& known = texts["ip_rules." + match];
      known += (known.empty() ? "" : "; ") + text;
    }
  }
  return texts;
}

// Rules without a name are told apart by what they say.
Texts geo_rule_texts(const Config& config) {
  Texts texts;
  for (const GeoRule& rule : config.geo_rules) {
    const std::string text = one_line(rule, "id");
    texts[rule.id.empty() ? "geo_rules: " + text : member_key("geo_rules.", rule.id)] = text;
  }
  return texts;
}

void add_differences(const Texts& before, const Texts& after, std::vector<Difference>& out) {
  const auto text_in = [](const Texts& texts, const std::string& key) {
    const auto found = texts.find(key);
    return found == texts.end() ? std::string{} : found->second;
  };
  std::set<std::string> keys;
  for (const Texts* const side : {&before, &after}) {
    for (const auto& [key, text] : *side)
      keys.insert(key);
  }
  size_t more = 0;
  const size_t known = out.size();
  for (const std::string& key : keys) {
    std::string was = text_in(before, key);
    std::string is = text_in(after, key);
    if (was == is) continue;
    if (out.size() - known == kDifferencesMax) {
      ++more;
      continue;
    }
    out.push_back({key.substr(0, key.find(": ")), std::move(was), std::move(is), false});
  }
  if (more > 0) out.push_back({fmt::format("and {} more", more), {}, {}, false});
}

// Of everything that has a key of its own, the value; of a route or rule, its pattern or trigger.
Texts value_texts(const Config& config) {
  Texts texts;
  for (Setting& setting : settings(config))
    texts.emplace(std::move(setting.key), std::move(setting.value));
  for (const Route& route : config.routes)
    texts[member_key("routes.", route.id)] = toml_text(route.pattern);
  for (const PathRule& rule : config.path_rules)
    texts[member_key("path_rules.", rule.id)] = toml_text(rule.pattern);
  std::string& order = texts["ban_rules"];
  for (const BanRule& rule : config.ban_rules) {
    texts[member_key("ban_rules.", rule.id)] = toml_texts(rule.on);
    order += (order.empty() ? "" : ", ") + rule.id;
  }
  return texts;
}

}  // namespace

std::vector<Difference> differences(const Config& before, const Config& after) {
  Texts was = value_texts(before);
  Texts is = value_texts(after);
  std::vector<Difference> out;
  for (const Setting& setting : changed(before, after)) {
    if (setting.key == "ip_rules") {
      add_differences(ip_rule_texts(before), ip_rule_texts(after), out);
    } else if (setting.key == "geo_rules") {
      const size_t known = out.size();
      add_differences(geo_rule_texts(before), geo_rule_texts(after), out);
      // The order decides between rules that are equal otherwise.
      if (out.size() == known) out.push_back({"geo_rules", "their order", "another order", false});
    } else {
      out.push_back({setting.key, was[setting.key], is[setting.key], setting.restart});
    }
  }
  return out;
}

std::vector<std::string> restart_needed(const Config& before, const Config& after) {
  std::vector<std::string> keys;
  for (Setting& setting : changed(before, after)) {
    if (setting.restart) keys.push_back(std::move(setting.key));
  }
  return keys;
}

}  // namespace weir::config
