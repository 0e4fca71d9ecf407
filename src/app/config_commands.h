#pragma once
// `weir config`: files of configuration and the versions of a server's rules.

#include <optional>
#include <string>

#include "app/command_output.h"
#include "cli/command_line.h"
#include "config/config.h"

namespace weir::app {

// Says everything that is wrong with a file. Exit code: 0 nothing is, 1 something.
int run_config_check(const cli::CommandLine& line);

// The effective configuration of a file, every default and variable of the environment included:
// as TOML that loads to the same, or as JSON. Exit code: 0; 1: the file is not good.
int run_config_show(const cli::CommandLine& line);

// What a change from one file or version to another one would be, and what of it needs a restart.
// Exit code: 0 nothing differs, 1 something, 2 one of them is not good.
int run_config_diff(const cli::CommandLine& line);

// Puts a file's rules in force on the running server, as a new version. Exit code: 0 in force (or
// nothing differs), 1 refused, or another version than --expect is in force, 2 no server answers.
int run_config_apply(const cli::CommandLine& line);

// The same with the rules of an earlier version. Exit codes: as for apply.
int run_config_rollback(const cli::CommandLine& line);

// The versions, newest first, or the rules of one, or what one changed, of a server that runs or
// not. Exit code: 0; 1: they cannot be read, or there is no such version; with --diff as for diff.
int run_config_history(const cli::CommandLine& line);

// Who runs the command, by the operating system: the author of versions.
std::string user_name();
// What the server of `data_dir` answers to a change of its rules; null, and said: nothing.
Json ask_for_change(const std::string& data_dir, const Json& request);
// Says on standard error why the server did not change its rules (rules_request.h).
void complain_of_rules(const Json& answer);

// The configuration of a file; none, and said on standard error: it is not good.
std::optional<config::Config> good_config(const std::string& file);
// The same with the rules that a server has in force: where config.source is "store", those of the
// newest version in --data.
std::optional<config::Config> config_in_force(const cli::CommandLine& line);

// What a server keeps of its rules, whether it runs or not.
struct StoredRules {
  uint64_t version = 0;
  config::Config rules;  // config::take_rules() takes them.
};
inline constexpr uint64_t kNewestRules = 0;
bool has_stored_rules(const std::string& data_dir);
// None, and said: they cannot be read.
std::optional<StoredRules> stored_rules(const std::string& data_dir, uint64_t version);

}  // namespace weir::app
