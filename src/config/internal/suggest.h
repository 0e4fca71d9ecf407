#pragma once
// "Did you mean ...?"

#include <string_view>
#include <vector>

namespace weir::config::internal {

// The candidate that differs least from `name` by insertions, deletions, replacements and swaps of
// neighbours, or empty when none is near (more than 2 edits, or more than a third of the name).
std::string_view closest(std::string_view name, const std::vector<std::string_view>& candidates);

// A file's first problems get one each: ten thousand names are looked at for it.
inline constexpr size_t kSuggestionsMax = 20;

}  // namespace weir::config::internal
