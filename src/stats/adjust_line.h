#pragma once
// What an hour and path counted without detail rows, as the archive keeps it: one line of JSON.
// Format: docs/formats/archive.md, "Adjustments".

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "stats/stats.h"

namespace weir::stats {

// A row of `sketches` as it stood when the line was made: it holds every event of its hour and
// path up to `through`, those with detail rows included. Canonical bytes.
struct SketchBytes {
  uint64_t through = 0;
  std::string latency;
  std::string clients;

  bool operator==(const SketchBytes&) const = default;
};

struct Adjustment {
  int64_t hour = 0;  // Unix hours.
  std::string path;  // Empty: all paths together, of which there is a sketch only.
  std::string route;
  // Where the first of its events stands among all: it came before the event of that seq, or was
  // it. Tells whose route the hour's row has.
  uint64_t first_seq = 0;
  bool partial = false;
  Counts counts;
  // Where some of the events were folded into sketches: what sampling left out, and totals.
  std::optional<SketchBytes> sketch;

  // Whether events were recorded one by one, and so are in the sketches; else they were degraded.
  bool folded() const { return counts.us_min.has_value(); }
};

// Appends the line, '\n' included.
void append_line(std::string& out, const Adjustment& adjustment);

// `line` without its '\n'. Errors: corrupt (Origin::storage): it is no line of append_line().
base::Result<Adjustment> parse_adjustment(std::string_view line);

}  // namespace weir::stats
