#pragma once
// How ranges are written in messages, the same by the reader and by validate().

#include <array>
#include <chrono>
#include <string>

#include <fmt/format.h>

#include "config/internal/schema.h"
#include "config/units.h"

namespace weir::config::internal {

inline std::string integer_range(Range range) {
  return fmt::format("{} to {}", range.min, range.max);
}
inline std::string size_range(Range range) {
  return fmt::format(R"({} to {}, as bytes or "512B", "64KiB", "100MiB", "8GiB")",
                     format_size(static_cast<uint64_t>(range.min)),
                     format_size(static_cast<uint64_t>(range.max)));
}
inline std::string duration_range(Range range) {
  return fmt::format(R"({} to {}, as seconds or "250ms", "5s", "2m", "1h", "1d")",
                     format_duration(std::chrono::milliseconds{range.min}),
                     format_duration(std::chrono::milliseconds{range.max}));
}
inline std::string real_range(double min, double max) {
  return fmt::format("{} to {}", min, max);
}

template <typename Enum, size_t Count>
std::string choice_list(const std::array<Choice<Enum>, Count>& choices) {
  std::string out;
  for (const auto& choice : choices) {
    if (!out.empty()) out += ", ";
    out += fmt::format("\"{}\"", choice.name);
  }
  return out;
}

template <typename Enum, size_t Count>
std::string_view choice_name(const std::array<Choice<Enum>, Count>& choices, Enum value) {
  for (const auto& choice : choices) {
    if (choice.value == value) return choice.name;
  }
  return {};
}

}  // namespace weir::config::internal
