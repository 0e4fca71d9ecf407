#include "jobs/timetable.h"

#include <algorithm>

namespace weir::jobs {

std::optional<Timetable::Due> Timetable::due(base::Wall now) {
  // The clock went back: what lies ahead is decided by what was taken, not by how far it had come.
  if (now < seen_) settled_through_ = std::min(settled_through_, now);
  seen_ = now;
  const std::optional<base::Wall> last = cron_.last_at_or_before(now);
  if (last && *last > settled_through_) {
    if (!was_taken(*last)) return Due{*last, false};
    settled_through_ = *last;
  }
  if (owed_) return Due{*owed_, true};
  return std::nullopt;
}

void Timetable::take(base::Wall scheduled) {
  settled_through_ = std::max(settled_through_, scheduled);
  owed_.reset();
  taken_.push_back(scheduled);
  if (taken_.size() > kTakenMax) taken_.pop_front();
}

void Timetable::remember(base::Wall scheduled) {
  if (taken_.size() < kTakenMax) taken_.push_front(scheduled);
}

bool Timetable::was_taken(base::Wall scheduled) const {
  return std::find(taken_.begin(), taken_.end(), scheduled) != taken_.end();
}

base::Wall kept_until(const codec::Cron& schedule, base::Wall now) {
  constexpr std::chrono::hours kWithoutNext{24};  // Near the year 10000.
  const std::optional<base::Wall> next = schedule.next_after(now);
  const std::optional<base::Wall> after = next ? schedule.next_after(*next) : std::nullopt;
  return after ? now + 2 * (*after - now) : now + kWithoutNext;
}

}  // namespace weir::jobs
