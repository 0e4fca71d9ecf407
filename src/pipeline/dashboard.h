#pragma once
// The overview of a node for a dashboard's first page, published in the KV store (spec 10.3).
//
// Keys: `dashboard:snapshot:latest` {data: the overview, timestamp, version: "1.0"} and
// `dashboard:overview:v1` (the overview alone), written together.
//
//   {traffic: {totalRequests24h, currentRpm, peakRpm, activeIPs24h, trendVsPrevDay, topPaths},
//    reliability: {cacheHitRate, errorRate, avgResponseTime, p95ResponseTime},
//    configuration: {totalPaths, pathsWithCache, pathsWithRateLimit, pathsWithGeo},
//    topPaths: [{path, requests, errors, errorRate}], timestamp, approximate?, degraded?, errors?}
//
//   totalRequests24h  the last 24 hours to the moment; how they are cut: day_window.h. So are
//                     errorRate, cacheHitRate (percent of these requests, two decimals),
//                     avgResponseTime (milliseconds) and topPaths (errorRate there: 0 to 1, four
//                     decimals). `approximate` is there, and true, where a part was shared out.
//   trendVsPrevDay    percent more than in the 24 hours before, two decimals; 100 when nothing came
//                     then and something came since
//   activeIPs24h      distinct clients, and p95ResponseTime (milliseconds) come from the merged
//                     sketches of the hours that the 24 touch, both ends whole, so 25 at most:
//                     sketches cannot be cut. Standard error 0.8 %, and within 1 %.
//   currentRpm        requests of the last minute; peakRpm the most of any: live, from
//                     state::TrafficMonitor
//   timestamp         milliseconds since 1970
//
// Degraded: each source that fails makes zeros of what comes from it, `degraded` is true, and
// `errors` names it: `traffic` (totals and events), `estimates` (sketches), `topPaths` (hourly
// rows), `live`.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "kv/kv.h"
#include "sqlite/database.h"

namespace weir::pipeline {

inline constexpr size_t kDashboardPaths = 10;
inline constexpr std::string_view kDashboardKey = "dashboard:snapshot:latest";
inline constexpr std::string_view kOverviewKey = "dashboard:overview:v1";

// What the overview shows that is not in the database.
struct DashboardInputs {
  struct Rates {
    uint64_t current_rpm = 0;
    uint64_t peak_rpm = 0;
  };
  struct Configured {
    uint64_t paths = 0;
    uint64_t with_cache = 0;
    uint64_t with_rate_limit = 0;
    uint64_t with_geo = 0;
  };
  std::optional<Rates> rates;  // None: not known, and the overview is degraded.
  Configured configured;
};

// The figures of the 24 hours alone, as the overview shows them.
struct DayFigures {
  uint64_t requests = 0;
  uint64_t requests_before = 0;  // Of the 24 hours before.
  bool whole_before = false;     // Something was counted before those began: they are no mere rest.
  double error_rate = 0;         // Percent, two decimals; as all below.
  double cache_hit_rate = 0;
  double trend = 0;
};

struct Dashboard {
  std::string overview;  // JSON.
  int64_t timestamp_ms = 0;
  uint64_t requests = 0;                 // Of the last 24 hours.
  std::vector<std::string_view> errors;  // Sources that failed.
  std::string message;                   // The database's words about the last of them.
};

// Reads within one read transaction, for at most 30 s.
// Blocks for the database. Errors: cancelled. Threading: that of `reader`.
base::Result<Dashboard> make_dashboard(sqlite::Database& reader, const base::Clock& clock,
                                       const DashboardInputs& inputs,
                                       const std::atomic<bool>& cancelled);

// For those who ask every minute: reads some 50 rows and the two edge hours (day_window.h), within
// one read transaction, for at most `patience`. Blocks for the database. Errors: those of
// sqlite/database.h. Threading: that of `reader`.
base::Result<DayFigures> day_figures(sqlite::Database& reader, const base::Clock& clock,
                                     std::chrono::milliseconds patience,
                                     const std::atomic<bool>& cancelled);

// From `expires` on the keys are not there: best far beyond the next time, or readers find nothing
// whenever that is late. Errors: those of Kv::write().
base::Status publish_dashboard(kv::Kv& kv, const Dashboard& dashboard, base::Wall expires);

}  // namespace weir::pipeline
