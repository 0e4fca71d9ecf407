#pragma once
// `weir config explain`: what would become of a request, and why (gateway/explain.h).

#include "cli/command_line.h"

namespace weir::app {

// Exit code: 0 it would reach an upstream, 1 Weir would answer it, 2 it cannot be said.
int run_config_explain(const cli::CommandLine& line);

}  // namespace weir::app
