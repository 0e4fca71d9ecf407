#pragma once
// One event loop on one thread: readiness (epoll, edge-triggered), deadlines (a timing wheel),
// letters from other threads, and a second turn for who used up its budget.
//
// Everything a data loop owns belongs to its thread. Nothing here blocks except the wait itself.
//
// Deadlines are lazy: a Task has one entry in the wheel, and moving its deadline later only stores
// the new time; when the entry's slot comes up too early, it is put back. So a keep-alive timer
// costs a busy connection one store per request.
// Source: timing wheels, Varghese and Lauck (1987), hashed with one level.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include <sys/types.h>

#include "base/clock.h"
#include "base/result.h"
#include "loop/mailbox.h"
#include "loop/task.h"

namespace weir::loop {

// Ownership: owns its epoll and wake-up descriptors, and what was disposed in the current turn;
//   borrows the clock and every Task.
// Threading: home loop only, except post(), stop(), busy_since_ns() and thread_id(), from any
//   thread.
// Limits: kPostsMax functions wait at a time; kReadyMax descriptors are served per wait; deadlines
//   ring up to kTick late.
class Loop final : public Waker {
 public:
  static constexpr std::chrono::milliseconds kTick{8};
  static constexpr size_t kSlots = 1024;
  static constexpr size_t kReadyMax = 256;
  static constexpr size_t kPostsMax = 4096;

  // Errors: unavailable (the system is out of descriptors).
  static base::Result<std::unique_ptr<Loop>> create(base::Clock& clock);
  ~Loop() override;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Serves until stop(). The thread that calls it becomes the loop's thread.
  void run();
  // One wait of at most `wait_max`, and everything that became due. For run() and for tests.
  void turn(std::chrono::milliseconds wait_max);
  void stop();

  // Reports every change of readiness of `descriptor` to `task` until the descriptor is closed.
  base::Status watch(int descriptor, Task& task);
  // A listening descriptor: level-triggered, readable only; `shared` wakes one of several loops
  // that watch the same one (EPOLLEXCLUSIVE).
  base::Status watch_listener(int descriptor, Task& task, bool shared);
  void unwatch(int descriptor);

  // Rings `task.on_deadline()` once at `at`, in place of an earlier deadline.
  void set_deadline(Task& task, base::Monotonic at);
  void set_deadline(Task& task, std::chrono::milliseconds delay) {
    set_deadline(task, now_ + delay);
  }
  void clear_deadline(Task& task) { task.deadline_ = base::Monotonic::max(); }

  // Calls `task.on_turn()` once, after the descriptors that are ready in this turn.
  void defer(Task& task);

  // Destroys `task` at the end of this turn; none of its callbacks runs from here on.
  void dispose(std::unique_ptr<Task> task);

  // Runs `function` on the loop's thread. False when kPostsMax are waiting.
  [[nodiscard]] bool post(std::function<void()> function) {
    return posts_.try_send(std::move(function));
  }
  void wake() override;  // Waker: any thread.

  // Time at the beginning of the turn: cheap enough for every use on the data plane.
  base::Monotonic now() const { return now_; }
  base::Wall wall() const { return wall_; }
  base::Clock& clock() { return clock_; }

  // When the running turn began, as nanoseconds of the monotonic clock; 0 while waiting and when
  // run() has returned.
  int64_t busy_since_ns() const { return busy_since_ns_.load(std::memory_order_relaxed); }
  // The thread in run(), as the kernel knows it; 0 before.
  pid_t thread_id() const { return thread_id_.load(std::memory_order_relaxed); }

 private:
  Loop(base::Clock& clock, int epoll, int wake_up);

  void refresh_time();
  int wait_ms(std::chrono::milliseconds wait_max) const;
  void arm(Task& task);
  void expire();
  void expire_slot(size_t slot);
  void run_deferred();
  void run_posts();

  static uint64_t tick_of(base::Monotonic time) {
    return static_cast<uint64_t>(time.time_since_epoch() / kTick);
  }

  base::Clock& clock_;
  const int epoll_;
  const int wake_up_;
  base::Monotonic now_{};
  base::Wall wall_{};
  uint64_t tick_ = 0;  // The last tick that was expired.
  std::array<Node, kSlots> wheel_;
  std::array<uint64_t, kSlots / 64> occupied_{};  // A bit per slot that may hold entries.
  Node deferred_;
  std::vector<std::unique_ptr<Task>> disposed_;
  Mailbox<std::function<void()>> posts_;
  std::atomic<bool> stopping_{false};      // Relaxed: stop() wakes the loop, which then reads it.
  std::atomic<bool> woken_{false};         // Set by wake(), cleared before the posts are taken.
  std::atomic<int64_t> busy_since_ns_{0};  // Relaxed: read by the watchdog for its magnitude only.
  std::atomic<pid_t> thread_id_{0};        // Relaxed: a number of its own.
};

// A deadline without a descriptor: calls a function once per set().
// Ownership: destroying it cancels it. Borrows the loop.
// Threading: home loop only.
class Alarm final : public Task {
 public:
  Alarm(Loop& loop, std::function<void()> ring) : loop_(loop), ring_(std::move(ring)) {}
  void set(std::chrono::milliseconds delay) { loop_.set_deadline(*this, delay); }
  void cancel() { loop_.clear_deadline(*this); }

 private:
  void on_ready(uint32_t /*ready*/) override {}
  void on_deadline() override { ring_(); }

  Loop& loop_;
  std::function<void()> ring_;
};

}  // namespace weir::loop
