// What SqliteStats tells about one path. Beside sqlite_stats.cc to keep both short.

#include <algorithm>
#include <utility>

#include "stats/internal/rows.h"
#include "stats/sqlite_stats.h"

namespace weir::stats {
namespace {

using sqlite::Database;

// Twice the bytes that two paths share at their beginnings and ends, in percent of both lengths.
size_t likeness(std::string_view a, std::string_view b) {
  const size_t shorter = std::min(a.size(), b.size());
  size_t shared = 0;
  while (shared < shorter && a[shared] == b[shared])
    ++shared;
  const size_t prefix = shared;
  while (shared < shorter &&
         a[a.size() - 1 - (shared - prefix)] == b[b.size() - 1 - (shared - prefix)]) {
    ++shared;
  }
  return a.size() + b.size() == 0 ? 100 : 200 * shared / (a.size() + b.size());
}

}  // namespace

base::Result<PathHours> SqliteStats::path_hours(std::string_view path, int64_t first_hour) {
  PathHours result;
  std::vector<int64_t> hours;
  int64_t path_id = 0;
  {
    const Database::Borrowed query = WEIR_TRY(database_.cached(
        "SELECT h.path_id, h.hour FROM hourly h JOIN paths p ON p.path_id ="
        " h.path_id WHERE p.path = ?1 AND h.hour BETWEEN ?2 AND ?3 ORDER BY h.hour"));
    query->bind_text(1, path);
    query->bind(2, first_hour);
    query->bind(3, first_hour + kTopHours - 1);
    while (WEIR_TRY(query->step())) {
      path_id = query->column_int(0);
      hours.push_back(query->column_int(1));
    }
  }
  for (const int64_t hour : hours) {
    TopPath row = WEIR_TRY(internal::sum_of_path(database_, path_id, hour, hour));
    row.estimates = WEIR_TRY(estimates_of(path_id, hour, hour));
    result.hours.push_back(std::move(row));
  }
  if (hours.empty()) return result;
  result.sum = WEIR_TRY(internal::sum_of_path(database_, path_id, hours.front(), hours.back()));
  result.sum.estimates = WEIR_TRY(estimates_of(path_id, hours.front(), hours.back()));
  return result;
}

base::Result<std::vector<std::string>> SqliteStats::similar_paths(std::string_view path,
                                                                  size_t count) {
  constexpr size_t kLikeEnough = 50;
  std::vector<std::pair<size_t, std::string>> similar;
  const Database::Borrowed query = WEIR_TRY(database_.cached("SELECT path FROM paths LIMIT ?1"));
  query->bind(1, static_cast<int64_t>(kSimilarLooked));
  while (WEIR_TRY(query->step())) {
    const std::string_view known = query->column_text(0);
    const size_t like = likeness(path, known);
    if (like < kLikeEnough) continue;
    similar.emplace_back(100 - std::min<size_t>(like, 100), known);
    std::sort(similar.begin(), similar.end());
    if (similar.size() > count) similar.pop_back();
  }
  std::vector<std::string> names;
  for (auto& [distance, name] : similar)
    names.push_back(std::move(name));
  return names;
}

}  // namespace weir::stats
