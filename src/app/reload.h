#pragma once
// Reading a configuration file, at start and on SIGHUP.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/load.h"

namespace weir::app {

// The environment variables that the configuration knows, as they are set.
config::Environment founding_environment();

// Loads `file`, or the defaults and the environment where it is empty. A file that cannot be read
// is a problem like any other.
config::LoadResult load_file(const std::string& file, const config::Environment& environment);

}  // namespace weir::app
