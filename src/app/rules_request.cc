#include "app/rules_request.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include <fmt/format.h>
#include <pwd.h>

#include "app/command_output.h"
#include "app/rule_versions.h"
#include "codec/text.h"

namespace weir::app {
namespace {

// False: it is there, and no string of at most `bytes_max`.
bool read_text(const Json& request, const char* key, size_t bytes_max, std::string& out) {
  const auto found = request.find(key);
  if (found == request.end()) return true;
  if (!found->is_string()) return false;
  out = found->get<std::string>();
  return out.size() <= bytes_max;
}

bool read_number(const Json& request, const char* key, std::optional<uint64_t>& out) {
  const auto found = request.find(key);
  if (found == request.end()) return true;
  if (!found->is_number_unsigned()) return false;
  out = found->get<uint64_t>();
  return true;
}

// It would steer the terminal of whoever reads the history.
bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

}  // namespace

std::string name_of_user(uid_t user) {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr) {
    return std::string{found->pw_name}.substr(0, RuleVersions::kAuthorBytesMax);
  }
  return fmt::format("user {}", user);
}

std::string author_of(std::optional<uid_t> user, const std::string& said) {
  if (!user) return "unknown";
  return *user == 0 ? said : name_of_user(*user);
}

std::optional<RulesRequest> parse_rules_request(std::string_view request) {
  constexpr size_t kFileNameBytesMax = 4096;
  const Json parsed = Json::parse(request, nullptr, false);
  if (!parsed.is_object()) return std::nullopt;
  RulesRequest out;
  std::string toml;
  const bool good = read_text(parsed, "toml", request.size(), toml) &&
                    read_text(parsed, "file", kFileNameBytesMax, out.file) &&
                    read_text(parsed, "author", RuleVersions::kAuthorBytesMax, out.author) &&
                    read_text(parsed, "comment", RuleVersions::kCommentBytesMax, out.comment) &&
                    read_number(parsed, "version", out.rollback_to) &&
                    read_number(parsed, "expected", out.expected);
  if (!good || out.author.empty() || has_control(out.author) || has_control(out.comment)) {
    return std::nullopt;
  }
  if (parsed.contains("toml") == out.rollback_to.has_value()) return std::nullopt;
  base::Result<std::string> decoded = codec::base64_decode(toml);
  if (!decoded.ok()) return std::nullopt;
  out.toml = std::move(decoded).value();
  if (out.rollback_to) out.file = fmt::format("version {}", *out.rollback_to);
  return out;
}

std::string rules_error(std::string_view error) {
  return json_text({{"error", error}});
}

std::string rules_conflict(uint64_t expected, uint64_t in_force) {
  return json_text(
      {{"error", fmt::format("version {} was expected, {} is in force", expected, in_force)},
       {"conflict", true}});
}

std::string rules_problems(const std::vector<config::Problem>& problems) {
  return json_text(
      {{"error", "refused, nothing has changed"}, {"problems", problems_json(problems)}});
}

std::string rules_answer(uint64_t version, const std::vector<std::string>& changed,
                         const std::vector<uint32_t>& stalled) {
  return json_text({{"version", version}, {"changed", changed}, {"stalled", stalled}});
}

}  // namespace weir::app
