#include "app/signals.h"

#include <cerrno>
#include <csignal>

#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace weir::app {
namespace {

sigset_t our_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1})
    sigaddset(&set, signal);
  return set;
}

}  // namespace

void block_signals() {
  const sigset_t set = our_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

base::Result<std::unique_ptr<Signals>> Signals::open(loop::Loop& loop,
                                                     std::function<void(int signal)> on_signal) {
  const sigset_t set = our_signals();
  os::Fd descriptor{::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
  if (!descriptor.valid()) {
    return base::Error{base::ErrorCode::unavailable, base::Origin::self, base::Retry::never, errno,
                       "signal descriptor"};
  }
  std::unique_ptr<Signals> signals{
      new Signals{std::move(descriptor), std::move(on_signal)}};  // Private constructor.
  WEIR_TRY(loop.watch_listener(signals->descriptor_.get(), *signals, false));
  return signals;
}

void Signals::on_ready(uint32_t /*ready*/) {
  signalfd_siginfo info{};
  while (::read(descriptor_.get(), &info, sizeof info) == sizeof info) {
    on_signal_(static_cast<int>(info.ssi_signo));
  }
}

}  // namespace weir::app
