#include "os/thread_stack.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <fmt/format.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"

namespace weir::os {
namespace {

// The handler itself and the kernel's return from it.
constexpr int kHandlerFrames = 2;

// Who may touch `frames` is in `state`: the handler from the moment it has changed "wanted from
// thread N" into kWriting until it says kWritten; else the thread that asks. A handler that comes
// too late finds another state and leaves everything alone. The semaphore only wakes.
constexpr int64_t kNobody = 0;
constexpr int64_t kWriting = -1;
constexpr int64_t kWritten = -2;

struct Request {
  std::atomic<int64_t> state{kNobody};  // Or the thread that is asked.
  std::array<void*, kStackFramesMax + kHandlerFrames> frames{};
  int depth = 0;
  sem_t wake_up{};
};

// A signal handler has no other way to its data.
constinit Request request;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

int stack_signal() {
  return SIGRTMIN + 1;
}

void on_signal(int /*signal*/) {
  const int kept = errno;
  int64_t asked = this_thread();
  // Acquire and release: the asking thread's last look at `frames` comes before this.
  if (request.state.compare_exchange_strong(asked, kWriting, std::memory_order_acq_rel)) {
    request.depth = ::backtrace(request.frames.data(), static_cast<int>(request.frames.size()));
    request.state.store(kWritten, std::memory_order_release);
    ::sem_post(&request.wake_up);
  }
  errno = kept;
}

bool wait_written(std::chrono::milliseconds patience) {
  timespec until{};
  ::clock_gettime(CLOCK_MONOTONIC, &until);
  const int64_t end = until.tv_nsec + patience.count() * 1'000'000;
  until.tv_sec += end / 1'000'000'000;
  until.tv_nsec = end % 1'000'000'000;
  // A wake-up may be left over from an answer that nobody waited for.
  while (request.state.load(std::memory_order_acquire) != kWritten) {
    if (::sem_clockwait(&request.wake_up, CLOCK_MONOTONIC, &until) != 0 && errno != EINTR) {
      return false;
    }
  }
  return true;
}

std::string describe_frame(void* frame) {
  // A return address may lie behind the last instruction of its function.
  auto* const inside = static_cast<char*>(frame) - 1;
  Dl_info info{};
  if (::dladdr(inside, &info) == 0) return fmt::format("{}", frame);
  if (info.dli_sname != nullptr) {
    int failed = 0;
    const std::unique_ptr<char, void (*)(void*)> name{
        abi::__cxa_demangle(info.dli_sname, nullptr, nullptr, &failed), std::free};
    return failed == 0 ? name.get() : info.dli_sname;
  }
  const std::string_view file{info.dli_fname};
  return fmt::format("{}+{:#x}", file.substr(file.rfind('/') + 1),
                     inside - static_cast<char*>(info.dli_fbase));
}

}  // namespace

pid_t this_thread() {
  return static_cast<pid_t>(::syscall(SYS_gettid));
}

void install_stack_handler() {
  WEIR_ASSERT(::sem_init(&request.wake_up, 0, 0) == 0);
  request.depth = ::backtrace(request.frames.data(), 1);
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  WEIR_ASSERT(::sigaction(stack_signal(), &action, nullptr) == 0);
}

std::vector<void*> stack_of(pid_t tid, std::chrono::milliseconds patience) {
  // A handler that an earlier call gave up on may be at work still.
  if (request.state.load(std::memory_order_acquire) == kWriting && !wait_written(patience)) {
    return {};
  }
  request.state.store(tid, std::memory_order_release);
  const bool sent = ::syscall(SYS_tgkill, ::getpid(), tid, stack_signal()) == 0;
  if (!sent || !wait_written(patience)) {
    int64_t asked = tid;
    request.state.compare_exchange_strong(asked, kNobody, std::memory_order_acq_rel);
    return {};
  }
  std::vector<void*> frames;
  for (int i = kHandlerFrames; i < request.depth; ++i)
    frames.push_back(request.frames[static_cast<size_t>(i)]);
  request.state.store(kNobody, std::memory_order_release);
  return frames;
}

std::string describe_stack(std::span<void* const> frames) {
  std::string text;
  for (void* const frame : frames) {
    if (!text.empty()) text += " < ";
    text += describe_frame(frame);
  }
  return text;
}

}  // namespace weir::os
