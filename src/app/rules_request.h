#pragma once
// What `weir config apply` and `rollback` ask the running server for, and what it answers. One line
// of JSON each:
//   {"command":"config.apply","toml":BASE64,"file":NAME,"author":…,"comment":…,"expected":NUMBER}
//   {"command":"config.rollback","version":NUMBER,"author":…,"comment":…,"expected":NUMBER}
//   {"version":NUMBER,"changed":[KEY…],"stalled":[LOOP…]}
//   {"error":TEXT} with "problems":[{file,line,column,key,message,allowed}…], or "conflict":true
// `expected` may be absent: whatever version is in force. The author is believed of root alone, who
// may act for somebody (sudo).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "config/problem.h"

namespace weir::app {

struct RulesRequest {
  std::optional<uint64_t> rollback_to;  // None: `toml` is to be applied.
  std::string toml;
  std::string file;  // Named in problems.
  std::string author;
  std::string comment;
  std::optional<uint64_t> expected;
};

// The name of a user of the operating system.
std::string name_of_user(uid_t user);
// Whose change it is that this user asks for in that name.
std::string author_of(std::optional<uid_t> user, const std::string& said);

// Nothing: the request makes no sense.
std::optional<RulesRequest> parse_rules_request(std::string_view request);

std::string rules_error(std::string_view error);
std::string rules_conflict(uint64_t expected, uint64_t in_force);
std::string rules_problems(const std::vector<config::Problem>& problems);
std::string rules_answer(uint64_t version, const std::vector<std::string>& changed,
                         const std::vector<uint32_t>& stalled);

}  // namespace weir::app
