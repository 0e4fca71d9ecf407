#pragma once
// What single clients did on some days: the busiest ones, and one by itself (spec 5.6).
//
// Requests and what became of them are exact, of every request that was recorded (`client_daily`).
// Paths, countries and user agents are those of the lists that are made of a day when it is over
// (client_lists.h); of a day that has none yet, today above all, those of its detail rows.
//
// What counts as what, of each request once:
//   blocked    a geographic rule blocked it, or its status is 403: IP rules, bans, the upstream
//   throttled  else, a geographic rule throttled it, or its status is 429: limits, the upstream
//   errors     status 400 and above: the two above with their usual statuses among them
//   success    all others: requests - errors. The two above are not subtracted once more.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "sqlite/database.h"

namespace weir::stats {

// Beyond these a client is suspicious. Source: spec 5.6.
inline constexpr uint64_t kSuspiciousRequests = 10'000;
inline constexpr uint64_t kSuspiciousErrorPercent = 50;    // Of its requests,
inline constexpr uint64_t kSuspiciousErrorRequests = 100;  // where it made more than these.

inline constexpr int64_t kClientDaysMax = 7;
inline constexpr size_t kClientsMax = 1000;    // Of one answer.
inline constexpr size_t kSearchDigitsMin = 3;  // Fewer would be as good as none.
inline constexpr std::chrono::milliseconds kClientsPatience{30'000};

struct ClientCounts {
  uint64_t requests = 0;
  uint64_t errors = 0;
  uint64_t blocked = 0;
  uint64_t throttled = 0;

  uint64_t refused() const { return blocked + throttled; }
  uint64_t success() const { return requests > errors ? requests - errors : 0; }
  // In percent of the requests, to one decimal; 0 where there are none.
  double percent(uint64_t part) const;
  // Why it is suspicious, for people; empty: it is not.
  std::vector<std::string> suspicious() const;
  bool operator==(const ClientCounts&) const = default;
};

struct ClientPart {
  std::string name;  // A path, country or user agent.
  uint64_t requests = 0;
  bool operator==(const ClientPart&) const = default;
};

struct ClientRowOfDays {
  uint64_t client = 0;  // The hash.
  std::string ip;       // As far as journal privacy let it be recorded; may be empty.
  ClientCounts counts;
  // Of the day on which there were most; none: no day has a list, nor detail rows.
  std::optional<uint64_t> unique_paths;
  std::vector<ClientPart> countries;  // Five of each day together, most requests first.
  int64_t first_ms = 0;
  int64_t last_ms = 0;
};

enum class ClientSort : uint8_t { requests, errors };

// Both ends of the days are included, so that an old date does not mean everything since.
struct ClientsQuery {
  int64_t last_day = 0;  // Unix days.
  int64_t days = 1;      // 1 to kClientDaysMax.
  ClientSort sort = ClientSort::requests;
  // The clients whose hashes lie between: those of a prefix.
  uint64_t hash_min = 0;
  uint64_t hash_max = std::numeric_limits<uint64_t>::max();
  size_t offset = 0;
  size_t limit = 50;  // 1 to kClientsMax.
};

struct ClientsAnswer {
  std::vector<ClientRowOfDays> clients;  // Most first; among equals, smaller hashes first.
  uint64_t total = 0;                    // Of the query without offset and limit.
};

// Sets hash_min and hash_max to the hashes that begin with these hexadecimal digits. False: it is
// none, or has fewer than kSearchDigitsMin or more than 16 digits.
bool search_clients(std::string_view prefix, ClientsQuery& query);

// Those that came when a day had as many clients as it may have are no client, and left out.
// Requires that the events are derived (Stats::derive()), else the newest are missing.
// Limits: a read transaction of kClientsPatience; memory of the answer; SQLite sorts in temporary
//   files.
// Errors: cancelled: it took too long; those of sqlite/database.h.
// Threading: that of `reader`.
base::Result<ClientsAnswer> busiest_clients(sqlite::Database& reader, const base::Clock& clock,
                                            const ClientsQuery& query);

struct ClientDay {
  int64_t day = 0;
  ClientCounts counts;
  std::optional<uint64_t> unique_paths;
};

struct ClientDetail {
  ClientRowOfDays sum;
  std::vector<ClientDay> days;  // Oldest first; those without a request not.
  // Most requests first: up to kListedPaths of the up to kListedPaths of each day.
  std::vector<ClientPart> paths;
  std::vector<ClientPart> user_agents;
};

// The kClientDaysMax days up to `last_day`; none: it made no request. Limits and errors: as
// busiest_clients().
base::Result<std::optional<ClientDetail>> client_detail(sqlite::Database& reader,
                                                        const base::Clock& clock, uint64_t client,
                                                        int64_t last_day);

}  // namespace weir::stats
