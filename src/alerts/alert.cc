#include "alerts/alert.h"

#include <array>

namespace weir::alerts {
namespace {

constexpr std::array<std::string_view, kSeverities> kSeverityWords{"info", "warning", "critical"};
constexpr std::array<std::string_view, 5> kEventWords{"raised", "reminder", "over", "missed",
                                                      "test"};
constexpr std::array<std::string_view, kSources> kSourceWords{"day", "live", "clients", "alarms"};

template <typename Enum, size_t Count>
std::optional<Enum> enum_of(const std::array<std::string_view, Count>& words,
                            std::string_view word) {
  for (size_t at = 0; at < Count; ++at) {
    if (words[at] == word) return static_cast<Enum>(at);
  }
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Severity severity) {
  return kSeverityWords[static_cast<size_t>(severity)];
}
std::string_view to_string(Event event) {
  return kEventWords[static_cast<size_t>(event)];
}
std::string_view to_string(Source source) {
  return kSourceWords[static_cast<size_t>(source)];
}
std::optional<Severity> severity_of(std::string_view word) {
  return enum_of<Severity>(kSeverityWords, word);
}
std::optional<Source> source_of(std::string_view word) {
  return enum_of<Source>(kSourceWords, word);
}

Message test_message(int64_t now_ms) {
  return {.event = Event::test,
          .alert = {.id = "test",
                    .key = "test",
                    .severity = Severity::info,
                    .title = "Test",
                    .message = "Somebody asked for this message. Nothing is wrong.",
                    .timestamp_ms = now_ms,
                    .link = "/dashboard"},
          .since_ms = now_ms,
          .until_ms = {}};
}

}  // namespace weir::alerts
