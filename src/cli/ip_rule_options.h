#pragma once
// What the user typed behind `weir ip-rules`.

#include <cstdint>
#include <string>
#include <vector>

namespace weir::cli {

struct IpRuleOptions {
  std::vector<std::string> matches;  // add and remove
  std::string file;                  // import; "-" is standard input.
  std::string format;                // import and export
  std::string action;                // Empty: none given.
  uint32_t limit = 0;                // 0: none given.
  std::string window;                // Empty: none given.
  std::string lifetime;              // --for; empty: none given.
  std::string expires;               // Empty: none given.
  std::string reason;
  bool dry_run = false;
  bool replace = false;  // import
  bool print = false;    // Only print the rules that there would be.
};

}  // namespace weir::cli
