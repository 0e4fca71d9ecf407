#include "cli/command_line.h"

#include <algorithm>

#include <CLI/CLI.hpp>

#include "cli/internal/options.h"

namespace weir::cli {
namespace {

using internal::add_data;
using internal::add_json;
using internal::add_limit;
using internal::select;

constexpr const char* kAbout =
    "Weir: a self-hosted API gateway that routes, guards, caches and limits API traffic\n"
    "and counts every request exactly once.\n\n"
    "First steps:\n"
    "  weir demo                      a gateway with a built-in upstream, to look around\n"
    "  weir config check weir.toml    say everything that is wrong with a configuration\n"
    "  weir serve --config weir.toml --data /var/lib/weir\n"
    "  weir status                    what the running gateway does\n"
    "  weir sql \"SELECT path, hour_bucket, requests, errors FROM path_stats_hourly\"\n";

void add_days(CLI::App& command, CommandLine& line) {
  command.add_option("--from", line.from_date, "First day (UTC), for example 2026-11-23");
  command.add_option("--to", line.to_date, "Last day");
}

void add_kv_commands(CLI::App& app, CommandLine& line) {
  CLI::App& kv = *app.add_subcommand("kv", "The key-value store");
  kv.require_subcommand(1);
  CLI::App& get = *kv.add_subcommand("get", "Print the value of a key");
  get.add_option("key", line.key, "For example: snapshot:latest")->required();
  add_data(get, line);
  select(get, line, Command::kv_get);

  CLI::App& keys = *kv.add_subcommand("list", "Print the keys that begin with a prefix");
  keys.add_option("prefix", line.key, "For example: snapshot:");
  add_limit(keys, line);
  add_data(keys, line);
  add_json(keys, line);
  select(keys, line, Command::kv_list);

  CLI::App& put = *kv.add_subcommand("put", "Store a value under a key");
  put.add_option("key", line.key, "1 to 512 bytes")->required();
  put.add_option("value", line.value, "The value; - reads standard input")->required();
  put.add_option("--ttl", line.ttl, "The key is gone after that time: 90s, 15m, 1d");
  add_data(put, line);
  put.footer(
      "Durable when it returns. A running server takes up to 1 MiB, a stopped one's directory 25."
      "\nExit codes: 0 stored, 1 not.");
  select(put, line, Command::kv_put);
  CLI::App& remove = *kv.add_subcommand("delete", "Delete a key, if it is there");
  remove.add_option("key", line.key, "The key")->required();
  add_data(remove, line);
  select(remove, line, Command::kv_delete);
}

void add_counter_command(CLI::App& app, CommandLine& line) {
  CLI::App& counter = *app.add_subcommand("counter", "A number that scripts may share");
  counter.add_option("operation", line.operation, "value, increment, decrement or reset")
      ->check(CLI::IsMember({"value", "increment", "decrement", "reset"}))
      ->capture_default_str();
  add_data(counter, line);
  add_json(counter, line);
  counter.footer(
      "Prints the number after the change. No two changes see the same one, and what was printed is"
      "\ndurable. Exit codes: 0 done, 1 not: no server runs, or its database fails.");
  select(counter, line, Command::counter);
}

void add_alerts_commands(CLI::App& app, CommandLine& line) {
  CLI::App& alerts = *app.add_subcommand("alerts", "What somebody should know now");
  alerts.require_subcommand(1);
  CLI::App& list = *alerts.add_subcommand("list", "What fires, since when, and who was told");
  add_data(list, line);
  add_json(list, line);
  list.footer(
      "As of the last evaluation, a minute ago at the most; weir jobs run alerts makes one.\n"
      "Exit codes: 0 nothing fires, 3 something does, 1 no server runs there.");
  select(list, line, Command::alerts_list);
  CLI::App& test = *alerts.add_subcommand("test", "Send a message that says nothing");
  add_data(test, line);
  add_json(test, line);
  test.footer(
      "To alerts.webhook.url, by the running server; prints what was answered.\n"
      "Exit codes: 0 delivered, 1 not, or no server runs there.");
  select(test, line, Command::alerts_test);
}

void add_limits_commands(CLI::App& app, CommandLine& line) {
  CLI::App& limits = *app.add_subcommand("limits", "Rate limits, throttles and bans");
  limits.require_subcommand(1);
  const auto add_subject = [&line](CLI::App& command) {
    command.add_option("ip", line.limited_ip, "A client's address");
    command.add_option("--value", line.limited_value,
                       "Or a header's value, such as an API key, of limits per = \"header\"");
    command.add_option("--route", line.limited_route, "Or a route's id, of limits per = \"route\"");
    add_data(command, line);
    add_json(command, line);
  };
  CLI::App& status = *limits.add_subcommand("status", "What is left of each limit");
  add_subject(status);
  select(status, line, Command::limits_status);
  CLI::App& bans = *limits.add_subcommand("bans", "Who is banned now, and until when");
  add_data(bans, line);
  add_json(bans, line);
  bans.footer("Of each loop's newest 1024 bans since the start. `weir limits reset IP` lifts one.");
  select(bans, line, Command::limits_bans);
  CLI::App& reset =
      *limits.add_subcommand("reset", "Forget what was charged, lift a client's bans");
  add_subject(reset);
  reset.footer("Of a client: limits of all clients together stay as they are (--route).");
  select(reset, line, Command::limits_reset);
}

void add_hours(CLI::App& command, CommandLine& line) {
  command.add_option("--hours", line.hours, "Of the last hours, the running one included")
      ->check(CLI::Range(1, 744))
      ->capture_default_str();
}

void add_stats_commands(CLI::App& app, CommandLine& line) {
  CLI::App& stats = *app.add_subcommand("stats", "Statistics of paths and clients");
  stats.require_subcommand(1);
  CLI::App& top = *stats.add_subcommand("top", "The paths with most requests");
  add_hours(top, line);
  add_limit(top, line);
  add_data(top, line);
  add_json(top, line);
  top.footer(
      "Counts are exact. Percentiles are within 1 %, unique clients have a standard error of 0.8 %."
      "\nTimes are in milliseconds.");
  select(top, line, Command::stats_top);
  CLI::App& path = *stats.add_subcommand("path", "One path, hour by hour, and the sum");
  path.add_option("path", line.path, "As in weir stats top: /users/{id}")->required();
  add_hours(path, line);
  add_data(path, line);
  add_json(path, line);
  path.footer(
      "The sum's percentiles and clients are those of all its requests, not of the rows above."
      "\nExit codes: 0 there it is, 1 nothing was counted under that path.");
  select(path, line, Command::stats_path);
  internal::add_client_commands(stats, line);
  CLI::App& rebuild =
      *stats.add_subcommand("rebuild", "Count hours and sketches again, from the archive");
  rebuild
      .add_flag("--from-archive", line.from_archive,
                "From archived days and the events still in the database")
      ->required();
  add_days(rebuild, line);
  rebuild.add_flag("--check", line.check, "Only compare; also beside a running server");
  add_data(rebuild, line);
  add_json(rebuild, line);
  rebuild.footer(
      "Without --check, rows that differ are set right; no server may run then.\n"
      "Exit codes: 0 nothing differs any more, 1 something does or was skipped, 2 it could not be"
      " done.");
  select(rebuild, line, Command::stats_rebuild);
}

void add_jobs_commands(CLI::App& app, CommandLine& line) {
  CLI::App& jobs = *app.add_subcommand("jobs", "What the node does by itself, at its times (UTC)");
  jobs.require_subcommand(1);
  CLI::App& list = *jobs.add_subcommand("list", "Jobs, when they run next, how they ended last");
  add_data(list, line);
  add_json(list, line);
  select(list, line, Command::jobs_list);
  CLI::App& run = *jobs.add_subcommand("run", "Run a job now and wait for its end");
  run.add_option("name", line.job, "See weir jobs list")->required();
  add_data(run, line);
  run.footer("Exit codes: 0 it succeeded, 1 it did not, or no server runs there.");
  select(run, line, Command::jobs_run);
  CLI::App& history = *jobs.add_subcommand("history", "What was run, newest first");
  history.add_option("name", line.job, "Of this job only");
  add_limit(history, line);
  add_data(history, line);
  add_json(history, line);
  select(history, line, Command::jobs_history);
}

void add_objects_commands(CLI::App& app, CommandLine& line) {
  CLI::App& objects = *app.add_subcommand("objects", "Archives and other objects");
  objects.require_subcommand(1);
  CLI::App& list =
      *objects.add_subcommand("list", "Print the objects whose keys begin with a prefix");
  list.add_option("prefix", line.key, "For example: traffic-events/2026-");
  add_limit(list, line);
  add_data(list, line);
  add_json(list, line);
  select(list, line, Command::objects_list);
  CLI::App& get = *objects.add_subcommand("get", "Write an object to standard output");
  get.add_option("key", line.key, "For example: traffic-events/2026-11-23.jsonl.gz")->required();
  add_data(get, line);
  get.footer("For example: weir objects get traffic-events/2026-11-23.jsonl.gz | zcat | head");
  select(get, line, Command::objects_get);
  CLI::App& verify = *objects.add_subcommand("verify", "Read an object back and check it");
  verify.add_option("key", line.key, "An archive is read to its last row")->required();
  add_data(verify, line);
  add_json(verify, line);
  verify.footer("Exit codes: 0 it is whole, 1 it is damaged or not there.");
  select(verify, line, Command::objects_verify);
  CLI::App& compact =
      *objects.add_subcommand("compact", "Make one archive of a day's parts; no server may run");
  compact.add_option("date", line.key, "For example: 2026-11-23")->required();
  add_data(compact, line);
  add_json(compact, line);
  compact.footer("Exit codes: 0 done, or nothing to do, 1 it could not be done.");
  select(compact, line, Command::objects_compact);
}

void add_letters_command(CLI::App& queues, CommandLine& line, const char* name, const char* about,
                         const char* footer, Command selected) {
  CLI::App& command = *queues.add_subcommand(name, about);
  CLI::Option_group& which = *command.add_option_group("Letters");
  which.add_option("id", line.letter_ids, "By their ids");
  which.add_flag("--all", line.all, "All of them");
  which.require_option(1);
  add_data(command, line);
  add_json(command, line);
  command.footer(footer);
  select(command, line, selected);
}

void add_queues_commands(CLI::App& app, CommandLine& line) {
  CLI::App& queues = *app.add_subcommand("queues", "Events on their way, and those set aside");
  queues.require_subcommand(1);
  CLI::App& list = *queues.add_subcommand("list", "What waits where");
  add_data(list, line);
  add_json(list, line);
  select(list, line, Command::queues_list);
  CLI::App& letters =
      *queues.add_subcommand("dead-letters", "Events that could not be stored, and why");
  add_limit(letters, line);
  add_data(letters, line);
  add_json(letters, line);
  select(letters, line, Command::queues_dead_letters);
  add_letters_command(
      queues, line, "replay", "Count dead letters that can be stored now",
      "Each is counted once. Those that still cannot be, and repeated ids, stay.\n"
      "Exit codes: 0 none stayed of those asked for, 1 some did, or no server runs there.",
      Command::queues_replay);
  add_letters_command(queues, line, "purge", "Delete dead letters for good",
                      "They are never counted then; the audit knows how many were deleted.\n"
                      "Exit codes: 0 done, 1 no server runs there.",
                      Command::queues_purge);
}

void add_audit_command(CLI::App& app, CommandLine& line) {
  CLI::App& audit = *app.add_subcommand("audit", "Check that everything was counted exactly once");
  add_data(audit, line);
  add_json(audit, line);
  audit.footer(
      "Compares sums that different code wrote. A running gateway does it every hour by itself.\n"
      "Exit codes: 0 all agree, 1 some differ, 2 it could not be read.");
  select(audit, line, Command::audit);
}

void add_flow_commands(CLI::App& app, CommandLine& line) {
  CLI::App& smoke = *app.add_subcommand("smoke", "Prove every step of the flow with real requests");
  smoke.add_option("--path", line.path, "What to ask for instead of the built-in route");
  smoke.add_option("--count", line.count, "Requests")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  smoke.add_option("--url", line.url, "Where to, if not to the server's first listener");
  add_data(smoke, line);
  add_json(smoke, line);
  smoke.footer(
      "The built-in route /__weir/smoke is there in weir demo, or with smoke.enabled = true.\n"
      "Exit codes: 0 every step holds, 1 some does not, or it cannot be proven.");
  select(smoke, line, Command::smoke);
  CLI::App& tail = *app.add_subcommand("tail", "Follow what the running gateway logs and records");
  tail.add_option("--grep", line.grep, "Only lines that contain this text");
  add_data(tail, line);
  add_json(tail, line);
  tail.footer(
      "Ctrl-C ends it. A reader that is too slow misses lines, and is told how many.\n"
      "Markers: 📦 Queue Batch, 📊 Grouped into, ✅ Aggregated, 💾 批量 upsert, 🔄 触发 KV 快照刷新");
  select(tail, line, Command::tail);
}

void add_commands(CLI::App& app, CommandLine& line) {
  CLI::App& serve = *app.add_subcommand("serve", "Carry traffic until SIGTERM");
  serve.add_option("--config", line.config_file, "Configuration file (weir.toml)")
      ->check(CLI::ExistingFile);
  add_data(serve, line);
  serve.footer(
      "Signals: SIGTERM, SIGINT end gracefully; SIGHUP reads the configuration again;\n"
      "SIGUSR1 opens the access log again.");
  select(serve, line, Command::serve);

  CLI::App& demo = *app.add_subcommand("demo", "Run with a built-in upstream and demo routes");
  demo.add_option("--countries", line.countries_file,
                  "An .mmdb file that knows countries: adds a route for Europe only")
      ->check(CLI::ExistingFile);
  add_data(demo, line);
  select(demo, line, Command::demo);

  CLI::App& status = *app.add_subcommand("status", "Show what the running gateway does");
  add_data(status, line);
  add_json(status, line);
  status.footer("Exit codes: 0 all well, 1 no server runs there, 3 some alarm is raised.");
  select(status, line, Command::status);

  CLI::App& sql = *app.add_subcommand("sql", "Run one read-only SQL statement");
  sql.add_option("statement", line.statement, "For example: SELECT COUNT(*) FROM traffic_events")
      ->required();
  add_days(sql, line);
  add_data(sql, line);
  add_json(sql, line);
  sql.footer(
      "Views: traffic_events, exchanges, path_stats_hourly, archive_metadata, consumer_heartbeat.\n"
      "Works on a running gateway and on the data directory of a stopped one.\n\n"
      "Days that are archived are no longer in the database. With --from, --to or both, the\n"
      "statement sees all events of those days and no others, wherever they are:\n"
      "  weir sql --from 2026-11-01 --to 2026-11-07 \\\n"
      "    \"SELECT path, count(*) FROM traffic_events GROUP BY path ORDER BY 2 DESC\"\n"
      "This holds for traffic_events, exchanges and events. Archives are read and proven first,\n"
      "into a temporary file of some 100 bytes for each event (its directory: TMPDIR).\n"
      "The statement itself may then take two minutes, else 30 seconds.\n\n"
      "Exit codes: 0 done, 1 it could not be done, 2 the arguments make no sense.");
  select(sql, line, Command::sql);

  add_flow_commands(app, line);
  add_kv_commands(app, line);
  add_counter_command(app, line);
  add_alerts_commands(app, line);
  add_limits_commands(app, line);
  internal::add_ip_rule_commands(app, line);
  add_stats_commands(app, line);
  add_jobs_commands(app, line);
  add_objects_commands(app, line);
  add_queues_commands(app, line);
  add_audit_command(app, line);

  CLI::App& config = *app.add_subcommand("config", "Work with configurations");
  config.require_subcommand(1);
  CLI::App& check = *config.add_subcommand("check", "Say everything that is wrong with a file");
  check.add_option("file", line.config_file, "Configuration file")->required();
  add_json(check, line);
  check.footer("Exit codes: 0 the file is good, 1 it is not.");
  select(check, line, Command::config_check);

  CLI::App& show =
      *config.add_subcommand("show", "Every key with its value in force, as TOML that can be used");
  show.add_option("file", line.config_file, "Configuration file")->required();
  add_data(show, line);
  add_json(show, line);
  show.footer(
      "Variables of the environment that serve would heed are in it. With config.source = "
      "\"store\"\n"
      "the rules are those of the newest version in --data.\n"
      "Exit codes: 0 shown, 1 the file is not good.");
  select(show, line, Command::config_show);

  CLI::App& diff =
      *config.add_subcommand("diff", "What a change from one configuration to another would be");
  diff.add_option("before", line.config_file, "The one in force: a file, or a version's number")
      ->required();
  diff.add_option("after", line.config_file_after, "The one to come: a file, or a number")
      ->required();
  add_data(diff, line);
  add_json(diff, line);
  diff.footer(
      "Numbers are those of weir config history; of a version the rules are compared, which is "
      "all\n"
      "that it has. Exit codes: 0 nothing differs, 1 something does, 2 one of them is not good.");
  select(diff, line, Command::config_diff);

  const auto add_change = [&line](CLI::App& command) {
    command.add_option("--expect", line.expected_version,
                       "Only if this version is in force: nobody was faster");
    internal::add_comment(command, line);
    add_data(command, line);
    add_json(command, line);
  };
  CLI::App& apply = *config.add_subcommand("apply", "Put the rules of a file in force, at once");
  apply
      .add_option("file", line.config_file,
                  "TOML with [global], [[ip_rules]], [[path_rules]] and [[routes]] alone")
      ->required();
  add_change(apply);
  apply.footer(
      "With config.source = \"store\" alone: then the rules are the server's, not its file's. They "
      "are\n"
      "checked whole, stored as a new version, and then in force on every loop.\n"
      "Exit codes: 0 in force, 1 refused, 2 no server answers.");
  select(apply, line, Command::config_apply);
  CLI::App& rollback =
      *config.add_subcommand("rollback", "Put the rules of a version in force again");
  rollback.add_option("version", line.rules_version, "Its number, from weir config history")
      ->required();
  add_change(rollback);
  rollback.footer("As a new version. Exit codes: 0 in force, 1 refused, 2 no server answers.");
  select(rollback, line, Command::config_rollback);
  CLI::App& history = *config.add_subcommand(
      "history", "Who changed the rules, and when; or the rules of a version");
  CLI::Option* const version =
      history.add_option("version", line.rules_version, "Print its rules, as TOML");
  history.add_flag("--diff", line.diff, "Print what it changed in the version before")
      ->needs(version);
  add_limit(history, line);
  add_data(history, line);
  add_json(history, line);
  version->check(CLI::PositiveNumber);
  history.footer(
      "Exit codes: 0 printed, 1 not. With --diff: 0 nothing differs, 1 something does, 2 it "
      "cannot\n"
      "be said.");
  select(history, line, Command::config_history);

  CLI::App& explain = *config.add_subcommand(
      "explain", "What would become of a request, and why, without sending it");
  explain.add_option("method", line.method, "GET, POST, ...")->required();
  explain.add_option("target", line.target, "A path such as /kv/a?b=1, or http://HOST/PATH")
      ->required();
  explain.add_option("--config", line.config_file, "Configuration file")->required();
  explain.add_option("--ip", line.ip, "Address that the connection comes from")
      ->capture_default_str();
  explain.add_option("--header", line.headers, "A field, \"Name: value\"; as often as you like")
      ->allow_extra_args(false);
  add_data(explain, line);
  add_json(explain, line);
  explain.footer(
      "Says which route and rules the request meets, which level each value in force is from, and\n"
      "who answers. Rate limits are taken to have room, and nobody to be banned. With\n"
      "config.source = \"store\" the rules are those of the newest version in --data.\n"
      "Exit codes: 0 it would reach an upstream, 1 Weir would answer it, 2 it cannot be said.");
  select(explain, line, Command::config_explain);
}

}  // namespace

CommandLine parse(const std::vector<std::string>& arguments, const std::string& version) {
  CommandLine line;
  CLI::App app{kAbout, "weir"};
  app.set_version_flag("--version", "weir " + version);
  app.require_subcommand(1);
  add_commands(app, line);
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // As CLI11 wants them.
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream problems;
    const int code = app.exit(error, out, problems);
    line.exit_code = code == 0 ? 0 : 2;
    line.message = out.str() + problems.str();
  }
  return line;
}

}  // namespace weir::cli
