#pragma once
// Lists of IP rules as they come from elsewhere and go there:
//
//   plain  an address or prefix a line, as public block lists have it; `#` and `;` begin comments.
//          Also nginx's `deny 203.0.113.0/24;` and `allow 203.0.113.7;`. `all` is refused: there
//          the first line that matches decides, here the longest prefix.
//   csv    RFC 4180 with a header line: match and any of action, limit, window, expires, reason and
//          enforce, in any order. Lines that begin with `#` are comments.
//   toml   [[ip_rules]] of a configuration, and nothing else.
//
// What an entry does not say itself is that of the rule `otherwise`; in TOML, `enforce` is said
// where it is false. Entries of equal properties come out as one rule (ip_rule_set.h).

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/ip_rule.h"
#include "config/problem.h"

namespace weir::config {

enum class IpListFormat : uint8_t { automatic, plain, csv, toml };

inline constexpr size_t kIpListProblemsMax = 100;

struct IpList {
  std::vector<IpRule> rules;  // Meaningful only when ok().
  size_t repeated = 0;        // Entries left out: the list had the same prefix and action before.
  std::vector<Problem> problems;  // The first kIpListProblemsMax, in the order of the list.
  size_t more_problems = 0;       // How many more there are.
  bool ok() const { return problems.empty(); }
};

// `automatic`: the first line that is no comment decides. It is TOML's with `[` at its beginning or
// `=`, a header of CSV with a comma or as the word `match`, else plain.
// `file` is only named in problems. Limits: kIpMatchesMax entries; TOML as load_rules().
IpList parse_ip_list(std::string_view text, std::string_view file, IpListFormat format,
                     const IpRule& otherwise);

// Every rule, an entry a line. Reads back to the same entries.
std::string ip_list_to_csv(const std::vector<IpRule>& rules);

// The prefixes of the rules with `action`, one a line. This form says nothing else, so that it
// reads back to the same only where that action is all that they say.
std::string ip_list_to_plain(const std::vector<IpRule>& rules, IpAction action);

// "block", "throttle", "allow"; of any other text: none.
IpAction parse_ip_action(std::string_view text);
std::string_view to_string(IpAction action);

// A time as rules write it: "2026-12-01T00:00:00Z".
std::string ip_rule_time(std::chrono::sys_seconds time);

// What is wrong with one rule by itself; the keys are those within it: "match[1]", "limit".
std::vector<Problem> check_ip_rule(const IpRule& rule);

}  // namespace weir::config
