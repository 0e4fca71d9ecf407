#pragma once
// The parts of validate().

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/problem.h"
#include "config/resolve.h"

namespace weir::config::internal {

// Threading: one thread at a time.
class Findings {
 public:
  void add(std::string key, std::string message, std::string_view allowed = {}) {
    ++count_;
    if (problems_.size() == kMax) return;
    problems_.push_back({{}, 0, 0, std::move(key), std::move(message), std::string{allowed}});
  }
  size_t count() const { return count_; }
  // The first kMax.
  std::vector<Problem> take() { return std::move(problems_); }

 private:
  static constexpr size_t kMax = 1000;
  std::vector<Problem> problems_;
  size_t count_ = 0;
};

// The ids of the routes, which rules name.
using RouteIds = std::set<std::string_view>;

void check_geo(const Config& config, const RouteIds& routes, Findings& findings);
void check_ban_rules(const Config& config, const RouteIds& routes, Findings& findings);
void check_ip_rules(const std::vector<IpRule>& rules, Findings& findings);
void check_route(const Config& config, const Route& route, const std::string& key,
                 Findings& findings);
// Requires that the routes have been checked.
void check_path_rules(const Config& config, const RouteIds& routes, Findings& findings);
// The limits that the level whose list is `key` leads to.
void check_rate_limits(const EffectiveRateLimits& limits, const std::string& key,
                       Findings& findings);

// The name of the limit at `index` of a list that has `count` of them.
std::string rate_limit_key(std::string_view key, size_t index, size_t count);

// Codes in capitals, as they are compared.
void complete_geo(Config& config);

// Shared by those above. check_count(): false, with a finding, when a list is too long.
bool check_count(const std::string& key, size_t count, size_t max, Findings& findings);
void check_pattern(std::string_view pattern, const std::string& key, Findings& findings);
void check_methods(const std::vector<std::string>& methods, const std::string& list,
                   Findings& findings);
void check_path_reference(std::string_view path, const std::string& key, Findings& findings);
inline constexpr std::string_view kIdAllowed =
    "1 to 64 of A-Z a-z 0-9 . _ -, not beginning with \"__\"";
bool is_id(std::string_view text);
// Of the rule at `index` of `list`: an id that none before it has. `ids` remembers them.
void check_unique_id(const std::string& list, size_t index, std::string_view id,
                     std::map<std::string_view, size_t>& ids, Findings& findings);
// What those are told who are refused.
void check_reason(std::string_view reason, const std::string& key, Findings& findings);
bool is_absolute_path(std::string_view path);
inline constexpr std::string_view kHeaderNameAllowed = "letters, digits and !#$%&'*+-.^_`|~";
inline constexpr std::string_view kHeaderValueAllowed =
    "at most 4096 bytes, no control characters, no space at either end";
bool is_header_name(std::string_view name);  // 256 bytes at most.
bool is_header_value(std::string_view value);
// Written by Weir itself, because it frames the message or names the next hop. Requires lower case.
bool is_reserved_header(std::string_view lower_name);

}  // namespace weir::config::internal
