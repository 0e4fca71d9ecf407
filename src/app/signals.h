#pragma once
// Signals as readiness on the control loop, so that no code runs inside a handler.

#include <functional>
#include <memory>

#include "base/result.h"
#include "loop/loop.h"
#include "os/fd.h"

namespace weir::app {

// Blocks SIGTERM, SIGINT, SIGHUP and SIGUSR1 for this thread and all that it starts, and ignores
// SIGPIPE. Call before any thread is started.
void block_signals();

// Ownership: owns its descriptor; borrows the loop.
// Threading: the control thread.
class Signals final : public loop::Task {
 public:
  static base::Result<std::unique_ptr<Signals>> open(loop::Loop& loop,
                                                     std::function<void(int signal)> on_signal);

 private:
  Signals(os::Fd descriptor, std::function<void(int)> on_signal)
      : descriptor_(std::move(descriptor)), on_signal_(std::move(on_signal)) {}
  void on_ready(uint32_t ready) override;

  os::Fd descriptor_;
  std::function<void(int)> on_signal_;
};

}  // namespace weir::app
