#pragma once
// From where to where requests went lately, published in the KV store for a map (spec 10.4).
//
// Key: `geo:traffic:latest`
//
//   {edges: [{country, edge_colo, request_count, error_count}], timestamp, since}
//
// The kGeoEdges pairs with most requests among the events of the last 30 minutes that name the node
// they came to (edge_colo); country is null where it is not known. Times are milliseconds since
// 1970; `since` is where the counting begins: 30 minutes before `timestamp`, or later where that
// many events would be too many to read. Exchanges without a detail row are not in it.

#include <atomic>
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

inline constexpr std::string_view kGeoKey = "geo:traffic:latest";
inline constexpr size_t kGeoEdges = 100;

struct GeoEdge {
  std::optional<std::string> country;
  std::string colo;
  uint64_t requests = 0;
  uint64_t errors = 0;  // Status 400 and above.
  bool operator==(const GeoEdge&) const = default;
};

struct GeoTraffic {
  std::vector<GeoEdge> edges;  // Most requests first, then by names.
  int64_t timestamp_ms = 0;
  int64_t since_ms = 0;
  size_t zones = 0;  // That were read.
};

struct GeoOptions {
  std::chrono::minutes window{30};
  size_t zones_max = 512;  // 4 M events, the newest.
};

// Finds the events by `event_zones`, and reads a zone of 8192 in each read transaction.
// Blocks for the database. Errors: cancelled; those of sqlite/database.h. Threading: that of
// `reader`.
base::Result<GeoTraffic> geo_traffic(sqlite::Database& reader, base::Wall now,
                                     const std::atomic<bool>& cancelled,
                                     const GeoOptions& options = {});

// From `expires` on the key is not there. Errors: those of Kv::write().
base::Status publish_geo(kv::Kv& kv, const GeoTraffic& traffic, base::Wall expires);

}  // namespace weir::pipeline
