#pragma once
// The running server: everything that `weir serve` starts, in order, and how it ends.

#include <map>
#include <string>

#include "base/clock.h"
#include "base/logger.h"
#include "config/config.h"

namespace weir::app {

struct ServeOptions {
  std::string config_file;  // Empty: defaults and the environment only.
  std::string data_dir;
  std::map<std::string, std::string> environment;
  base::Monotonic started;  // When the process began, for `start_ms`.
};

// Runs until SIGTERM or SIGINT. Returns the exit code: 0 after a graceful end, 1 if it could not
// start (one sentence on standard error says why).
int serve(const ServeOptions& options);

}  // namespace weir::app
