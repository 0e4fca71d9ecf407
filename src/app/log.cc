#include "app/log.h"

#include <cstdio>

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
    const std::string time = codec::iso_ms(base::unix_ms(clock_.wall()));
    if (format_ == config::LogFormat::json) {
      nlohmann::ordered_json line{{"time", time}, {"level", name(level)}};
      if (!marker.empty()) line["marker"] = marker;
      line["message"] = text;
      logger_.info(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    } else if (!marker.empty()) {
      logger_.info("{} {} ({})", marker, text, time);
    } else {
      logger_.info("{} {:<7} {}", time, name(level), text);
    }
  }

 private:
  const base::Clock& clock_;
  const config::LogFormat format_;
  spdlog::logger logger_;
};

}  // namespace

std::unique_ptr<base::Logger> make_logger(const base::Clock& clock, config::LogFormat format) {
  return std::make_unique<SpdLogger>(clock, format);
}

void complain(std::string_view text) {
  std::fprintf(stderr, "weir: %.*s\n", static_cast<int>(text.size()), text.data());
}

}  // namespace weir::app
