#pragma once
// The commands that do not serve: each returns its exit code and prints to standard output,
// problems to standard error.

#include "cli/command_line.h"

namespace weir::app {

int run_command(const cli::CommandLine& line);

}  // namespace weir::app
