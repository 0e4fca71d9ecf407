#include "app/limit_commands.h"

#include <fmt/format.h>

#include "app/command_output.h"
#include "app/log.h"
#include "codec/iso_time.h"
#include "config/ip.h"
#include "config/problem.h"

namespace weir::app {
namespace {

double seconds_of(std::chrono::microseconds us) {
  return std::chrono::duration<double>(us).count();
}

// Null, and said: there is no answer.
Json ask_about(const cli::CommandLine& line, bool reset) {
  const std::string& route = line.limited_route;
  const std::string& value = line.limited_value;
  if (int{!line.limited_ip.empty()} + int{!value.empty()} + int{!route.empty()} != 1) {
    complain("whose limits? An address, --value VALUE or --route ID, one of them");
    return {};
  }
  if (!line.limited_ip.empty() && !config::parse_ip(line.limited_ip)) {
    complain(fmt::format("{} is not an address", config::in_quotes(line.limited_ip)));
    return {};
  }
  Json answer = ask_running(line.data_dir, {{"command", "limits"},
                                            {"ip", line.limited_ip},
                                            {"value", value},
                                            {"route", route},
                                            {"reset", reset}});
  if (!answer.is_object()) return {};
  if (!answer.contains("error")) return answer;
  complain(answer["error"].get<std::string>());
  return {};
}

}  // namespace

int run_limits_status(const cli::CommandLine& line) {
  const Json answer = ask_about(line, false);
  if (!answer.is_object()) return 1;
  print_rows(line, answer["limits"],
             {"id", "limit", "window_seconds", "used", "remaining", "retry_after_seconds",
              "reset_after_seconds", "own", "enforced"});
  return 0;
}

int run_limits_reset(const cli::CommandLine& line) {
  const Json answer = ask_about(line, true);
  if (!answer.is_object()) return 1;
  if (line.json) {
    print_json(answer);
  } else {
    print(fmt::format("{}{}{}: {} limits were reset\n", line.limited_ip, line.limited_value,
                      line.limited_route, answer["reset"].get<uint64_t>()));
  }
  return 0;
}

int run_limits_bans(const cli::CommandLine& line) {
  const Json answer = ask_running(line.data_dir, {{"command", "bans"}});
  if (!answer.is_object()) return 1;
  print_rows(line, answer["bans"], {"ip", "rule", "since", "until", "enforced"});
  if (answer["complete"].get<bool>()) return 0;
  complain("a loop did not answer in time: its bans are missing");
  return 1;
}

std::optional<gateway::LimitSubject> parse_limit_subject(const std::string& ip,
                                                         const std::string& value,
                                                         const std::string& route) {
  if (int{!ip.empty()} + int{!value.empty()} + int{!route.empty()} != 1) return std::nullopt;
  if (!value.empty()) return gateway::LimitedValue{value};
  if (!route.empty()) return gateway::LimitedRoute{route};
  const std::optional<config::IpAddress> client = config::parse_ip(ip);
  if (!client) return std::nullopt;
  return gateway::LimitedClient{*client};
}

std::string name_of(const gateway::LimitSubject& subject) {
  if (const auto* const client = std::get_if<gateway::LimitedClient>(&subject)) {
    return config::to_string(client->ip);
  }
  if (const auto* const route = std::get_if<gateway::LimitedRoute>(&subject)) {
    return "route " + config::in_quotes(route->id);
  }
  return "a header's value";
}

std::string bans_json(const std::vector<gateway::StartedBan>& bans, bool complete) {
  Json rows = Json::array();
  for (const gateway::StartedBan& ban : bans) {
    rows.push_back({{"ip", config::to_string(ban.client)},
                    {"rule", ban.rule()},
                    {"since", codec::iso_ms(base::unix_ms(ban.at))},
                    {"until", codec::iso_ms(base::unix_ms(ban.until))},
                    {"enforced", ban.enforced}});
  }
  return json_text({{"bans", rows}, {"complete", complete}});
}

std::string limits_json(const std::vector<gateway::LimitUse>& limits) {
  Json rows = Json::array();
  for (const gateway::LimitUse& each : limits) {
    rows.push_back({{"id", each.id},
                    {"own", each.own},
                    {"enforced", each.enforced},
                    {"limit", each.limit.requests},
                    {"window_seconds", each.limit.window.count()},
                    {"used", each.limit.requests - each.room.remaining},
                    {"remaining", each.room.remaining},
                    {"retry_after_seconds", seconds_of(each.room.retry_after)},
                    {"reset_after_seconds", seconds_of(each.room.reset_after)}});
  }
  return json_text({{"limits", rows}});
}

}  // namespace weir::app
