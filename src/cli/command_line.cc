#include "cli/command_line.h"

#include <algorithm>

#include <CLI/CLI.hpp>

namespace weir::cli {
namespace {

constexpr const char* kAbout =
    "Weir: a self-hosted API gateway that routes, guards, caches and limits API traffic\n"
    "and counts every request exactly once.\n\n"
    "First steps:\n"
    "  weir demo                      a gateway with a built-in upstream, to look around\n"
    "  weir config check weir.toml    say everything that is wrong with a configuration\n"
    "  weir serve --config weir.toml --data /var/lib/weir\n"
    "  weir status                    what the running gateway does\n"
    "  weir sql \"SELECT path, hour_bucket, requests, errors FROM path_stats_hourly\"\n";

void add_data(CLI::App& command, CommandLine& line) {
  command.add_option("--data", line.data_dir, "Directory that holds everything Weir keeps")
      ->envname("WEIR_DATA")
      ->capture_default_str();
}

void add_json(CLI::App& command, CommandLine& line) {
  command.add_flag("--json", line.json, "Print JSON, for programs");
}

void select(CLI::App& command, CommandLine& line, Command selected) {
  command.callback([&line, selected] { line.command = selected; });
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
  add_data(sql, line);
  add_json(sql, line);
  sql.footer(
      "Views: traffic_events, path_stats_hourly, archive_metadata, consumer_heartbeat.\n"
      "Works on a running gateway and on the data directory of a stopped one.");
  select(sql, line, Command::sql);

  CLI::App& kv = *app.add_subcommand("kv", "Read the key-value store");
  kv.require_subcommand(1);
  CLI::App& get = *kv.add_subcommand("get", "Print the value of a key");
  get.add_option("key", line.key, "For example: snapshot:latest")->required();
  add_data(get, line);
  select(get, line, Command::kv_get);

  CLI::App& config = *app.add_subcommand("config", "Work with configurations");
  config.require_subcommand(1);
  CLI::App& check = *config.add_subcommand("check", "Say everything that is wrong with a file");
  check.add_option("file", line.config_file, "Configuration file")->required();
  add_json(check, line);
  check.footer("Exit codes: 0 the file is good, 1 it is not.");
  select(check, line, Command::config_check);
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
