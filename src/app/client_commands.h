#pragma once
// `weir stats clients` and `weir stats client`: what single clients did (stats/client_stats.h). A
// running server writes first what it holds; a stopped one's directory can be read, too.

#include "cli/command_line.h"

namespace weir::app {

// Exit code: 0; 1: the statistics cannot be read, or the arguments make no sense.
int run_stats_clients(const cli::CommandLine& line);

// Exit code: 0; 1: likewise, or the client made no request.
int run_stats_client(const cli::CommandLine& line);

}  // namespace weir::app
