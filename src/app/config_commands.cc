#include "app/config_commands.h"

#include <algorithm>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "app/command_output.h"
#include "app/log.h"
#include "app/reload.h"
#include "config/load.h"
#include "config/render.h"

namespace weir::app {
namespace {

std::map<std::string, std::string> values_of(const config::Config& config) {
  std::map<std::string, std::string> values;
  for (config::Setting& setting : config::settings(config))
    values.emplace(std::move(setting.key), std::move(setting.value));
  if (!config.ip_rules.empty())
    values["ip_rules"] = fmt::format("{} rules", config.ip_rules.size());
  for (const config::Route& route : config.routes)
    values["routes." + route.id] = route.pattern;
  return values;
}

}  // namespace

std::optional<config::Config> good_config(const std::string& file) {
  config::LoadResult loaded = load_file(file, founding_environment());
  for (const config::Problem& problem : loaded.problems)
    complain(config::to_string(problem));
  if (!loaded.ok()) return std::nullopt;
  return std::move(loaded.config);
}

int run_config_check(const cli::CommandLine& line) {
  const config::LoadResult loaded = load_file(line.config_file, founding_environment());
  if (line.json) {
    Json problems = Json::array();
    for (const config::Problem& problem : loaded.problems) {
      problems.push_back({{"file", problem.file},
                          {"line", problem.line},
                          {"column", problem.column},
                          {"key", problem.key},
                          {"message", problem.message},
                          {"allowed", problem.allowed}});
    }
    print_json({{"ok", loaded.ok()}, {"problems", problems}});
  } else {
    for (const config::Problem& problem : loaded.problems) {
      print(config::to_string(problem) + "\n");
    }
    if (loaded.ok()) {
      print(fmt::format("{}: good, {} routes\n", line.config_file, loaded.config.routes.size()));
    }
  }
  return loaded.ok() ? 0 : 1;
}

int run_config_show(const cli::CommandLine& line) {
  const std::optional<config::Config> config = good_config(line.config_file);
  if (!config) return 1;
  if (!line.json) {
    print(config::to_toml(*config));
    return 0;
  }
  Json settings = Json::array();
  for (const config::Setting& setting : config::settings(*config)) {
    settings.push_back(
        {{"key", setting.key}, {"value", setting.value}, {"restart", setting.restart}});
  }
  print_json(settings);
  return 0;
}

int run_config_diff(const cli::CommandLine& line) {
  const std::optional<config::Config> before = good_config(line.config_file);
  const std::optional<config::Config> after = good_config(line.config_file_after);
  if (!before || !after) return 2;
  const std::vector<std::string> changed = config::changed_keys(*before, *after);
  const std::vector<std::string> restarts = config::restart_needed(*before, *after);
  std::map<std::string, std::string> values_before = values_of(*before);
  std::map<std::string, std::string> values_after = values_of(*after);
  Json rows = Json::array();
  for (const std::string& key : changed) {
    const bool restart = std::find(restarts.begin(), restarts.end(), key) != restarts.end();
    rows.push_back({{"key", key},
                    {"before", values_before[key]},
                    {"after", values_after[key]},
                    {"takes effect", restart ? "after a restart" : "at once"}});
  }
  if (changed.empty() && !line.json) {
    print("nothing differs\n");
  } else {
    print_rows(line, rows, {"key", "before", "after", "takes effect"});
  }
  return changed.empty() ? 0 : 1;
}

}  // namespace weir::app
