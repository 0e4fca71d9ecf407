#pragma once
// Turns a range of items into what the statistics database stores: rows, groups, positions.

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pipeline/intake.h"
#include "pipeline/path_book.h"
#include "stats/stats.h"

namespace weir::pipeline {

// Ownership: borrows the path book; owns what its Batch points to, until the next build.
// Threading: the consumer thread.
// Limits: memory in proportion to the items of one build.
class BatchBuilder {
 public:
  BatchBuilder(PathBook& paths, uint64_t hash_seed) : path_book_(paths), hash_{hash_seed} {}

  struct Input {
    std::span<const Item> items;
    std::span<const traffic::Event> events;    // What Item::event indexes.
    std::span<const journal::Stream> streams;  // What Item::source indexes.
    std::span<const uint64_t> committed;       // Position of each stream in the database.
    uint64_t next_seq = 0;
    base::Wall now;
  };

  // The Batch is valid until the next call. Errors: invalid_input (a sum overflows); those of
  // PathBook.
  base::Result<stats::Batch> build(const Input& input);
  // The same for sides of PathCollectors.
  base::Result<stats::Batch> build(std::span<const journal::DegradedSide> sides, base::Wall now);

 private:
  // One (path as it came, hour) of the batch.
  struct Group {
    std::string_view path;
    int64_t hour = 0;
    uint64_t hash = 0;
    uint32_t row = 0;  // Index into hours_; shared by all that are counted under `__other__`.
  };

  void start(size_t items, base::Wall now);
  stats::Batch finish();
  base::Status add(const Input& input, const Item& item);
  base::Status add_event(const Input& input, const Item& item);
  base::Result<uint32_t> row_of(std::string_view path, std::string_view route, int64_t hour);
  Group* find(std::string_view path, int64_t hour, uint64_t hash, uint32_t** slot);
  stats::Batch::Advance& advance_of(const Input& input, uint32_t source);
  stats::Batch::DayRow& day_of(int64_t day);
  stats::Accounted& accounted_today() { return day_of(today_).accounted; }

  PathBook& path_book_;
  const stats::SeededHash hash_;
  std::vector<uint32_t> slots_;  // Open addressing; 0: free, else index into groups_ plus 1.
  std::vector<Group> groups_;
  std::vector<uint32_t> advance_index_;  // By source; 0: none, else index into advances_ plus 1.
  base::Wall now_;
  int64_t today_ = 0;

  std::vector<std::string_view> paths_;  // In step with hours_: each row brings its path.
  std::vector<stats::Batch::EventRow> events_;
  std::vector<stats::Batch::HourRow> hours_;
  std::vector<stats::Batch::Advance> advances_;
  std::vector<stats::Batch::DeadLetter> dead_letters_;
  std::vector<stats::Batch::DegradedMerge> degraded_;
  std::vector<stats::Batch::DayRow> days_;
};

}  // namespace weir::pipeline
