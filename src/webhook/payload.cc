#include "webhook/payload.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "codec/iso_time.h"

namespace weir::webhook {
namespace {

using alerts::Event;
using alerts::Message;
using Json = nlohmann::ordered_json;

std::string text_of(const Message& message, std::string_view node) {
  const alerts::Alert& alert = message.alert;
  const std::string since = codec::iso_ms(message.since_ms);
  const std::string until = message.until_ms ? codec::iso_ms(*message.until_ms) : std::string{};
  switch (message.event) {
    case Event::raised:
    case Event::test:
      return fmt::format("[{}] {}: {}\n{}", to_string(alert.severity), node, alert.title,
                         alert.message);
    case Event::reminder:
      return fmt::format("[{}] {}: {}, since {}\n{}", to_string(alert.severity), node, alert.title,
                         since, alert.message);
    case Event::over:
      return fmt::format("[over] {}: {}, from {} to {}", node, alert.title, since, until);
    case Event::missed:
      return fmt::format("[{}, over] {}: {}, from {} to {}\n{}", to_string(alert.severity), node,
                         alert.title, since, until, alert.message);
  }
  return {};
}

// Source: Slack's "Formatting text for app surfaces": these three are its control characters.
std::string slack_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Json generic_of(const Message& message, std::string_view node) {
  const alerts::Alert& alert = message.alert;
  return {{"event", to_string(message.event)},
          {"node", node},
          {"id", alert.id},
          {"severity", to_string(alert.severity)},
          {"title", alert.title},
          {"message", alert.message},
          {"value", alert.value},
          {"timestamp", alert.timestamp_ms},
          {"since", message.since_ms},
          {"until", message.until_ms ? Json(*message.until_ms) : Json(nullptr)},
          {"link", alert.link}};
}

}  // namespace

std::string payload(config::WebhookFormat format, const Message& message, std::string_view node) {
  Json json;
  switch (format) {
    case config::WebhookFormat::generic:
      json = generic_of(message, node);
      break;
    case config::WebhookFormat::feishu:
      json = {{"msg_type", "text"}, {"content", {{"text", text_of(message, node)}}}};
      break;
    case config::WebhookFormat::slack:
      json = {{"text", slack_escaped(text_of(message, node))}};
      break;
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool is_success(config::WebhookFormat format, int status, std::string_view body) {
  if (status < 200 || status > 299) return false;
  if (format != config::WebhookFormat::feishu) return true;
  const Json answer = Json::parse(body, nullptr, false);
  if (!answer.is_object()) return true;
  const auto code = answer.find("code");
  return code == answer.end() || !code->is_number() || *code == 0;
}

}  // namespace weir::webhook
