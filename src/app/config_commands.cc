#include "app/config_commands.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include "app/command_output.h"
#include "app/log.h"
#include "app/reload.h"
#include "app/rule_versions.h"
#include "codec/text.h"
#include "config/load.h"
#include "config/render.h"
#include "os/clock.h"
#include "os/files.h"

namespace weir::app {
namespace {

std::map<std::string, std::string> values_of(const config::Config& config) {
  std::map<std::string, std::string> values;
  for (config::Setting& setting : config::settings(config))
    values.emplace(std::move(setting.key), std::move(setting.value));
  if (!config.ip_rules.empty())
    values["ip_rules"] = fmt::format("{} rules", config.ip_rules.size());
  if (!config.geo_rules.empty())
    values["geo_rules"] = fmt::format("{} rules", config.geo_rules.size());
  std::string& order = values["ban_rules"];
  for (const config::BanRule& rule : config.ban_rules)
    order += (order.empty() ? "" : ", ") + rule.id;
  for (const config::Route& route : config.routes)
    values["routes." + route.id] = route.pattern;
  return values;
}

int change_rules(const cli::CommandLine& line, Json request) {
  request["author"] = user_name();
  request["comment"] = line.comment;
  if (line.expected_version) request["expected"] = *line.expected_version;
  const Json answer = ask_running(line.data_dir, request);
  if (!answer.is_object()) return 2;
  if (line.json) print_json(answer);
  if (answer.contains("error")) {
    if (line.json) return 1;
    complain_of_rules(answer);
    return 1;
  }
  if (line.json) return 0;
  const auto version = answer["version"].get<uint64_t>();
  if (answer["changed"].empty()) {
    print(fmt::format("nothing differs from version {}\n", version));
    return 0;
  }
  print(fmt::format("version {} is in force\n", version));
  for (const Json& key : answer["changed"])
    print(fmt::format("  {}\n", key.get<std::string>()));
  for (const Json& loop : answer["stalled"])
    print(fmt::format("loop-{} is stalled and will take it up later\n", loop.get<uint32_t>()));
  return 0;
}

}  // namespace

std::string user_name() {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  const uid_t user = ::getuid();
  if (::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return std::string{found->pw_name}.substr(0, RuleVersions::kAuthorBytesMax);
  }
  return fmt::format("user {}", user);
}

void complain_of_rules(const Json& answer) {
  for (const Json& problem : answer.value("problems", Json::array())) {
    complain(config::to_string(config::Problem{.file = problem["file"],
                                               .line = problem["line"],
                                               .column = problem["column"],
                                               .key = problem["key"],
                                               .message = problem["message"],
                                               .allowed = problem["allowed"]}));
  }
  complain(answer["error"].get<std::string>());
}

std::optional<config::Config> good_config(const std::string& file) {
  config::LoadResult loaded = load_file(file, founding_environment());
  for (const config::Problem& problem : loaded.problems)
    complain(config::to_string(problem));
  if (!loaded.ok()) return std::nullopt;
  return std::move(loaded.config);
}

bool has_stored_rules(const std::string& data_dir) {
  os::RealFiles files;
  const os::RealClock clock;
  auto opened = RuleVersions::open(files, clock, data_dir, objects::Access::read_only);
  if (!opened.ok()) return false;
  RuleVersions versions = std::move(opened).value();
  const base::Result<uint64_t> newest = versions.newest_number();
  return !newest.ok() || newest.value() != 0;
}

std::optional<StoredRules> stored_rules(const std::string& data_dir, uint64_t version) {
  os::RealFiles files;
  const os::RealClock clock;
  const auto fail = [&data_dir](std::string_view why) {
    complain(fmt::format("{}/config: {}", data_dir, why));
    return std::nullopt;
  };
  auto opened = RuleVersions::open(files, clock, data_dir, objects::Access::read_only);
  if (!opened.ok()) return fail("no versions of the rules that can be read");
  RuleVersions versions = std::move(opened).value();
  if (version == kNewestRules) {
    const base::Result<uint64_t> newest = versions.newest_number();
    if (!newest.ok() || newest.value() == 0) return fail("no versions of the rules");
    version = newest.value();
  }
  const std::string name = fmt::format("version {}", version);
  const base::Result<RuleVersion> read = versions.get(version);
  if (!read.ok()) return fail(fmt::format("{}: {}", name, read.error().what.view()));
  config::LoadResult loaded = config::read_rules(read.value().toml, name);
  for (const config::Problem& problem : loaded.problems)
    complain(config::to_string(problem));
  if (!loaded.ok()) return std::nullopt;
  return StoredRules{version, std::move(loaded.config)};
}

int run_config_check(const cli::CommandLine& line) {
  const config::LoadResult loaded = load_file(line.config_file, founding_environment());
  if (line.json) {
    print_json({{"ok", loaded.ok()}, {"problems", problems_json(loaded.problems)}});
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

int run_config_apply(const cli::CommandLine& line) {
  os::RealFiles files;
  const base::Result<std::string> toml =
      os::read_file(files, line.config_file, config::kFileBytesMax);
  if (!toml.ok()) {
    complain(fmt::format("{}: {}", line.config_file,
                         toml.error().code == base::ErrorCode::limit_exceeded
                             ? "is larger than 8 MiB"
                             : "cannot be read"));
    return 1;
  }
  return change_rules(line, {{"command", "config.apply"},
                             {"toml", codec::base64_encode(toml.value())},
                             {"file", line.config_file}});
}

int run_config_rollback(const cli::CommandLine& line) {
  return change_rules(line, {{"command", "config.rollback"}, {"version", *line.rules_version}});
}

int run_config_history(const cli::CommandLine& line) {
  os::RealFiles files;
  const os::RealClock clock;
  auto opened = RuleVersions::open(files, clock, line.data_dir, objects::Access::read_only);
  const auto fail = [&line](std::string_view why) {
    complain(fmt::format("{}/config: {}", line.data_dir, why));
    return 1;
  };
  if (!opened.ok()) return fail("no versions that can be read");
  RuleVersions versions = std::move(opened).value();
  if (line.rules_version) {
    const auto version = versions.get(*line.rules_version);
    if (!version.ok()) {
      return fail(fmt::format("version {}: {}", *line.rules_version, version.error().what.view()));
    }
    print(version.value().toml);
    return 0;
  }
  const auto listed = versions.list(line.limit);
  if (!listed.ok()) return fail(listed.error().what.view());
  Json rows = Json::array();
  for (const RuleVersion& version : listed.value()) {
    rows.push_back({{"version", version.number},
                    {"at", time_text(version.at)},
                    {"author", version.author},
                    {"comment", version.comment}});
  }
  print_rows(line, rows, {"version", "at", "author", "comment"});
  return 0;
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
