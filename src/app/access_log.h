#pragma once
// The access log: one line per event, written by the consumer from journal records, in the order of
// the database. Data loops never see it.

#include <atomic>
#include <memory>
#include <string>

#include "base/logger.h"
#include "config/config.h"
#include "os/fd.h"
#include "pipeline/consumer.h"

namespace weir::app {

// Ownership: owns its file; borrows the logger.
// Threading: the consumer thread; reopen(): any thread.
// Limits: lines of one call are gathered and written together. A write that fails drops them: they
//   are counted, and said once a minute at most.
class AccessLog final : public pipeline::EventSink {
 public:
  AccessLog(config::AccessLog options, base::Logger& logger);
  ~AccessLog() override;

  void on_events(std::span<const traffic::Event> events) override;

  // Opens the file again before the next line: after it was rotated away.
  void reopen() { reopen_.store(true, std::memory_order_relaxed); }
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  void open();
  void write_all(size_t lines);
  void send_to_syslog();

  const config::AccessLog options_;
  base::Logger& logger_;
  os::Fd file_;
  std::string lines_;
  std::atomic<bool> reopen_{false};   // Relaxed: a flag of its own.
  std::atomic<uint64_t> dropped_{0};  // Relaxed: a count of its own.
  bool complained_ = false;
};

// The line of an event, without its end: as the format "json", as the format "combined", and for
// eyes, with what matters to them.
void append_event_json(std::string& line, const traffic::Event& event);
void append_event_combined(std::string& line, const traffic::Event& event);
void append_event_text(std::string& line, const traffic::Event& event);

}  // namespace weir::app
