#pragma once
// Which scheduled time of one job is to be run next, whatever the wall clock does.
//
// Times that pass unseen (the process was busy, the machine slept, the clock was put forward) are
// owed as one run, for the last of them. A time that was taken is never due again, also when the
// clock goes back over it; a time that the clock leaps over and then reaches a second time is due
// then, because it was not run.

#include <cstddef>
#include <deque>
#include <optional>

#include "base/clock.h"
#include "base/thread_annotations.h"
#include "codec/cron.h"

namespace weir::jobs {

// Ownership: a value.
// Threading: one thread at a time.
// Limits: remembers the last kTakenMax times that were taken. A clock that goes back over more of
//   them than that repeats the older ones.
class Timetable {
 public:
  static constexpr size_t kTakenMax = 1000;

  struct Due {
    base::Wall scheduled;
    bool missed;  // It was owed from before the start.
  };

  // Only times after `now` become due by themselves.
  Timetable(codec::Cron cron, base::Wall now)
      : cron_(std::move(cron)), settled_through_(now), seen_(now) {}

  const codec::Cron& cron() const WEIR_LIFETIMEBOUND { return cron_; }

  // The time to be run, or none. Asking does not take it.
  std::optional<Due> due(base::Wall now);

  // It is run, or skipped: neither it nor an earlier time is due any more.
  void take(base::Wall scheduled);

  // A time that was taken in an earlier life of the process; the newest first.
  void remember(base::Wall scheduled);
  // A time that was missed while the process was down.
  void owe(base::Wall scheduled) { owed_ = scheduled; }

  bool was_taken(base::Wall scheduled) const;

 private:
  codec::Cron cron_;
  base::Wall settled_through_;  // Times up to here are not looked at.
  base::Wall seen_;             // The clock when due() was last asked.
  std::optional<base::Wall> owed_;
  std::deque<base::Wall> taken_;  // Oldest first.
};

// Until when something that a job makes with every run should be kept: twice as long from `now` as
// to its next time but one. That is at least twice the time between two runs, so what is published
// outlives a run that is late or fails, and it does not stay for ever when all of them do.
base::Wall kept_until(const codec::Cron& schedule, base::Wall now);

}  // namespace weir::jobs
