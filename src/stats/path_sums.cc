#include "stats/path_sums.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "codec/varint.h"

namespace weir::stats {

using sqlite::Database;
using sqlite::Statement;

// One hour's rows, in the order of path_id: from memory, or from the database, and then noted down.
class PathSums::Cursor {
 public:
  static constexpr int64_t kEnd = std::numeric_limits<int64_t>::max();

  explicit Cursor(std::string_view rows) : rest_(rows) {}
  Cursor(Statement statement, int64_t hour, const Stamp& stamp, size_t bytes_max)
      : statement_(std::move(statement)), hour_(hour), noted_{stamp, {}}, bytes_max_(bytes_max) {}

  // Moves to the next row; at the end its path_id is kEnd.
  base::Status next() {
    if (statement_) return next_stored();
    row_.path_id = rest_.empty() ? kEnd : row_.path_id + static_cast<int64_t>(take());
    row_.requests = take();
    row_.errors = take();
    return {};
  }

  const PathSum& row() const { return row_; }

  // What was read from the database, at the end of it; none when it was too much.
  std::optional<Hour> take_noted() {
    if (!statement_ || bytes_max_ == 0) return std::nullopt;
    return std::move(noted_);
  }
  int64_t hour() const { return hour_; }

 private:
  uint64_t take() {
    uint64_t value = 0;
    codec::read_varint(rest_, value);
    return value;
  }

  base::Status next_stored() {
    if (!WEIR_TRY(statement_->step())) {
      row_.path_id = kEnd;
      return {};
    }
    const int64_t before = row_.path_id;
    row_ = {.path_id = statement_->column_int(0),
            .requests = statement_->column_unsigned(1),
            .errors = statement_->column_unsigned(2)};
    if (bytes_max_ > 0) note(before);
    return {};
  }

  void note(int64_t before) {
    std::array<char, 3 * codec::kVarintBytesMax> bytes;
    char* end = codec::write_varint(bytes.data(), static_cast<uint64_t>(row_.path_id - before));
    end = codec::write_varint(end, row_.requests);
    end = codec::write_varint(end, row_.errors);
    if (noted_.rows.size() + static_cast<size_t>(end - bytes.data()) > bytes_max_) {
      bytes_max_ = 0;
      noted_.rows = {};
      return;
    }
    noted_.rows.append(bytes.data(), end);
  }

  std::optional<Statement> statement_;
  std::string_view rest_;
  PathSum row_;
  int64_t hour_ = 0;
  Hour noted_;
  size_t bytes_max_ = 0;
};

PathSums::PathSums(Database& database, Options options) : database_(database), options_(options) {}

base::Result<std::map<int64_t, PathSums::Stamp>> PathSums::stamps(int64_t first_hour,
                                                                  int64_t last_hour) {
  Statement query = WEIR_TRY(
      database_.prepare("SELECT hour, requests, errors,"
                        " (SELECT ifnull(max(value), 0) FROM meta WHERE name = 'hourly_rows_set')"
                        " FROM totals WHERE hour BETWEEN ?1 AND ?2"));
  query.bind(1, first_hour);
  query.bind(2, last_hour);
  std::map<int64_t, Stamp> stamps;
  while (WEIR_TRY(query.step())) {
    stamps[query.column_int(0)] = {.requests = query.column_unsigned(1),
                                   .errors = query.column_unsigned(2),
                                   .rows_set = query.column_int(3)};
  }
  return stamps;
}

void PathSums::forget_all_but(const std::map<int64_t, Stamp>& stamps) {
  for (auto hour = hours_.begin(); hour != hours_.end();) {
    const auto current = stamps.find(hour->first);
    if (current != stamps.end() && current->second == hour->second.stamp) {
      ++hour;
      continue;
    }
    bytes_ -= hour->second.rows.size();
    hour = hours_.erase(hour);
  }
}

void PathSums::remember(Cursor& cursor) {
  std::optional<Hour> noted = cursor.take_noted();
  if (!noted) return;
  noted->rows.shrink_to_fit();
  bytes_ += noted->rows.size();
  hours_.emplace(cursor.hour(), *std::move(noted));
}

base::Result<PathSums::Cursor> PathSums::read_hour(int64_t hour, const Stamp& stamp,
                                                   size_t bytes_max) {
  Statement rows = WEIR_TRY(database_.prepare(
      "SELECT path_id, requests, errors FROM hourly WHERE hour = ?1 ORDER BY path_id"));
  rows.bind(1, hour);
  return Cursor{std::move(rows), hour, stamp, bytes_max};
}

base::Result<std::optional<int64_t>> PathSums::read_ahead(int64_t first_hour, int64_t last_hour) {
  const std::map<int64_t, Stamp> known = WEIR_TRY(stamps(first_hour, last_hour));
  const auto unread = std::find_if(known.begin(), known.end(), [this](const auto& hour) {
    const auto remembered = hours_.find(hour.first);
    return remembered == hours_.end() || remembered->second.stamp != hour.second;
  });
  if (unread == known.end()) return std::optional<int64_t>{};
  const auto& [hour, stamp] = *unread;
  if (const auto outdated = hours_.find(hour); outdated != hours_.end()) {
    bytes_ -= outdated->second.rows.size();
    hours_.erase(outdated);
  }
  const auto left = static_cast<size_t>(std::distance(unread, known.end()));
  Cursor cursor = WEIR_TRY(read_hour(hour, stamp, (options_.bytes_max - bytes_) / left));
  do {
    WEIR_TRY(cursor.next());
  } while (cursor.row().path_id != Cursor::kEnd);
  remember(cursor);
  return std::optional{hour + 1};
}

// A merge over the hours sees all rows of one path together. The stamps are read before the rows,
// so that a commit in between makes them too old, never too new.
base::Status PathSums::for_each(int64_t first_hour, int64_t last_hour,
                                const std::function<void(const PathSum&)>& each) {
  const std::map<int64_t, Stamp> known = WEIR_TRY(stamps(first_hour, last_hour));
  forget_all_but(known);
  std::vector<Cursor> cursors;
  cursors.reserve(known.size());
  // All that are read may be as large, and are held together.
  const size_t unread = known.size() - hours_.size();
  const size_t bytes_of_each = unread == 0 ? 0 : (options_.bytes_max - bytes_) / unread;
  for (const auto& [hour, stamp] : known) {
    if (const auto remembered = hours_.find(hour); remembered != hours_.end()) {
      cursors.emplace_back(remembered->second.rows);
    } else {
      // The newest hour is not over: what is noted of it would be thrown away.
      cursors.push_back(WEIR_TRY(read_hour(hour, stamp, hour < last_hour ? bytes_of_each : 0)));
    }
    WEIR_TRY(cursors.back().next());
  }
  for (;;) {  // A look at each of some 24 cursors is cheaper than a heap of them.
    PathSum sum{.path_id = Cursor::kEnd};
    for (const Cursor& cursor : cursors)
      sum.path_id = std::min(sum.path_id, cursor.row().path_id);
    if (sum.path_id == Cursor::kEnd) break;
    for (Cursor& cursor : cursors) {
      if (cursor.row().path_id != sum.path_id) continue;
      sum.requests += cursor.row().requests;
      sum.errors += cursor.row().errors;
      WEIR_TRY(cursor.next());
    }
    each(sum);
  }
  for (Cursor& cursor : cursors)
    remember(cursor);
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
