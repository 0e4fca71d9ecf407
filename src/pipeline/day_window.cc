#include "pipeline/day_window.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "codec/iso_time.h"
#include "pipeline/event_zones.h"
#include "stats/path_sums.h"
#include "traffic/event.h"

namespace weir::pipeline {
namespace {

using sqlite::Database;
using sqlite::Statement;

// Columns requests, errors, cache_hit, us_sum, us_count from `first` on.
WindowSums sums_of(const Statement& row, int first) {
  return {.requests = row.column_unsigned(first),
          .errors = row.column_unsigned(first + 1),
          .cache_hits = row.column_unsigned(first + 2),
          .us_sum = row.column_unsigned(first + 3),
          .us_count = row.column_unsigned(first + 4)};
}

WindowSums share_of(const WindowSums& sums, double share) {
  const auto part = [share](uint64_t count) {
    return static_cast<uint64_t>(std::llround(static_cast<double>(count) * share));
  };
  return {.requests = part(sums.requests),
          .errors = part(sums.errors),
          .cache_hits = part(sums.cache_hits),
          .us_sum = part(sums.us_sum),
          .us_count = part(sums.us_count)};
}

void add(WindowEdge& edge, int64_t path_id, const WindowSums& sums) {
  edge.sum += sums;
  edge.paths[path_id] += sums;
}

// Adds `share` of the rows of `query`: path_id and sums. True: there were some.
base::Result<bool> add_share(WindowEdge& edge, Statement& query, double share) {
  bool some = false;
  while (WEIR_TRY(query.step())) {
    some = true;
    add(edge, query.column_int(0), share_of(sums_of(query, 1), share));
  }
  return some;
}

base::Result<bool> add_share_of_hour(WindowEdge& edge, Database& reader, int64_t hour,
                                     double share) {
  const Database::Borrowed query =
      WEIR_TRY(reader.cached("SELECT path_id, requests, errors, cache_hit, us_sum, us_count"
                             " FROM hourly WHERE hour = ?1"));
  query->bind(1, hour);
  return add_share(edge, *query, share);
}

base::Result<bool> add_share_of_adjustments(WindowEdge& edge, Database& reader, int64_t hour,
                                            double share) {
  const Database::Borrowed query =
      WEIR_TRY(reader.cached("SELECT path_id, requests, errors, cache_hit, us_sum, us_count"
                             " FROM adjustments WHERE day = ?1 AND hour = ?2"));
  query->bind(1, hour / 24);
  query->bind(2, hour);
  return add_share(edge, *query, share);
}

base::Status add_events(WindowEdge& edge, Database& reader, const EventZone& zone, int64_t from_ms,
                        int64_t end_ms) {
  const Database::Borrowed query =
      WEIR_TRY(reader.cached("SELECT path_id, status, cache, us FROM events"
                             " WHERE seq BETWEEN ?1 AND ?2 AND ts_ms >= ?3 AND ts_ms < ?4"));
  query->bind(1, zone.first);
  query->bind(2, zone.last);
  query->bind(3, from_ms);
  query->bind(4, end_ms);
  while (WEIR_TRY(query->step())) {
    const auto cache = static_cast<traffic::CacheStatus>(query->column_int(2));
    add(edge, query->column_int(0),
        {.requests = 1,
         .errors = query->column_int(1) >= 400 ? uint64_t{1} : uint64_t{0},
         .cache_hits = cache == traffic::CacheStatus::hit ? uint64_t{1} : uint64_t{0},
         .us_sum = query->column_unsigned(3),
         .us_count = 1});
  }
  return {};
}

}  // namespace

WindowSums& WindowSums::operator+=(const WindowSums& other) {
  requests += other.requests;
  errors += other.errors;
  cache_hits += other.cache_hits;
  us_sum += other.us_sum;
  us_count += other.us_count;
  return *this;
}

base::Result<WindowEdge> window_edge(Database& reader, int64_t from_ms, const EdgeLimits& limits) {
  WindowEdge edge;
  const int64_t hour = codec::unix_hour_of_ms(from_ms);
  const int64_t end_ms = (hour + 1) * codec::kMsPerHour;
  const int64_t left_ms = end_ms - from_ms;
  const double share = static_cast<double>(left_ms) / static_cast<double>(codec::kMsPerHour);
  if (left_ms == codec::kMsPerHour) {
    WEIR_TRY(add_share_of_hour(edge, reader, hour, share));  // All of it: exact.
    return edge;
  }
  const std::vector<EventZone> zones = WEIR_TRY(zones_between(reader, from_ms, end_ms));
  if (zones.size() > limits.zones_max) {
    edge.approximate = WEIR_TRY(add_share_of_hour(edge, reader, hour, share));
    return edge;
  }
  for (const EventZone& zone : zones)
    WEIR_TRY(add_events(edge, reader, zone, from_ms, end_ms));
  edge.approximate = WEIR_TRY(add_share_of_adjustments(edge, reader, hour, share));
  return edge;
}

base::Result<WindowTotals> window_totals(Database& reader, int64_t now_ms, const WindowEdge& edge,
                                         const EdgeLimits& limits) {
  const int64_t now_hour = codec::unix_hour_of_ms(now_ms);
  const int64_t edge_hour = now_hour - kWindowHours;
  const WindowEdge edge_before =
      WEIR_TRY(window_edge(reader, now_ms - 2 * kWindowHours * codec::kMsPerHour, limits));
  WindowTotals totals{.last = edge.sum,
                      .requests_before = edge_before.sum.requests,
                      .approximate = edge.approximate || edge_before.approximate};
  const Database::Borrowed query =
      WEIR_TRY(reader.cached("SELECT hour, requests, errors, cache_hit, us_sum, us_count"
                             " FROM totals WHERE hour > ?1 AND hour <= ?2"));
  query->bind(1, edge_hour - kWindowHours);
  query->bind(2, now_hour);
  while (WEIR_TRY(query->step())) {
    const int64_t hour = query->column_int(0);
    const WindowSums sums = sums_of(*query, 1);
    if (hour > edge_hour) {
      totals.last += sums;
    } else if (hour < edge_hour) {
      totals.requests_before += sums.requests;
    } else {  // Of a shared hour the edge may be rounded up.
      totals.requests_before += sums.requests - std::min(sums.requests, edge.sum.requests);
    }
  }
  return totals;
}

base::Result<std::vector<WindowPath>> window_top_paths(Database& reader, int64_t now_ms,
                                                       const WindowEdge& edge, size_t count) {
  const int64_t now_hour = codec::unix_hour_of_ms(now_ms);
  stats::TopSums top{count};
  std::unordered_map<int64_t, WindowSums> edge_only = edge.paths;
  stats::PathSums once{reader, {.bytes_max = 0}};
  WEIR_TRY(once.for_each(now_hour - kWindowHours + 1, now_hour, [&](stats::PathSum sum) {
    if (const auto found = edge_only.find(sum.path_id); found != edge_only.end()) {
      sum.requests += found->second.requests;
      sum.errors += found->second.errors;
      edge_only.erase(found);
    }
    top.offer(sum);
  }));
  for (const auto& [path_id, sums] : edge_only)
    top.offer({.path_id = path_id, .requests = sums.requests, .errors = sums.errors});
  std::vector<WindowPath> paths;
  for (const stats::PathSum& sum : top.take()) {
    const Database::Borrowed name =
        WEIR_TRY(reader.cached("SELECT path FROM paths WHERE path_id = ?1"));
    name->bind(1, sum.path_id);
    if (!WEIR_TRY(name->step())) continue;
    paths.push_back({std::string{name->column_text(0)}, sum.requests, sum.errors});
  }
  return paths;
}

}  // namespace weir::pipeline
