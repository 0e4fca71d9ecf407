#pragma once
// `weir stats rebuild --from-archive`: pipeline/rebuild.h for people and programs.

#include "cli/command_line.h"

namespace weir::app {

// Exit code: 0 nothing differs, or all that did is set right; 1 something differs, or was skipped;
// 2 it could not be done.
int run_stats_rebuild(const cli::CommandLine& line);

}  // namespace weir::app
