// Ban rules.

#include <charconv>
#include <map>

#include <fmt/format.h>

#include "config/ban_rule.h"
#include "config/internal/checks.h"
#include "config/internal/text.h"
#include "config/validate.h"

namespace weir::config {
namespace {

constexpr int kStatusMin = 400;
constexpr int kStatusMax = 599;

bool add_trigger(std::string_view text, BanTriggers& triggers) {
  if (text == "denied") {
    triggers.denied = true;
    return true;
  }
  int first = 0;
  int last = 0;
  if (text == "4xx" || text == "5xx") {
    first = (text[0] - '0') * 100;
    last = first + 99;
  } else {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), first);
    if (error != std::errc{} || end != text.data() + text.size() || text.size() != 3) return false;
    last = first;
  }
  if (first < kStatusMin || last > kStatusMax) return false;
  for (int status = first; status <= last; ++status)
    triggers.statuses.set(static_cast<size_t>(status));
  return true;
}

}  // namespace

std::optional<BanTriggers> parse_ban_triggers(const std::vector<std::string>& on) {
  BanTriggers triggers;
  for (const std::string& text : on) {
    if (!add_trigger(text, triggers)) return std::nullopt;
  }
  return triggers;
}

namespace internal {
namespace {

// Also some that say the same.
constexpr size_t kTriggersMax = 64;

void check_triggers(const BanRule& rule, const std::string& key, Findings& findings) {
  if (!check_count(key + ".on", rule.on.size(), kTriggersMax, findings)) return;
  constexpr std::string_view kAllowed =
      "\"denied\", \"4xx\", \"5xx\", or a status from \"400\" to \"599\"";
  if (rule.on.empty()) findings.add(key + ".on", "is missing", kAllowed);
  for (size_t index = 0; index < rule.on.size(); ++index) {
    BanTriggers triggers;
    if (add_trigger(rule.on[index], triggers)) continue;
    findings.add(fmt::format("{}.on[{}]", key, index), in_quotes(rule.on[index]) + " says nothing",
                 kAllowed);
  }
}

void check_routes(const RouteIds& routes, const BanRule& rule, const std::string& key,
                  Findings& findings) {
  if (!check_count(key + ".routes", rule.routes.size(), kRoutesMax, findings)) return;
  for (size_t index = 0; index < rule.routes.size(); ++index) {
    const std::string& id = rule.routes[index];
    if (routes.contains(id)) continue;
    findings.add(fmt::format("{}.routes[{}]", key, index), "no route is " + in_quotes(id),
                 "a route's id");
  }
}

}  // namespace

void check_ban_rules(const Config& config, const RouteIds& routes, Findings& findings) {
  if (!check_count("ban_rules", config.ban_rules.size(), kBanRulesMax, findings)) return;
  std::map<std::string_view, size_t> ids;
  for (size_t index = 0; index < config.ban_rules.size(); ++index) {
    const BanRule& rule = config.ban_rules[index];
    const std::string key = fmt::format("ban_rules[{}]", index);
    check_unique_id("ban_rules", index, rule.id, ids, findings);
    check_triggers(rule, key, findings);
    check_routes(routes, rule, key, findings);
    if (rule.count == 0) findings.add(key + ".count", "is missing or 0", "1 to 1000000000");
    check_reason(rule.reason, key + ".reason", findings);
  }
}

}  // namespace internal
}  // namespace weir::config
