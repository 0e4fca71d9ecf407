#pragma once
// Makes a Config out of weir.toml and the environment, or says everything that is wrong with them.
//
// All problems are reported at once, each with its place, except that reading stops at the first
// error of TOML syntax. Unknown keys are refused, because a key that is silently ignored is worse
// than a server that does not start.
//
// The founding variables (DEFAULT_RATE_LIMIT and so on) may stand in [vars] or in the environment;
// the environment wins, and both win over the keys they stand for. Those whose feature does not
// exist are accepted and named in Config::without_effect, as are unknown names in [vars].

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/problem.h"

namespace weir::config {

inline constexpr size_t kFileBytesMax = size_t{8} * 1024 * 1024;

using Environment = std::map<std::string, std::string>;

struct LoadResult {
  Config config;                  // Meaningful only when ok().
  std::vector<Problem> problems;  // In the order of the file; the environment's last.
  bool ok() const { return problems.empty(); }
};

// The names that load() looks up in its environment.
const std::vector<std::string>& founding_variables();

// `file` is only named in problems. Limits: 8 MiB of text, 10 000 routes, 1000 problems.
LoadResult load(std::string_view toml, std::string_view file, const Environment& environment);

// Rules alone (config::RulesSource), as stored versions hold them: other keys are refused, and
// nothing else is said about the Config. `rate_limit_default`: Config::rate_limit_default of where
// they will be in force. Limits: as load().
LoadResult load_rules(std::string_view toml, std::string_view file,
                      const RateLimit& rate_limit_default = {});

// The same of rules that were checked when they were stored: only their form is looked at.
LoadResult read_rules(std::string_view toml, std::string_view file);

// Puts the rules of `rules` in the place of those of `config`. What both say together may be wrong
// where `rules` was checked with another rate_limit_default: see validate().
void take_rules(Config& config, const Config& rules);
// Whether take_rules() would change nothing.
bool same_rules(const Config& config, const Config& rules);

}  // namespace weir::config
