#include "pipeline/event_zones.h"

#include "stats/stored_event.h"

namespace weir::pipeline {

base::Result<std::vector<EventZone>> zones_between(sqlite::Database& reader, int64_t from_ms,
                                                   int64_t end_ms) {
  constexpr auto kSeqs = static_cast<int64_t>(stats::kZoneSeqs);
  std::vector<EventZone> zones;
  const sqlite::Database::Borrowed query =
      WEIR_TRY(reader.cached("SELECT zone, ts_max FROM event_zones WHERE ts_max >= ?1 AND ts_min < "
                             "?2 ORDER BY zone DESC"));
  query->bind(1, from_ms);
  query->bind(2, end_ms);
  while (WEIR_TRY(query->step())) {
    const int64_t first = query->column_int(0) * kSeqs;
    zones.push_back({.first = first, .last = first + kSeqs - 1, .ts_max = query->column_int(1)});
  }
  return zones;
}

}  // namespace weir::pipeline
