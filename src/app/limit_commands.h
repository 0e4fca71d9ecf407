#pragma once
// `weir limits`: what is left of rate limits, and forgetting what they were charged.

#include <optional>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "gateway/bans.h"
#include "gateway/limit_use.h"

namespace weir::app {

// Of --ip, --value or --route. Exit code: 0; 1: no server runs, or it is no address.
int run_limits_status(const cli::CommandLine& line);
int run_limits_reset(const cli::CommandLine& line);
int run_limits_bans(const cli::CommandLine& line);

// What the server answers: {"limits":[{id, own, enforced, limit, window_seconds, used, remaining,
// retry_after_seconds, reset_after_seconds}…]}.
std::string limits_json(const std::vector<gateway::LimitUse>& limits);

// Whose limits are asked for: one of the three is not empty. None: that makes no sense.
std::optional<gateway::LimitSubject> parse_limit_subject(const std::string& ip,
                                                         const std::string& value,
                                                         const std::string& route);
// For the log: values may be secret keys, and are not in it.
std::string name_of(const gateway::LimitSubject& subject);

std::string bans_json(const std::vector<gateway::StartedBan>& bans, bool complete);

}  // namespace weir::app
