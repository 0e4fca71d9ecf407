#pragma once
// The statistics database as the consumer sees it: positions say what was consumed, and one commit
// stores a batch of events, everything derived from it and the new positions in one transaction.
//
// This header is the port. `stats/sqlite_stats.h` implements it on the tables of
// docs/formats/database.md. Positions live only there: what the database does not hold was not
// consumed, and what it holds is never consumed again.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "journal/journal.h"
#include "traffic/event.h"

namespace weir::stats {

// Names that stand in the place of a path. Real paths begin with '/', or are "*".
inline constexpr std::string_view kOtherPath = "__other__";  // Beyond the limits.
inline constexpr std::string_view kMalformedPath =
    "__malformed__";  // Refused before a path was known.
inline constexpr std::string_view kUnroutedPath = "__unrouted__";  // With collect = "routes".

// The methods that are counted by name; all others are kOtherMethod together.
inline constexpr std::array<std::string_view, 7> kMethods{"GET",   "HEAD",   "POST",   "PUT",
                                                          "PATCH", "DELETE", "OPTIONS"};
inline constexpr size_t kOtherMethod = kMethods.size();
inline constexpr size_t kCacheStatuses = 4;  // hit, miss, stale, bypass.

// What is counted of a set of exchanges. Exact integers; times in microseconds.
struct Counts {
  uint64_t requests = 0;
  uint64_t errors = 0;                       // Status 400 and above.
  std::array<uint64_t, 5> status_classes{};  // 1xx to 5xx.
  std::array<uint64_t, kMethods.size() + 1> methods{};
  std::array<uint64_t, kCacheStatuses> caches{};
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  uint64_t us_sum = 0;
  uint64_t us_count = 0;  // Exchanges in us_sum.
  std::optional<uint64_t> us_min, us_max;

  // False when a sum would overflow; then *this is unchanged.
  [[nodiscard]] bool add(const Counts& other);
  // The same for one exchange. Requires a status of 100 to 599.
  [[nodiscard]] bool add(const traffic::Event& event);
};

// Why a sequence is accounted for. Their sum is the position: the audit identity.
struct Accounted {
  uint64_t inserted = 0;     // Has a detail row.
  uint64_t sampled_out = 0;  // Counted in hourly rows only, by sampling.
  uint64_t totals_only = 0;  // Counted in hourly rows only, by configuration.
  uint64_t dead = 0;         // Is a dead letter.
  uint64_t lost = 0;         // No valid record was found.
  uint64_t sum() const { return inserted + sampled_out + totals_only + dead + lost; }
  Accounted& operator+=(const Accounted& other);
  bool operator==(const Accounted&) const = default;
};

struct Position {
  journal::Stream stream;
  uint64_t through = 0;  // Sequences up to this one are consumed.
  Accounted accounted;   // Since the beginning of the stream.
};

inline bool is_data_error(const base::Error& error) {
  return error.code == base::ErrorCode::invalid_input;
}

// One batch. All views are borrowed until commit() returns.
struct Batch {
  struct EventRow {
    uint64_t seq = 0;  // The order of counted events, from next_seq on, without gaps.
    journal::Stream stream;
    uint32_t path = 0;  // Index into `paths`: the path it is counted under.
    uint64_t sequence = 0;
    const traffic::Event* event = nullptr;
    bool detail = true;  // False: counted, and kept only until it is folded into what is derived.
  };
  struct HourRow {
    int64_t hour = 0;        // Unix hours.
    uint32_t path = 0;       // Index into `paths`; a pair (hour, path) comes once.
    std::string_view route;  // Route that first used the path in that hour; empty: none.
    Counts counts;
    bool partial = false;  // Counted coarsely: without status classes, methods, least and greatest.
    // Of the first event in the row; among `adjustments` only. 0: those before the next event.
    uint64_t first_seq = 0;
  };
  struct Advance {
    journal::Stream stream;
    uint64_t from = 0;  // The position expected in the database.
    uint64_t through = 0;
    Accounted accounted;  // Of the sequences from + 1 to through.
  };
  struct DeadLetter {
    journal::Stream stream;
    uint64_t sequence = 0;
    std::string_view reason;   // Few words, for grouping: "undecodable", "duplicate_id", …
    std::string_view payload;  // As it stood in the journal.
  };
  // A dead letter that is counted after all: its event is among `events`, and the letter goes.
  struct Replay {
    int64_t letter_id = 0;
    journal::Stream stream;
    uint64_t sequence = 0;
    int64_t dead_day = 0;  // Unix day under which the ledger has it as dead.
    Accounted accounted;   // What it is instead: one of inserted, sampled_out, totals_only.
  };
  struct DegradedMerge {
    journal::Stream stream;
    uint64_t generation = 0;
    uint64_t requests = 0;
  };
  struct DayRow {
    int64_t day = 0;  // Unix days: of arrival, else (dead, lost) of the commit.
    Accounted accounted;
    uint64_t degraded = 0;
  };

  std::span<const std::string_view> paths;
  std::span<const EventRow> events;
  std::span<const HourRow> hours;
  // The share of `hours` that no detail row tells of: sampled out, totals only, degraded.
  std::span<const HourRow> adjustments;
  std::span<const Advance> advances;
  std::span<const DeadLetter> dead_letters;
  std::span<const Replay> replays;
  std::span<const DegradedMerge> degraded;
  std::span<const DayRow> days;
  base::Wall now;
};

// The consumer's sign of life, stored with each batch and when idle.
struct Heartbeat {
  enum class State : uint8_t { active, inactive, error };
  base::Wall at;
  uint64_t batch_events = 0;
  uint64_t batch_ms = 0;  // Duration of the batch before this one.
  uint64_t errors = 0;    // Since the heartbeat before; added up in the database.
  State state = State::active;
};

// Estimates over a set of exchanges: times within 1 %, clients with a standard error of 0.8 %.
struct Estimates {
  uint64_t p50_us = 0;
  uint64_t p95_us = 0;
  uint64_t p99_us = 0;
  uint64_t unique_clients = 0;
};

struct TopPath {
  std::string path;
  int64_t newest_hour = 0;
  Counts counts;  // Over the hours asked for.
  // Of the exchanges that were recorded one by one; none where all were counted without detail.
  std::optional<Estimates> estimates;
};

// A dead letter as it is stored.
struct StoredLetter {
  int64_t letter_id = 0;  // Grows with time.
  journal::Stream stream;
  uint64_t sequence = 0;
  std::string reason;
  std::string payload;  // As it stood in the journal, cut at the store's limit.
  base::Wall died;
};

// One path, hour by hour.
struct PathHours {
  std::vector<TopPath> hours;  // Of `newest_hour` each, oldest first; those without a request not.
  TopPath sum;                 // Over all of them; requests 0: there is none.
};

// More are not asked for at a time: a month.
inline constexpr int64_t kTopHours = 24 * 31;

// Whether derive() is to write what it holds.
enum class Flush : bool { no, yes };

// Ownership: the composition root owns it; the consumer borrows it.
// Threading: the consumer thread.
// Limits: memory is bounded by the implementation's caches, whatever is committed.
//
// Errors of every function (Origin::storage):
//   invalid_input  a data error: something in the batch can never be stored. Retry::never; the
//                  batch as it is will fail again.
//   conflict       a position is not the expected one, or a replayed letter is gone: read again.
//   others         store errors; Retry::with_backoff after load().
class Stats {
 public:
  virtual ~Stats() = default;

  // Makes the store ready: first, and again after every store error. Blocks.
  virtual base::Status load() = 0;

  // The positions of `streams`, in that order; `through` 0 for one never seen.
  virtual base::Result<std::vector<Position>> positions(
      std::span<const journal::Stream> streams) = 0;

  // The newest merged generation of each stream in that order; 0: none.
  virtual base::Result<std::vector<uint64_t>> degraded_generations(
      std::span<const journal::Stream> streams) = 0;

  // The seq of the first event of the next batch. Never given twice, whatever was deleted.
  virtual base::Result<uint64_t> next_seq() = 0;

  // Stores everything in `batch`, or nothing. Durable when it returns ok. A generation that is not
  // above the stored one is a conflict.
  virtual base::Status commit(const Batch& batch, const Heartbeat& heartbeat) = 0;
  virtual base::Status beat(const Heartbeat& heartbeat) = 0;

  // Works on what follows from committed events beyond their exact counts: sketches per hour and
  // path, rows per day and client. They are gathered in memory and written later, in slices. One
  // call folds a piece of what a start found unfolded, or writes one slice; about 50 ms at most.
  // `flush`: what was folded until now is to be written, by this call and those that follow.
  // True: nothing is left to do. Memory and rows are bounded whether or not it is called in time.
  virtual base::Result<bool> derive(Flush flush) = 0;

  // Calls `each` for every path that has a row in `hour`, with the route that first used it.
  virtual base::Status paths_of_hour(
      int64_t hour,
      const std::function<void(std::string_view path, std::string_view route)>& each) = 0;

  // Calls `each` with the ids of the newest `count` stored events, oldest first.
  virtual base::Status recent_ids(size_t count,
                                  const std::function<void(const traffic::EventId&)>& each) = 0;

  // Dead letters with ids above `after`, in that order, at most `count`.
  virtual base::Result<std::vector<StoredLetter>> dead_letters(int64_t after, size_t count) = 0;
  virtual base::Result<uint64_t> dead_letter_count() = 0;
  // Deletes letters for good; they stay dead in every account. Returns how many were there.
  virtual base::Result<uint64_t> purge_letters(std::span<const int64_t> letter_ids) = 0;

  // The `count` paths with most requests in the kTopHours hours from `first_hour` on, most first.
  // There is an end to them because a clock that ran ahead for a while leaves hours of the far
  // future behind, which are none of the last ones.
  virtual base::Result<std::vector<TopPath>> top_paths(int64_t first_hour, size_t count) = 0;

  // Reads part of what top_paths() will read from `first_hour` on, some 20 ms of work, so that the
  // first call after a start does not take long at once. Returns the hour to go on with; none:
  // nothing is left.
  virtual base::Result<std::optional<int64_t>> read_ahead(int64_t first_hour) = 0;

  // Housekeeping between batches, at the store's own judgement: checkpoints. `idle` tells that
  // nothing waits. Blocks for the disk.
  virtual base::Status maintain(bool idle) = 0;

  // How often a row of sketches was read whose bytes are damaged, and counted as empty; since the
  // start.
  virtual uint64_t damaged_sketches() const = 0;

  // More words about the last error, for the log.
  virtual std::string last_error() const = 0;
};

}  // namespace weir::stats
