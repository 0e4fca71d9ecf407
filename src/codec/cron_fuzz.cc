// Goal: an expression means one sequence of minutes, whichever way it is searched. Method: the
// first bytes choose a moment, the rest is an expression; what is accepted is walked forwards and
// backwards; what is refused says why, inside the text.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "base/assert.h"
#include "codec/cron.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::codec;  // NOLINT(google-build-using-namespace): a fuzz target only.
  int64_t microseconds = 0;
  if (size < sizeof microseconds) return 0;
  std::memcpy(&microseconds, data, sizeof microseconds);
  const weir::base::Wall time{std::chrono::microseconds{microseconds}};
  const std::string_view text{reinterpret_cast<const char*>(data) + sizeof microseconds,
                              size - sizeof microseconds};
  CronProblem problem;
  const auto cron = Cron::parse(text, &problem);
  if (!cron.ok()) {
    WEIR_ASSERT(problem.column >= 1 && problem.column <= text.size() + 1);
    WEIR_ASSERT(!problem.message.empty() && !problem.allowed.empty());
    return 0;
  }
  const auto next = cron.value().next_after(time);
  if (next) {
    WEIR_ASSERT(*next > time);
    WEIR_ASSERT(cron.value().last_at_or_before(*next) == next);
    WEIR_ASSERT(cron.value().next_after(*next - std::chrono::microseconds{1}) == next);
    const auto last = cron.value().last_at_or_before(*next - std::chrono::microseconds{1});
    WEIR_ASSERT(!last || (*last <= time && cron.value().next_after(*last) == next));
  }
  return 0;
}
