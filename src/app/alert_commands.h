#pragma once
// `weir alerts`: what fires in the running server, and a test of its webhook.

#include <string>

#include <nlohmann/json.hpp>

#include "app/alert_job.h"
#include "cli/command_line.h"

namespace weir::app {

// Exit code: 0: nothing fires; 3: something does; 1: no server runs.
int run_alerts_list(const cli::CommandLine& line);
// Exit code: 0: the message was delivered; 1: it was not, or no server runs.
int run_alerts_test(const cli::CommandLine& line);

// [{id, severity, title, message, value, timestamp, link, since, notified}…], critical ones first;
// times in milliseconds since 1970; `notified`: when the webhook was told last, null: never.
nlohmann::ordered_json raised_json(const AlertsView& view);
// {url, format, delivered, refused, unreachable, last: null or {at, delivered, text}}; null: none.
nlohmann::ordered_json webhook_json(const AlertsView& view);
// What the server answers: {alerts, summary: {total, critical, warning, info}, timestamp, webhook,
// test: {asked, done, delivered, text}}; `timestamp` is the evaluation's, null: there was none yet.
std::string alerts_json(const AlertsView& view);

}  // namespace weir::app
