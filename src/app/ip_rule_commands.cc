#include "app/ip_rule_commands.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "app/command_output.h"
#include "app/config_commands.h"
#include "app/control_socket.h"
#include "app/log.h"
#include "codec/iso_time.h"
#include "codec/text.h"
#include "config/ip.h"
#include "config/ip_list.h"
#include "config/ip_rule_set.h"
#include "config/load.h"
#include "config/render.h"
#include "config/units.h"
#include "os/clock.h"
#include "os/files.h"

namespace weir::app {
namespace {

using config::IpAction;
using config::IpRule;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr milliseconds kStatusPatience{5'000};
// Each time one fails, another change has succeeded.
constexpr int kAttemptsMax = 20;
constexpr size_t kListBytesMax = size_t{32} * 1024 * 1024;

struct RulesInForce {
  std::string source;  // "file", "store"; empty: no server runs.
  uint64_t version = kNewestRules;
  config::Config rules;
};

struct Changed {
  size_t added = 0;
  size_t removed = 0;
  size_t present = 0;
  size_t repeated = 0;
};

// Changes rules and says what it did; none: it cannot be done, and that was said.
using Edit = std::function<std::optional<Changed>(std::vector<IpRule>&)>;

sys_seconds now() {
  const os::RealClock clock;
  return sys_seconds{seconds{base::unix_ms(clock.wall()) / 1000}};
}

// None, and said: they cannot be read.
std::optional<RulesInForce> rules_in_force(const std::string& data_dir) {
  RulesInForce out;
  const auto answer = ask_server(data_dir, R"({"command":"status"})", kStatusPatience);
  if (!answer.ok() && answer.error().code == base::ErrorCode::timed_out) {
    complain_of_no_answer(data_dir, answer.error());
    return std::nullopt;
  }
  const Json status = answer.ok() ? Json::parse(answer.value(), nullptr, false) : Json();
  if (status.is_object() && status.contains("rules_source")) {
    out.source = status["rules_source"].get<std::string>();
    out.version = status["rules_version"].get<uint64_t>();
  }
  std::optional<StoredRules> stored = stored_rules(data_dir, out.version);
  if (!stored) return std::nullopt;
  out.version = stored->version;
  out.rules = std::move(stored->rules);
  return out;
}

int say_changed(const cli::CommandLine& line, const Json& answer, const Changed& changed) {
  const auto version = answer["version"].get<uint64_t>();
  if (line.json) {
    print_json({{"version", version},
                {"added", changed.added},
                {"removed", changed.removed},
                {"present", changed.present},
                {"repeated", changed.repeated},
                {"stalled", answer["stalled"]}});
    return 0;
  }
  std::string text = answer["changed"].empty()
                         ? fmt::format("nothing differs from version {}", version)
                         : fmt::format("version {} is in force", version);
  text += fmt::format(": {} added, {} removed", changed.added, changed.removed);
  if (changed.present != 0) text += fmt::format(", {} there already", changed.present);
  if (changed.repeated != 0) text += fmt::format(", {} twice in the list", changed.repeated);
  print(text + "\n");
  for (const Json& loop : answer["stalled"])
    print(fmt::format("loop-{} is stalled and will take it up later\n", loop.get<uint32_t>()));
  return 0;
}

// Nothing: another version is in force by now.
std::optional<int> put_in_force(const cli::CommandLine& line, const RulesInForce& changed,
                                const Changed& what) {
  const std::string toml = config::rules_to_toml(changed.rules);
  if (toml.size() > config::kFileBytesMax) {
    complain(
        fmt::format("the rules would be {} bytes of TOML; allowed: {}. Entries take least with "
                    "few reasons and expiries: those that share them are one rule",
                    toml.size(), config::kFileBytesMax));
    return 1;
  }
  const Json request{{"command", "config.apply"}, {"toml", codec::base64_encode(toml)},
                     {"file", "rules"},           {"author", user_name()},
                     {"comment", line.comment},   {"expected", changed.version}};
  const Json answer = ask_for_change(line.data_dir, request);
  if (!answer.is_object()) return 2;
  if (answer.value("conflict", false)) return std::nullopt;
  if (!answer.contains("error")) return say_changed(line, answer, what);
  complain_of_rules(answer);
  return 1;
}

int change(const cli::CommandLine& line, const Edit& edit) {
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    std::optional<RulesInForce> rules = rules_in_force(line.data_dir);
    if (!rules) return 1;
    if (!line.ip_rule.print && rules->source != "store") {
      if (rules->source.empty()) {
        complain_of_no_server(line.data_dir);
        return 2;
      }
      complain(
          "config.source is \"file\": change the [[ip_rules]] of the file and reload it. With "
          "--print this command writes how they would be");
      return 1;
    }
    const std::optional<Changed> changed = edit(rules->rules.ip_rules);
    if (!changed) return 1;
    if (line.ip_rule.print) {
      print(config::ip_rules_to_toml(rules->rules.ip_rules));
      return 0;
    }
    if (const std::optional<int> done = put_in_force(line, *rules, *changed)) return *done;
  }
  complain("others change the rules all the time: nothing has changed, try again");
  return 1;
}

// False, and said: it is no time to come.
bool read_expiry(const cli::IpRuleOptions& options, IpRule& rule) {
  if (!options.lifetime.empty()) {
    const auto lifetime = config::parse_duration(options.lifetime);
    if (!lifetime || lifetime->count() < 1000) {
      complain(fmt::format("--for {}: no duration; allowed: 1s and more, such as 30m, 1h, 7d",
                           options.lifetime));
      return false;
    }
    rule.expires = now() + std::chrono::ceil<seconds>(*lifetime);
  }
  if (options.expires.empty()) return true;
  const base::Result<int64_t> unix_ms = codec::parse_iso_ms(options.expires);
  if (!unix_ms.ok() || unix_ms.value() % 1000 != 0) {
    complain(fmt::format("--expires {}: no time; allowed: 2026-12-01T00:00:00Z, UTC, whole seconds",
                         options.expires));
    return false;
  }
  rule.expires = sys_seconds{seconds{unix_ms.value() / 1000}};
  if (*rule.expires > now()) return true;
  complain(fmt::format("--expires {}: has passed", options.expires));
  return false;
}

// The rule of the options, without prefixes. None, and said: they make no sense.
std::optional<IpRule> rule_of(const cli::IpRuleOptions& options, IpAction otherwise) {
  IpRule rule{
      .action = options.action.empty() ? otherwise : config::parse_ip_action(options.action),
      .limit = options.limit,
      .reason = options.reason,
      .enforce = !options.dry_run};
  if (!options.window.empty()) {
    const auto window = config::parse_duration(options.window);
    if (!window || window->count() == 0 || window->count() % 1000 != 0) {
      complain(fmt::format("--window {}: no duration; allowed: whole seconds, such as 10s, 1m, 1h",
                           options.window));
      return std::nullopt;
    }
    rule.window = std::chrono::duration_cast<seconds>(*window);
  }
  if (!read_expiry(options, rule)) return std::nullopt;
  IpRule probe = rule;  // With a prefix, so that only the options may be wrong.
  probe.match = {"::1"};
  const std::vector<config::Problem> problems = config::check_ip_rule(probe);
  for (const config::Problem& problem : problems) {
    complain(fmt::format("--{}: {}; allowed: {}", problem.key, problem.message, problem.allowed));
  }
  if (!problems.empty()) return std::nullopt;
  return rule;
}

// None, and said: some are no prefixes.
std::optional<std::vector<config::Cidr>> prefixes_of(const std::vector<std::string>& matches) {
  std::vector<config::Cidr> prefixes;
  bool good = true;
  for (const std::string& match : matches) {
    if (const auto prefix = config::parse_cidr(match)) {
      prefixes.push_back(*prefix);
      continue;
    }
    good = false;
    for (const config::Problem& problem :
         config::check_ip_rule({.match = {match}, .action = IpAction::block})) {
      complain(fmt::format("{}; allowed: {}", problem.message, problem.allowed));
    }
  }
  if (!good) return std::nullopt;
  return prefixes;
}

std::string describe(const IpRule& rule) {
  std::string out{config::to_string(rule.action)};
  if (rule.limit != 0)
    out += fmt::format(", {} in {}", rule.limit, config::format_duration(rule.window));
  if (rule.expires) out += ", until " + config::ip_rule_time(*rule.expires);
  if (!rule.reason.empty()) out += ", " + config::in_quotes(rule.reason);
  if (!rule.enforce) out += ", a dry run";
  return out;
}

// False, and said: some are there already.
bool are_new(const std::vector<IpRule>& rules, const IpRule& addition) {
  const config::IpEntries entries{rules};
  bool good = true;
  for (const std::string& match : addition.match) {
    const auto prefix = config::parse_cidr(match);
    const auto found = entries.rule_of(*prefix, addition.action);
    if (found && !config::is_expired(rules[*found], now())) {
      good = false;
      complain(
          fmt::format("{} has this action already ({}); to change it, weir ip-rules remove {} "
                      "--action {} first",
                      match, describe(rules[*found]), match, config::to_string(addition.action)));
    }
    if (addition.action == IpAction::block) continue;
    const auto block = entries.rule_of(*prefix, IpAction::block);
    if (!block || config::is_expired(rules[*block], now()) || !rules[*block].enforce) continue;
    complain(fmt::format("note: {} is blocked, too, and a block wins where the prefix is the same",
                         match));
  }
  return good;
}

// False, and said: it cannot be read, or is too large.
bool read_list(const std::string& file, std::string& text) {
  os::RealFiles files;
  bool too_large = false;
  if (file == "-") {
    std::vector<char> buffer(65536);
    for (size_t count = 1; count > 0 && text.size() <= kListBytesMax;) {
      count = std::fread(buffer.data(), 1, buffer.size(), stdin);
      text.append(buffer.data(), count);
    }
    if (std::ferror(stdin) == 0 && text.size() <= kListBytesMax) return true;
    too_large = text.size() > kListBytesMax;
  } else {
    auto read = os::read_file(files, file, kListBytesMax);
    if (read.ok()) {
      text = std::move(read).value();
      return true;
    }
    too_large = read.error().code == base::ErrorCode::limit_exceeded;
  }
  complain(fmt::format("{}: {}", file, too_large ? "is larger than 32 MiB" : "cannot be read"));
  return false;
}

config::IpListFormat format_of(std::string_view name) {
  if (name == "plain") return config::IpListFormat::plain;
  if (name == "csv") return config::IpListFormat::csv;
  if (name == "toml") return config::IpListFormat::toml;
  return config::IpListFormat::automatic;
}

// None, and said, line by line: it is not good.
std::optional<config::IpList> good_list(const cli::IpRuleOptions& options) {
  const std::optional<IpRule> otherwise = rule_of(options, IpAction::block);
  std::string text;
  if (!otherwise || !read_list(options.file, text)) return std::nullopt;
  const std::string name = options.file == "-" ? "standard input" : options.file;
  config::IpList list = config::parse_ip_list(text, name, format_of(options.format), *otherwise);
  for (const config::Problem& problem : list.problems)
    complain(config::to_string(problem));
  if (list.more_problems > 0) complain(fmt::format("{} more like these", list.more_problems));
  if (!list.ok()) {
    complain(fmt::format("{}: refused, nothing has changed", name));
    return std::nullopt;
  }
  if (list.rules.empty()) {
    complain(
        fmt::format("{}: has no addresses, nothing has changed; to take all out that have a "
                    "reason, weir ip-rules remove --reason",
                    name));
    return std::nullopt;
  }
  const auto labelled = [&options](const IpRule& rule) { return rule.reason == options.reason; };
  if (options.replace && !std::all_of(list.rules.begin(), list.rules.end(), labelled)) {
    complain(
        fmt::format("{}: has reasons of its own; --replace takes those that are in force as the "
                    "list's by --reason alone",
                    name));
    return std::nullopt;
  }
  return list;
}

// Those of `action`, if one is given.
std::vector<IpRule> rules_of(std::vector<IpRule> rules, std::string_view action) {
  if (action.empty()) return rules;
  std::erase_if(rules, [wanted = config::parse_ip_action(action)](const IpRule& rule) {
    return rule.action != wanted;
  });
  return rules;
}

}  // namespace

int run_ip_rules_list(const cli::CommandLine& line) {
  const std::optional<RulesInForce> in_force = rules_in_force(line.data_dir);
  if (!in_force) return 1;
  Json rows = Json::array();
  for (const IpRule& rule : in_force->rules.ip_rules) {
    Json row{{"match", ""}, {"action", config::to_string(rule.action)}};
    row["limit"] = rule.limit != 0 ? Json(rule.limit) : Json();
    row["window"] = rule.limit != 0 ? Json(config::format_duration(rule.window)) : Json();
    row["expires"] = rule.expires ? Json(config::ip_rule_time(*rule.expires)) : Json();
    row["reason"] = rule.reason;
    row["enforce"] = rule.enforce;
    row["expired"] = config::is_expired(rule, now());
    for (const std::string& match : rule.match) {
      row["match"] = match;
      rows.push_back(row);
    }
  }
  print_rows(line, rows,
             {"match", "action", "limit", "window", "expires", "reason", "enforce", "expired"});
  return 0;
}

int run_ip_rules_export(const cli::CommandLine& line) {
  std::optional<RulesInForce> in_force = rules_in_force(line.data_dir);
  if (!in_force) return 1;
  std::vector<IpRule> rules = rules_of(std::move(in_force->rules.ip_rules), line.ip_rule.action);
  if (line.ip_rule.format == "csv") {
    print(config::ip_list_to_csv(rules));
  } else if (line.ip_rule.format == "plain") {
    // Whoever takes such a list takes every line of it as what is done.
    std::erase_if(rules, [at = now()](const IpRule& rule) {
      return config::is_expired(rule, at) || !rule.enforce;
    });
    const std::string& action = line.ip_rule.action;
    print(config::ip_list_to_plain(
        rules, action.empty() ? IpAction::block : config::parse_ip_action(action)));
  } else {
    print(config::ip_rules_to_toml(rules));
  }
  return 0;
}

int run_ip_rules_add(const cli::CommandLine& line) {
  std::optional<IpRule> rule = rule_of(line.ip_rule, IpAction::none);
  const auto prefixes = prefixes_of(line.ip_rule.matches);
  if (!rule || !prefixes) return 1;
  // As a list, so that the same one twice is one.
  std::string text;
  for (const std::string& match : line.ip_rule.matches)
    text += match + "\n";
  const config::IpList list = config::parse_ip_list(text, "", config::IpListFormat::plain, *rule);
  return change(line, [&list](std::vector<IpRule>& rules) -> std::optional<Changed> {
    for (const IpRule& addition : list.rules) {
      if (!are_new(rules, addition)) return std::nullopt;
    }
    const config::IpAdditions done = config::add_ip_rules(rules, list.rules, now());
    return Changed{.added = done.added, .repeated = list.repeated};
  });
}

int run_ip_rules_remove(const cli::CommandLine& line) {
  const cli::IpRuleOptions& options = line.ip_rule;
  const auto prefixes = prefixes_of(options.matches);
  if (!prefixes) return 1;
  const std::optional<IpAction> action =
      options.action.empty() ? std::nullopt
                             : std::optional{config::parse_ip_action(options.action)};
  return change(line, [&](std::vector<IpRule>& rules) -> std::optional<Changed> {
    const size_t before = config::ip_entry_count(rules);
    if (options.matches.empty()) {
      if (config::remove_ip_rules_of(rules, options.reason, action) == 0) {
        complain(fmt::format("no rule has the reason {}", config::in_quotes(options.reason)));
        return std::nullopt;
      }
    } else {
      const std::vector<size_t> missing = config::remove_ip_entries(rules, *prefixes, action);
      for (const size_t index : missing) {
        complain(fmt::format("{} is in no rule{}; weir ip-rules list shows those that are",
                             options.matches[index], action ? " of this action" : ""));
      }
      if (!missing.empty()) return std::nullopt;
    }
    return Changed{.removed = before - config::ip_entry_count(rules)};
  });
}

int run_ip_rules_import(const cli::CommandLine& line) {
  const cli::IpRuleOptions& options = line.ip_rule;
  if (options.replace && options.reason.empty()) {
    complain("--replace needs --reason: the label of the rules that the list takes the place of");
    return 1;
  }
  const std::optional<config::IpList> list = good_list(options);
  if (!list) return 1;
  return change(line, [&](std::vector<IpRule>& rules) -> std::optional<Changed> {
    Changed changed{.repeated = list->repeated};
    if (options.replace) changed.removed = config::remove_ip_rules_of(rules, options.reason);
    const config::IpAdditions done = config::add_ip_rules(rules, list->rules, now());
    changed.added = done.added;
    changed.present = done.present;
    return changed;
  });
}

}  // namespace weir::app
