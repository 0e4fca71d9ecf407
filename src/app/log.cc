#include "app/log.h"

#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "codec/iso_time.h"

namespace weir::app {
namespace {

std::string_view name(base::LogLevel level) {
  switch (level) {
    case base::LogLevel::debug:
      return "debug";
    case base::LogLevel::info:
      return "info";
    case base::LogLevel::warning:
      return "warning";
    case base::LogLevel::error:
      return "error";
  }
  return "info";
}

// Threading: any thread: the sink has a lock, held for one write.
class SpdLogger final : public base::Logger {
 public:
  SpdLogger(const base::Clock& clock, config::LogFormat format)
      : clock_(clock),
        format_(format),
        logger_("weir", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger_.set_pattern("%v");
    logger_.set_level(spdlog::level::trace);
    logger_.flush_on(spdlog::level::trace);
  }

  bool enabled(base::LogLevel level) const override { return level != base::LogLevel::debug; }

  void write(base::LogLevel level, std::string_view marker, std::string_view text) override {
    logger_.info("{}", log_line(clock_.wall(), format_, level, marker, text));
  }

 private:
  const base::Clock& clock_;
  const config::LogFormat format_;
  spdlog::logger logger_;
};

}  // namespace

std::string log_line(base::Wall now, config::LogFormat format, base::LogLevel level,
                     std::string_view marker, std::string_view text) {
  const std::string time = codec::iso_ms(base::unix_ms(now));
  if (format == config::LogFormat::json) {
    nlohmann::ordered_json line{{"time", time}, {"level", name(level)}};
    if (!marker.empty()) line["marker"] = marker;
    line["message"] = text;
    return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  if (!marker.empty()) return fmt::format("{} {} ({})", marker, text, time);
  return fmt::format("{} {:<7} {}", time, name(level), text);
}

std::unique_ptr<base::Logger> make_logger(const base::Clock& clock, config::LogFormat format) {
  return std::make_unique<SpdLogger>(clock, format);
}

void complain(std::string_view text) {
  std::fprintf(stderr, "weir: %.*s\n", static_cast<int>(text.size()), text.data());
}

}  // namespace weir::app
