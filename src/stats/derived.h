#pragma once
// Keys and rows of what is derived from events later than their exact counts: docs/formats/
// database.md, tables `sketches` and `client_daily`.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sketch/dd_sketch.h"
#include "sketch/hyper_log_log.h"
#include "traffic/event.h"

namespace weir::stats {

// In the place of a path_id: all paths together.
inline constexpr int64_t kAllPaths = 0;
// In the place of a client: all that came when the day's limit was reached.
inline constexpr uint64_t kOtherClient = 0;

// What an event adds. Views live during the call only.
struct Fact {
  uint64_t seq = 0;
  int64_t ts_ms = 0;
  int64_t path_id = 0;
  uint64_t us = 0;
  uint64_t client = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  std::string_view ip;  // As recorded; may be empty.
  traffic::GeoAction geo = traffic::GeoAction::none;
  uint16_t status = 200;

  bool is_error() const { return status >= 400; }
  // Refused, by whomever: 403 and 429 are told as such, whether Weir or the upstream did.
  bool is_blocked() const { return geo == traffic::GeoAction::blocked || status == 403; }
  bool is_throttled() const {
    return !is_blocked() && (geo == traffic::GeoAction::throttled || status == 429);
  }
};

struct SketchKey {
  int64_t hour = 0;
  int64_t path_id = 0;
  auto operator<=>(const SketchKey&) const = default;
};

struct SketchRow {
  uint64_t through = 0;
  sketch::DdSketch latency;
  sketch::HyperLogLog clients;
};

struct ClientKey {
  int64_t day = 0;
  uint64_t client = 0;
  auto operator<=>(const ClientKey&) const = default;
};

// What came since the row was written last.
struct ClientRow {
  ClientKey key;
  uint64_t through = 0;
  uint64_t requests = 0;
  uint64_t errors = 0;
  uint64_t blocked = 0;
  uint64_t throttled = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  int64_t first_ms = 0;
  int64_t last_ms = 0;
  std::string ip;
};

struct SketchKeyHash {
  size_t operator()(const SketchKey& key) const {
    const uint64_t mixed = (static_cast<uint64_t>(key.path_id) << 20U) ^
                           static_cast<uint64_t>(key.hour) * 0x9e3779b97f4a7c15U;
    return static_cast<size_t>((mixed ^ (mixed >> 29U)) * 0xbf58476d1ce4e5b9U);
  }
};

struct ClientKeyHash {
  size_t operator()(const ClientKey& key) const {
    return static_cast<size_t>(key.client ^ static_cast<uint64_t>(key.day) * 0x9e3779b97f4a7c15U);
  }
};

}  // namespace weir::stats
