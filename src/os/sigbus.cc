#include "os/sigbus.h"

#include <array>
#include <cerrno>
#include <csignal>

#include <sys/mman.h>
#include <unistd.h>

#include "base/assert.h"

namespace weir::os {
namespace {

struct Slot {
  // `begin` is stored last (release) and read first (acquire) by the handler, which may run on any
  // thread at any moment: a handler that sees `begin` sees the rest. 0: free.
  std::atomic<uintptr_t> begin = 0;
  std::atomic<uintptr_t> end = 0;
  std::atomic<GuardedRegion*> region = nullptr;
};

// A signal handler has no other way to reach its data.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
constinit std::array<Slot, GuardedRegion::kRegionsMax> slots{};
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
constinit struct sigaction previous {};
// Handlers look at no slot at or above it, so that a SIGBUS does not walk 4096 slots.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
constinit std::atomic<size_t> slots_used{0};

// Async-signal-safe: atomics and mmap(), which is one system call here.
bool replace_page(uintptr_t address) {
  const size_t used = slots_used.load(std::memory_order_acquire);
  for (size_t i = 0; i < used; ++i) {
    Slot& slot = slots[i];
    const uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    if (begin == 0 || address < begin) continue;
    if (address >= slot.end.load(std::memory_order_relaxed)) continue;
    const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    auto* const start =
        reinterpret_cast<void*>(address / page * page);  // NOLINT(performance-no-int-to-ptr)
    void* const mapped =
        ::mmap(start, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (mapped == MAP_FAILED) return false;
    slot.region.load(std::memory_order_relaxed)->mark_failed();
    return true;
  }
  return false;
}

void handle(int signal, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const bool replaced = replace_page(reinterpret_cast<uintptr_t>(info->si_addr));
  errno = saved_errno;
  if (replaced) return;
  if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction != nullptr) {
    previous.sa_sigaction(signal, info, context);
    return;
  }
  // Not ours: die of it as if nobody had handled it. Returning repeats the access.
  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  ::sigaction(SIGBUS, &by_default, nullptr);
}

}  // namespace

void install_sigbus_handler() {
  struct sigaction action {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  struct sigaction old {};
  WEIR_ASSERT(::sigaction(SIGBUS, &action, &old) == 0);
  if ((old.sa_flags & SA_SIGINFO) == 0 || old.sa_sigaction != handle) previous = old;
}

GuardedRegion::GuardedRegion(std::span<char> region) {
  const auto begin = reinterpret_cast<uintptr_t>(region.data());
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].begin.load(std::memory_order_relaxed) != 0) continue;
    slots[i].end.store(begin + region.size(), std::memory_order_relaxed);
    slots[i].region.store(this, std::memory_order_relaxed);
    slots[i].begin.store(begin, std::memory_order_release);
    slot_ = i;
    if (slots_used.load(std::memory_order_relaxed) <= i) {
      slots_used.store(i + 1, std::memory_order_release);
    }
    return;
  }
}

GuardedRegion::~GuardedRegion() {
  if (slot_ != SIZE_MAX) slots[slot_].begin.store(0, std::memory_order_release);
}

}  // namespace weir::os
