#pragma once
// An alert: something about the traffic or the node that a person should know now. And the messages
// that say so to a webhook.
//
// An *alarm* says that the node itself is not well (weir_alarm, design of the node); every raised
// alarm fires an alert. Other alerts are about what clients send and get.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::alerts {

enum class Severity : uint8_t { info, warning, critical };  // Ascending.
inline constexpr size_t kSeverities = 3;

// Where the figures that an alert rests on are from. What is not known fires nothing and ends
// nothing.
enum class Source : uint8_t {
  day,      // The last 24 hours, of the database.
  live,     // The last minutes, of memory.
  clients,  // Clients of today, of the database.
  alarms,   // Of the node.
};
inline constexpr size_t kSources = 4;

struct Alert {
  std::string id;   // "high-error-rate", "ip-traffic-spike-0123456789abcdef", "alarm-store".
  std::string key;  // Under which messages are counted; the founding system's where it had one.
  Severity severity = Severity::warning;
  Source source = Source::day;
  std::string title;    // A few words.
  std::string message;  // One sentence with the figures.
  double value = 0;     // What was compared: percent, requests, requests a second.
  int64_t timestamp_ms = 0;
  std::string link;  // A page of the dashboard: "/dashboard", "/cache", "/ip-monitor?search=…".
  bool operator==(const Alert&) const = default;
};

enum class Event : uint8_t {
  raised,    // It fires.
  reminder,  // It fires still.
  over,      // It no longer does.
  missed,    // It fired, and ended before anybody could be told.
  test,      // Nothing fires: somebody wants to see a message.
};

struct Message {
  Event event = Event::raised;
  Alert alert;
  int64_t since_ms = 0;             // When it was raised.
  std::optional<int64_t> until_ms;  // When it ended: over, missed.
  bool operator==(const Message&) const = default;
};

// The words that are shown, stored and sent.
std::string_view to_string(Severity severity);
std::string_view to_string(Event event);
std::string_view to_string(Source source);
std::optional<Severity> severity_of(std::string_view word);
std::optional<Source> source_of(std::string_view word);

// What `weir alerts test` sends.
Message test_message(int64_t now_ms);

}  // namespace weir::alerts
