#pragma once
// Time as text, UTC, ISO 8601. Years 0000 to 9999: what lies outside is cut to the nearest moment
// inside, so that a clock gone mad gives a strange stamp and not a strange format.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::codec {

inline constexpr int64_t kMsPerHour = 3'600'000;
inline constexpr int64_t kMsPerDay = 86'400'000;

std::string iso_ms(int64_t unix_ms);         // 2025-10-15T14:03:07.042Z
std::string hour_bucket(int64_t unix_hour);  // 2025-10-15T14
std::string iso_day(int64_t unix_day);       // 2025-10-15

void append_iso_ms(std::string& out, int64_t unix_ms);

// The text of iso_ms(), without memory of its own to ask for.
// Threading: one thread at a time.
class IsoMs {
 public:
  explicit IsoMs(int64_t unix_ms);
  std::string_view view() const { return {text_.data(), text_.size()}; }

 private:
  std::array<char, 24> text_;
};

// Hour or day that a time belongs to; floors, also before 1970.
constexpr int64_t unix_hour_of_ms(int64_t unix_ms) {
  return unix_ms / kMsPerHour - (unix_ms % kMsPerHour < 0 ? 1 : 0);
}
constexpr int64_t unix_day_of_ms(int64_t unix_ms) {
  return unix_ms / kMsPerDay - (unix_ms % kMsPerDay < 0 ? 1 : 0);
}

// Exactly the forms above; iso_ms also without the fraction. Errors: invalid_input.
base::Result<int64_t> parse_iso_ms(std::string_view text);
base::Result<int64_t> parse_hour_bucket(std::string_view text);
base::Result<int64_t> parse_iso_day(std::string_view text);

}  // namespace weir::codec
