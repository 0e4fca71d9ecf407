#pragma once
// Five-field cron expressions, in UTC: "minute hour day-of-month month day-of-week".
//
//   field            values     names        also
//   minute           0 to 59
//   hour             0 to 23
//   day of the month 1 to 31
//   month            1 to 12    JAN to DEC
//   day of the week  0 to 7     SUN to SAT   0 and 7 are Sunday; FRI-SUN ends on the Sunday
//
// A field is `*`, a value, a range `a-b`, a step over either (`*/n`, `a-b/n`), or a list of these
// with commas. Names in any case. When both day fields are restricted, a day matches when either
// does; else both must. A field is restricted unless it begins with `*`, so that the days of
// "0 0 */2 * SUN" are Sundays with an odd number.
// Source: crontab(5) of Debian 12, POSIX.1-2017 crontab.
//
// Stricter than that: what people write by mistake is refused and not given a meaning. A range that
// ends before it begins, a step without a range ("5/10"), a step larger than the field, and days
// that never come ("0 0 31 2 *"). Nicknames ("@daily"), `?`, `L`, `W` and `#` are not cron.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "base/thread_annotations.h"

namespace weir::codec {

// Why an expression is refused.
struct CronProblem {
  size_t column = 0;    // From 1, in bytes.
  std::string message;  // What is wrong: `minute "60" is out of range`.
  std::string allowed;  // What would be right: "0 to 59".
  bool operator==(const CronProblem&) const = default;
};

// `column 1: minute "60" is out of range; allowed: 0 to 59`
std::string to_string(const CronProblem& problem);

// Threading: immutable after construction.
// Limits: expressions of up to kTextBytesMax bytes; times from year 0 to year 9999.
class Cron {
 public:
  static constexpr size_t kTextBytesMax = 256;

  // Errors: invalid_input; `*problem`, if given, says what, where, and what is allowed.
  static base::Result<Cron> parse(std::string_view text, CronProblem* problem = nullptr);

  // The first matching minute after `time`. Nothing: it would lie beyond year 9999.
  // At most 41 years are searched (29 February on one day of the week), months that do not match
  // in one step each.
  std::optional<base::Wall> next_after(base::Wall time) const;

  // The last matching minute that is not after `time`. Nothing: it would lie before year 0.
  std::optional<base::Wall> last_at_or_before(base::Wall time) const;

  const std::string& text() const WEIR_LIFETIMEBOUND { return text_; }  // As it was given.

 private:
  friend class CronParser;
  Cron() = default;

  bool matches_month(std::chrono::month month) const;
  bool matches_day(std::chrono::sys_days day, const std::chrono::year_month_day& date) const;
  std::optional<int> first_minute(int from) const;  // Minutes of a day, 0 to 1439.
  std::optional<int> last_minute(int to) const;

  std::string text_;
  uint64_t minutes_ = 0;  // Bit n is set when the value n matches; so are the four below.
  uint64_t hours_ = 0;
  uint64_t days_ = 0;
  uint64_t months_ = 0;
  uint64_t weekdays_ = 0;  // 0 to 6, Sunday is 0.
  bool either_day_ = false;
};

}  // namespace weir::codec
