#include "base/fault_point.h"

#if defined(WEIR_FAULTS)
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include <unistd.h>

namespace weir::base {
namespace {

struct Armed {
  std::string_view name;
  long pass = 0;
};

Armed armed_from_environment() {
  const char* const text = std::getenv("WEIR_FAULT");
  if (text == nullptr) return {};
  const char* const colon = std::strrchr(text, ':');
  if (colon == nullptr) return {};
  Armed armed{{text, static_cast<size_t>(colon - text)}};
  std::from_chars(colon + 1, colon + std::strlen(colon), armed.pass);
  return armed;
}

}  // namespace

void fault_point(const char* name) {
  static const Armed kArmed = armed_from_environment();
  // Relaxed: only the count matters, and a kill orders nothing after it.
  static constinit std::atomic<long> passes{0};
  if (kArmed.pass == 0 || kArmed.name != name) return;
  if (passes.fetch_add(1, std::memory_order_relaxed) + 1 == kArmed.pass)
    ::kill(::getpid(), SIGKILL);
}

}  // namespace weir::base
#endif
