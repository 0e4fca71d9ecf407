#pragma once
// Commands for operators that look at what a node keeps: jobs, objects, keys. Each
// returns its exit code and prints to standard output, problems to standard error.

#include "cli/command_line.h"

namespace weir::app {

int run_jobs_list(const cli::CommandLine& line);
int run_jobs_run(const cli::CommandLine& line);
int run_jobs_history(const cli::CommandLine& line);
int run_objects_list(const cli::CommandLine& line);
int run_objects_get(const cli::CommandLine& line);
int run_objects_verify(const cli::CommandLine& line);
int run_kv_list(const cli::CommandLine& line);

}  // namespace weir::app
