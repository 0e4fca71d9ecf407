#include "loop/watchdog.h"

#include <algorithm>
#include <utility>

#include "os/thread_stack.h"

namespace weir::loop {

void Watchdog::watch(std::string name, const Loop& loop) {
  watched_.push_back(std::make_unique<Watched>());
  watched_.back()->name = std::move(name);
  watched_.back()->loop = &loop;
}

Watchdog::Nanoseconds Watchdog::look() {
  const Nanoseconds threshold =
      std::chrono::milliseconds{threshold_ms_.load(std::memory_order_relaxed)};
  if (threshold.count() == 0) return kNever;
  Nanoseconds next = threshold;
  for (const auto& each : watched_) {
    Watched& watched = *each;
    const int64_t since_ns = watched.loop->busy_since_ns();
    // After it, so that a turn never seems to have begun in the future.
    const base::Monotonic now = clock_.monotonic();
    if (watched.since_ns != 0 && watched.since_ns != since_ns) {
      if (!watched.said) say(watched, now, true);
      watched.since_ns = 0;
    }
    if (since_ns == 0) continue;
    const Nanoseconds busy = now.time_since_epoch() - Nanoseconds{since_ns};
    if (busy < threshold) {
      next = std::min(next, threshold - busy);
      continue;
    }
    if (watched.since_ns == 0) begin(watched, since_ns);
    watched.seen = busy;
    if (busy.count() > watched.longest_ns.load(std::memory_order_relaxed)) {
      watched.longest_ns.store(busy.count(), std::memory_order_relaxed);
    }
    if (!watched.said && busy >= kSayAfter) say(watched, now, false);
    next = std::min<Nanoseconds>(next, watched.said ? kSayAfter / 10 : kStalledLook);
  }
  return next;
}

void Watchdog::begin(Watched& watched, int64_t since_ns) {
  watched.since_ns = since_ns;
  watched.said = false;
  watched.count.fetch_add(1, std::memory_order_relaxed);
  watched.stack = os::stack_of(watched.loop->thread_id(), kStackPatience);
  // Of the next turn, perhaps: better none than a wrong one.
  if (watched.loop->busy_since_ns() != since_ns) watched.stack.clear();
}

void Watchdog::say(Watched& watched, base::Monotonic now, bool over) {
  watched.said = true;
  if (now < watched.quiet_until) {
    ++watched.unsaid;
    return;
  }
  watched.quiet_until = now + kLogEvery;
  const std::string where =
      watched.stack.empty() ? "its stack could not be taken" : os::describe_stack(watched.stack);
  const std::string others =
      watched.unsaid == 0 ? "" : fmt::format(" ({} more since the last such line)", watched.unsaid);
  watched.unsaid = 0;
  logger_.log(base::LogLevel::warning, "{} stalled for {:.1f} ms{}{}, at {}", watched.name,
              static_cast<double>(watched.seen.count()) / 1e6, over ? "" : " and goes on", others,
              where);
}

std::vector<Watchdog::Stalls> Watchdog::stalls() const {
  std::vector<Stalls> result;
  for (const auto& watched : watched_) {
    result.push_back({watched->name, watched->count.load(std::memory_order_relaxed),
                      Nanoseconds{watched->longest_ns.load(std::memory_order_relaxed)}});
  }
  return result;
}

}  // namespace weir::loop
