#pragma once
// `weir kv put` and `weir kv delete`: through the running server, whose consumer alone writes; on
// the data directory of a stopped one directly, under its lock.

#include <optional>
#include <string>
#include <string_view>

#include "app/recording.h"
#include "base/clock.h"
#include "cli/command_line.h"

namespace weir::app {

int run_kv_put(const cli::CommandLine& line);
int run_kv_delete(const cli::CommandLine& line);

// The change that a request of the control socket asks for:
//   {"command":"kv.write","key":BASE64,"value":BASE64,"ttl_ms":NUMBER}
// `value` absent: delete; `ttl_ms` absent: for good. Nothing: the request makes no sense.
std::optional<KvWrite> parse_kv_request(std::string_view request, base::Wall now);
// What the server answers.
std::string kv_answer(const base::Status& status);

}  // namespace weir::app
