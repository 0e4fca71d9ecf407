#pragma once
// The journal: traffic events between the data loops, which write rings, and the consumer, which
// commits them to the statistics database.
//
// This header is the port the consumer sees. `journal/segment_journal.h` implements it on local
// files; both sides of it speak of positions (epoch, loop, sequence), never of acknowledgements per
// record: what the database committed is what was consumed.

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::journal {

// One loop of one start of the process. Sequences in it are dense: 1, 2, 3, …
struct Stream {
  uint32_t epoch = 0;
  uint32_t loop = 0;
  auto operator<=>(const Stream&) const = default;
};

struct Record {
  uint64_t sequence = 0;
  std::string_view payload;  // An encoded traffic::Event; valid until the next call on the Journal.
};

// The outcome of one read. Sequences from the asked one up to `next - 1` are accounted for: each is
// either in `records` or lost (a gap below a later valid record). Nothing is in doubt.
struct Read {
  std::vector<Record> records;  // Ascending; gaps are lost records.
  uint64_t next = 0;            // Where to read on.
  uint64_t lost = 0;            // Sequences in [from, next) that no valid record holds.
  bool at_end = false;          // Nothing more is synced at this moment.
  bool closed = false;          // at_end, and the stream's epoch is over: it will never grow.
};

// One side of one loop's PathCollector: exchanges counted while the ring was full or the journal
// failing. Merged into the hourly rows in one transaction that stores its generation, so a side
// seen twice is counted once.
struct DegradedRow {
  std::string path;      // `__other__` when the table was full.
  int64_t hour = 0;      // Unix hours of the arrival.
  bool totals_only = false;  // Counted here by configuration (stats.detail = false), not by need:
                             // such a row is complete, so what it touches is not `partial`.
  uint64_t requests = 0;
  uint64_t errors = 0;
  uint64_t duration_us_sum = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
};
struct DegradedSide {
  Stream stream;
  uint64_t generation = 0;
  std::vector<DegradedRow> rows;
};

// Ownership: the composition root owns it; the consumer borrows it.
// Threading: the consumer thread. (The storage thread works on the implementation's other side.)
class Journal {
 public:
  virtual ~Journal() = default;

  // Every stream that has records not yet released, or may still grow, oldest epoch first.
  virtual std::vector<Stream> streams() = 0;

  // Up to `records_max` (1 or more) synced records of `stream` with sequence >= `from` (>= 1).
  // Blocks for disk reads. Errors (Origin::storage):
  //   unavailable   the disk cannot be read now; retry with back-off.
  virtual base::Result<Read> read(Stream stream, uint64_t from, size_t records_max) = 0;

  // Records of `stream` up to `through` are durable elsewhere: their space may go. Idempotent.
  virtual base::Status release(Stream stream, uint64_t through) = 0;

  // Closed PathCollector sides with rows. A side stays listed until release_degraded().
  virtual base::Result<std::vector<DegradedSide>> degraded() = 0;
  virtual base::Status release_degraded(Stream stream, uint64_t generation) = 0;
};

}  // namespace weir::journal
