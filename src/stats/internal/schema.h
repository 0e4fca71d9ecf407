#pragma once
// The SQL of the statistics tables and of the founding views. Described in
// docs/formats/database.md.

#include <span>
#include <string_view>

namespace weir::stats::internal {

std::span<const std::string_view> migrations();

}  // namespace weir::stats::internal
