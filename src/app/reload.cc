#include "app/reload.h"

#include <cstdlib>

#include "os/files.h"

namespace weir::app {

config::Environment founding_environment() {
  config::Environment environment;
  for (const std::string& name : config::founding_variables()) {
    // Read once, before any thread is started.
    const char* const value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe)
    if (value != nullptr) environment[name] = value;
  }
  return environment;
}

config::LoadResult load_file(const std::string& file, const config::Environment& environment) {
  if (file.empty()) return config::load("", "defaults", environment);
  os::RealFiles files;
  const base::Result<std::string> text = os::read_file(files, file, config::kFileBytesMax);
  if (!text.ok()) {
    config::LoadResult unreadable;
    const bool is_large = text.error().code == base::ErrorCode::limit_exceeded;
    unreadable.problems.push_back(
        {.file = file, .message = is_large ? "is larger than 8 MiB" : "cannot be read"});
    return unreadable;
  }
  return config::load(text.value(), file, environment);
}

}  // namespace weir::app
