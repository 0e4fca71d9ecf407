#pragma once
// What the user typed, understood. Parsing only: the commands themselves are in app/.

#include <optional>
#include <string>
#include <vector>

#include "cli/client_options.h"
#include "cli/ip_rule_options.h"

namespace weir::cli {

enum class Command {
  serve,
  demo,
  status,
  sql,
  kv_get,
  kv_put,
  kv_delete,
  kv_list,
  config_check,
  config_show,
  config_diff,
  config_explain,
  config_apply,
  config_rollback,
  config_history,
  stats_top,
  stats_path,
  stats_clients,
  stats_client,
  smoke,
  tail,
  stats_rebuild,
  jobs_list,
  jobs_run,
  jobs_history,
  objects_list,
  objects_get,
  objects_verify,
  objects_compact,
  queues_list,
  queues_dead_letters,
  queues_replay,
  queues_purge,
  audit,
  counter,
  alerts_list,
  alerts_test,
  limits_status,
  limits_reset,
  limits_bans,
  ip_rules_list,
  ip_rules_add,
  ip_rules_remove,
  ip_rules_import,
  ip_rules_export,
};

struct CommandLine {
  Command command = Command::serve;
  std::string config_file;                   // serve, config; empty: none given.
  std::string countries_file;                // Of demo; empty: none.
  std::string config_file_after;             // config diff
  std::string data_dir = "./data";           // Every command that looks at a node.
  std::string statement;                     // sql
  std::optional<uint64_t> rules_version;     // config rollback and history
  bool diff = false;                         // config history
  std::optional<uint64_t> expected_version;  // config apply and rollback
  std::string comment;                       // config apply and rollback
  std::string method;                        // config explain
  std::string target;                        // config explain: a path or a URL.
  std::string ip = "127.0.0.1";              // config explain
  std::string limited_ip;                    // limits: one of these three
  std::string limited_value;
  std::string limited_route;
  std::vector<std::string> headers;  // config explain: "Name: value".
  std::string key;                   // kv, objects; lists: a prefix; objects compact: a date.
  std::string value;                 // kv put: "-" is standard input.
  std::string ttl;                   // kv put; empty: for good.
  std::string job;                   // jobs run; jobs history: empty for all.
  std::vector<int64_t> letter_ids;   // queues replay and purge.
  bool all = false;                  // queues replay and purge: all letters.
  std::string path;                  // stats path; smoke: empty: the built-in route.
  std::string url;                   // smoke; empty: the server's first listener.
  std::string grep;                  // tail; empty: every line.
  uint32_t count = 100;              // smoke
  uint32_t hours = 24;               // stats top and path
  uint32_t limit = 20;               // stats top, jobs history, the lists.
  std::string from_date;             // sql, stats rebuild; empty: from the first day.
  std::string to_date;               // sql, stats rebuild; empty: to the last day.
  bool from_archive = false;         // stats rebuild; always.
  bool check = false;                // stats rebuild: compare only.
  std::string operation = "value";   // counter: value, increment, decrement, reset.
  IpRuleOptions ip_rule;             // ip-rules
  ClientOptions client;              // stats clients and client
  bool json = false;
  std::optional<int> exit_code;  // Set: nothing to run, `message` says it all.
  std::string message;           // Help, version, or what is wrong with the arguments.
};

// Never exits or prints by itself. Exit codes: 0 for help and version, 2 for arguments that make no
// sense.
CommandLine parse(const std::vector<std::string>& arguments, const std::string& version);

}  // namespace weir::cli
