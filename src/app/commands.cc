#include "app/commands.h"

#include <cstdio>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/alert_commands.h"
#include "app/audit_command.h"
#include "app/client_commands.h"
#include "app/command_output.h"
#include "app/compact_command.h"
#include "app/config_commands.h"
#include "app/control_socket.h"
#include "app/counter_command.h"
#include "app/demo.h"
#include "app/explain_command.h"
#include "app/ip_rule_commands.h"
#include "app/kv_commands.h"
#include "app/limit_commands.h"
#include "app/log.h"
#include "app/node.h"
#include "app/operator_commands.h"
#include "app/queue_commands.h"
#include "app/rebuild_command.h"
#include "app/recording.h"
#include "app/reload.h"
#include "app/smoke.h"
#include "app/sql_command.h"
#include "app/stats_commands.h"
#include "app/status.h"
#include "app/tail.h"
#include "kv/sqlite_kv.h"
#include "os/clock.h"
#include "sqlite/database.h"

namespace weir::app {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;

constexpr int kExitAlarm = 3;

int run_status(const cli::CommandLine& line) {
  const auto answer = ask_server(line.data_dir, R"({"command":"status"})", milliseconds{5000});
  if (!answer.ok()) {
    complain_of_no_answer(line.data_dir, answer.error());
    return 1;
  }
  std::string text;
  if (!print_status(answer.value(), text)) {
    complain("the server's answer is not understood");
    return 1;
  }
  print(line.json ? answer.value() + "\n" : text);
  const Json report = Json::parse(answer.value(), nullptr, false);
  return report["alarms"].empty() ? 0 : kExitAlarm;
}

// Opens the database of `data_dir` to read; says what is wrong if it cannot.
bool open_reader(sqlite::Database& database, const std::string& data_dir) {
  const base::Status opened = database.open();
  if (opened.ok()) return true;
  complain(fmt::format("{}: no statistics database that can be read: {}", database_path(data_dir),
                       database.message().empty() ? opened.error().what.view()
                                                  : std::string_view{database.message()}));
  return false;
}

int run_kv_get(const cli::CommandLine& line) {
  const os::RealClock clock;
  sqlite::Database database{database_path(line.data_dir), {.access = sqlite::Access::query_only}};
  if (!open_reader(database, line.data_dir)) return 1;
  kv::SqliteKv kv{database, clock};
  const auto entry = kv.get(line.key);
  if (!entry.ok()) {
    complain(fmt::format("the store cannot be read: {}", entry.error().what.view()));
    return 1;
  }
  if (!entry.value()) {
    complain(fmt::format("{}: no such key", line.key));
    return 1;
  }
  print(entry.value()->value + "\n");
  return 0;
}

int run_demo(ServeOptions options, const std::string& countries_file) {
  block_signals();
  const os::RealClock clock;
  os::RealClock upstream_clock;
  auto upstream = DemoUpstream::start(upstream_clock);
  if (!upstream.ok()) {
    complain("the demo's upstream cannot be started");
    return 1;
  }
  options.config_text = demo_configuration(upstream.value()->port(), countries_file);
  print(demo_guide(options.data_dir, !countries_file.empty()));
  std::fflush(stdout);
  return Node{std::move(options)}.run();
}

}  // namespace

int run_command(const cli::CommandLine& line) {
  const os::RealClock clock;
  ServeOptions options;
  options.config_file = line.config_file;
  options.data_dir = line.data_dir;
  options.started = clock.monotonic();
  switch (line.command) {
    case cli::Command::serve:
      options.environment = founding_environment();
      return Node{std::move(options)}.run();
    case cli::Command::demo:
      return run_demo(std::move(options), line.countries_file);
    case cli::Command::status:
      return run_status(line);
    case cli::Command::sql:
      return run_sql(line);
    case cli::Command::kv_get:
      return run_kv_get(line);
    case cli::Command::limits_status:
      return run_limits_status(line);
    case cli::Command::limits_reset:
      return run_limits_reset(line);
    case cli::Command::limits_bans:
      return run_limits_bans(line);
    case cli::Command::alerts_list:
      return run_alerts_list(line);
    case cli::Command::alerts_test:
      return run_alerts_test(line);
    case cli::Command::ip_rules_list:
      return run_ip_rules_list(line);
    case cli::Command::ip_rules_add:
      return run_ip_rules_add(line);
    case cli::Command::ip_rules_remove:
      return run_ip_rules_remove(line);
    case cli::Command::ip_rules_import:
      return run_ip_rules_import(line);
    case cli::Command::ip_rules_export:
      return run_ip_rules_export(line);
    case cli::Command::counter:
      return run_counter(line);
    case cli::Command::queues_list:
      return run_queues_list(line);
    case cli::Command::queues_dead_letters:
      return run_dead_letters(line);
    case cli::Command::queues_replay:
    case cli::Command::queues_purge:
      return run_letters(line);
    case cli::Command::audit:
      return run_audit(line);
    case cli::Command::kv_put:
      return run_kv_put(line);
    case cli::Command::kv_delete:
      return run_kv_delete(line);
    case cli::Command::kv_list:
      return run_kv_list(line);
    case cli::Command::config_check:
      return run_config_check(line);
    case cli::Command::config_show:
      return run_config_show(line);
    case cli::Command::config_apply:
      return run_config_apply(line);
    case cli::Command::config_rollback:
      return run_config_rollback(line);
    case cli::Command::config_history:
      return run_config_history(line);
    case cli::Command::config_explain:
      return run_config_explain(line);
    case cli::Command::config_diff:
      return run_config_diff(line);
    case cli::Command::stats_top:
      return run_stats_top(line);
    case cli::Command::smoke:
      return run_smoke(line);
    case cli::Command::tail:
      return run_tail(line);
    case cli::Command::stats_clients:
      return run_stats_clients(line);
    case cli::Command::stats_client:
      return run_stats_client(line);
    case cli::Command::stats_path:
      return run_stats_path(line);
    case cli::Command::stats_rebuild:
      return run_stats_rebuild(line);
    case cli::Command::jobs_list:
      return run_jobs_list(line);
    case cli::Command::jobs_run:
      return run_jobs_run(line);
    case cli::Command::jobs_history:
      return run_jobs_history(line);
    case cli::Command::objects_list:
      return run_objects_list(line);
    case cli::Command::objects_get:
      return run_objects_get(line);
    case cli::Command::objects_compact:
      return run_objects_compact(line);
    case cli::Command::objects_verify:
      return run_objects_verify(line);
  }
  return 2;
}

}  // namespace weir::app
