#include "codec/path_template.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include <fmt/format.h>
#include <re2/re2.h>
#include <re2/set.h>

namespace weir::codec {
namespace {

using base::Error;
using base::ErrorCode;

constexpr int64_t kRuleMemoryBytes = 256 * 1024;
constexpr int64_t kSetMemoryBytes = 16 * 1024 * 1024;
constexpr size_t kGrowthMax = 3;  // "/1" becomes "/{id}".
constexpr std::string_view kId = "{id}";

constexpr size_t kHexDigitsMin = 8;
constexpr size_t kTokenBytesMin = 20;
constexpr size_t kWordHalfBytesMax = 5;  // A token's words, on average.
constexpr size_t kUuidBytes = 36;

using Kinds = uint8_t;
constexpr Kinds kDigit = 1;
constexpr Kinds kLower = 2;
constexpr Kinds kUpper = 4;
constexpr Kinds kMark = 8;      // '-' and '_'.
constexpr Kinds kNoHex = 16;    // Beside the kind: no hexadecimal digit.
constexpr Kinds kForeign = 32;  // In no id.

constexpr std::array<Kinds, 256> kKinds = [] {
  std::array<Kinds, 256> kinds{};
  for (size_t byte = 0; byte < kinds.size(); ++byte) {
    const auto within = [byte](char first, char last) {
      return byte >= static_cast<size_t>(first) && byte <= static_cast<size_t>(last);
    };
    if (within('0', '9')) {
      kinds[byte] = kDigit;
    } else if (within('a', 'z')) {
      kinds[byte] = within('a', 'f') ? kLower : kLower | kNoHex;
    } else if (within('A', 'Z')) {
      kinds[byte] = within('A', 'F') ? kUpper : kUpper | kNoHex;
    } else {
      kinds[byte] = byte == '-' || byte == '_' ? kMark | kNoHex : kForeign | kNoHex;
    }
  }
  return kinds;
}();

Kinds kinds_of(char byte) {
  return kKinds[static_cast<uint8_t>(byte)];
}

bool is_number(std::string_view segment) {
  return std::all_of(segment.begin(), segment.end(), [](char c) { return kinds_of(c) == kDigit; });
}

// Too short for a token: a number or hex. Most segments that are not are refused at their first
// letter.
bool is_short_id(std::string_view segment) {
  Kinds seen = 0;
  for (const char c : segment) {
    seen |= kinds_of(c);
    if ((seen & kNoHex) != 0) return false;
  }
  return (seen & kDigit) != 0;
}

bool is_uuid(std::string_view segment) {
  if (segment.size() != kUuidBytes) return false;
  for (size_t i = 0; i < kUuidBytes; ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? segment[i] != '-' : (kinds_of(segment[i]) & kNoHex) != 0) return false;
  }
  return true;
}

// Hex of any length, UUID or token.
bool is_long_id(std::string_view segment) {
  Kinds seen = 0;
  Kinds before = kMark;
  size_t run = 0;  // Characters of that kind in a row.
  size_t words = 0;
  for (const char c : segment) {
    const Kinds kinds = kinds_of(c);
    if ((kinds & kForeign) != 0) return false;
    seen |= kinds;
    const Kinds kind = kinds & (kDigit | kLower | kUpper | kMark);
    if (kind != before) {
      // "Name" is one word, "HTTPName" two.
      const bool goes_on = before == kUpper && kind == kLower && run == 1;
      if (!goes_on && kind != kMark) ++words;
      before = kind;
      run = 0;
    }
    ++run;
  }
  if ((seen & kNoHex) == 0) return (seen & kDigit) != 0;
  if (is_uuid(segment)) return true;
  constexpr Kinds kAll = kDigit | kLower | kUpper;
  return (seen & kAll) == kAll && words * kWordHalfBytesMax >= 2 * segment.size();
}

RE2::Options options_of(int64_t memory) {
  RE2::Options options{RE2::Latin1};  // Bytes: nothing that arrives is outside the alphabet.
  options.set_log_errors(false);
  options.set_max_mem(memory);
  return options;
}

bool is_printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

bool is_whole_path(const PathRule& rule) {
  return rule.pattern.find('/') != std::string::npos;
}

// Whether "{name}" stands somewhere.
bool has_name(std::string_view replace) {
  for (size_t at = replace.find('{'); at != std::string_view::npos; at = replace.find('{', at)) {
    const size_t begin = ++at;
    while (at < replace.size() && ((kinds_of(replace[at]) & kForeign) == 0 || replace[at] == '.')) {
      ++at;
    }
    if (at > begin && at < replace.size() && replace[at] == '}') return true;
  }
  return false;
}

std::string problem_of_pattern(const std::string& pattern) {
  if (pattern.empty()) return "is missing";
  if (pattern.size() > kPathRuleBytesMax) return "is longer than 1 KiB";
  if (!is_printable(pattern)) return "has characters outside printable ASCII, which no path has";
  const RE2 compiled{pattern, options_of(kRuleMemoryBytes)};
  return compiled.ok() ? std::string{} : fmt::format("does not compile: {}", compiled.error());
}

// Requires a pattern without a problem.
std::string problem_of_replace(const PathRule& rule) {
  const std::string& replace = rule.replace;
  if (replace.empty()) return "is missing";
  if (replace.size() > kPathRuleBytesMax) return "is longer than 1 KiB";
  if (!is_printable(replace)) return "has characters outside printable ASCII";
  if (!has_name(replace)) return "has no name in braces";
  if (is_whole_path(rule) && !replace.starts_with('/')) {
    return "does not begin with '/', as the pattern is for whole paths";
  }
  if (!is_whole_path(rule) && replace.find('/') != std::string::npos) {
    return "has a '/', but the pattern is for one segment";
  }
  const RE2 compiled{rule.pattern, options_of(kRuleMemoryBytes)};
  const int groups = RE2::MaxSubmatch(replace);
  if (groups > compiled.NumberOfCapturingGroups()) {
    return fmt::format("uses group {}, but the pattern has {}", groups,
                       compiled.NumberOfCapturingGroups());
  }
  std::string reason;
  if (compiled.CheckRewriteString(replace, &reason)) return {};
  return "has a '\\' that is not followed by a digit or '\\'";
}

}  // namespace

bool is_id_segment(std::string_view segment) {
  if (segment.empty()) return false;
  if (segment.size() < kHexDigitsMin) return is_number(segment);
  return segment.size() < kTokenBytesMin ? is_short_id(segment) : is_long_id(segment);
}

std::optional<PathRuleProblem> find_problem(const PathRule& rule) {
  if (std::string message = problem_of_pattern(rule.pattern); !message.empty()) {
    return PathRuleProblem{false, std::move(message)};
  }
  if (std::string message = problem_of_replace(rule); !message.empty()) {
    return PathRuleProblem{true, std::move(message)};
  }
  return std::nullopt;
}

// Threading: immutable after construction; any thread (RE2 locks its automata inside).
class PathTemplates::Rules {
 public:
  explicit Rules(const std::vector<PathRule>& rules) {
    for (const PathRule& rule : rules)
      (is_whole_path(rule) ? paths_ : segments_).add(rule);
    paths_.compile();
    segments_.compile();
  }

  // Append what takes the place of `text`; false: no rule matches. What would be longer than
  // `bytes_max` ends somewhere beyond.
  bool replace_path(std::string_view text, size_t bytes_max, std::string& out) const {
    return paths_.replace(text, bytes_max, out);
  }
  bool replace_segment(std::string_view text, size_t bytes_max, std::string& out) const {
    return segments_.replace(text, bytes_max, out);
  }

 private:
  struct Rule {
    std::unique_ptr<const RE2> pattern;
    std::string replace;
    int groups;  // That `replace` uses; 0: at most "\0".
  };

  class Group {
   public:
    void add(const PathRule& rule) {
      rules_.push_back({std::make_unique<const RE2>(rule.pattern, options_of(kRuleMemoryBytes)),
                        rule.replace, RE2::MaxSubmatch(rule.replace)});
    }

    // One automaton that finds out which of many rules match is as quick as one rule.
    void compile() {
      if (rules_.size() < 2) return;
      auto set = std::make_unique<RE2::Set>(options_of(kSetMemoryBytes), RE2::ANCHOR_BOTH);
      for (const Rule& rule : rules_) {
        if (set->Add(rule.pattern->pattern(), nullptr) < 0) return;
      }
      if (set->Compile()) set_ = std::move(set);
    }

    bool replace(std::string_view text, size_t bytes_max, std::string& out) const {
      const Rule* const rule = rules_.empty() ? nullptr : find(text);
      return rule != nullptr && rewrite(*rule, text, bytes_max, out);
    }

   private:
    const Rule* find(std::string_view text) const {
      const re2::StringPiece piece{text.data(), text.size()};
      if (set_ != nullptr) {
        std::vector<int> matching;
        RE2::Set::ErrorInfo error{};
        if (set_->Match(piece, &matching, &error)) {
          return &rules_[static_cast<size_t>(*std::min_element(matching.begin(), matching.end()))];
        }
        if (error.kind == RE2::Set::kNoError) return nullptr;
      }
      // Where the automaton would need more memory than it may have: one after the other.
      for (const Rule& rule : rules_) {
        if (RE2::FullMatch(piece, *rule.pattern)) return &rule;
      }
      return nullptr;
    }

    // False when the rule's own automaton runs out of memory: like no match.
    static bool rewrite(const Rule& rule, std::string_view text, size_t bytes_max,
                        std::string& out) {
      std::array<re2::StringPiece, 10> groups;
      groups[0] = {text.data(), text.size()};
      if (rule.groups > 0 && !rule.pattern->Match(groups[0], 0, text.size(), RE2::ANCHOR_BOTH,
                                                  groups.data(), rule.groups + 1)) {
        return false;
      }
      const std::string_view replace = rule.replace;
      for (size_t at = 0; at < replace.size() && out.size() <= bytes_max; ++at) {
        if (replace[at] != '\\') {
          out += replace[at];
        } else if (replace[++at] == '\\') {  // Checked: something follows a backslash.
          out += '\\';
        } else {
          const re2::StringPiece& group = groups[static_cast<size_t>(replace[at] - '0')];
          out.append(group.data(), group.size());
        }
      }
      return true;
    }

    std::vector<Rule> rules_;
    std::unique_ptr<const RE2::Set> set_;  // Null: fewer than two rules, or too large.
  };

  Group segments_;
  Group paths_;
};

base::Result<std::shared_ptr<const PathTemplates>> PathTemplates::create(
    const PathTemplateOptions& options) {
  if (options.rules.size() > kPathRulesMax) {
    return Error{ErrorCode::limit_exceeded, base::Origin::client, base::Retry::never, 0,
                 "number of path rules"};
  }
  for (const PathRule& rule : options.rules) {
    if (!find_problem(rule)) continue;
    return Error{ErrorCode::invalid_input, base::Origin::client, base::Retry::never, 0,
                 "path rule"};
  }
  std::unique_ptr<const Rules> rules;
  if (!options.rules.empty()) rules = std::make_unique<const Rules>(options.rules);
  return std::shared_ptr<const PathTemplates>{
      new PathTemplates{options.built_in, std::move(rules)}};  // Private constructor.
}

PathTemplates::PathTemplates(bool built_in, std::unique_ptr<const Rules> rules)
    : built_in_(built_in), rules_(std::move(rules)) {}

PathTemplates::~PathTemplates() = default;

std::string_view PathTemplates::of(std::string_view path, std::string& scratch) const {
  if (!path.starts_with('/')) return path;
  const size_t bytes_max = kGrowthMax * path.size() + kPathRuleBytesMax;
  std::string rewritten;
  if (rules_ != nullptr && path.find('{') == std::string_view::npos) {
    rules_->replace_path(path, bytes_max, rewritten);
    if (rewritten.size() > bytes_max) return path;
  }
  const std::string_view rest = rewritten.empty() ? path : rewritten;
  std::string replacement;
  size_t kept = 0;  // Leading bytes of `rest` that stand in scratch, as they are or replaced.
  scratch.clear();
  for (size_t begin = 1; begin <= rest.size();) {
    const size_t end = std::min(rest.find('/', begin), rest.size());
    const std::string_view segment = rest.substr(begin, end - begin);
    if (replace_segment(segment, bytes_max, replacement)) {
      scratch.append(rest, kept, begin - kept).append(replacement);
      if (scratch.size() > bytes_max) return path;
      kept = end;
    }
    begin = end + 1;
  }
  if (kept == 0 && rewritten.empty()) return path;
  scratch.append(rest, kept);
  return scratch.size() > bytes_max ? path : std::string_view{scratch};
}

bool PathTemplates::replace_segment(std::string_view segment, size_t bytes_max,
                                    std::string& replacement) const {
  if (rules_ != nullptr && !segment.empty() && segment.find('{') == std::string_view::npos) {
    replacement.clear();
    if (rules_->replace_segment(segment, bytes_max, replacement)) return true;
  }
  if (!built_in_ || !is_id_segment(segment)) return false;
  replacement = kId;
  return true;
}

}  // namespace weir::codec
