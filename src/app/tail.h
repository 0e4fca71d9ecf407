#pragma once
// `weir tail`: what a running server logs, and the events it commits, as they come.

#include <optional>
#include <string_view>

#include "app/follow_hub.h"
#include "cli/command_line.h"

namespace weir::app {

int run_tail(const cli::CommandLine& line);

// What {"command":"tail","json":BOOL,"grep":TEXT} asks for. Nothing: the request makes no sense.
std::optional<FollowHub::Rules> parse_tail_request(std::string_view request);

}  // namespace weir::app
