#include "codec/cron.h"

#include <bitset>
#include <cstdlib>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "codec/iso_time.h"

namespace weir::codec {
namespace {

using base::Wall;
using std::chrono::days;
using std::chrono::minutes;
using std::chrono::sys_days;
using std::chrono::year;

Wall at(std::string_view iso) {
  return Wall{std::chrono::milliseconds{codec::parse_iso_ms(iso).value()}};
}

std::string iso(std::optional<Wall> time) {
  return time ? codec::iso_ms(base::unix_ms(*time)).substr(0, 16) : "never";
}

Cron cron(std::string_view text) {
  CronProblem problem;
  auto parsed = Cron::parse(text, &problem);
  EXPECT_TRUE(parsed.ok()) << text << ": " << to_string(problem);
  return parsed.ok() ? std::move(parsed).value() : Cron::parse("* * * * *").value();
}

std::string problem_of(std::string_view text) {
  CronProblem problem;
  const auto parsed = Cron::parse(text, &problem);
  if (parsed.ok()) return "accepted";
  EXPECT_EQ(parsed.error().code, base::ErrorCode::invalid_input);
  return to_string(problem);
}

// 15 October 2025 is a Wednesday.
constexpr std::string_view kNow = "2025-10-15T02:30:30.000Z";

TEST(CronTest, TheFoundingDocumentsTimesComeWhenItSays) {
  struct Case {
    const char* text;
    const char* last;
    const char* next;
  };
  for (const Case& c : {
           Case{"*/5 * * * *", "2025-10-15T02:30", "2025-10-15T02:35"},
           Case{"*/10 * * * *", "2025-10-15T02:30", "2025-10-15T02:40"},
           Case{"0 * * * *", "2025-10-15T02:00", "2025-10-15T03:00"},
           Case{"0 2 * * *", "2025-10-15T02:00", "2025-10-16T02:00"},
           Case{"0 3 * * *", "2025-10-14T03:00", "2025-10-15T03:00"},
           Case{"0 4 * * *", "2025-10-14T04:00", "2025-10-15T04:00"},
       }) {
    EXPECT_EQ(iso(cron(c.text).last_at_or_before(at(kNow))), c.last) << c.text;
    EXPECT_EQ(iso(cron(c.text).next_after(at(kNow))), c.next) << c.text;
  }
}

// Defect 31 of the founding system: its weekly clean-up never ran, because one side wrote the day
// as a number and the other as a name.
TEST(CronTest, TheWeeklyCleanUpOfSnapshotsComesOnSundayInEverySpelling) {
  for (const char* const text :
       {"0 5 * * 0", "0 5 * * 7", "0 5 * * SUN", "0 5 * * sun", "0 5 * * Sun"}) {
    EXPECT_EQ(iso(cron(text).next_after(at(kNow))), "2025-10-19T05:00") << text;
    EXPECT_EQ(iso(cron(text).last_at_or_before(at(kNow))), "2025-10-12T05:00") << text;
    EXPECT_EQ(cron(text).text(), text);
  }
}

TEST(CronTest, NextIsStrictlyAfterAndLastIncludesItsMinute) {
  const Cron hourly = cron("0 * * * *");
  EXPECT_EQ(iso(hourly.next_after(at("2025-10-15T03:00:00Z"))), "2025-10-15T04:00");
  EXPECT_EQ(iso(hourly.last_at_or_before(at("2025-10-15T03:00:00Z"))), "2025-10-15T03:00");
  const Wall before = at("2025-10-15T03:00:00Z") - std::chrono::microseconds{1};
  EXPECT_EQ(iso(hourly.next_after(before)), "2025-10-15T03:00");
  EXPECT_EQ(iso(hourly.last_at_or_before(before)), "2025-10-15T02:00");
}

TEST(CronTest, ListsRangesStepsAndNamesCombine) {
  const Cron busy = cron("0-10/5,59  8-9,17\t* jan-MAR,12 MON-WED,FRI-SUN");
  std::vector<std::string> times;
  Wall time = at("2025-12-31T08:30:00Z");  // A Wednesday; the first of January is a Thursday.
  for (int i = 0; i < 7; ++i) {
    time = busy.next_after(time).value();
    times.push_back(iso(time));
  }
  const std::vector<std::string> expected{
      "2025-12-31T08:59", "2025-12-31T09:00", "2025-12-31T09:05", "2025-12-31T09:10",
      "2025-12-31T09:59", "2025-12-31T17:00", "2025-12-31T17:05"};
  EXPECT_EQ(times, expected);
  EXPECT_EQ(iso(busy.next_after(at("2025-12-31T18:00:00Z"))), "2026-01-02T08:00");
  EXPECT_EQ(iso(busy.next_after(at("2026-04-01T00:00:00Z"))), "2026-12-01T08:00");
  EXPECT_EQ(iso(busy.last_at_or_before(at("2026-11-30T00:00:00Z"))), "2026-03-31T17:59");
}

TEST(CronTest, EitherDayMatchesWhenBothAreRestrictedElseBothMust) {
  // The 1st, and Fridays.
  EXPECT_EQ(iso(cron("0 0 1 * FRI").next_after(at(kNow))), "2025-10-17T00:00");
  EXPECT_EQ(iso(cron("0 0 1 * FRI").next_after(at("2025-10-31T00:00:00Z"))), "2025-11-01T00:00");
  // `*/2` does not restrict: Sundays with an odd number.
  EXPECT_EQ(iso(cron("0 0 */2 * SUN").next_after(at("2025-10-20T00:00:00Z"))), "2025-11-09T00:00");
  EXPECT_EQ(iso(cron("0 0 13 * *").next_after(at(kNow))), "2025-11-13T00:00");
  EXPECT_EQ(iso(cron("0 0 * * 1").next_after(at(kNow))), "2025-10-20T00:00");
}

TEST(CronTest, TheTwentyNinthOfFebruaryIsFoundOverACenturyWithoutLeapDay) {
  const Cron leap = cron("30 12 29 2 *");
  EXPECT_EQ(iso(leap.next_after(at("2096-02-29T12:30:00Z"))), "2104-02-29T12:30");
  EXPECT_EQ(iso(leap.last_at_or_before(at("2104-02-29T12:29:59Z"))), "2096-02-29T12:30");
  // On a Sunday, and across 2100: 40 years.
  const Cron sunday = cron("0 0 29 2 */7");
  EXPECT_EQ(iso(sunday.next_after(at("2088-02-29T00:00:00Z"))), "2128-02-29T00:00");
  EXPECT_EQ(iso(sunday.last_at_or_before(at("2128-02-28T23:59:00Z"))), "2088-02-29T00:00");
}

TEST(CronTest, DatesThatNeverComeAreRefused) {
  EXPECT_EQ(problem_of("0 0 31 2 *"),
            "column 5: day of the month \"31\" never comes in month \"2\"; allowed: a day that at "
            "least one of the months has");
  EXPECT_NE(problem_of("0 0 30,31 FEB *"), "accepted");
  EXPECT_NE(problem_of("0 0 31 4,6,9,11 */2"), "accepted");
  EXPECT_EQ(problem_of("0 0 31 2,3 *"), "accepted");
  EXPECT_EQ(problem_of("0 0 29 2 *"), "accepted");
  EXPECT_EQ(problem_of("0 0 31 2 MON"), "accepted") << "Mondays in February do come";
}

TEST(CronTest, ProblemsSayWhatIsWrongWhereAndWhatIsAllowed) {
  const std::string fields =
      "; allowed: five fields with blanks between them: minute, hour, day of the month, month, day "
      "of the week";
  const std::string minutes_allowed = "; allowed: 0 to 59";
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "column 1: the expression ends after 0 fields" + fields},
      {"@daily", "column 7: the expression ends after 1 field" + fields},
      {"0 2 * *", "column 8: the expression ends after 4 fields" + fields},
      {"0 2 * * * *", "column 11: there are more than five fields" + fields},
      {"60 * * * *", "column 1: minute \"60\" is out of range" + minutes_allowed},
      {"  x * * * *", "column 3: minute \"x\" is not a number" + minutes_allowed},
      {"1,,2 * * * *", "column 3: minute: a value is missing" + minutes_allowed},
      {"1, * * * *", "column 3: minute: a value is missing" + minutes_allowed},
      {"1- * * * *", "column 3: minute: a value is missing" + minutes_allowed},
      {"-1 * * * *", "column 1: minute: a value is missing" + minutes_allowed},
      {"/5 * * * *", "column 1: minute: a value is missing" + minutes_allowed},
      {"99999999999 * * * *", "column 1: minute \"99999999999\" is out of range" + minutes_allowed},
      {"0 24 * * *", "column 3: hour \"24\" is out of range; allowed: 0 to 23"},
      {"0 0 0 * *", "column 5: day of the month \"0\" is out of range; allowed: 1 to 31"},
      {"0 0 * 13 *", "column 7: month \"13\" is out of range; allowed: 1 to 12, or JAN to DEC"},
      {"0 0 * JUNE *",
       "column 7: month \"JUNE\" is neither a number nor a name; allowed: 1 to 12, or JAN to DEC"},
      {"0 0 * * 8",
       "column 9: day of the week \"8\" is out of range; allowed: 0 to 7 (0 and 7 are Sunday), or "
       "SUN to SAT"},
      {"0 0 * * 5#2",
       "column 9: day of the week \"5#2\" is neither a number nor a name; allowed: 0 to 7 (0 and 7 "
       "are Sunday), or SUN to SAT"},
      {"0 22-2 * * *",
       "column 3: hour: the range \"22-2\" ends before it begins; allowed: the smaller value "
       "first; two ranges with a comma go around the end"},
      {"5/10 * * * *", "column 1: minute: \"5/10\" has a step but no range; allowed: 5-59/10, */n"},
      {"*/0 * * * *", "column 3: minute: step \"0\" is out of range; allowed: 1 to 60"},
      {"*/90 * * * *", "column 3: minute: step \"90\" is out of range; allowed: 1 to 60"},
      {"0 */ * * *", "column 5: hour: step \"\" is out of range; allowed: 1 to 24"},
      {"*/5/2 * * * *", "column 3: minute: step \"5/2\" is out of range; allowed: 1 to 60"},
      {"\x1b[31m\" * * * *", "column 1: minute \"?[31m?\" is not a number" + minutes_allowed},
  };
  for (const auto& [text, problem] : cases)
    EXPECT_EQ(problem_of(text), problem) << text;
}

TEST(CronTest, TheLengthIsLimitedAtTheLimitAndOneBeyond) {
  std::string text{"* * * * *"};
  text.resize(Cron::kTextBytesMax, ' ');
  EXPECT_EQ(problem_of(text), "accepted");
  text += ' ';
  EXPECT_EQ(problem_of(text), "column 257: the expression is too long; allowed: up to 256 bytes");
}

TEST(CronTest, AClockGoneMadGetsAnAnswer) {
  const Cron daily = cron("0 2 * * *");
  EXPECT_EQ(iso(daily.next_after(Wall::min())), "0000-01-01T02:00");
  EXPECT_EQ(iso(daily.last_at_or_before(Wall::min())), "never");
  EXPECT_EQ(iso(daily.last_at_or_before(at("0000-01-01T01:00:00Z"))), "never");
  EXPECT_EQ(iso(daily.next_after(at("9999-12-31T02:00:00Z"))), "never");
  EXPECT_EQ(iso(daily.next_after(Wall::max())), "never");
  EXPECT_EQ(iso(daily.last_at_or_before(Wall::max())), "9999-12-31T02:00");
}

uint64_t seed() {
  const char* const given = std::getenv("WEIR_SEED");  // NOLINT(concurrency-mt-unsafe)
  return given != nullptr ? std::strtoull(given, nullptr, 10) : 20251015;
}

// One random field: its text, and the values it stands for, made side by side.
struct RandomField {
  std::string text;
  std::bitset<64> values;
  bool restricted;
};

RandomField random_field(base::Random& random, int min, int max, int star_max) {
  RandomField field;
  const auto number = [&](int low, int high) {
    return low + static_cast<int>(random.below(static_cast<uint64_t>(high - low + 1)));
  };
  const uint64_t items = random.below(3) == 0 ? 2 : 1;
  for (uint64_t i = 0; i < items; ++i) {
    if (i > 0) field.text += ',';
    int first = min;
    int last = star_max;
    int step = 1;
    const uint64_t kind = random.below(5);
    if (kind <= 1) {
      field.text += '*';
    } else {
      first = number(min, max);
      last = kind == 2 ? first : number(first, max);
      field.text += std::to_string(first);
      if (kind != 2) field.text += '-' + std::to_string(last);
    }
    if (kind == 1 || kind == 4) {
      step = number(1, star_max - min + 1);
      field.text += '/' + std::to_string(step);
    }
    for (int value = first; value <= last; value += step)
      field.values.set(static_cast<size_t>(value));
  }
  field.restricted = field.text.front() != '*';
  return field;
}

// A whole expression, and the obvious way to tell whether a minute matches it.
struct RandomCron {
  std::vector<RandomField> fields;

  explicit RandomCron(base::Random& random) {
    fields.push_back(random_field(random, 0, 59, 59));
    fields.push_back(random_field(random, 0, 23, 23));
    fields.push_back(random_field(random, 1, 31, 31));
    fields.push_back(random_field(random, 1, 12, 12));
    fields.push_back(random_field(random, 0, 7, 6));
  }

  std::string text() const {
    std::string text;
    for (const RandomField& field : fields)
      text += (text.empty() ? "" : " ") + field.text;
    return text;
  }

  bool matches(Wall minute) const {
    const auto day = std::chrono::floor<days>(minute);
    const std::chrono::year_month_day date{day};
    const auto clock = static_cast<size_t>(std::chrono::floor<minutes>(minute - day).count());
    const unsigned weekday = std::chrono::weekday{day}.c_encoding();
    if (!fields[0].values[clock % 60] || !fields[1].values[clock / 60] ||
        !fields[3].values[static_cast<unsigned>(date.month())]) {
      return false;
    }
    const bool of_month = fields[2].values[static_cast<unsigned>(date.day())];
    const bool of_week = fields[4].values[weekday] || (weekday == 0 && fields[4].values[7]);
    if (fields[2].restricted && fields[4].restricted) return of_month || of_week;
    return of_month && of_week;
  }
};

// Goal: both searches give the very minute. Method: random expressions from random moments near
// ends of months and years, against every single minute of the days around.
TEST(CronTest, BothSearchesAgreeWithLookingAtEveryMinute) {
  constexpr int kMinutes = 5 * 24 * 60;
  base::Random random{seed()};
  int found = 0;
  for (int round = 0; round < 300; ++round) {
    const RandomCron oracle{random};
    const auto parsed = Cron::parse(oracle.text());
    if (!parsed.ok()) continue;  // A date that never comes; see the test above.
    const sys_days month{year{1996 + static_cast<int>(random.below(120))} /
                         static_cast<int>(1 + random.below(12)) / 1};
    const Wall start = month + minutes{static_cast<int64_t>(random.below(8 * 24 * 60)) - 5760} +
                       std::chrono::microseconds{static_cast<int64_t>(random.below(60'000'000))};
    SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed()) + ", \"" + oracle.text() + "\", " +
                 codec::iso_ms(base::unix_ms(start)));
    const Wall floor = std::chrono::floor<minutes>(start);
    std::optional<Wall> next;
    std::optional<Wall> last;
    for (int i = 0; i < kMinutes && !(next && last); ++i) {
      if (!next && oracle.matches(floor + minutes{i + 1})) next = floor + minutes{i + 1};
      if (!last && oracle.matches(floor - minutes{i})) last = floor - minutes{i};
    }
    const std::optional<Wall> next_after = parsed.value().next_after(start);
    const std::optional<Wall> last_before = parsed.value().last_at_or_before(start);
    ASSERT_TRUE(next_after && last_before);
    if (next) {
      ASSERT_EQ(iso(next_after), iso(next));
      ++found;
    } else {
      ASSERT_GT(*next_after, floor + minutes{kMinutes});
      ASSERT_TRUE(oracle.matches(*next_after));
    }
    if (last) {
      ASSERT_EQ(iso(last_before), iso(last));
    } else {
      ASSERT_LE(*last_before, floor - minutes{kMinutes});
      ASSERT_TRUE(oracle.matches(*last_before));
    }
  }
  EXPECT_GT(found, 50) << "WEIR_SEED=" << seed();
}

// Goal: refusing dates that never come refuses nothing else. Method: random expressions; a refused
// one matches no day of the 400 years after which the calendar repeats.
TEST(CronTest, OnlyWhatNeverComesIsRefused) {
  base::Random random{seed() + 1};
  int refused = 0;
  for (int round = 0; round < 50'000 && refused < 3; ++round) {
    RandomCron oracle{random};
    if (Cron::parse(oracle.text()).ok()) continue;
    ++refused;
    SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed()) + ", " + oracle.text());
    size_t hour = 0;
    size_t minute = 0;
    while (!oracle.fields[1].values[hour])
      ++hour;
    while (!oracle.fields[0].values[minute])
      ++minute;
    const auto time = minutes{static_cast<int64_t>(hour * 60 + minute)};
    for (sys_days day{year{2000} / 1 / 1}; day < sys_days{year{2400} / 1 / 1}; day += days{1})
      ASSERT_FALSE(oracle.matches(day + time));
  }
  EXPECT_GT(refused, 1) << "WEIR_SEED=" << seed();
}

}  // namespace
}  // namespace weir::codec
