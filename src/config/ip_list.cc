#include "config/ip_list.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "codec/iso_time.h"
#include "codec/text.h"
#include "config/internal/checks.h"
#include "config/internal/csv.h"
#include "config/internal/ranges.h"
#include "config/internal/schema.h"
#include "config/internal/suggest.h"
#include "config/internal/text.h"
#include "config/ip.h"
#include "config/ip_rule_set.h"
#include "config/load.h"
#include "config/units.h"

namespace weir::config {
namespace {

constexpr std::array<std::string_view, 7> kColumns{"match",   "action", "limit",  "window",
                                                   "expires", "reason", "enforce"};
constexpr std::string_view kRulesKey = "ip_rules[0].";
constexpr std::string_view kTimeAllowed = R"("2026-12-01T00:00:00Z": UTC, whole seconds)";
constexpr std::string_view kPlainAllowed =
    R"("203.0.113.7", "2001:db8::/32", "deny 203.0.113.0/24;", "allow 203.0.113.7;")";

std::string_view trimmed_line(std::string_view line) {
  return internal::trimmed(line, " \t\r");
}

std::string_view without_mark(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  return text;
}

bool is_comment(std::string_view line) {
  return line.empty() || line.front() == '#' || line.front() == ';';
}

// Calls `each` with every line, without its end, and its number from 1.
template <typename Each>
void each_line(std::string_view text, Each each) {
  for (uint32_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (!each(text.substr(0, end), number)) return;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

IpListFormat format_of(std::string_view text) {
  IpListFormat format = IpListFormat::plain;
  each_line(text, [&format](std::string_view line, uint32_t /*number*/) {
    line = trimmed_line(line);
    if (is_comment(line)) return true;
    if (line.front() == '[' || line.find('=') != std::string_view::npos) {
      format = IpListFormat::toml;
    } else if (line.find(',') != std::string_view::npos ||
               internal::to_lower(line).find("match") != std::string::npos) {
      format = IpListFormat::csv;
    }
    return false;
  });
  return format;
}

// Gathers the entries of a list, and what is wrong with them.
//
// Threading: one thread at a time.
class ListBuilder {
 public:
  ListBuilder(std::string_view file, const IpRule& otherwise) : file_(file), otherwise_(otherwise) {
    otherwise_.match.clear();
  }

  const IpRule& otherwise() const { return otherwise_; }

  void problem(uint32_t line, uint32_t column, std::string_view key, std::string message,
               std::string_view allowed = {}) {
    if (out_.problems.size() == kIpListProblemsMax) {
      ++out_.more_problems;
      return;
    }
    out_.problems.push_back(
        {file_, line, column, std::string{key}, std::move(message), std::string{allowed}});
  }

  // `columns`: where each of kColumns stands in the line; a key is named where `named`.
  void add(IpRule rule, uint32_t line, const std::array<uint32_t, kColumns.size()>& columns,
           bool named) {
    if (rule.action == IpAction::none) {
      return problem(line, columns[0], named ? "action" : "", "has no action",
                     choice_list(internal::kIpActions) + ", or the option --action");
    }
    const std::optional<Cidr> prefix = parse_cidr(rule.match.front());
    std::string match = std::move(rule.match.front());
    rule.match.clear();
    // Long lists say the same of every prefix.
    const bool is_known = prefix && rule == last_good_;
    if (!is_known) last_good_ = rule;
    rule.match = {std::move(match)};
    const std::vector<Problem> wrong = is_known ? std::vector<Problem>{} : check_ip_rule(rule);
    for (const Problem& each : wrong) {
      const std::string_view key = std::string_view{each.key}.substr(0, each.key.find('['));
      const auto* const found = std::find(kColumns.begin(), kColumns.end(), key);
      const auto index = static_cast<size_t>(found - kColumns.begin());
      const uint32_t column = index < columns.size() ? columns[index] : 1;
      problem(line, column, named ? key : "", each.message, each.allowed);
    }
    if (!wrong.empty()) {
      last_good_.reset();
      return;
    }
    if (!seen_.emplace(std::pair{prefix->network, prefix->prefix_bits}, rule.action).second) {
      ++out_.repeated;
      return;
    }
    if (seen_.size() == kIpMatchesMax + 1) {
      problem(line, columns[0], "", "is one entry too many", fmt::format("{}", kIpMatchesMax));
    }
    if (seen_.size() <= kIpMatchesMax) entries_.push_back(std::move(rule));
  }

  IpList take() {
    if (out_.ok()) add_ip_rules(out_.rules, entries_, {});
    return std::move(out_);
  }

 private:
  const std::string file_;
  IpRule otherwise_;
  std::optional<IpRule> last_good_;  // Without its prefix.
  IpList out_;
  std::vector<IpRule> entries_;
  std::set<std::pair<std::pair<IpAddress, uint8_t>, IpAction>> seen_;
};

// One line of a plain list. Takes nothing from the line that it does not understand.
void read_plain_line(ListBuilder& list, std::string_view line, uint32_t number) {
  const std::string_view body = trimmed_line(line);
  if (is_comment(body)) return;
  IpRule rule = list.otherwise();
  size_t begin = 0;
  const std::string_view word = body.substr(0, body.find_first_of(" \t"));
  const bool directive = word == "deny" || word == "allow";
  if (directive) {
    rule.action = word == "deny" ? IpAction::block : IpAction::allow;
    rule.limit = 0;
    rule.window = {};
    begin = std::min(body.find_first_not_of(" \t", word.size()), body.size());
  }
  const size_t end = std::min(body.find_first_of(" \t;#", begin), body.size());
  const std::string_view match = body.substr(begin, end - begin);
  const auto offset = static_cast<size_t>(body.data() - line.data());
  const auto column = static_cast<uint32_t>(offset + begin + 1);
  std::string_view rest = trimmed_line(body.substr(end));
  if (directive && match == "all") {
    return list.problem(number, column, "",
                        "\"all\" is nginx's last resort: there the first line "
                        "that matches decides, here the longest prefix",
                        R"("0.0.0.0/0" and "::/0", if everybody is meant)");
  }
  if (directive) {
    if (!rest.starts_with(';')) {
      return list.problem(number, column, "", in_quotes(body) + " has no semicolon at its end",
                          kPlainAllowed);
    }
    rest = trimmed_line(rest.substr(1));
  }
  if (!is_comment(rest)) {
    return list.problem(number, column, "", in_quotes(body) + " has more than an address or prefix",
                        kPlainAllowed);
  }
  rule.match = {std::string{match}};
  std::array<uint32_t, kColumns.size()> columns{};
  columns.fill(column);
  list.add(std::move(rule), number, columns, false);
}

// Threading: one thread at a time.
class CsvList {
 public:
  explicit CsvList(ListBuilder& list) : list_(list) {}

  void read(std::string_view text) {
    internal::CsvReader reader{text};
    internal::CsvRecord record;
    if (!reader.next(record) || !read_header(record)) return;
    while (reader.next(record))
      read_entry(record);
  }

 private:
  bool read_header(const internal::CsvRecord& record) {
    bool good = record.problem.empty();
    if (!good) list_.problem(record.line, 1, "", std::string{record.problem});
    for (const internal::CsvField& field : record.fields) {
      const std::string name = internal::to_lower(field.text);
      const auto* const found = std::find(kColumns.begin(), kColumns.end(), name);
      const auto index = static_cast<size_t>(found - kColumns.begin());
      const bool twice = std::find(order_.begin(), order_.end(), index) != order_.end();
      order_.push_back(index);
      if (found != kColumns.end() && !twice) continue;
      good = false;
      list_.problem(record.line, field.column, "",
                    in_quotes(field.text) + (twice ? " is there twice" : " is no column"),
                    "a header line of match, action, limit, window, expires, reason, enforce");
    }
    if (good && std::find(order_.begin(), order_.end(), 0U) == order_.end()) {
      good = false;
      list_.problem(record.line, 1, "", "has no column \"match\"",
                    "a header line of match, action, limit, window, expires, reason, enforce");
    }
    return good;
  }

  void read_entry(const internal::CsvRecord& record) {
    if (!record.problem.empty())
      return list_.problem(record.line, 1, "", std::string{record.problem});
    if (record.fields.size() != order_.size()) {
      return list_.problem(record.line, 1, "", fmt::format("has {} fields", record.fields.size()),
                           fmt::format("{}, as the header line has", order_.size()));
    }
    IpRule rule = list_.otherwise();
    rule.match.assign(1, {});
    std::array<uint32_t, kColumns.size()> columns{};
    columns.fill(1);
    line_ = record.line;
    bool good = true;
    // The action first: it says whether limit and window of the options are meant.
    for (const bool of_action : {true, false}) {
      for (size_t at = 0; at < order_.size(); ++at) {
        if ((kColumns[order_[at]] == "action") != of_action) continue;
        const internal::CsvField& field = record.fields[at];
        columns[order_[at]] = field.column;
        if (!field.text.empty() || order_[at] == 0)
          good = read_field(rule, kColumns[order_[at]], field) && good;
      }
    }
    if (good) list_.add(std::move(rule), record.line, columns, true);
  }

  bool read_field(IpRule& rule, std::string_view column, const internal::CsvField& field) {
    const std::string& text = field.text;
    if (column == "match") {
      rule.match = {text};
      return true;
    }
    if (column == "reason") {
      rule.reason = text;
      return true;
    }
    if (column == "action") return read_action(rule, field);
    if (column == "limit") return read_limit(rule, field);
    if (column == "window") return read_window(rule, field);
    if (column == "expires") {
      const base::Result<int64_t> unix_ms = codec::parse_iso_ms(text);
      if (!unix_ms.ok() || unix_ms.value() % 1000 != 0)
        return refuse(field, column, "is not a time", kTimeAllowed);
      rule.expires = std::chrono::sys_seconds{std::chrono::seconds{unix_ms.value() / 1000}};
      return true;
    }
    if (text != "true" && text != "false")
      return refuse(field, column, "is neither of two", "true, false");
    rule.enforce = text == "true";
    return true;
  }

  bool read_action(IpRule& rule, const internal::CsvField& field) {
    const IpAction action = parse_ip_action(field.text);
    if (action == IpAction::none)
      return refuse(field, "action", "is no action", choice_list(internal::kIpActions));
    if (action != IpAction::throttle) {
      rule.limit = 0;
      rule.window = {};
    }
    rule.action = action;
    return true;
  }

  bool read_limit(IpRule& rule, const internal::CsvField& field) {
    constexpr uint32_t kMax = 1'000'000'000;
    const char* const end = field.text.data() + field.text.size();
    const auto [stopped, error] = std::from_chars(field.text.data(), end, rule.limit);
    if (error == std::errc{} && stopped == end && rule.limit >= 1 && rule.limit <= kMax)
      return true;
    return refuse(field, "limit", "is no limit", internal::integer_range({1, kMax}));
  }

  bool read_window(IpRule& rule, const internal::CsvField& field) {
    constexpr internal::Range kRange{internal::kSecond, 31 * internal::kDay};
    const auto window = parse_duration(field.text);
    if (!window || window->count() < kRange.min || window->count() > kRange.max ||
        window->count() % internal::kSecond != 0) {
      return refuse(field, "window", "is no window of whole seconds",
                    internal::duration_range(kRange));
    }
    rule.window = std::chrono::duration_cast<std::chrono::seconds>(*window);
    return true;
  }

  bool refuse(const internal::CsvField& field, std::string_view column, std::string_view why,
              std::string_view allowed) {
    list_.problem(line_, field.column, column, fmt::format("{} {}", in_quotes(field.text), why),
                  allowed);
    return false;
  }

  ListBuilder& list_;
  std::vector<size_t> order_;  // Which of kColumns each field is.
  uint32_t line_ = 0;
};

IpList read_toml(std::string_view text, std::string_view file, const IpRule& otherwise) {
  LoadResult loaded = load_rules(text, file);
  IpList list;
  list.problems = std::move(loaded.problems);
  if (list.ok()) {
    list.rules = std::move(loaded.config.ip_rules);
    loaded.config.ip_rules.clear();
    if (loaded.config != Config{}) {
      list.problems.push_back({.file = std::string{file},
                               .message = "has rules of other kinds, too",
                               .allowed = "[[ip_rules]] alone; weir config apply takes them all"});
    }
  }
  if (list.problems.size() > kIpListProblemsMax) {
    list.more_problems = list.problems.size() - kIpListProblemsMax;
    list.problems.resize(kIpListProblemsMax);
  }
  for (IpRule& rule : list.rules) {
    if (!rule.expires) rule.expires = otherwise.expires;
    if (rule.reason.empty()) rule.reason = otherwise.reason;
    rule.enforce = rule.enforce && otherwise.enforce;
  }
  return list;
}

}  // namespace

IpAction parse_ip_action(std::string_view text) {
  for (const auto& choice : internal::kIpActions) {
    if (choice.name == text) return choice.value;
  }
  return IpAction::none;
}

std::string_view to_string(IpAction action) {
  return choice_name(internal::kIpActions, action);
}

std::string ip_rule_time(std::chrono::sys_seconds time) {
  std::string text = codec::iso_ms(std::chrono::milliseconds{time.time_since_epoch()}.count());
  text.replace(text.size() - 5, 5, "Z");  // Without ".000".
  return text;
}

std::vector<Problem> check_ip_rule(const IpRule& rule) {
  internal::Findings findings;
  internal::check_ip_rules({rule}, findings);
  std::vector<Problem> problems = findings.take();
  for (Problem& problem : problems) {
    if (problem.key.starts_with(kRulesKey)) problem.key.erase(0, kRulesKey.size());
  }
  if (!codec::is_utf8(rule.reason))
    problems.push_back({.key = "reason", .message = "is no text", .allowed = "UTF-8"});
  return problems;
}

IpList parse_ip_list(std::string_view text, std::string_view file, IpListFormat format,
                     const IpRule& otherwise) {
  text = without_mark(text);
  if (format == IpListFormat::automatic) format = format_of(text);
  if (format == IpListFormat::toml) return read_toml(text, file, otherwise);
  ListBuilder list{file, otherwise};
  if (format == IpListFormat::csv) {
    CsvList{list}.read(text);
  } else {
    each_line(text, [&list](std::string_view line, uint32_t number) {
      read_plain_line(list, line, number);
      return true;
    });
  }
  return list.take();
}

std::string ip_list_to_csv(const std::vector<IpRule>& rules) {
  std::string out = "match,action,limit,window,expires,reason,enforce\r\n";
  for (const IpRule& rule : rules) {
    std::string rest = fmt::format(",{},", to_string(rule.action));
    if (rule.limit != 0) rest += std::to_string(rule.limit);
    rest += ',';
    if (rule.window.count() != 0) rest += format_duration(rule.window);
    rest += ',';
    if (rule.expires) rest += ip_rule_time(*rule.expires);
    rest += fmt::format(",{},{}\r\n", internal::csv_field(rule.reason), rule.enforce);
    for (const std::string& match : rule.match)
      out += match + rest;
  }
  return out;
}

std::string ip_list_to_plain(const std::vector<IpRule>& rules, IpAction action) {
  std::string out;
  for (const IpRule& rule : rules) {
    if (rule.action != action) continue;
    for (const std::string& match : rule.match)
      out += match + '\n';
  }
  return out;
}

}  // namespace weir::config
