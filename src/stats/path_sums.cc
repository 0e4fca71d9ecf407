#include "stats/path_sums.h"

#include <algorithm>
#include <utility>

namespace weir::stats {
namespace {

using sqlite::Database;
using sqlite::Statement;

// One hour's rows, in the order of path_id.
struct Cursor {
  Statement rows;
  PathSum row;

  base::Result<bool> next() {
    if (!WEIR_TRY(rows.step())) return false;
    row = {.path_id = rows.column_int(0),
           .requests = static_cast<uint64_t>(rows.column_int(1)),
           .errors = static_cast<uint64_t>(rows.column_int(2))};
    return true;
  }
};

base::Result<std::vector<Cursor>> open_cursors(Database& database, int64_t first_hour,
                                               int64_t last_hour) {
  std::vector<Cursor> cursors;
  Statement hours = WEIR_TRY(
      database.prepare("SELECT hour FROM totals WHERE hour BETWEEN ?1 AND ?2 ORDER BY hour"));
  hours.bind(1, first_hour);
  hours.bind(2, last_hour);
  while (WEIR_TRY(hours.step())) {
    Cursor cursor{WEIR_TRY(database.prepare(
                      "SELECT path_id, requests, errors FROM hourly WHERE hour = ?1 ORDER BY"
                      " path_id")),
                  {}};
    cursor.rows.bind(1, hours.column_int(0));
    if (WEIR_TRY(cursor.next())) cursors.push_back(std::move(cursor));
  }
  return cursors;
}

}  // namespace

// A merge over the hours sees all rows of one path together.
base::Status for_each_path(Database& database, int64_t first_hour, int64_t last_hour,
                           const std::function<void(const PathSum&)>& each) {
  std::vector<Cursor> cursors = WEIR_TRY(open_cursors(database, first_hour, last_hour));
  const auto later = [&cursors](size_t a, size_t b) {
    return cursors[a].row.path_id > cursors[b].row.path_id;
  };
  std::priority_queue<size_t, std::vector<size_t>, decltype(later)> next{later};
  for (size_t i = 0; i < cursors.size(); ++i)
    next.push(i);
  while (!next.empty()) {
    PathSum sum{.path_id = cursors[next.top()].row.path_id};
    while (!next.empty() && cursors[next.top()].row.path_id == sum.path_id) {
      const size_t i = next.top();
      next.pop();
      sum.requests += cursors[i].row.requests;
      sum.errors += cursors[i].row.errors;
      if (WEIR_TRY(cursors[i].next())) next.push(i);
    }
    each(sum);
  }
  return {};
}

void TopSums::offer(const PathSum& sum) {
  if (count_ == 0 || sum.requests == 0) return;
  if (sums_.size() == count_) {
    if (!Before{}(sum, sums_.top())) return;
    sums_.pop();
  }
  sums_.push(sum);
}

std::vector<PathSum> TopSums::take() {
  std::vector<PathSum> sums;
  for (; !sums_.empty(); sums_.pop())
    sums.push_back(sums_.top());
  std::reverse(sums.begin(), sums.end());
  return sums;
}

}  // namespace weir::stats
