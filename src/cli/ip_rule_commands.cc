// `weir ip-rules`.

#include "cli/internal/options.h"

namespace weir::cli::internal {
namespace {

// What an entry has that does not say it itself.
void add_properties(CLI::App& command, CommandLine& line) {
  IpRuleOptions& rule = line.ip_rule;
  command.add_option("--limit", rule.limit, "Of throttle: requests of one client")
      ->check(CLI::Range(1, 1'000'000'000));
  command.add_option("--window", rule.window, "Of throttle: in any such time: 10s, 1m, 1h");
  CLI::Option* const lifetime =
      command.add_option("--for", rule.lifetime, "The rule is gone after that time: 30m, 1h, 7d");
  command.add_option("--expires", rule.expires, "The rule is gone then: 2026-12-01T00:00:00Z")
      ->excludes(lifetime);
  command.add_option("--reason", rule.reason, "Told to those who are refused; also a label");
  command.add_flag("--dry-run", rule.dry_run, "Only count what it would do (enforce = false)");
}

void add_change(CLI::App& command, CommandLine& line) {
  add_comment(command, line);
  command.add_flag("--print", line.ip_rule.print,
                   "Change nothing; print the [[ip_rules]] there would be, to be pasted");
  add_data(command, line);
  add_json(command, line);
}

CLI::Option* add_action(CLI::App& command, CommandLine& line, const char* about) {
  return command.add_option("--action", line.ip_rule.action, about)
      ->check(CLI::IsMember({"block", "throttle", "allow"}));
}

void add_add(CLI::App& rules, CommandLine& line) {
  CLI::App& add = *rules.add_subcommand("add", "Block, throttle or allow addresses, at once");
  add.add_option("match", line.ip_rule.matches, "Addresses and prefixes")->required();
  add_action(add, line, "block, throttle or allow")->required();
  add_properties(add, line);
  add_change(add, line);
  add.footer(
      "For example:\n"
      "  weir ip-rules add 203.0.113.7 2001:db8:bad::/48 --action block --for 1h\n"
      "  weir ip-rules add 198.51.100.0/24 --action throttle --limit 60 --window 1m\n"
      "All or none are in force when it returns, as one new version (weir config history).\n"
      "Exit codes: 0 in force, 1 refused, 2 no server answers.");
  select(add, line, Command::ip_rules_add);
}

void add_remove(CLI::App& rules, CommandLine& line) {
  CLI::App& remove = *rules.add_subcommand("remove", "Take addresses out of the rules, at once");
  CLI::Option_group& which = *remove.add_option_group("Which");
  which.add_option("match", line.ip_rule.matches, "Addresses and prefixes, as weir ip-rules list");
  which.add_option("--reason", line.ip_rule.reason, "All that have exactly this reason");
  which.require_option(1);
  add_action(remove, line, "Only rules of this action");
  add_change(remove, line);
  remove.footer(
      "For example: weir ip-rules remove 203.0.113.7\n"
      "A prefix is taken out itself, not what lies within it. Other prefixes of its rule stay.\n"
      "Exit codes: 0 done, 1 refused, or one of them was not there, 2 no server answers.");
  select(remove, line, Command::ip_rules_remove);
}

void add_import(CLI::App& rules, CommandLine& line) {
  CLI::App& import =
      *rules.add_subcommand("import", "Add a list of addresses, whole or not at all");
  import.add_option("file", line.ip_rule.file, "The list; - reads standard input")->required();
  import
      .add_option("--format", line.ip_rule.format, "auto, plain, csv or toml; if not given, auto")
      ->check(CLI::IsMember({"auto", "plain", "csv", "toml"}));
  add_action(import, line, "Of entries that do not say it; if not given, block");
  add_properties(import, line);
  import.add_flag("--replace", line.ip_rule.replace,
                  "In the place of all rules with the same --reason");
  add_change(import, line);
  import.footer(
      "plain: an address or prefix a line, # and ; begin comments; also nginx's deny and allow\n"
      "csv:   match,action,limit,window,expires,reason,enforce in a header line; match is enough\n"
      "toml:  [[ip_rules]] of a configuration\n"
      "Entries that are there already stay as they are and are counted. To keep up with a list:\n"
      "  curl -sf https://www.spamhaus.org/drop/drop.txt |\n"
      "    weir ip-rules import - --reason \"Spamhaus DROP\" --replace\n"
      "Exit codes: 0 in force, 1 refused, 2 no server answers.");
  select(import, line, Command::ip_rules_import);
}

void add_export(CLI::App& rules, CommandLine& line) {
  CLI::App& out = *rules.add_subcommand("export", "Write the rules to standard output");
  out.add_option("--format", line.ip_rule.format, "toml, csv or plain")
      ->check(CLI::IsMember({"toml", "csv", "plain"}));
  add_action(out, line, "Only rules of this action; plain: if not given, block");
  add_data(out, line);
  out.footer(
      "toml (the default) and csv hold everything, and weir ip-rules import reads them back.\n"
      "plain holds the prefixes of one action that are in force, and says nothing else of them.\n"
      "For example: weir ip-rules export --format csv > rules.csv");
  select(out, line, Command::ip_rules_export);
}

}  // namespace

void add_ip_rule_commands(CLI::App& app, CommandLine& line) {
  CLI::App& rules = *app.add_subcommand("ip-rules", "Block, throttle and allow addresses");
  rules.require_subcommand(1);
  CLI::App& list =
      *rules.add_subcommand("list", "Every address and prefix, and what becomes of it");
  add_data(list, line);
  add_json(list, line);
  list.footer(
      "Of a server that runs or not. Changes need config.source = \"store\" (weir config "
      "history).");
  select(list, line, Command::ip_rules_list);
  add_add(rules, line);
  add_remove(rules, line);
  add_import(rules, line);
  add_export(rules, line);
}

}  // namespace weir::cli::internal
