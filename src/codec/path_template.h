#pragma once
// What the paths of a kind have in common: "/users/42/avatar" and "/users/7/avatar" are both
// "/users/{id}/avatar". Statistics are kept by template, so that ids in paths do not make a row
// each.
//
// A path is taken apart at its slashes, and each segment is judged alone, first by the operator's
// rules, then by the built-in ones, which know four kinds of ids:
//
//   number   only digits: "42", "2024".
//   UUID     8-4-4-4-12 hexadecimal digits.
//   hex      8 or more hexadecimal digits, one of them 0 to 9: "1f3870be". Shorter ones are too
//            often words ("ed25519", "feb2024"), and without a digit they are always ("defaced").
//   token    20 or more of A-Z a-z 0-9 - _, with upper case, lower case and digits, which change
//            so often that "words" are of two and a half characters at most on average.
//            "GetUserByNameV2Async" has seven words (a capital belongs to what follows) in 20
//            characters, and is none.
//
// Source: measured on 2026-11-26. Of 1.07 million names of published packages (split at '/', '@'
// and ':'), 20 of 8 to 15 characters are taken for hex, half of which are ids indeed, and none for
// a token. Of random hex of 8 digits 0.03 % are missed, of random base64url 7 % at 20 characters
// and 3 % at 43; words of three characters would halve that, and take such names. Asking 16 digits
// of hex would miss short commit ids and the like for the sake of ten names. Ids in one case with
// digits between (ULID, cuid) are left to rules: in 757 names something like them stands.
//
// Why nothing real is mistaken: no normalised path contains '{' (RFC 3986 does not allow it, so it
// comes escaped), and everything that is put in contains it. A path that a client writes as
// "/users/{id}" is "/users/%7Bid%7D", a path of its own. What contains '{' all the same is left as
// it is; so a template is its own template.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::codec {

// The built-in rules, on one segment (without slashes).
bool is_id_segment(std::string_view segment);

// A rule of the operator. `pattern` is RE2 syntax over bytes and must match all of a segment, or,
// when it contains '/', all of the path. `replace` takes the place of what matched; it contains a
// name in braces ("{user}"), and may use the pattern's groups: "\1" to "\9", "\0" for all, "\\" for
// a backslash.
struct PathRule {
  std::string pattern;
  std::string replace;
  bool operator==(const PathRule&) const = default;
};

inline constexpr size_t kPathRulesMax = 100;
inline constexpr size_t kPathRuleBytesMax = 1024;  // Of pattern and replace, each.

struct PathRuleProblem {
  bool in_replace;      // Else in the pattern.
  std::string message;  // Completes "pattern ..." or "replace ...".
};

// What makes a rule unusable; RE2's own words where the pattern does not compile.
std::optional<PathRuleProblem> find_problem(const PathRule& rule);

struct PathTemplateOptions {
  bool built_in = true;
  std::vector<PathRule> rules;  // The first one that matches decides. Up to kPathRulesMax.
};

// Ownership: owns its compiled rules.
// Threading: immutable after construction; any thread. Not for a data loop: a rule takes 100 ns and
//   more per segment.
// Limits: 256 KiB of memory for each compiled rule, 16 MiB for each of the two automata that look
//   for all rules at once. A template has at most 3 times the bytes of its path, plus 1 KiB; a path
//   that would give a longer one is left as it is. Time is linear in the path's length.
class PathTemplates {
 public:
  // Errors: invalid_input (find_problem() finds something), limit_exceeded (too many rules).
  static base::Result<std::shared_ptr<const PathTemplates>> create(
      const PathTemplateOptions& options);
  ~PathTemplates();
  PathTemplates(const PathTemplates&) = delete;
  PathTemplates& operator=(const PathTemplates&) = delete;

  // The template of `path`: `path` itself where nothing is replaced, else a view of `scratch`.
  // What does not begin with '/' ("*", "__malformed__") is no path and stays as it is. Of the same
  // number of segments as `path`, unless a rule for whole paths says otherwise.
  std::string_view of(std::string_view path, std::string& scratch) const;

  bool has_rules() const { return rules_ != nullptr; }

 private:
  class Rules;
  PathTemplates(bool built_in, std::unique_ptr<const Rules> rules);
  bool replace_segment(std::string_view segment, size_t bytes_max, std::string& replacement) const;

  const bool built_in_;
  const std::unique_ptr<const Rules> rules_;  // Null: none.
};

}  // namespace weir::codec
