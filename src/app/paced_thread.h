#pragma once
// A thread that does one step of work after another and waits in between as long as the last step
// asked for. The storage thread and the consumer are such.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "loop/loop.h"

namespace weir::app {

// Ownership: owns its thread; borrows the clock.
// Threading: start() and stop(): one thread.
class PacedThread final {
 public:
  // Does some work and returns how long to wait before the next step; 0: at once.
  using Step = std::function<std::chrono::milliseconds()>;

  // `niceness`: 0 is the data loops' own; larger gives way to them.
  // Errors: unavailable (out of descriptors).
  static base::Result<std::unique_ptr<PacedThread>> create(base::Clock& clock, std::string name,
                                                           int niceness, Step step);
  ~PacedThread();

  void start();
  // Runs `function` on the thread, between two steps. False: too many wait. Any thread.
  [[nodiscard]] bool post(std::function<void()> function) {
    return loop_->post(std::move(function));
  }
  // Ends after the step in progress. Idempotent.
  void stop();

 private:
  class Stepper;
  PacedThread(std::unique_ptr<loop::Loop> loop, std::string name, int niceness, Step step);

  const std::string name_;
  const int niceness_;
  std::unique_ptr<loop::Loop> loop_;
  std::unique_ptr<Stepper> stepper_;  // Of our thread.
  std::thread thread_;
};

}  // namespace weir::app
