#pragma once
// `weir sql`: one read-only statement (stats/query.h), with --from or --to over archived days too
// (pipeline/archive_query.h).

#include "cli/command_line.h"

namespace weir::app {

// Exit code: 0 done; 1 it could not be done; 2 the days make no sense.
int run_sql(const cli::CommandLine& line);

}  // namespace weir::app
