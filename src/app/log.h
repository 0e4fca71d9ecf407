#pragma once
// The program's Logger: lines to standard error through spdlog.
//
// Text (the default): "2025-10-15T14:03:07.042Z info    …"; a line with a marker begins with the
// marker, so that the founding document's searches work. JSON: one object per line with `time`,
// `level`, `message` and, where there is one, `marker`.

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/logger.h"
#include "config/config.h"

namespace weir::app {

std::unique_ptr<base::Logger> make_logger(const base::Clock& clock, config::LogFormat format);

// One line as that logger writes it, without its end.
std::string log_line(base::Wall now, config::LogFormat format, base::LogLevel level,
                     std::string_view marker, std::string_view text);

// For start-up errors and commands: "weir: what went wrong" on standard error.
void complain(std::string_view text);

}  // namespace weir::app
