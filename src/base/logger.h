#pragma once
// Where log lines go. The implementation (app/) uses spdlog; modules see this interface alone, so a
// test can capture what was said.
//
// A line is written once, where the facts are known. Data loops use a logger whose ring is bounded:
// what does not fit is dropped and counted.

#include <cstdint>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace weir::base {

enum class LogLevel : uint8_t { debug, info, warning, error };

// Threading: any thread.
class Logger {
 public:
  virtual ~Logger() = default;

  // One line, without its end. `marker` is a fixed text that operators search for (the founding
  // markers such as "📦 Queue Batch"), or empty; the text format puts it at the beginning of the
  // line, JSON into the field `marker`. Never blocks for longer than one write to a local file.
  virtual void write(LogLevel level, std::string_view marker, std::string_view text) = 0;
  virtual bool enabled(LogLevel level) const = 0;

  template <typename... Args>
  void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(level)) write(level, {}, fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void mark(std::string_view marker, fmt::format_string<Args...> format, Args&&... args) {
    if (enabled(LogLevel::info)) {
      write(LogLevel::info, marker, fmt::format(format, std::forward<Args>(args)...));
    }
  }
};

// Says nothing. For tests and tools.
// Threading: any thread.
class NullLogger final : public Logger {
 public:
  void write(LogLevel, std::string_view, std::string_view) override {}
  bool enabled(LogLevel) const override { return false; }
};

}  // namespace weir::base
