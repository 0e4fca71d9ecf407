#pragma once
// Durations and sizes as people write them, and back again.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::config {

// "250ms", "5s", "2m", "1h", "1d": digits and a unit, nothing between. No value when `text` is
// anything else, or more than 100 years.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

// "512B", "64KiB", "100MiB", "8GiB", "1TiB": digits and a unit of powers of 1024, nothing between.
// "KB" and "MB" are refused, because half the world reads them as powers of 1000.
std::optional<uint64_t> parse_size(std::string_view text);

// The shortest exact form: 5000 ms is "5s", 1500 ms is "1500ms", zero is "0s".
std::string format_duration(std::chrono::milliseconds duration);

// The shortest exact form: 65536 is "64KiB", 1000 is "1000B", zero is "0B".
std::string format_size(uint64_t bytes);

}  // namespace weir::config
