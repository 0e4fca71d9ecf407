#include "app/paced_thread.h"

#include <utility>

#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace weir::app {

class PacedThread::Stepper final : public loop::Task {
 public:
  Stepper(loop::Loop& loop, Step step) : loop_(loop), step_(std::move(step)) {}

  void run_step() {
    const std::chrono::milliseconds wait = step_();
    if (wait.count() <= 0) {
      loop_.clear_deadline(*this);
      return loop_.defer(*this);
    }
    loop_.set_deadline(*this, loop_.clock().monotonic() + wait);
  }

 private:
  void on_ready(uint32_t /*ready*/) override {}
  void on_deadline() override { run_step(); }
  void on_turn() override { run_step(); }

  loop::Loop& loop_;
  const Step step_;
};

base::Result<std::unique_ptr<PacedThread>> PacedThread::create(base::Clock& clock, std::string name,
                                                               int niceness, Step step) {
  auto loop = loop::Loop::create(clock);
  if (!loop.ok()) return loop.error();
  return std::unique_ptr<PacedThread>{new PacedThread{std::move(loop).value(), std::move(name),
                                                      niceness, std::move(step)}};  // Private.
}

PacedThread::PacedThread(std::unique_ptr<loop::Loop> loop, std::string name, int niceness,
                         Step step)
    : name_(std::move(name)),
      niceness_(niceness),
      loop_(std::move(loop)),
      stepper_(std::make_unique<Stepper>(*loop_, std::move(step))) {}

PacedThread::~PacedThread() {
  stop();
}

void PacedThread::start() {
  loop_->defer(*stepper_);
  thread_ = std::thread([this] {
    // A thread of its own for Linux, whatever POSIX says: only this one becomes nicer.
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), niceness_);
    loop_->run();
  });
  ::pthread_setname_np(thread_.native_handle(), name_.c_str());
}

void PacedThread::stop() {
  if (!thread_.joinable()) return;
  loop_->stop();
  thread_.join();
}

}  // namespace weir::app
