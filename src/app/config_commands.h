#pragma once
// `weir config`: files of configuration, without a server.

#include <optional>
#include <string>

#include "cli/command_line.h"
#include "config/config.h"

namespace weir::app {

// Says everything that is wrong with a file. Exit code: 0 nothing is, 1 something.
int run_config_check(const cli::CommandLine& line);

// The effective configuration of a file, every default and variable of the environment included:
// as TOML that loads to the same, or as JSON. Exit code: 0; 1: the file is not good.
int run_config_show(const cli::CommandLine& line);

// What a reload from one file to another one would change, and what of it needs a restart.
// Exit code: 0 nothing differs, 1 something, 2 one of them is not good.
int run_config_diff(const cli::CommandLine& line);

// The configuration of a file; none, and said on standard error: it is not good.
std::optional<config::Config> good_config(const std::string& file);

}  // namespace weir::app
