#pragma once
// Alerts: when they fire where that is configurable, and the webhook that is told about them.
//
// A webhook's URL holds a secret: who knows it can post. So it is in no message, log line, answer
// or metric; shown_url() is what is.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::config {

enum class WebhookFormat : uint8_t {
  generic,  // One JSON object with all that is known (webhook/payload.h).
  feishu,   // Feishu and Lark: a text message of a custom bot.
  slack,    // Slack's incoming webhooks, and what understands them.
};

struct Webhook {
  std::string url;  // Empty: nobody is told.
  WebhookFormat format = WebhookFormat::generic;
  bool allow_private = false;               // Addresses that are not of the public internet, too.
  std::chrono::milliseconds timeout{5000};  // Of one try, from the look-up to the answer's end.
  bool operator==(const Webhook&) const = default;
};

struct Alerts {
  std::chrono::milliseconds cooldown{600'000};  // Between two messages about one alert.
  uint64_t global_rps = 0;                      // Requests a second that fire an alert; 0: none do.
  uint64_t ip_spike = 0;  // Requests of one client on one UTC day that fire one; 0: none do.
  Webhook webhook;
  bool operator==(const Alerts&) const = default;
};

inline constexpr size_t kWebhookUrlBytesMax = 2048;

// "http://" or "https://", a host name or address, maybe a port, path and query; visible ASCII.
// No user name, no fragment, and nothing that shown_url() returned.
// Errors: invalid_input; `what` is a noun phrase for the user, without any of the URL.
base::Status check_webhook_url(std::string_view url);

// Scheme, host and port, and "/***" for all else: "https://hooks.example.com/***". Empty for an
// empty one. Requires what check_webhook_url() accepts, or returns "***".
std::string shown_url(std::string_view url);

}  // namespace weir::config
