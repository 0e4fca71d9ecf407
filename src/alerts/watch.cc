#include "alerts/watch.h"

#include <algorithm>
#include <utility>

namespace weir::alerts {

Watched Watch::evaluate(Figures figures, uint64_t peak_rpm, const WatchOptions& options,
                        const std::atomic<bool>& cancelled) {
  const Moment now = Moment::of(clock_);
  if (!loaded_) load(now);
  if (figures.live) {
    book_.observe_peak(peak_rpm, figures.now_ms);
    figures.live->settled_peak_rpm = book_.settled_peak();
  }
  for (const BookChange& change :
       book_.evaluate(firing(figures, options.thresholds), figures, now)) {
    ports_.changed(change);
  }
  Watched watched;
  if (options.webhook) {
    send(options, cancelled, watched);
  } else {
    book_.forgo_ends();
  }
  save();
  watched.kept = loaded_ && saved_ == book_.generation();
  watched.raised =
      static_cast<size_t>(std::count_if(book_.entries().begin(), book_.entries().end(),
                                        [](const auto& pair) { return pair.second.raised; }));
  return watched;
}

// What is no image is put aside before anything replaces it.
void Watch::load(const Moment& now) {
  const base::Result<std::optional<std::string>> image = ports_.load();
  if (!image.ok()) return;
  if (image.value() && !book_.restore(*image.value(), now).ok()) {
    if (!ports_.set_aside(*image.value()).ok()) return;
  }
  loaded_ = true;
}

void Watch::save() {
  const uint64_t generation = book_.generation();
  if (!loaded_ || saved_ == generation) return;
  if (ports_.save(book_.image()).ok()) saved_ = generation;
}

void Watch::send(const WatchOptions& options, const std::atomic<bool>& cancelled,
                 Watched& watched) {
  const base::Monotonic end = clock_.monotonic() + kSendingMax;
  const std::vector<Message> due = book_.due(options.cooldown, Moment::of(clock_));
  size_t tried = 0;
  for (const Message& message : due) {
    if (tried == kMessagesMax || clock_.monotonic() >= end || cancelled) break;
    ++tried;
    const Sent sent = ports_.send(message);
    // What was cut short by the end of the process did not fail.
    if (sent != Sent::delivered && cancelled) break;
    if (sent == Sent::delivered) {
      ++watched.delivered;
      book_.delivered(message, Moment::of(clock_));
      save();
      continue;
    }
    ++watched.failed;
    book_.failed(message, Moment::of(clock_));
    if (sent == Sent::unreachable) break;
  }
  watched.waiting = due.size() - tried;
}

}  // namespace weir::alerts
