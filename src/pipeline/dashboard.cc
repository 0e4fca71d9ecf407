#include "pipeline/dashboard.h"

#include <array>
#include <cmath>
#include <type_traits>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "codec/iso_time.h"
#include "pipeline/day_window.h"
#include "sketch/dd_sketch.h"
#include "sketch/hyper_log_log.h"
#include "stats/derived.h"

namespace weir::pipeline {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::chrono::seconds kReadMax{30};

struct DayEstimates {
  uint64_t clients = 0;
  uint64_t p95_us = 0;
};

double rounded(double value, int decimals) {
  const double scale = std::pow(10.0, decimals);
  return std::round(value * scale) / scale;
}

double share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

double percent(uint64_t part, uint64_t whole) {
  return rounded(share(part, whole) * 100, 2);
}

double trend(uint64_t current, uint64_t before) {
  if (before == 0) return current > 0 ? 100.0 : 0.0;
  const double more = static_cast<double>(current) - static_cast<double>(before);
  return rounded(more / static_cast<double>(before) * 100, 2);
}

DayFigures figures_of(const WindowTotals& totals) {
  const WindowSums& last = totals.last;
  return {.requests = last.requests,
          .requests_before = totals.requests_before,
          .error_rate = percent(last.errors, last.requests),
          .cache_hit_rate = percent(last.cache_hits, last.requests),
          .trend = trend(last.requests, totals.requests_before)};
}

base::Result<DayFigures> read_figures(sqlite::Database& reader, int64_t now_ms) {
  const int64_t before_ms = now_ms - 2 * kWindowHours * codec::kMsPerHour;
  const WindowEdge edge = WEIR_TRY(window_edge(reader, now_ms - kWindowHours * codec::kMsPerHour));
  DayFigures figures = figures_of(WEIR_TRY(window_totals(reader, now_ms, edge)));
  const int64_t first_hour =
      WEIR_TRY(reader.query_int("SELECT ifnull(min(hour), 9223372036854775807) FROM totals"));
  figures.whole_before = first_hour < codec::unix_hour_of_ms(before_ms);
  return figures;
}

base::Result<DayEstimates> day_estimates(sqlite::Database& reader, int64_t now_ms) {
  sketch::DdSketch latency;
  sketch::HyperLogLog clients;
  const int64_t now_hour = codec::unix_hour_of_ms(now_ms);
  for (int64_t hour = now_hour - kWindowHours; hour <= now_hour; ++hour) {
    const sqlite::Database::Borrowed query = WEIR_TRY(
        reader.cached("SELECT latency, clients FROM sketches WHERE hour = ?1 AND path_id = ?2"));
    query->bind(1, hour);
    query->bind(2, stats::kAllPaths);
    if (!WEIR_TRY(query->step())) continue;
    latency.merge(WEIR_TRY(sketch::DdSketch::decode(query->column_blob(0))));
    clients.merge(WEIR_TRY(sketch::HyperLogLog::decode(query->column_blob(1))));
  }
  return DayEstimates{.clients = clients.estimate(), .p95_us = latency.quantile(0.95)};
}

Json paths_json(const std::vector<WindowPath>& paths) {
  Json list = Json::array();
  for (const WindowPath& path : paths) {
    list.push_back({{"path", path.path},
                    {"requests", path.requests},
                    {"errors", path.errors},
                    {"errorRate", rounded(share(path.errors, path.requests), 4)}});
  }
  return list;
}

// Paths may hold bytes that are no UTF-8; JSON cannot.
std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// What the sources gave; zeros of those that failed.
struct Sources {
  WindowTotals totals;
  DayEstimates estimates;
  std::vector<WindowPath> top;
};

Sources read_sources(sqlite::Database& reader, Dashboard& dashboard) {
  const auto value_of = [&](std::string_view source, auto result) {
    if (result.ok()) return std::move(result).value();
    dashboard.errors.push_back(source);
    dashboard.message = reader.message();
    return std::decay_t<decltype(result.value())>{};
  };
  const int64_t now_ms = dashboard.timestamp_ms;
  const base::Result<WindowEdge> edge =
      window_edge(reader, now_ms - kWindowHours * codec::kMsPerHour);
  Sources sources;
  sources.totals =
      value_of("traffic", edge.ok() ? window_totals(reader, now_ms, edge.value()) : edge.error());
  sources.estimates = value_of("estimates", day_estimates(reader, now_ms));
  sources.top = value_of(
      "topPaths",
      edge.ok() ? window_top_paths(reader, now_ms, edge.value(), kDashboardPaths) : edge.error());
  return sources;
}

// One view of the database for all sources; where it cannot begin, each sees the newest.
class ReadTransaction {
 public:
  explicit ReadTransaction(sqlite::Database& reader)
      : reader_(reader), begun_(reader.execute("BEGIN").ok()) {}
  ~ReadTransaction() {
    if (begun_) static_cast<void>(reader_.execute("COMMIT"));  // Nothing was written.
  }
  ReadTransaction(const ReadTransaction&) = delete;
  ReadTransaction& operator=(const ReadTransaction&) = delete;

 private:
  sqlite::Database& reader_;
  const bool begun_;
};

Json overview_json(const Dashboard& dashboard, const Sources& sources,
                   const DashboardInputs& inputs) {
  const WindowSums& last = sources.totals.last;
  const DayFigures figures = figures_of(sources.totals);
  const DashboardInputs::Rates rates = inputs.rates.value_or(DashboardInputs::Rates{});
  const Json top = paths_json(sources.top);
  Json overview;
  overview["traffic"] = {
      {"totalRequests24h", last.requests}, {"currentRpm", rates.current_rpm},
      {"peakRpm", rates.peak_rpm},         {"activeIPs24h", sources.estimates.clients},
      {"trendVsPrevDay", figures.trend},   {"topPaths", top}};
  overview["reliability"] = {
      {"cacheHitRate", figures.cache_hit_rate},
      {"errorRate", figures.error_rate},
      {"avgResponseTime", rounded(share(last.us_sum, last.us_count) / 1000, 3)},
      {"p95ResponseTime", static_cast<double>(sources.estimates.p95_us) / 1000}};
  overview["configuration"] = {{"totalPaths", inputs.configured.paths},
                               {"pathsWithCache", inputs.configured.with_cache},
                               {"pathsWithRateLimit", inputs.configured.with_rate_limit},
                               {"pathsWithGeo", inputs.configured.with_geo}};
  overview["topPaths"] = top;
  overview["timestamp"] = dashboard.timestamp_ms;
  if (sources.totals.approximate) overview["approximate"] = true;
  if (!dashboard.errors.empty()) {
    overview["degraded"] = true;
    overview["errors"] = dashboard.errors;
  }
  return overview;
}

}  // namespace

base::Result<Dashboard> make_dashboard(sqlite::Database& reader, const base::Clock& clock,
                                       const DashboardInputs& inputs,
                                       const std::atomic<bool>& cancelled) {
  Dashboard dashboard;
  dashboard.timestamp_ms = base::unix_ms(clock.wall());
  Sources sources;
  {
    const ReadTransaction transaction{reader};
    reader.set_deadline(clock, clock.monotonic() + kReadMax, &cancelled);
    sources = read_sources(reader, dashboard);
    reader.clear_deadline();
  }
  if (cancelled.load(std::memory_order_relaxed)) return base::cancelled("dashboard snapshot");
  if (!inputs.rates) dashboard.errors.push_back("live");
  dashboard.requests = sources.totals.last.requests;
  dashboard.overview = text_of(overview_json(dashboard, sources, inputs));
  return dashboard;
}

base::Result<DayFigures> day_figures(sqlite::Database& reader, const base::Clock& clock,
                                     std::chrono::milliseconds patience,
                                     const std::atomic<bool>& cancelled) {
  const ReadTransaction transaction{reader};
  reader.set_deadline(clock, clock.monotonic() + patience, &cancelled);
  const base::Result<DayFigures> figures = read_figures(reader, base::unix_ms(clock.wall()));
  reader.clear_deadline();
  if (cancelled.load(std::memory_order_relaxed)) return base::cancelled("figures of the day");
  return figures;
}

base::Status publish_dashboard(kv::Kv& kv, const Dashboard& dashboard, base::Wall expires) {
  const std::string snapshot = fmt::format(R"({{"data":{},"timestamp":{},"version":"1.0"}})",
                                           dashboard.overview, dashboard.timestamp_ms);
  const std::string metadata = fmt::format(R"({{"timestamp":{}}})", dashboard.timestamp_ms);
  const std::array<kv::Change, 2> changes{
      kv::Change{.key = kDashboardKey, .value = snapshot, .metadata = metadata, .expires = expires},
      kv::Change{.key = kOverviewKey,
                 .value = dashboard.overview,
                 .metadata = metadata,
                 .expires = expires}};
  return kv.write(changes);
}

}  // namespace weir::pipeline
