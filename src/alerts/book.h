#pragma once
// Remembers which alerts are raised, since when, and what has been told about them.
//
//               fires                      kClearAfter evaluations in a row
//                                          know that it does not fire
//   (nothing) ─────────► raised ─────────────────────────────────────────► over ──► forgotten
//                          ▲                                                │
//                          └──────────────── fires again ───────────────────┘
//
// So a figure that wobbles around a bound raises one alert. What is not known (is_known()) neither
// raises nor ends.
//
// What is to be told (due()), for each key:
//   raised    once, and again as `reminder` while it goes on: after the cooldown, then after twice
//             as long each time, a day at the most; also when it has become critical, after the
//             cooldown
//   over      once, as soon as it is over, if `raised` was delivered
//   missed    instead of both, of a critical alert that was over before `raised` was delivered
// What is owed of an end is told within kOwedMax, or never.
// Between two deliveries of raised, reminder or missed for one key lies the cooldown, whatever
// happens in between: an alert that comes back sooner waits. `over` does not wait.
//
// A message is due until delivered() says that it has arrived. What failed is due again after a
// pause of a minute, doubled each time, up to kRetryMax.
//
// The image holds what must outlive a restart: raised alerts and what was told when. What a pause
// or a cooldown still has to run is measured by the monotonic clock, so a step of the wall clock
// neither repeats nor delays a message; over a restart it is the wall clock that is asked, and a
// stamp from the future counts as this moment.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alerts/alert.h"
#include "alerts/peak.h"
#include "alerts/rules.h"
#include "base/clock.h"
#include "base/result.h"

namespace weir::alerts {

struct Moment {
  base::Wall wall;
  base::Monotonic monotonic;

  static Moment of(const base::Clock& clock) { return {clock.wall(), clock.monotonic()}; }
};

struct BookEntry {
  Alert alert;  // As it fired last.
  bool raised = true;
  int64_t since_ms = 0;             // When it was raised.
  std::optional<int64_t> over_ms;   // When it ended; none while raised.
  Severity worst = Severity::info;  // Since it was raised.
  bool told = false;                // That it is raised was delivered.
  bool owes_end = false;            // Its end is to be told: as over, or, untold, as missed.
  // What the last delivery of raised, reminder or missed said, and when; none: there was none.
  Severity told_severity = Severity::info;
  std::optional<int64_t> told_ms;
  uint32_t reminders = 0;  // Since it was raised.

  // Of this process.
  std::optional<base::Monotonic> told_at;
  uint32_t quiet = 0;     // Evaluations in a row that know that it does not fire.
  uint32_t failures = 0;  // Deliveries in a row that failed.
  base::Monotonic retry_at{};
};

struct BookChange {
  enum class Kind : uint8_t { raised, over, refused };  // refused: the book is full.
  Kind kind;
  Alert alert;
};

// Ownership: owns all it knows.
// Threading: one thread at a time.
// Limits: kEntriesMax entries. Beyond, those that are over are forgotten first, the oldest first;
//   when all are raised, a further alert is refused until one of them ends.
class Book {
 public:
  static constexpr uint32_t kClearAfter = 3;
  static constexpr size_t kEntriesMax = 256;
  static constexpr std::chrono::hours kReminderMax{24};
  static constexpr std::chrono::hours kOwedMax{24};
  static constexpr std::chrono::minutes kRetryFirst{1};
  static constexpr std::chrono::minutes kRetryMax{15};
  // The longest cooldown that is kept over the end of an alert; alerts.cooldown is at most that.
  static constexpr std::chrono::hours kCooldownMax{1};

  // What fires now. Returns what was raised and what ended.
  std::vector<BookChange> evaluate(const std::vector<Alert>& firing, const Figures& figures,
                                   const Moment& now);

  // Critical ones first; those that failed often last.
  std::vector<Message> due(std::chrono::milliseconds cooldown, const Moment& now) const;
  void delivered(const Message& message, const Moment& now);
  void failed(const Message& message, const Moment& now);
  // There is nobody to be told: ends are not owed. What is raised stays to be told.
  void forgo_ends();

  // Of live traffic; here because it is kept with the rest.
  void observe_peak(uint64_t peak_rpm, int64_t now_ms);
  std::optional<uint64_t> settled_peak() const { return peak_.value(); }

  // By key; also those that are over and not forgotten yet.
  const std::map<std::string, BookEntry>& entries() const { return entries_; }

  // Grows with each change that an image holds.
  uint64_t generation() const { return generation_; }

  // JSON text, docs/formats/alerts.md.
  std::string image() const;

  // Takes up what an image holds beside what is known already: an alert that is known stays as it
  // is, and what was told before counts. Errors: corrupt (Origin::storage, Retry::never): no image,
  // or of another version; then nothing has changed.
  base::Status restore(std::string_view image, const Moment& now);

 private:
  bool make_room();
  void refresh(BookEntry& entry, const Alert& alert, const Moment& now,
               std::vector<BookChange>& changes);
  bool end(BookEntry& entry, const Moment& now);
  void forget(const Moment& now);

  std::map<std::string, BookEntry> entries_;
  SettledPeak peak_;
  uint64_t generation_ = 0;
};

}  // namespace weir::alerts
