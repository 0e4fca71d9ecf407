#pragma once
// Counts as the row of columns that `hourly`, `totals` and `adjustments` have: docs/formats/
// database.md, "Counts, in the order of parameters".

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "stats/stats.h"

namespace weir::stats {

inline constexpr std::array<std::string_view, 25> kCountNames{
    "requests",   "errors",       "status_1xx",    "status_2xx",     "status_3xx",
    "status_4xx", "status_5xx",   "method_get",    "method_head",    "method_post",
    "method_put", "method_patch", "method_delete", "method_options", "method_other",
    "cache_hit",  "cache_miss",   "cache_stale",   "cache_bypass",   "bytes_in",
    "bytes_out",  "us_sum",       "us_count",      "us_min",         "us_max"};

// In the order of kCountNames; only the last two may be missing.
using CountValues = std::array<std::optional<uint64_t>, kCountNames.size()>;

CountValues values_of(const Counts& counts);
Counts counts_of(const CountValues& values);

}  // namespace weir::stats
