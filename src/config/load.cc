#include "config/load.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <tuple>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "config/internal/decoder.h"
#include "config/internal/document.h"
#include "config/internal/suggest.h"
#include "config/validate.h"

namespace weir::config {
namespace {

using internal::Decoded;
using internal::Place;

constexpr const char* kEnvironment = "environment";

// Whether `key` is `other` or stands below it.
bool is_within(std::string_view key, std::string_view other) {
  if (!key.starts_with(other)) return false;
  return key.size() == other.size() || key[other.size()] == '.' || key[other.size()] == '[';
}

// Cuts off the last ".name" or "[index]"; empty when there is none.
std::string_view parent(std::string_view key) {
  const size_t at = key.find_last_of(".[");
  return at == std::string_view::npos ? std::string_view{} : key.substr(0, at);
}

Place find_place(std::string_view key, const std::map<std::string, Place>& places) {
  for (; !key.empty(); key = parent(key)) {
    const auto found = places.find(std::string{key});
    if (found != places.end()) return found->second;
  }
  return {};
}

// Takes the founding variables over into the keys they stand for.
//
// Threading: one thread at a time.
class Variables {
 public:
  Variables(Decoded& decoded, const Environment& environment)
      : decoded_(decoded), environment_(environment) {}

  void apply() {
    merge();
    sampling_rate();
    traffic_threshold();
    detail();
    without_effect("USE_ANALYTICS_ENGINE", "everything is in SQL here");
    rate_limit();
    without_effect("DEFAULT_CACHE_VERSION", "arrives with the cache");
    unknown();
  }

 private:
  std::map<std::string, std::string>& vars() { return decoded_.config.vars; }

  // The environment wins; an empty variable counts as unset.
  void merge() {
    for (const std::string& name : founding_variables()) {
      const auto found = environment_.find(name);
      if (found == environment_.end() || found->second.empty()) continue;
      vars()[name] = found->second;
      from_environment_.push_back(name);
    }
  }

  const std::string* find(const std::string& name) {
    const auto found = vars().find(name);
    return found == vars().end() ? nullptr : &found->second;
  }

  void problem(const std::string& name, std::string message, std::string allowed) {
    if (std::find(from_environment_.begin(), from_environment_.end(), name) !=
        from_environment_.end()) {
      decoded_.problems.push_back(
          {kEnvironment, 0, 0, name, std::move(message), std::move(allowed)});
      return;
    }
    const std::string key = "vars." + name;
    const Place place = find_place(key, decoded_.places);
    decoded_.problems.push_back(
        {{}, place.line, place.column, key, std::move(message), std::move(allowed)});
  }

  void sampling_rate() {
    const std::string name = "TRAFFIC_SAMPLING_RATE";
    const std::string* text = find(name);
    if (text == nullptr) return;
    double rate = 0;
    const char* end = text->data() + text->size();
    const auto [stopped, error] = std::from_chars(text->data(), end, rate);
    if (error != std::errc{} || stopped != end || !(rate >= 0 && rate <= 1)) {
      return problem(name, "cannot be " + in_quotes(*text), "0.0 to 1.0");
    }
    decoded_.config.stats.sampling_rate = rate;
  }

  // A whole number from 1 to `max`; none: it is not set, or it is none, and that was said.
  std::optional<uint64_t> number(const std::string& name, uint64_t max) {
    const std::string* text = find(name);
    if (text == nullptr) return std::nullopt;
    uint64_t value = 0;
    const char* end = text->data() + text->size();
    const auto [stopped, error] = std::from_chars(text->data(), end, value);
    if (error == std::errc{} && stopped == end && value >= 1 && value <= max) return value;
    problem(name, "cannot be " + in_quotes(*text), fmt::format("1 to {}", max));
    return std::nullopt;
  }

  void traffic_threshold() {
    const auto threshold = number("TRAFFIC_THRESHOLD", 1'000'000'000'000);
    if (threshold) decoded_.config.stats.traffic_threshold = *threshold;
  }

  // Of limits that do not say how much, or in what time.
  void rate_limit() {
    RateLimit& otherwise = decoded_.config.rate_limit_default;
    const auto limit = number("DEFAULT_RATE_LIMIT", 1'000'000'000);
    if (limit) otherwise.limit = static_cast<uint32_t>(*limit);
    const auto window_s = number("DEFAULT_RATE_WINDOW", 31 * 86'400);
    if (window_s) otherwise.window = std::chrono::seconds{*window_s};
  }

  void detail() {
    std::optional<bool> detail;
    for (const char* name : {"PATH_COLLECTION_ENABLED", "USE_TRAFFIC_QUEUE"}) {
      const std::string* text = find(name);
      if (text == nullptr) continue;
      if (*text != "true" && *text != "false") {
        problem(name, "cannot be " + in_quotes(*text), "\"true\" or \"false\"");
        continue;
      }
      detail = detail.value_or(true) && *text == "true";
    }
    if (detail) decoded_.config.stats.detail = *detail;
  }

  void without_effect(const std::string& name, std::string_view reason) {
    if (find(name) == nullptr) return;
    decoded_.config.without_effect.push_back(fmt::format("{}: {}", name, reason));
  }

  void unknown() {
    const std::vector<std::string>& names = founding_variables();
    const std::vector<std::string_view> candidates{names.begin(), names.end()};
    for (const auto& [name, value] : vars()) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      const std::string_view near = internal::closest(name, candidates);
      if (near.empty()) {
        decoded_.config.without_effect.push_back(plain(name) + ": no variable of this name");
        continue;
      }
      const std::string key = "vars." + plain(name);
      const Place place = find_place("vars." + name, decoded_.places);
      decoded_.problems.push_back({{},
                                   place.line,
                                   place.column,
                                   key,
                                   fmt::format("is not known, did you mean \"{}\"?", near),
                                   {}});
    }
  }

  Decoded& decoded_;
  const Environment& environment_;
  std::vector<std::string> from_environment_;
};

void add_findings(Decoded& decoded) {
  const size_t known = decoded.problems.size();
  for (Problem& finding : validate(decoded.config)) {
    // What could not be read has its default: nothing more is said about it.
    const bool already = std::any_of(
        decoded.problems.begin(), decoded.problems.begin() + static_cast<ptrdiff_t>(known),
        [&](const Problem& problem) { return is_within(finding.key, problem.key); });
    if (already || decoded.problems.size() >= internal::kProblemsMax) continue;
    const Place place = find_place(finding.key, decoded.places);
    finding.line = place.line;
    finding.column = place.column;
    decoded.problems.push_back(std::move(finding));
  }
}

// `decode` makes a Decoded of the document's root, with all that there is to say of it.
template <typename Decode>
LoadResult load_with(std::string_view toml, std::string_view file, Decode decode) {
  Decoded decoded;
  auto document = internal::parse_document(toml);
  if (auto* syntax = std::get_if<Problem>(&document)) {
    decoded.problems.push_back(std::move(*syntax));
  } else {
    decoded = decode(std::get<internal::Value>(document));
  }
  for (Problem& problem : decoded.problems) {
    if (problem.file.empty()) problem.file = file;
  }
  std::stable_sort(
      decoded.problems.begin(), decoded.problems.end(), [](const Problem& a, const Problem& b) {
        const bool a_file = a.file != kEnvironment;
        const bool b_file = b.file != kEnvironment;
        return std::tuple{!a_file, a.line, a.column} < std::tuple{!b_file, b.line, b.column};
      });
  if (decoded.problems.size() >= internal::kProblemsMax) {
    decoded.problems.push_back(
        {.file = std::string{file},
         .message = fmt::format("has these {} problems, and maybe more", internal::kProblemsMax)});
  }
  return {std::move(decoded.config), std::move(decoded.problems)};
}

}  // namespace

const std::vector<std::string>& founding_variables() {
  static const std::vector<std::string> names{"DEFAULT_CACHE_VERSION", "DEFAULT_RATE_LIMIT",
                                              "DEFAULT_RATE_WINDOW",   "PATH_COLLECTION_ENABLED",
                                              "TRAFFIC_SAMPLING_RATE", "TRAFFIC_THRESHOLD",
                                              "USE_ANALYTICS_ENGINE",  "USE_TRAFFIC_QUEUE"};
  return names;
}

LoadResult load(std::string_view toml, std::string_view file, const Environment& environment) {
  return load_with(toml, file, [&environment](const internal::Value& root) {
    Decoded decoded = internal::decode(root);
    Variables{decoded, environment}.apply();
    add_findings(decoded);
    return decoded;
  });
}

LoadResult load_rules(std::string_view toml, std::string_view file,
                      const RateLimit& rate_limit_default) {
  return load_with(toml, file, [&rate_limit_default](const internal::Value& root) {
    Decoded decoded = internal::decode_rules(root);
    decoded.config.rate_limit_default = rate_limit_default;
    add_findings(decoded);
    return decoded;
  });
}

LoadResult read_rules(std::string_view toml, std::string_view file) {
  return load_with(toml, file, internal::decode_rules);
}

bool same_rules(const Config& config, const Config& rules) {
  return config.global == rules.global && config.ip_rules == rules.ip_rules &&
         config.ban_rules == rules.ban_rules &&
         config.geo.default_action == rules.geo.default_action &&
         config.geo.groups == rules.geo.groups && config.geo_rules == rules.geo_rules &&
         config.path_rules == rules.path_rules && config.routes == rules.routes;
}

void take_rules(Config& config, const Config& rules) {
  config.global = rules.global;
  config.ip_rules = rules.ip_rules;
  config.ban_rules = rules.ban_rules;
  config.geo.default_action = rules.geo.default_action;
  config.geo.groups = rules.geo.groups;
  config.geo_rules = rules.geo_rules;
  config.path_rules = rules.path_rules;
  config.routes = rules.routes;
}

}  // namespace weir::config
