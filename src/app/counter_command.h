#pragma once
// `weir counter`: the founding system's global counter (state/counter.h), in the running server.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "app/live_state.h"
#include "base/result.h"
#include "cli/command_line.h"

namespace weir::app {

int run_counter(const cli::CommandLine& line);

// Of `value`, `increment`, `decrement` and `reset`; nothing: it is none of them.
std::optional<CounterChange> parse_counter_change(std::string_view operation);
// What the server answers: {"value":NUMBER} or {"error":TEXT}.
std::string counter_answer(const base::Result<int64_t>& value);

}  // namespace weir::app
