#include "app/watchdog_thread.h"

#include <cerrno>
#include <cstdint>
#include <ctime>

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "os/thread_stack.h"

namespace weir::app {

base::Result<std::unique_ptr<WatchdogThread>> WatchdogThread::start(
    const DataPlane& data_plane, std::chrono::milliseconds threshold, const base::Clock& clock,
    base::Logger& logger) {
  os::Fd wake_up{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  if (!wake_up.valid()) {
    return base::Error{base::ErrorCode::unavailable, base::Origin::self, base::Retry::never, errno,
                       "watchdog's descriptor"};
  }
  os::install_stack_handler();
  std::unique_ptr<WatchdogThread> watchdog{
      new WatchdogThread{std::move(wake_up), clock, logger}};  // Private constructor.
  for (uint32_t i = 0; i < data_plane.loops(); ++i)
    watchdog->watchdog_.watch(fmt::format("loop-{}", i), data_plane.loop(i));
  watchdog->watchdog_.set_threshold(threshold);
  watchdog->thread_ = std::thread{[self = watchdog.get()] { self->run(); }};
  ::pthread_setname_np(watchdog->thread_.native_handle(), "watchdog");
  return watchdog;
}

WatchdogThread::~WatchdogThread() {
  stopping_.store(true, std::memory_order_relaxed);
  wake();
  thread_.join();
}

void WatchdogThread::set_threshold(std::chrono::milliseconds threshold) {
  watchdog_.set_threshold(threshold);
  wake();
}

void WatchdogThread::wake() {
  const uint64_t one = 1;
  // It can only fail when the counter is full, and then the thread is awake anyhow.
  [[maybe_unused]] const ssize_t written = ::write(wake_up_.get(), &one, sizeof one);
}

void WatchdogThread::run() {
  while (!stopping_.load(std::memory_order_relaxed)) {
    const auto wait = watchdog_.look();
    timespec timeout{};
    timeout.tv_sec = wait.count() / 1'000'000'000;
    timeout.tv_nsec = wait.count() % 1'000'000'000;
    pollfd ready{.fd = wake_up_.get(), .events = POLLIN, .revents = 0};
    const bool forever = wait == loop::Watchdog::kNever;
    if (::ppoll(&ready, 1, forever ? nullptr : &timeout, nullptr) == 1) {
      uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = ::read(wake_up_.get(), &count, sizeof count);
    }
  }
}

}  // namespace weir::app
