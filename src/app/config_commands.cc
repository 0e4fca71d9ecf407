#include "app/config_commands.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <system_error>

#include <fmt/format.h>
#include <unistd.h>

#include "app/command_output.h"
#include "app/control_socket.h"
#include "app/log.h"
#include "app/reload.h"
#include "app/rule_versions.h"
#include "app/rules_request.h"
#include "codec/text.h"
#include "config/load.h"
#include "config/render.h"
#include "config/validate.h"
#include "os/clock.h"
#include "os/files.h"

namespace weir::app {
namespace {

int change_rules(const cli::CommandLine& line, Json request) {
  request["author"] = user_name();
  request["comment"] = line.comment;
  if (line.expected_version) request["expected"] = *line.expected_version;
  const Json answer = ask_for_change(line.data_dir, request);
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
  if (::getuid() == 0) {
    // Who became root for this. NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread.
    const char* const sudo_user = std::getenv("SUDO_USER");
    if (sudo_user != nullptr && *sudo_user != '\0') {
      return std::string{sudo_user}.substr(0, RuleVersions::kAuthorBytesMax);
    }
  }
  return name_of_user(::getuid());
}

Json ask_for_change(const std::string& data_dir, const Json& request) {
  // A hundred thousand entries are checked, stored and in force well within.
  constexpr std::chrono::seconds kChangePatience{60};
  const auto text = ask_server(data_dir, json_text(request), kChangePatience);
  Json answer = text.ok() ? Json::parse(text.value(), nullptr, false) : Json();
  if (answer.is_object()) return answer;
  if (text.ok() || text.error().code == base::ErrorCode::timed_out) {
    complain(fmt::format(
        "{}: the server does not answer; weir config history shows whether it has made a version",
        data_dir));
  } else {
    complain_of_no_server(data_dir);
  }
  return {};
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

namespace {

// The rules of the store are in force where a server runs; before its first start, the file's.
// False, and said: they cannot be read.
bool take_stored_rules(const std::string& data_dir, config::Config& config) {
  if (!has_stored_rules(data_dir)) {
    complain(
        fmt::format("{}/config: no version of the rules, these are the file's; --data names the "
                    "directory of a server",
                    data_dir));
    return true;
  }
  const auto stored = stored_rules(data_dir, kNewestRules);
  if (!stored) return false;
  config::take_rules(config, stored->rules);
  const std::vector<config::Problem> problems = config::validate(config);
  for (const config::Problem& problem : problems)
    complain(config::to_string(problem));
  return problems.empty();
}

}  // namespace

std::optional<config::Config> config_in_force(const cli::CommandLine& line) {
  std::optional<config::Config> config = good_config(line.config_file);
  if (!config || config->rules_source == config::RulesSource::file) return config;
  if (!take_stored_rules(line.data_dir, *config)) return std::nullopt;
  return config;
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

namespace {

// What is compared: a file, or a version of the rules that a server keeps.
struct Side {
  config::Config config;
  bool is_version = false;
};

// A number is a version's. None, and said: it is not good.
std::optional<Side> side_of(const cli::CommandLine& line, const std::string& what) {
  uint64_t version = 0;
  const auto [end, error] = std::from_chars(what.data(), what.data() + what.size(), version);
  if (error != std::errc{} || end != what.data() + what.size() || version == kNewestRules) {
    std::optional<config::Config> config = good_config(what);
    if (!config) return std::nullopt;
    return Side{*std::move(config)};
  }
  std::optional<StoredRules> stored = stored_rules(line.data_dir, version);
  if (!stored) return std::nullopt;
  return Side{std::move(stored->rules), true};
}

Json difference_rows(const config::Config& before, const config::Config& after) {
  Json rows = Json::array();
  for (const config::Difference& each : config::differences(before, after)) {
    rows.push_back({{"key", each.key},
                    {"before", each.before},
                    {"after", each.after},
                    {"takes effect", each.restart ? "after a restart" : "at once"}});
  }
  return rows;
}

int print_differences(const cli::CommandLine& line, const Json& rows) {
  if (rows.empty() && !line.json) {
    print("nothing differs\n");
  } else {
    print_rows(line, rows, {"key", "before", "after", "takes effect"});
  }
  return rows.empty() ? 0 : 1;
}

// What a version changed in the one before it: the first one in nothing.
int print_change(const cli::CommandLine& line) {
  const std::optional<StoredRules> after = stored_rules(line.data_dir, *line.rules_version);
  if (!after) return 2;
  std::optional<StoredRules> before;
  if (*line.rules_version > 1) {
    before = stored_rules(line.data_dir, *line.rules_version - 1);
    if (!before) return 2;
  }
  return print_differences(
      line, difference_rows(before ? before->rules : config::Config{}, after->rules));
}

}  // namespace

int run_config_history(const cli::CommandLine& line) {
  if (line.diff) return print_change(line);
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
  const std::optional<config::Config> config = config_in_force(line);
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
  std::optional<Side> before = side_of(line, line.config_file);
  std::optional<Side> after = side_of(line, line.config_file_after);
  if (!before || !after) return 2;
  // A version has rules alone: of a file beside it, no more is compared.
  if (before->is_version != after->is_version) {
    const Side& version = before->is_version ? *before : *after;
    Side& file = before->is_version ? *after : *before;
    config::Config rules = version.config;
    config::take_rules(rules, file.config);
    file.config = std::move(rules);
  }
  return print_differences(line, difference_rows(before->config, after->config));
}

}  // namespace weir::app
