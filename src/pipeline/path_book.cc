#include "pipeline/path_book.h"

#include <algorithm>

namespace weir::pipeline {
namespace {

bool is_reserved(std::string_view path) {
  return path == stats::kOtherPath || path == stats::kMalformedPath || path == stats::kUnroutedPath;
}

}  // namespace

base::Result<bool> PathBook::admit(int64_t hour, std::string_view path, std::string_view route) {
  if (is_reserved(path)) return true;
  Hour* const book = WEIR_TRY(hour_of(hour));
  const uint64_t hash = hash_(path);
  if (book->paths.contains(hash)) return true;
  if (route.empty()) {
    if (book->unrouted >= limits_.per_route) return false;
    if (book->routed + book->unrouted >= limits_.in_all) return false;
  } else {
    if (book->routed >= limits_.in_all) return false;
    const auto used = book->by_route.find(route);
    const uint32_t of_route = used == book->by_route.end() ? 0 : used->second;
    if (of_route >= limits_.per_route) return false;
  }
  book->paths.insert(hash);
  count(*book, route);
  return true;
}

void PathBook::count(Hour& hour, std::string_view route) {
  if (route.empty()) {
    ++hour.unrouted;
    return;
  }
  ++hour.routed;
  const auto used = hour.by_route.find(route);
  if (used == hour.by_route.end()) {
    hour.by_route.emplace(std::string{route}, 1);
  } else {
    ++used->second;
  }
}

base::Result<PathBook::Hour*> PathBook::hour_of(int64_t hour) {
  for (Hour& known : hours_) {
    if (known.used_at != 0 && known.hour == hour) {
      known.used_at = ++uses_;
      return &known;
    }
  }
  Hour& place = *std::min_element(hours_.begin(), hours_.end(), [](const Hour& a, const Hour& b) {
    return a.used_at < b.used_at;
  });
  place = Hour{.hour = hour};
  WEIR_TRY(
      stats_.paths_of_hour(hour, [this, &place](std::string_view path, std::string_view route) {
        if (is_reserved(path)) return;
        place.paths.insert(hash_(path));
        count(place, route);
      }));
  place.used_at = ++uses_;
  return &place;
}

void PathBook::forget() {
  for (Hour& hour : hours_)
    hour = Hour{};
}

}  // namespace weir::pipeline
