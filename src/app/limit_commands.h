#pragma once
// `weir limits`: what a client has left of its rate limits, and forgetting what it was charged.

#include <string>
#include <vector>

#include "cli/command_line.h"
#include "gateway/bans.h"
#include "gateway/limit_use.h"

namespace weir::app {

// Exit code: 0; 1: no server runs, or it is no address.
int run_limits_status(const cli::CommandLine& line);
int run_limits_reset(const cli::CommandLine& line);
int run_limits_bans(const cli::CommandLine& line);

// What the server answers: {"limits":[{id, own, enforced, limit, window_seconds, used, remaining,
// retry_after_seconds, reset_after_seconds}…]}.
std::string limits_json(const std::vector<gateway::LimitUse>& limits);

std::string bans_json(const std::vector<gateway::StartedBan>& bans, bool complete);

}  // namespace weir::app
