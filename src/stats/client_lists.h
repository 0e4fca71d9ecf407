#pragma once
// What each client asked for, day by day: its most frequent paths, countries and user agents, in
// the tables behind the views `ip_path_daily` and `ip_traffic_daily`.
//
// Made from the detail rows of a day that is over, in one pass over the day for each kind of list.
// Requests that are in no list (of rarer paths, without a detail row, or later than the lists) are
// in the view's `__other__`, so the rows of a client add up to its requests in `client_daily`.
// A day whose events grew is listed anew until clean-up has begun to delete them.

#include <atomic>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "sqlite/writer.h"

namespace weir::stats {

// Limits of a client's lists; those of the founding system.
inline constexpr size_t kListedPaths = 20;
inline constexpr size_t kListedCountries = 5;
inline constexpr size_t kListedUserAgents = 5;
inline constexpr size_t kListedUserAgentBytes = 100;  // Longer ones are cut.

struct ListOutcome {
  uint64_t days = 0;
  uint64_t clients = 0;
};

// Lists the clients of every closed day that needs it, oldest first. A day is marked as listed
// after its last client, so a kill lets it be listed again from the start.
// Limits: memory of one client's distinct paths and of one page of clients; SQLite sorts a day's
//   groups in temporary files. The day's events must be derived (Stats::derive()) beforehand.
// Threading: not the writing Database's thread; `reader` is the caller's own.
// Errors: cancelled; those of sqlite/database.h.
base::Result<ListOutcome> list_clients(sqlite::Writer& writer, sqlite::Database& reader,
                                       base::Wall now, const std::atomic<bool>& cancelled);

}  // namespace weir::stats
