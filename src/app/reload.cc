#include "app/reload.h"

#include <cstdlib>
#include <fstream>
#include <iterator>

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
  std::ifstream stream{file, std::ios::binary};
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream.is_open() || stream.bad()) {
    config::LoadResult unreadable;
    unreadable.problems.push_back({.file = file, .message = "cannot be read"});
    return unreadable;
  }
  return config::load(text, file, environment);
}

}  // namespace weir::app
