#include "codec/iso_time.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>

namespace weir::codec {
namespace {

using std::chrono::sys_days;

constexpr int64_t kDayMin = sys_days{std::chrono::year{0} / 1 / 1}.time_since_epoch().count();
constexpr int64_t kDayMax = sys_days{std::chrono::year{9999} / 12 / 31}.time_since_epoch().count();
constexpr base::Error kBad{base::ErrorCode::invalid_input, base::Origin::client, base::Retry::never,
                           0, "time stamp"};

constexpr size_t kDayBytes = 10;

// Requires value < 100. The end of what was written.
char* write_two(char* at, unsigned value) {
  *at++ = static_cast<char>('0' + value / 10);
  *at++ = static_cast<char>('0' + value % 10);
  return at;
}

char* write_day(char* at, int64_t unix_day) {
  const std::chrono::year_month_day date{sys_days{std::chrono::days{unix_day}}};
  const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
  at = write_two(at, year / 100);
  at = write_two(at, year % 100);
  *at++ = '-';
  at = write_two(at, static_cast<unsigned>(date.month()));
  *at++ = '-';
  return write_two(at, static_cast<unsigned>(date.day()));
}

// Reads fixed-width fields from the front of a text.
struct Reader {
  std::string_view text;
  bool ok = true;

  int digits(size_t count) {
    int value = 0;
    ok = ok && text.size() >= count;
    for (size_t i = 0; ok && i < count; ++i) {
      ok = text[i] >= '0' && text[i] <= '9';
      value = value * 10 + (text[i] - '0');
    }
    if (ok) text.remove_prefix(count);
    return value;
  }
  void literal(char c) {
    ok = ok && !text.empty() && text.front() == c;
    if (ok) text.remove_prefix(1);
  }
  int64_t day() {
    const int year = digits(4);
    literal('-');
    const int month = digits(2);
    literal('-');
    const std::chrono::year_month_day date{std::chrono::year{year},
                                           std::chrono::month{static_cast<unsigned>(month)},
                                           std::chrono::day{static_cast<unsigned>(digits(2))}};
    ok = ok && date.ok();
    return ok ? sys_days{date}.time_since_epoch().count() : 0;
  }
  int64_t below(int limit) {
    const int value = digits(2);
    ok = ok && value < limit;
    return value;
  }
};

}  // namespace

IsoMs::IsoMs(int64_t unix_ms) {
  unix_ms = std::clamp(unix_ms, kDayMin * kMsPerDay, (kDayMax + 1) * kMsPerDay - 1);
  const int64_t day = unix_day_of_ms(unix_ms);
  const auto ms = static_cast<unsigned>(unix_ms - day * kMsPerDay);
  char* at = write_day(text_.data(), day);
  *at++ = 'T';
  at = write_two(at, ms / 3'600'000);
  *at++ = ':';
  at = write_two(at, ms / 60'000 % 60);
  *at++ = ':';
  at = write_two(at, ms / 1000 % 60);
  *at++ = '.';
  *at++ = static_cast<char>('0' + ms / 100 % 10);
  at = write_two(at, ms % 100);
  *at = 'Z';
}

void append_iso_ms(std::string& out, int64_t unix_ms) {
  out += IsoMs{unix_ms}.view();
}

std::string iso_ms(int64_t unix_ms) {
  return std::string{IsoMs{unix_ms}.view()};
}

std::string hour_bucket(int64_t unix_hour) {
  unix_hour = std::clamp(unix_hour, kDayMin * 24, kDayMax * 24 + 23);
  const int64_t day = unix_hour / 24 - (unix_hour % 24 < 0 ? 1 : 0);
  std::array<char, kDayBytes + 3> text;
  char* at = write_day(text.data(), day);
  *at++ = 'T';
  write_two(at, static_cast<unsigned>(unix_hour - day * 24));
  return {text.data(), text.size()};
}

std::string iso_day(int64_t unix_day) {
  std::array<char, kDayBytes> text;
  write_day(text.data(), std::clamp(unix_day, kDayMin, kDayMax));
  return {text.data(), text.size()};
}

base::Result<int64_t> parse_iso_ms(std::string_view text) {
  Reader reader{text};
  int64_t ms = reader.day() * kMsPerDay;
  reader.literal('T');
  ms += reader.below(24) * kMsPerHour;
  reader.literal(':');
  ms += reader.below(60) * 60'000;
  reader.literal(':');
  ms += reader.below(60) * 1000;
  if (!reader.text.empty() && reader.text.front() == '.') {
    reader.literal('.');
    ms += reader.digits(3);
  }
  reader.literal('Z');
  if (!reader.ok || !reader.text.empty()) return kBad;
  return ms;
}

base::Result<int64_t> parse_hour_bucket(std::string_view text) {
  Reader reader{text};
  int64_t hour = reader.day() * 24;
  reader.literal('T');
  hour += reader.below(24);
  if (!reader.ok || !reader.text.empty()) return kBad;
  return hour;
}

base::Result<int64_t> parse_iso_day(std::string_view text) {
  Reader reader{text};
  const int64_t day = reader.day();
  if (!reader.ok || !reader.text.empty()) return kBad;
  return day;
}

}  // namespace weir::codec
