#pragma once
// `weir audit`: the identities of pipeline/audit.h for people and programs.

#include "cli/command_line.h"
#include "pipeline/audit.h"

namespace weir::app {

// Exit code: 0 all agree, 1 some differ, 2 it could not be done.
int run_audit(const cli::CommandLine& line);

// One line for logs and alarms: how many agree, and which do not.
std::string summary_of(const pipeline::AuditReport& report);

}  // namespace weir::app
