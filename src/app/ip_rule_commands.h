#pragma once
// `weir ip-rules`: single entries of the IP rules, and whole lists of them, over the versions of
// the rules (rule_versions.h).
//
// A change reads the version in force, changes it, and asks the server to put the result in force
// if that version still is: who was slower tries again with the other's, so that no change is lost.
// A version that is written so has every key of every rule; comments of a file that was applied
// stay in the versions before.

#include "cli/command_line.h"

namespace weir::app {

// The entries of the version in force, of a server that runs or not. Exit code: 0; 1: they cannot
// be read.
int run_ip_rules_list(const cli::CommandLine& line);
int run_ip_rules_export(const cli::CommandLine& line);

// Each makes one new version, or changes nothing. Exit codes: 0 in force (or nothing differs; or
// printed), 1 refused, 2 no server answers.
int run_ip_rules_add(const cli::CommandLine& line);
int run_ip_rules_remove(const cli::CommandLine& line);
int run_ip_rules_import(const cli::CommandLine& line);

}  // namespace weir::app
