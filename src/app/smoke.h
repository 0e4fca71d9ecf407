#pragma once
// `weir smoke`: sends requests through the running gateway and proves every step of the flow, from
// the answer to the snapshot, against the founding document's targets.
//
// What it proves it reads where the flow leaves it: rows in SQL and values in the key-value store,
// found by a User-Agent that no other run has. It never believes a counter of the server.

#include "cli/command_line.h"

namespace weir::app {

int run_smoke(const cli::CommandLine& line);

}  // namespace weir::app
