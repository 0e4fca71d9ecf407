#pragma once
// From the tree of a file to a Config: names, types and units. Rules about values are validate()'s.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/internal/document.h"
#include "config/problem.h"

namespace weir::config::internal {

struct Decoded {
  Config config;
  std::vector<Problem> problems;        // Their `file` is not filled in. The first kProblemsMax.
  std::map<std::string, Place> places;  // Where each key that is in the file stands.
};

Decoded decode(const Value& root);
// Rules alone: other keys are not known.
Decoded decode_rules(const Value& root);

inline constexpr size_t kProblemsMax = 1000;

}  // namespace weir::config::internal
