#pragma once
// `weir stats`: paths and what was counted of them.

#include "cli/command_line.h"

namespace weir::app {

int run_stats_top(const cli::CommandLine& line);
int run_stats_path(const cli::CommandLine& line);

}  // namespace weir::app
