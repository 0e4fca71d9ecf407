#include "pipeline/geo_snapshot.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "pipeline/event_zones.h"

namespace weir::pipeline {
namespace {

using Json = nlohmann::ordered_json;

struct Counted {
  uint64_t requests = 0;
  uint64_t errors = 0;
};
using Pair = std::pair<std::optional<std::string>, std::string>;  // Country and colo.
using Pairs = std::map<Pair, Counted>;

// Rows are grouped by what stands in them; names come last, once for each group.
base::Status add_zone(Pairs& pairs, sqlite::Database& reader, const EventZone& zone,
                      int64_t from_ms, int64_t to_ms) {
  const sqlite::Database::Borrowed query = WEIR_TRY(reader.cached(
      "SELECT CASE typeof(country) WHEN 'integer'"
      "   THEN (SELECT word FROM words WHERE word_id = country) ELSE country END,"
      " CASE typeof(colo) WHEN 'integer'"
      "   THEN (SELECT word FROM words WHERE word_id = colo) ELSE colo END, requests, errors"
      " FROM (SELECT country, colo, count(*) AS requests, sum(status >= 400) AS errors FROM events"
      "  WHERE seq BETWEEN ?1 AND ?2 AND ts_ms BETWEEN ?3 AND ?4 AND colo IS NOT NULL"
      "  GROUP BY country, colo)"));
  query->bind(1, zone.first);
  query->bind(2, zone.last);
  query->bind(3, from_ms);
  query->bind(4, to_ms);
  while (WEIR_TRY(query->step())) {
    std::optional<std::string> country;
    if (query->column_type(0) != sqlite::ColumnType::null) country = query->column_text(0);
    Counted& counted = pairs[{std::move(country), std::string{query->column_text(1)}}];
    counted.requests += query->column_unsigned(2);
    counted.errors += query->column_unsigned(3);
  }
  return {};
}

}  // namespace

base::Result<GeoTraffic> geo_traffic(sqlite::Database& reader, base::Wall now,
                                     const std::atomic<bool>& cancelled,
                                     const GeoOptions& options) {
  GeoTraffic traffic;
  traffic.timestamp_ms = base::unix_ms(now);
  traffic.since_ms = traffic.timestamp_ms -
                     std::chrono::duration_cast<std::chrono::milliseconds>(options.window).count();
  std::vector<EventZone> zones =
      WEIR_TRY(zones_between(reader, traffic.since_ms, traffic.timestamp_ms + 1));
  // What is left out ends here, whichever its order.
  for (; zones.size() > options.zones_max; zones.pop_back())
    traffic.since_ms = std::max(traffic.since_ms, zones.back().ts_max + 1);
  Pairs pairs;
  for (const EventZone& zone : zones) {
    if (cancelled.load(std::memory_order_relaxed)) return base::cancelled("geo snapshot");
    WEIR_TRY(add_zone(pairs, reader, zone, traffic.since_ms, traffic.timestamp_ms));
    ++traffic.zones;
  }
  for (const auto& [names, counted] : pairs) {
    traffic.edges.push_back({names.first, names.second, counted.requests, counted.errors});
  }
  std::stable_sort(traffic.edges.begin(), traffic.edges.end(),
                   [](const GeoEdge& a, const GeoEdge& b) { return a.requests > b.requests; });
  if (traffic.edges.size() > kGeoEdges) traffic.edges.resize(kGeoEdges);
  return traffic;
}

base::Status publish_geo(kv::Kv& kv, const GeoTraffic& traffic, base::Wall expires) {
  Json edges = Json::array();
  for (const GeoEdge& edge : traffic.edges) {
    edges.push_back({{"country", edge.country ? Json(*edge.country) : Json(nullptr)},
                     {"edge_colo", edge.colo},
                     {"request_count", edge.requests},
                     {"error_count", edge.errors}});
  }
  const Json snapshot{{"edges", std::move(edges)},
                      {"timestamp", traffic.timestamp_ms},
                      {"since", traffic.since_ms}};
  // Names may hold bytes that are no UTF-8; JSON cannot.
  const std::string text = snapshot.dump(-1, ' ', false, Json::error_handler_t::replace);
  const std::string metadata = fmt::format(R"({{"timestamp":{}}})", traffic.timestamp_ms);
  const kv::Change change{.key = kGeoKey, .value = text, .metadata = metadata, .expires = expires};
  return kv.write({&change, 1});
}

}  // namespace weir::pipeline
