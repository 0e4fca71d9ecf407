#include "alerts/book.h"

#include <algorithm>
#include <set>
#include <utility>

namespace weir::alerts {
namespace {

using std::chrono::milliseconds;

bool is_cool(const BookEntry& entry, milliseconds cooldown, const Moment& now) {
  return !entry.told_at || now.monotonic - *entry.told_at >= cooldown;
}

milliseconds reminder_after(const BookEntry& entry, milliseconds cooldown) {
  milliseconds wait = cooldown;
  for (uint32_t i = 0; i < entry.reminders && wait < Book::kReminderMax; ++i)
    wait *= 2;
  return std::min<milliseconds>(wait, Book::kReminderMax);
}

// What is to be told now; nothing: nothing.
std::optional<Event> due_event(const BookEntry& entry, milliseconds cooldown, const Moment& now) {
  if (now.monotonic < entry.retry_at) return std::nullopt;
  if (!entry.raised) {
    if (!entry.owes_end) return std::nullopt;
    if (entry.told) return Event::over;
    return is_cool(entry, cooldown, now) ? std::optional{Event::missed} : std::nullopt;
  }
  if (!is_cool(entry, cooldown, now)) return std::nullopt;
  if (!entry.told) return Event::raised;
  const bool worse = entry.alert.severity > entry.told_severity;
  if (worse || is_cool(entry, reminder_after(entry, cooldown), now)) return Event::reminder;
  return std::nullopt;
}

}  // namespace

std::vector<BookChange> Book::evaluate(const std::vector<Alert>& firing, const Figures& figures,
                                       const Moment& now) {
  std::vector<BookChange> changes;
  std::set<std::string_view> fires;
  for (const Alert& alert : firing) {
    fires.insert(alert.key);
    const auto known = entries_.find(alert.key);
    if (known != entries_.end()) {
      refresh(known->second, alert, now, changes);
    } else if (make_room()) {
      entries_.emplace(
          alert.key,
          BookEntry{.alert = alert, .since_ms = base::unix_ms(now.wall), .worst = alert.severity});
      changes.push_back({BookChange::Kind::raised, alert});
      ++generation_;
    } else {
      changes.push_back({BookChange::Kind::refused, alert});
    }
  }
  for (auto& [key, entry] : entries_) {
    if (!entry.raised || fires.contains(key) || !is_known(figures, entry.alert.source)) continue;
    if (end(entry, now)) changes.push_back({BookChange::Kind::over, entry.alert});
  }
  forget(now);
  return changes;
}

void Book::refresh(BookEntry& entry, const Alert& alert, const Moment& now,
                   std::vector<BookChange>& changes) {
  entry.alert = alert;
  entry.quiet = 0;
  entry.worst = entry.raised ? std::max(entry.worst, alert.severity) : alert.severity;
  if (entry.raised) return;
  // Whoever was told of it and not yet that it was over has the right picture again.
  entry.raised = true;
  entry.owes_end = false;
  entry.since_ms = base::unix_ms(now.wall);
  entry.over_ms.reset();
  if (!entry.told) entry.reminders = 0;
  changes.push_back({BookChange::Kind::raised, alert});
  ++generation_;
}

// True: it is over.
bool Book::end(BookEntry& entry, const Moment& now) {
  if (++entry.quiet < kClearAfter) return false;
  entry.raised = false;
  entry.quiet = 0;
  entry.over_ms = base::unix_ms(now.wall);
  entry.owes_end = entry.told || entry.worst == Severity::critical;
  // The end is to be told at once, however often the beginning failed.
  entry.failures = 0;
  entry.retry_at = {};
  ++generation_;
  return true;
}

// Those that are over, of which nothing is to be told, and whose cooldown has passed.
void Book::forget(const Moment& now) {
  const int64_t now_ms = base::unix_ms(now.wall);
  for (auto& [key, entry] : entries_) {
    if (!entry.owes_end || now_ms - *entry.over_ms < milliseconds{kOwedMax}.count()) continue;
    entry.owes_end = false;
    entry.told = false;
    ++generation_;
  }
  const size_t erased = std::erase_if(entries_, [&](const auto& pair) {
    const BookEntry& entry = pair.second;
    return !entry.raised && !entry.owes_end && is_cool(entry, kCooldownMax, now);
  });
  if (erased > 0) ++generation_;
}

bool Book::make_room() {
  if (entries_.size() < kEntriesMax) return true;
  auto oldest = entries_.end();
  for (auto at = entries_.begin(); at != entries_.end(); ++at) {
    if (at->second.raised) continue;
    if (oldest == entries_.end() || at->second.over_ms < oldest->second.over_ms) oldest = at;
  }
  if (oldest == entries_.end()) return false;
  entries_.erase(oldest);
  return true;
}

std::vector<Message> Book::due(milliseconds cooldown, const Moment& now) const {
  struct Due {
    uint32_t failures;
    Message message;
  };
  std::vector<Due> found;
  for (const auto& [key, entry] : entries_) {
    const std::optional<Event> event = due_event(entry, cooldown, now);
    if (!event) continue;
    found.push_back({entry.failures,
                     {.event = *event,
                      .alert = entry.alert,
                      .since_ms = entry.since_ms,
                      .until_ms = entry.over_ms}});
    if (event == Event::missed) found.back().message.alert.severity = entry.worst;
  }
  std::stable_sort(found.begin(), found.end(), [](const Due& a, const Due& b) {
    if (a.failures != b.failures) return a.failures < b.failures;
    return a.message.alert.severity > b.message.alert.severity;
  });
  std::vector<Message> messages;
  for (Due& due : found)
    messages.push_back(std::move(due.message));
  return messages;
}

void Book::delivered(const Message& message, const Moment& now) {
  const auto known = entries_.find(message.alert.key);
  if (known == entries_.end()) return;
  BookEntry& entry = known->second;
  entry.failures = 0;
  entry.retry_at = {};
  ++generation_;
  if (message.event == Event::over) {
    entry.told = false;
    entry.owes_end = false;
    return;
  }
  entry.told_at = now.monotonic;
  entry.told_ms = base::unix_ms(now.wall);
  entry.told_severity = message.alert.severity;
  if (message.event == Event::missed) {
    entry.owes_end = false;
    return;
  }
  if (message.event == Event::reminder) ++entry.reminders;
  entry.told = true;
}

void Book::failed(const Message& message, const Moment& now) {
  const auto known = entries_.find(message.alert.key);
  if (known == entries_.end()) return;
  BookEntry& entry = known->second;
  milliseconds pause = kRetryFirst;
  for (uint32_t i = 0; i < entry.failures && pause < kRetryMax; ++i)
    pause *= 2;
  ++entry.failures;
  entry.retry_at = now.monotonic + std::min<milliseconds>(pause, kRetryMax);
}

void Book::forgo_ends() {
  for (auto& [key, entry] : entries_) {
    if (!entry.owes_end) continue;
    entry.owes_end = false;
    entry.told = false;
    ++generation_;
  }
}

void Book::observe_peak(uint64_t peak_rpm, int64_t now_ms) {
  if (peak_.observe(peak_rpm, now_ms)) ++generation_;
}

}  // namespace weir::alerts
