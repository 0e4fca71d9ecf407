#pragma once
// `weir objects compact DATE`: pipeline/compaction.h on a stopped node.

#include "cli/command_line.h"

namespace weir::app {

// Exit code: 0 the day's archive is one object, 1 it could not be done.
int run_objects_compact(const cli::CommandLine& line);

}  // namespace weir::app
