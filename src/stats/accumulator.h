#pragma once
// What follows from events beyond their exact counts, gathered in memory until it is worth writing:
// sketches of latency and of clients per hour and path, and one row per day and client.
//
// Everything has the seq through which it holds all events: an event is folded in once, whatever is
// written, lost or read again. The rule:
//   - events are folded in the order of seq, without a gap;
//   - a row in the database has `through`: it holds every event of its key up to that seq;
//   - `derived.seq` in the database is at most what all rows hold. A start folds what came later
//     again, and skips for each key what its row holds already.
//
//   fold() ──► dirty ──begin_pass()──► writing ──write, slice by slice──► clean ──► dropped
//                ▲                                                         │ when cold
//                └───────────────────────── fold() ────────────────────────┘
//
// This class knows no database: SqliteStats moves rows between it and the tables.

#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "sketch/dd_sketch.h"
#include "sketch/hyper_log_log.h"
#include "stats/client_set.h"
#include "stats/derived.h"

namespace weir::stats {

// Where rows of an earlier time come from. Threading: as Accumulator.
class DerivedSource {
 public:
  virtual ~DerivedSource() = default;
  // The stored row, if there is one. Errors: those of the store.
  virtual base::Result<std::optional<SketchRow>> sketch_row(SketchKey key) = 0;
  // `through` of the stored row; 0: there is none.
  virtual base::Result<uint64_t> client_through(ClientKey key) = 0;
  // Adds every client that has a row on `day`, kOtherClient apart.
  virtual base::Status clients_of(int64_t day, ClientSet& set) = 0;
};

// Ownership: owns what it gathered; borrows the source.
// Threading: the consumer thread.
// Limits: Limits. Above sketch_bytes_max or client_rows_max wants_pass() is true, and what is
//   written is dropped, the coldest first; it grows further only by what the caller folds before it
//   finishes the pass. kDaysMax days of clients are remembered.
class Accumulator {
 public:
  struct Limits {
    size_t sketch_bytes_max = size_t{192} * 1024 * 1024;
    size_t client_rows_max = 200'000;
    size_t clients_per_day_max = 1'000'000;
  };
  static constexpr size_t kDaysMax = 3;

  // One sketch pair in memory.
  struct Sketches {
    SketchKey key;
    sketch::DdSketch latency;
    sketch::HyperLogLog clients;
    uint64_t through = 0;    // The last event folded in.
    uint64_t used_pass = 0;  // The pass in which it was folded into last.
    size_t bytes = 0;
    bool dirty = false;     // Not in the database as it is.
    bool complete = false;  // Holds what the database's row holds, or there is no row.
  };

  Accumulator(DerivedSource& source, Limits limits) : source_(source), limits_(limits) {}

  // Events up to `seq` are folded, as far as the database knows: the next one is seq + 1. Forgets
  // everything. Until `live_from` is folded, rows may hold more than memory knows.
  void start(uint64_t seq, uint64_t live_from);

  // Requires seq above folded_through(). Errors: those of the source; then nothing of the event is
  // counted, and it is to be folded again.
  base::Status fold(const Fact& fact);
  uint64_t folded_through() const { return folded_through_; }
  // Events without effect here (in `seq` order too).
  void pass_over(uint64_t seq) { folded_through_ = seq; }

  bool wants_pass() const {
    return sketch_bytes_ > limits_.sketch_bytes_max ||
           client_rows_.size() > limits_.client_rows_max;
  }
  // Takes everything that is dirty for writing. No effect while a pass is going on.
  void begin_pass();
  bool passing() const { return passing_; }

  // The next of the pass to be written, up to `max`; they stay until wrote() says so.
  std::vector<Sketches*> next_sketches(size_t max);
  std::vector<const ClientRow*> next_clients(size_t max);
  // What next_…() gave last is durable.
  void wrote_sketches(size_t count);
  void wrote_clients(size_t count);
  // Makes `sketches` hold what the database's row holds. Errors: those of the source.
  base::Status complete(Sketches& sketches);

  // All of the pass is written: every event up to pass_seq() is in the database. Ends the pass and
  // drops what is cold.
  bool pass_written() const { return passing_ && writing_.empty() && writing_clients_.empty(); }
  uint64_t pass_seq() const { return pass_seq_; }
  void end_pass();

  // For queries on this thread: what is not in the database yet. Null: the row is all there is.
  const Sketches* find(SketchKey key) const;

  size_t sketch_bytes() const { return sketch_bytes_; }
  size_t client_row_count() const { return client_rows_.size(); }

 private:
  struct Days {
    int64_t day = 0;
    uint64_t used_at = 0;
    ClientSet clients;
  };
  using ClientRows = std::unordered_map<ClientKey, ClientRow, ClientKeyHash>;

  base::Result<Sketches*> sketches_of(SketchKey key);
  base::Result<ClientRow*> client_row_of(ClientKey key);
  base::Result<uint64_t> counted_as(int64_t day, uint64_t client);
  base::Result<Days*> day_of(int64_t day);
  void add(Sketches& sketches, const Fact& fact);
  void drop_cold();

  DerivedSource& source_;
  const Limits limits_;
  std::unordered_map<SketchKey, std::unique_ptr<Sketches>, SketchKeyHash> sketches_;
  std::vector<Sketches*> dirty_;
  std::deque<Sketches*> writing_;
  ClientRows client_rows_;
  std::deque<ClientRow> writing_clients_;
  std::vector<std::unique_ptr<Days>> days_;
  uint64_t uses_ = 0;
  size_t sketch_bytes_ = 0;
  uint64_t folded_through_ = 0;
  uint64_t live_from_ = 0;
  uint64_t pass_seq_ = 0;
  uint64_t passes_ = 1;
  int64_t newest_hour_ = 0;
  bool passing_ = false;
};

}  // namespace weir::stats
