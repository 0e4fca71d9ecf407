#pragma once
// A journal full of traffic that looks like traffic, for measurements: some paths are much more
// frequent than others, a tenth are POSTs, 2 % fail. Events are made from their number alone, so
// any of them can be made again.

#include <string>
#include <vector>

#include "journal/journal.h"
#include "traffic/event.h"

namespace weir::pipeline::testing {

struct TrafficShape {
  uint64_t events = 1'000'000;
  uint64_t paths = 1'000;
  uint64_t clients = 10'000;
  int64_t start_us = 0;     // Unix time of the first event,
  int64_t spacing_us = 10;  // and how far they lie apart.
  bool distinct = false;    // Path i % paths and client i % clients instead of drawn ones.
  bool kept = false;        // Encoded once, in memory, so that reading costs nothing.
};

// Threading: one thread at a time.
class TrafficJournal final : public journal::Journal {
 public:
  explicit TrafficJournal(const TrafficShape& shape);

  // Encodes event `i` at the end of `bytes`.
  static void append_event(const TrafficShape& shape, uint64_t i, std::string& bytes);

  std::vector<journal::Stream> streams() override { return {{1, 0}}; }
  base::Result<journal::Read> read(journal::Stream stream, uint64_t from,
                                   size_t records_max) override;
  base::Status release(journal::Stream /*stream*/, uint64_t /*through*/) override { return {}; }
  base::Result<std::vector<journal::DegradedSide>> degraded() override {
    return std::vector<journal::DegradedSide>{};
  }
  base::Status release_degraded(journal::Stream /*stream*/, uint64_t /*generation*/) override {
    return {};
  }

 private:
  const TrafficShape shape_;
  std::string bytes_;           // Of all events, or of the last read.
  std::vector<uint64_t> ends_;  // Of each in bytes_.
};

}  // namespace weir::pipeline::testing
