#include "app/alert_commands.h"

#include <fmt/format.h>

#include "app/command_output.h"
#include "app/log.h"
#include "codec/iso_time.h"

namespace weir::app {
namespace {

constexpr int kExitFiring = 3;
// The evaluation before may be sending to a webhook that does not answer.
constexpr std::chrono::minutes kTestPatience{5};

Json time_or_null(const std::optional<int64_t>& unix_ms) {
  return unix_ms ? Json(*unix_ms) : Json(nullptr);
}

Json iso_of(const Json& unix_ms) {
  return unix_ms.is_null() ? Json() : Json(codec::iso_ms(unix_ms.get<int64_t>()));
}

}  // namespace

int run_alerts_list(const cli::CommandLine& line) {
  const Json answer = ask_running(line.data_dir, {{"command", "alerts"}});
  if (!answer.is_object()) return 1;
  const int code = answer["alerts"].empty() ? 0 : kExitFiring;
  if (line.json) {
    print_json(answer);
    return code;
  }
  if (answer["timestamp"].is_null()) {
    print("nothing was evaluated yet: weir jobs run alerts\n");
    return code;
  }
  Json rows = Json::array();
  for (const Json& alert : answer["alerts"]) {
    rows.push_back({{"alert", alert["id"]},
                    {"severity", alert["severity"]},
                    {"since", iso_of(alert["since"])},
                    {"notified", iso_of(alert["notified"])},
                    {"what", alert["message"]}});
  }
  if (rows.empty()) {
    print("no alerts\n");
  } else {
    print_rows(line, rows, {"alert", "severity", "since", "notified", "what"});
  }
  return code;
}

int run_alerts_test(const cli::CommandLine& line) {
  const Json asked = ask_running(line.data_dir, {{"command", "alerts.test"}});
  if (!asked.is_object()) return 1;
  const auto number = asked["test"].get<uint64_t>();
  const Json answer = ask_until(
      line.data_dir, {{"command", "alerts"}}, kTestPatience,
      [number](const Json& seen) { return seen["test"]["done"].get<uint64_t>() >= number; });
  if (!answer.is_object()) {
    complain("the server ended, or another job did not");
    return 1;
  }
  const Json& test = answer["test"];
  const bool delivered = test["delivered"].get<bool>();
  const std::string server = answer["webhook"].is_null() ? "" : answer["webhook"]["url"];
  if (line.json) {
    print_json({{"url", server}, {"delivered", delivered}, {"text", test["text"]}});
  } else if (delivered) {
    print(fmt::format("delivered to {}: {}\n", server, test["text"].get<std::string>()));
  } else {
    complain(fmt::format("not delivered{}{}: {}", server.empty() ? "" : " to ", server,
                         test["text"].get<std::string>()));
  }
  return delivered ? 0 : 1;
}

nlohmann::ordered_json raised_json(const AlertsView& view) {
  Json list = Json::array();
  for (const alerts::BookEntry& entry : view.raised) {
    const alerts::Alert& alert = entry.alert;
    list.push_back({{"id", alert.id},
                    {"severity", to_string(alert.severity)},
                    {"title", alert.title},
                    {"message", alert.message},
                    {"value", alert.value},
                    {"timestamp", alert.timestamp_ms},
                    {"link", alert.link},
                    {"since", entry.since_ms},
                    {"notified", time_or_null(entry.told_ms)}});
  }
  return list;
}

nlohmann::ordered_json webhook_json(const AlertsView& view) {
  const AlertsView::Webhook& webhook = view.webhook;
  if (webhook.url.empty()) return nullptr;
  Json last;
  if (webhook.last_ms) {
    last = {{"at", *webhook.last_ms},
            {"delivered", webhook.last_delivered},
            {"text", webhook.last_text}};
  }
  return {{"url", webhook.url},
          {"format", webhook.format},
          {"delivered", webhook.delivered},
          {"refused", webhook.refused},
          {"unreachable", webhook.unreachable},
          {"last", last}};
}

std::string alerts_json(const AlertsView& view) {
  std::array<uint64_t, alerts::kSeverities> by_severity{};
  for (const alerts::BookEntry& entry : view.raised)
    ++by_severity[static_cast<size_t>(entry.alert.severity)];
  const auto count = [&](alerts::Severity severity) {
    return by_severity[static_cast<size_t>(severity)];
  };
  return json_text({{"alerts", raised_json(view)},
                    {"summary",
                     {{"total", view.raised.size()},
                      {"critical", count(alerts::Severity::critical)},
                      {"warning", count(alerts::Severity::warning)},
                      {"info", count(alerts::Severity::info)}}},
                    {"timestamp", time_or_null(view.evaluated_ms)},
                    {"webhook", webhook_json(view)},
                    {"test",
                     {{"asked", view.test.asked},
                      {"done", view.test.done},
                      {"delivered", view.test.delivered},
                      {"text", view.test.text}}}});
}

}  // namespace weir::app
