#pragma once
// One row of `events` with its words written out: what an archive keeps of it, as a line of JSON,
// and a digest that tells whether a set of rows is the same on both sides.
//
// The line has the columns of the founding system's traffic_events under their names, and what
// Weir knows beyond them: docs/formats/archive.md. A line read back gives the same row, bytes that
// are no UTF-8 included.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "traffic/event.h"

namespace weir::stats {

// Events lie in zones of as many seqs: zone = seq / kZoneSeqs. The table event_zones tells which
// times each holds, in the place of an index over time.
inline constexpr uint64_t kZoneSeqs = 8192;

// Views are borrowed from whoever made it.
struct StoredEvent {
  uint64_t seq = 0;
  uint32_t epoch = 0;
  uint32_t loop = 0;
  uint64_t sequence = 0;
  traffic::EventId id;
  int64_t ts_ms = 0;
  int64_t created_s = 0;      // When it was stored.
  std::string_view path;      // The one it is counted under.
  std::string_view raw_path;  // Empty: the same.
  std::string_view method, user_agent, country, city, colo, route, ip;
  uint64_t client = 0;
  uint64_t us = 0;
  uint64_t upstream_us = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  uint16_t status = 0;
  uint16_t flags = 0;
  uint8_t outcome = 0;
  uint8_t cache = 0;
  uint8_t geo = 0;
  uint8_t attempts = 0;

  bool operator==(const StoredEvent&) const = default;
};

// A sum over a multiset of rows: the same whatever their order, different (but for one case in
// 2^128) as soon as one row is missing, changed or there twice. Addition modulo 2^128.
struct RowsDigest {
  uint64_t high = 0;
  uint64_t low = 0;

  RowsDigest& operator+=(const RowsDigest& other) {
    low += other.low;
    high += other.high + (low < other.low ? 1 : 0);
    return *this;
  }
  RowsDigest& operator-=(const RowsDigest& other) {
    high -= other.high + (low < other.low ? 1 : 0);
    low -= other.low;
    return *this;
  }
  bool operator==(const RowsDigest&) const = default;
};

// The digest of one row: XXH3 (128 bits) over all of its fields. `scratch` is overwritten.
RowsDigest digest_of(const StoredEvent& event, std::string& scratch);

// Appends the row as one line of JSON, '\n' included.
void append_line(std::string& out, const StoredEvent& event);

// A row that was read from a line, and the text its views point to.
struct ParsedEvent {
  StoredEvent event;
  std::string text;
};

// `line` without its '\n'. Errors: corrupt (Origin::storage): it is no line of append_line().
base::Status parse_line(std::string_view line, ParsedEvent& out);

}  // namespace weir::stats
