#include "config/units.h"

#include <array>
#include <charconv>
#include <limits>

namespace weir::config {
namespace {

struct Unit {
  std::string_view name;
  uint64_t factor;
};

constexpr std::array<Unit, 5> kDurationUnits{
    {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
constexpr std::array<Unit, 5> kSizeUnits{
    {{"B", 1}, {"KiB", 1ULL << 10}, {"MiB", 1ULL << 20}, {"GiB", 1ULL << 30}, {"TiB", 1ULL << 40}}};
constexpr uint64_t kDurationMsMax = 100ULL * 366 * 86'400'000;

template <size_t Count>
std::optional<uint64_t> parse(std::string_view text, const std::array<Unit, Count>& units,
                              uint64_t max) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  for (const Unit& candidate : units) {
    if (unit != candidate.name) continue;
    if (number > max / candidate.factor) return std::nullopt;
    return number * candidate.factor;
  }
  return std::nullopt;
}

template <size_t Count>
std::string format(uint64_t value, const std::array<Unit, Count>& units) {
  for (size_t index = units.size(); index-- > 0;) {
    const Unit& unit = units[index];
    if (value % unit.factor == 0) {
      return std::to_string(value / unit.factor) + std::string{unit.name};
    }
  }
  return {};  // Not reached: the first factor is 1.
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto value = parse(text, kDurationUnits, kDurationMsMax);
  if (!value) return std::nullopt;
  return std::chrono::milliseconds{static_cast<int64_t>(*value)};
}

std::optional<uint64_t> parse_size(std::string_view text) {
  return parse(text, kSizeUnits, std::numeric_limits<int64_t>::max());
}

std::string format_duration(std::chrono::milliseconds duration) {
  if (duration.count() <= 0) return "0s";
  return format(static_cast<uint64_t>(duration.count()), kDurationUnits);
}

std::string format_size(uint64_t bytes) {
  return bytes == 0 ? "0B" : format(bytes, kSizeUnits);
}

}  // namespace weir::config
