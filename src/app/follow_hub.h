#pragma once
// What `weir tail` shows: the lines that a server logs and the events that its consumer commits,
// handed to everybody who follows, as they come.
//
// Nobody waits for a reader: lines go into a bounded buffer per follower; what does not fit is
// dropped, and a line in its place says how many were.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/control_socket.h"
#include "base/clock.h"
#include "base/logger.h"
#include "base/thread_annotations.h"
#include "pipeline/consumer.h"

namespace weir::app {

// Ownership: borrows its followers, which are the callers' and must be gone before it is; borrows
//   the clock.
// Threading: log() any thread; on_events() the consumer thread; the rest the control thread.
// Limits: kFollowersMax; kPendingBytesMax waiting for each. Without followers a line costs one
// load.
class FollowHub final : public pipeline::EventSink {
 public:
  static constexpr size_t kFollowersMax = 8;
  static constexpr size_t kPendingBytesMax = 2 * 1024 * 1024;

  struct Rules {
    bool json = false;  // An object per line, with `type`: log, event or lost.
    std::string grep;   // Only lines that contain it; empty: all.
  };

  explicit FollowHub(const base::Clock& clock) : clock_(clock) {}
  ~FollowHub() override;

  // What is called, on whatever thread, when lines begin to wait. Before anybody follows.
  void set_notice(std::function<void()> notice) { notice_ = std::move(notice); }

  // Follows from now on until the stream is destroyed. Null: kFollowersMax do.
  std::unique_ptr<LineStream> follow(Rules rules);
  size_t followers() const { return count_.load(std::memory_order_relaxed); }

  void log(base::LogLevel level, std::string_view marker, std::string_view text);
  void on_events(std::span<const traffic::Event> events) override;

 private:
  class Follower;
  // Renders the line in the forms that are wanted, at most once each.
  class Line;

  // Under the lock. True: somebody had no line waiting and has one since.
  static bool offer(const std::vector<Follower*>& followers, Line& line);

  const base::Clock& clock_;
  std::function<void()> notice_;
  // Relaxed: a line at the very moment of joining may be shown or not.
  std::atomic<size_t> count_{0};
  base::Mutex mutex_;
  std::vector<Follower*> followers_ WEIR_GUARDED_BY(mutex_);
};

// A Logger whose lines are followed, too.
// Ownership: owns the other logger; borrows the hub.
// Threading: any thread.
class FollowedLogger final : public base::Logger {
 public:
  FollowedLogger(std::unique_ptr<base::Logger> logger, FollowHub& hub)
      : logger_(std::move(logger)), hub_(hub) {}

  bool enabled(base::LogLevel level) const override { return logger_->enabled(level); }
  void write(base::LogLevel level, std::string_view marker, std::string_view text) override {
    logger_->write(level, marker, text);
    hub_.log(level, marker, text);
  }

 private:
  const std::unique_ptr<base::Logger> logger_;
  FollowHub& hub_;
};

}  // namespace weir::app
