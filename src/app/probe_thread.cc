#include "app/probe_thread.h"

#include <utility>

#include <pthread.h>

namespace weir::app {

base::Result<std::unique_ptr<ProbeThread>> ProbeThread::start(base::Clock& clock) {
  auto loop = loop::Loop::create(clock);
  if (!loop.ok()) return loop.error();
  std::unique_ptr<ProbeThread> probes{
      new ProbeThread{std::move(loop).value()}};  // Private constructor.
  probes->thread_ = std::thread([loop = probes->loop_.get()] { loop->run(); });
  ::pthread_setname_np(probes->thread_.native_handle(), "health");
  return probes;
}

ProbeThread::ProbeThread(std::unique_ptr<loop::Loop> loop)
    : loop_(std::move(loop)), context_(*loop_), prober_(context_) {}

ProbeThread::~ProbeThread() {
  loop_->stop();
  thread_.join();
}

void ProbeThread::watch(std::shared_ptr<const gateway::Snapshot> snapshot) {
  // Not sent: thousands of others wait, and the last of them that was sent is nearly the same.
  [[maybe_unused]] const bool sent =
      loop_->post([this, snapshot = std::move(snapshot)] { prober_.watch(*snapshot); });
}

}  // namespace weir::app
