#include "app/access_log.h"

#include <array>
#include <ctime>

#include <fcntl.h>
#include <fmt/format.h>
#include <syslog.h>
#include <unistd.h>

#include "codec/iso_time.h"

namespace weir::app {
namespace {

constexpr std::array<std::string_view, 6> kOutcomes{"complete", "client_abort", "upstream_abort",
                                                    "timeout",  "refused",      "open_ended"};

// Escapes what would end a JSON string, a quoted field or a line. Bytes of 0x80 and above pass:
// they are UTF-8, or were never text.
void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
}

// "15/Oct/2025:14:03:07 +0000"
std::string combined_time(int64_t arrival_us) {
  constexpr std::array kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                               "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const base::Wall at{std::chrono::microseconds{arrival_us}};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss time{std::chrono::floor<std::chrono::seconds>(at - day)};
  return fmt::format("{:02}/{}/{}:{:02}:{:02}:{:02} +0000", unsigned{date.day()},
                     kMonths[unsigned{date.month()} - 1], int{date.year()}, time.hours().count(),
                     time.minutes().count(), time.seconds().count());
}

}  // namespace

AccessLog::AccessLog(config::AccessLog options, base::Logger& logger)
    : options_(std::move(options)), logger_(logger) {
  if (options_.target == "syslog") ::openlog("weir", LOG_PID, LOG_DAEMON);
  open();
}

AccessLog::~AccessLog() {
  if (options_.target == "syslog") ::closelog();
}

void AccessLog::open() {
  if (options_.target == "syslog") return;
  if (options_.target == "stdout") {
    file_.reset(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
    return;
  }
  file_.reset(::open(options_.target.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640));
  if (!file_.valid()) {
    logger_.log(base::LogLevel::error, "access log {}: cannot be opened (errno {})",
                options_.target, errno);
  }
}

void AccessLog::on_events(std::span<const traffic::Event> events) {
  if (reopen_.exchange(false, std::memory_order_relaxed)) open();
  lines_.clear();
  for (const traffic::Event& event : events) {
    if (options_.format == config::AccessLogFormat::json) {
      append_event_json(lines_, event);
    } else {
      append_event_combined(lines_, event);
    }
    lines_ += '\n';
  }
  if (options_.target == "syslog") return send_to_syslog();
  write_all(events.size());
}

void AccessLog::write_all(size_t lines) {
  size_t written = 0;
  while (written < lines_.size() && file_.valid()) {
    const ssize_t count = ::write(file_.get(), lines_.data() + written, lines_.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    written += static_cast<size_t>(count);
  }
  if (written == lines_.size()) {
    complained_ = false;
    return;
  }
  dropped_.fetch_add(lines, std::memory_order_relaxed);
  if (!complained_) {
    logger_.log(base::LogLevel::error, "access log {}: lines are being dropped (errno {})",
                options_.target, errno);
  }
  complained_ = true;
}

void AccessLog::send_to_syslog() {
  std::string_view rest{lines_};
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    ::syslog(LOG_INFO, "%.*s", static_cast<int>(end), rest.data());
    rest.remove_prefix(end + 1);
  }
}

void append_event_json(std::string& line, const traffic::Event& event) {
  const auto text = [&line](std::string_view name, std::string_view value) {
    line += ",\"";
    line += name;
    line += "\":\"";
    append_escaped(line, value);
    line += '"';
  };
  line += "{\"time\":\"";
  codec::append_iso_ms(line, event.arrival_us / 1000);
  line += '"';
  text("id", traffic::to_string(event.id));
  text("client", event.client_ip);
  text("method", event.method);
  text("path", event.path);
  text("route", event.route_id);
  fmt::format_to(std::back_inserter(line),
                 ",\"status\":{},\"duration_us\":{},\"upstream_us\":{},\"bytes_in\":{},"
                 "\"bytes_out\":{},\"attempts\":{}",
                 event.status, event.duration_us, event.upstream_us, event.bytes_in,
                 event.bytes_out, event.attempts);
  text("outcome", kOutcomes[static_cast<size_t>(event.outcome)]);
  text("user_agent", event.user_agent);
  line += '}';
}

void append_event_combined(std::string& line, const traffic::Event& event) {
  line += event.client_ip.empty() ? std::string_view{"-"} : event.client_ip;
  fmt::format_to(std::back_inserter(line), " - - [{}] \"", combined_time(event.arrival_us));
  append_escaped(line, event.method);
  line += ' ';
  append_escaped(line, event.path);
  fmt::format_to(std::back_inserter(line), " HTTP/1.1\" {} {} \"-\" \"", event.status,
                 event.bytes_out);
  append_escaped(line, event.user_agent);
  line += '"';
}

void append_event_text(std::string& line, const traffic::Event& event) {
  codec::append_iso_ms(line, event.arrival_us / 1000);
  line += " event   ";
  append_escaped(line, event.method);
  line += ' ';
  append_escaped(line, event.path);
  fmt::format_to(std::back_inserter(line), " {} {:.1f} ms {} bytes {} {}", event.status,
                 static_cast<double>(event.duration_us) / 1000.0, event.bytes_out,
                 kOutcomes[static_cast<size_t>(event.outcome)],
                 event.client_ip.empty() ? std::string_view{"-"} : event.client_ip);
  if (!event.user_agent.empty()) {
    line += " \"";
    append_escaped(line, event.user_agent);
    line += '"';
  }
}

}  // namespace weir::app
