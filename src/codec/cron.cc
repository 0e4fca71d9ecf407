#include "codec/cron.h"

#include <algorithm>
#include <array>
#include <bit>
#include <span>

#include <fmt/format.h>

namespace weir::codec {
namespace {

using std::chrono::days;
using std::chrono::minutes;
using std::chrono::sys_days;
using std::chrono::year;
using std::chrono::year_month_day;

constexpr size_t kFields = 5;
constexpr size_t kQuotedBytesMax = 24;
constexpr sys_days kFirstDay{year{0} / 1 / 1};
constexpr sys_days kLastDay{year{9999} / 12 / 31};
constexpr std::string_view kBlanks = " \t";

constexpr std::array<std::string_view, 12> kMonths{"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                                   "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::array<std::string_view, 7> kWeekdays{"SUN", "MON", "TUE", "WED",
                                                    "THU", "FRI", "SAT"};
constexpr std::array<int, 12> kMonthDays{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

struct Field {
  std::string_view name;
  int min;
  int max;                                  // Largest value that may be written.
  int star_max;                             // Last value of `*`.
  std::span<const std::string_view> names;  // Of `min` and the values after it.
  std::string_view values;
};

constexpr std::array<Field, kFields> kFieldTable{{
    {"minute", 0, 59, 59, {}, "0 to 59"},
    {"hour", 0, 23, 23, {}, "0 to 23"},
    {"day of the month", 1, 31, 31, {}, "1 to 31"},
    {"month", 1, 12, 12, kMonths, "1 to 12, or JAN to DEC"},
    {"day of the week", 0, 7, 6, kWeekdays, "0 to 7 (0 and 7 are Sunday), or SUN to SAT"},
}};
constexpr size_t kDay = 2;
constexpr size_t kMonth = 3;
constexpr size_t kWeekday = 4;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool same_name(std::string_view text, std::string_view name) {
  return std::equal(text.begin(), text.end(), name.begin(), name.end(), [](char a, char b) {
    return (a >= 'a' && a <= 'z' ? static_cast<char>(a - 'a' + 'A') : a) == b;
  });
}

// Fit for a message, whatever the bytes are.
std::string quoted(std::string_view text) {
  std::string out{"\""};
  for (const char c : text.substr(0, kQuotedBytesMax))
    out += c >= ' ' && c <= '~' && c != '"' ? c : '?';
  if (text.size() > kQuotedBytesMax) out += "...";
  return out + '"';
}

int lowest_bit(uint64_t bits) {
  return std::countr_zero(bits);
}

int highest_bit(uint64_t bits) {
  return static_cast<int>(std::bit_width(bits)) - 1;
}

bool has_bit(uint64_t bits, unsigned bit) {
  return ((bits >> bit) & 1U) != 0;
}

}  // namespace

// Reads one expression; after a failure, `problem` says why.
// Threading: one thread at a time.
class CronParser {
 public:
  explicit CronParser(std::string_view text) : text_(text) {}

  base::Result<Cron> parse();

  CronProblem problem;

 private:
  // A part of the text that knows where it stands.
  struct Piece {
    std::string_view text;
    size_t column;

    Piece part(size_t begin, size_t count = std::string_view::npos) const {
      return {text.substr(begin, count), column + begin};
    }
  };

  base::Error fail(size_t column, std::string message, std::string_view allowed);
  base::Result<std::array<Piece, kFields>> split();
  base::Result<uint64_t> parse_field(const Field& field, Piece piece);
  base::Result<uint64_t> parse_item(const Field& field, Piece item);
  base::Result<int> parse_value(const Field& field, Piece value);
  base::Result<int> parse_step(const Field& field, Piece step);

  std::string_view text_;
};

base::Error CronParser::fail(size_t column, std::string message, std::string_view allowed) {
  problem = {column, std::move(message), std::string{allowed}};
  return {base::ErrorCode::invalid_input, base::Origin::client, base::Retry::never, 0,
          "cron expression"};
}

base::Result<std::array<CronParser::Piece, kFields>> CronParser::split() {
  constexpr std::string_view kAllowed =
      "five fields with blanks between them: minute, hour, day of the month, month, day of the "
      "week";
  std::array<Piece, kFields> pieces{};
  size_t count = 0;
  for (size_t at = text_.find_first_not_of(kBlanks); at != std::string_view::npos;) {
    const size_t end = std::min(text_.find_first_of(kBlanks, at), text_.size());
    if (count == kFields) return fail(at + 1, "there are more than five fields", kAllowed);
    pieces[count++] = {text_.substr(at, end - at), at + 1};
    at = text_.find_first_not_of(kBlanks, end);
  }
  if (count == kFields) return pieces;
  return fail(text_.size() + 1,
              fmt::format("the expression ends after {} field{}", count, count == 1 ? "" : "s"),
              kAllowed);
}

base::Result<int> CronParser::parse_value(const Field& field, Piece value) {
  const auto wrong = [&](std::string_view what) {
    return fail(value.column, fmt::format("{} {} {}", field.name, quoted(value.text), what),
                field.values);
  };
  if (value.text.empty()) {
    return fail(value.column, fmt::format("{}: a value is missing", field.name), field.values);
  }
  if (!std::all_of(value.text.begin(), value.text.end(), is_digit)) {
    for (size_t i = 0; i < field.names.size(); ++i) {
      if (same_name(value.text, field.names[i])) return field.min + static_cast<int>(i);
    }
    return wrong(field.names.empty() ? "is not a number" : "is neither a number nor a name");
  }
  int number = 0;
  for (const char digit : value.text)
    number = std::min(number * 10 + (digit - '0'), 1000);
  if (number < field.min || number > field.max) return wrong("is out of range");
  return number;
}

base::Result<int> CronParser::parse_step(const Field& field, Piece step) {
  const int most = field.star_max - field.min + 1;
  int number = 0;
  for (const char digit : step.text) {
    number = is_digit(digit) ? std::min(number * 10 + (digit - '0'), 1000) : 1000;
  }
  if (number >= 1 && number <= most) return number;
  return fail(step.column,
              fmt::format("{}: step {} is out of range", field.name, quoted(step.text)),
              fmt::format("1 to {}", most));
}

base::Result<uint64_t> CronParser::parse_item(const Field& field, Piece item) {
  const size_t slash = item.text.find('/');
  const Piece range = item.part(0, slash);
  int first = field.min;
  int last = field.star_max;
  const size_t dash = range.text.find('-');
  if (range.text != "*") {
    first = WEIR_TRY(parse_value(field, range.part(0, dash)));
    last = first;
    if (dash != std::string_view::npos) last = WEIR_TRY(parse_value(field, range.part(dash + 1)));
    if (&field == &kFieldTable[kWeekday] && last == 0 && first > 0) last = 7;  // FRI-SUN
  }
  if (last < first) {
    return fail(
        range.column,
        fmt::format("{}: the range {} ends before it begins", field.name, quoted(range.text)),
        "the smaller value first; two ranges with a comma go around the end");
  }
  int step = 1;
  if (slash != std::string_view::npos) {
    if (range.text != "*" && dash == std::string_view::npos) {
      return fail(item.column,
                  fmt::format("{}: {} has a step but no range", field.name, quoted(item.text)),
                  fmt::format("{}-{}{}, */n", range.text, field.star_max, item.text.substr(slash)));
    }
    step = WEIR_TRY(parse_step(field, item.part(slash + 1)));
  }
  uint64_t bits = 0;
  for (int value = first; value <= last; value += step)
    bits |= uint64_t{1} << static_cast<unsigned>(value);
  return bits;
}

base::Result<uint64_t> CronParser::parse_field(const Field& field, Piece piece) {
  uint64_t bits = 0;
  for (size_t begin = 0; begin <= piece.text.size();) {
    const size_t end = std::min(piece.text.find(',', begin), piece.text.size());
    bits |= WEIR_TRY(parse_item(field, piece.part(begin, end - begin)));
    begin = end + 1;
  }
  return bits;
}

base::Result<Cron> CronParser::parse() {
  if (text_.size() > Cron::kTextBytesMax) {
    return fail(Cron::kTextBytesMax + 1, "the expression is too long",
                fmt::format("up to {} bytes", Cron::kTextBytesMax));
  }
  const auto pieces = WEIR_TRY(split());
  std::array<uint64_t, kFields> bits{};
  for (size_t i = 0; i < kFields; ++i)
    bits[i] = WEIR_TRY(parse_field(kFieldTable[i], pieces[i]));

  Cron cron;
  cron.text_ = text_;
  cron.minutes_ = bits[0];
  cron.hours_ = bits[1];
  cron.days_ = bits[kDay];
  cron.months_ = bits[kMonth];
  cron.weekdays_ = (bits[kWeekday] | bits[kWeekday] >> 7U) & 0x7fU;  // 7 is Sunday too.
  const auto restricted = [&pieces](size_t field) { return pieces[field].text.front() != '*'; };
  cron.either_day_ = restricted(kDay) && restricted(kWeekday);
  if (cron.either_day_) return cron;
  // A date that exists falls on each day of the week some year, so only the date can be impossible.
  for (size_t month = 0; month < kMonthDays.size(); ++month) {
    if (has_bit(cron.months_, static_cast<unsigned>(month) + 1) &&
        lowest_bit(cron.days_) <= kMonthDays[month]) {
      return cron;
    }
  }
  return fail(pieces[kDay].column,
              fmt::format("day of the month {} never comes in month {}", quoted(pieces[kDay].text),
                          quoted(pieces[kMonth].text)),
              "a day that at least one of the months has");
}

std::string to_string(const CronProblem& problem) {
  return fmt::format("column {}: {}; allowed: {}", problem.column, problem.message,
                     problem.allowed);
}

base::Result<Cron> Cron::parse(std::string_view text, CronProblem* problem) {
  CronParser parser{text};
  base::Result<Cron> cron = parser.parse();
  if (!cron.ok() && problem != nullptr) *problem = std::move(parser.problem);
  return cron;
}

bool Cron::matches_month(std::chrono::month month) const {
  return has_bit(months_, static_cast<unsigned>(month));
}

bool Cron::matches_day(sys_days day, const year_month_day& date) const {
  const bool of_month = has_bit(days_, static_cast<unsigned>(date.day()));
  const bool of_week = has_bit(weekdays_, std::chrono::weekday{day}.c_encoding());
  return either_day_ ? of_month || of_week : of_month && of_week;
}

std::optional<int> Cron::first_minute(int from) const {
  const int hour = from / 60;
  const uint64_t in_hour = minutes_ >> static_cast<unsigned>(from % 60);
  if (has_bit(hours_, static_cast<unsigned>(hour)) && in_hour != 0) {
    return from + lowest_bit(in_hour);
  }
  const uint64_t later = hours_ >> static_cast<unsigned>(hour + 1);
  if (later == 0) return std::nullopt;
  return (hour + 1 + lowest_bit(later)) * 60 + lowest_bit(minutes_);
}

std::optional<int> Cron::last_minute(int to) const {
  const int hour = to / 60;
  const uint64_t in_hour = minutes_ & ((uint64_t{2} << static_cast<unsigned>(to % 60)) - 1);
  if (has_bit(hours_, static_cast<unsigned>(hour)) && in_hour != 0) {
    return hour * 60 + highest_bit(in_hour);
  }
  const uint64_t earlier = hours_ & ((uint64_t{1} << static_cast<unsigned>(hour)) - 1);
  if (earlier == 0) return std::nullopt;
  return highest_bit(earlier) * 60 + highest_bit(minutes_);
}

std::optional<base::Wall> Cron::next_after(base::Wall time) const {
  if (time >= kLastDay + days{1}) return std::nullopt;
  const auto earliest = std::max(std::chrono::floor<minutes>(time) + minutes{1},
                                 std::chrono::sys_time<minutes>{kFirstDay});
  sys_days day = std::chrono::floor<days>(earliest);
  for (int from = static_cast<int>((earliest - day).count()); day <= kLastDay; from = 0) {
    const year_month_day date{day};
    if (!matches_month(date.month())) {
      day = sys_days{(date.year() / date.month() + std::chrono::months{1}) / 1};
      continue;
    }
    if (matches_day(day, date)) {
      if (const auto minute = first_minute(from)) return day + minutes{*minute};
    }
    day += days{1};
  }
  return std::nullopt;
}

std::optional<base::Wall> Cron::last_at_or_before(base::Wall time) const {
  if (time < kFirstDay) return std::nullopt;
  const auto latest =
      std::chrono::floor<minutes>(std::min(time, base::Wall{kLastDay + days{1} - minutes{1}}));
  sys_days day = std::chrono::floor<days>(latest);
  for (int to = static_cast<int>((latest - day).count()); day >= kFirstDay; to = 24 * 60 - 1) {
    const year_month_day date{day};
    if (!matches_month(date.month())) {
      day = sys_days{date.year() / date.month() / 1} - days{1};
      continue;
    }
    if (matches_day(day, date)) {
      if (const auto minute = last_minute(to)) return day + minutes{*minute};
    }
    day -= days{1};
  }
  return std::nullopt;
}

}  // namespace weir::codec
