#pragma once
// Turns a range of items into what the statistics database stores: rows, groups, positions.
//
// A path goes through three hands: its template is found first (template_cache.h), then the path
// book decides whether that has a row of its own in the hour (path_book.h), and the result is the
// path that the event is counted under. A batch asks once for each path and hour.

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pipeline/intake.h"
#include "pipeline/path_book.h"
#include "pipeline/template_cache.h"
#include "stats/stats.h"

namespace weir::pipeline {

// Ownership: borrows the path book; owns what its Batch points to, until the next build.
// Threading: the consumer thread.
// Limits: memory in proportion to the items of one build.
class BatchBuilder {
 public:
  BatchBuilder(PathBook& paths, uint64_t hash_seed) : path_book_(paths), hash_{hash_seed} {}

  // How the paths of later batches are grouped; null: as they come.
  void use(std::shared_ptr<const codec::PathTemplates> templates) {
    templates_.use(std::move(templates));
  }

  // A dead letter whose event can be counted.
  struct Revived {
    const stats::StoredLetter* letter = nullptr;
    const traffic::Event* event = nullptr;
  };

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
  // The same for dead letters that are counted after all; no position moves.
  base::Result<stats::Batch> build(std::span<const Revived> letters, uint64_t next_seq,
                                   base::Wall now);
  // The same for sides of PathCollectors.
  base::Result<stats::Batch> build(std::span<const journal::DegradedSide> sides, base::Wall now);

 private:
  // One (path as it came or as it was chosen, hour) of the batch. A chosen path that comes as it is
  // chooses itself, so both kinds share one table.
  struct Group {
    std::string_view path;
    int64_t hour = 0;
    uint64_t hash = 0;
    uint32_t row = 0;  // Index into hours_; shared by all that are counted under `__other__`.
  };

  // Notes that `event` is counted in hours_[row] and has no detail row.
  base::Status adjust(uint32_t row, const traffic::Event& event, uint64_t seq);
  void start(size_t items, uint64_t next_seq, base::Wall now);
  stats::Batch finish();
  base::Status add(const Input& input, const Item& item);
  // Counts one event; notes what it counts as in `accounted` and in its day.
  base::Status add_event(const traffic::Event& event, journal::Stream stream, uint64_t sequence,
                         stats::Accounted& accounted);
  // The index into hours_ of the row that counts `path`, as it came.
  base::Result<uint32_t> row_of(std::string_view path, std::string_view route, int64_t hour);
  // The same for a chosen path, which need not live longer than the call.
  base::Result<uint32_t> chosen_row(std::string_view path, std::string_view route, int64_t hour);
  // The same for one that no group has. Requires that `path` lives as long as the batch.
  base::Result<uint32_t> new_row(std::string_view path, std::string_view route, int64_t hour);
  const Group* find(std::string_view path, int64_t hour, uint64_t hash) const;
  void insert(const Group& group);
  stats::Batch::Advance& advance_of(const Input& input, uint32_t source);
  stats::Batch::DayRow& day_of(int64_t day);
  stats::Accounted& accounted_today() { return day_of(today_).accounted; }

  PathBook& path_book_;
  const codec::SeededHash hash_;
  TemplateCache templates_;
  std::vector<uint32_t> slots_;  // Open addressing; 0: free, else index into groups_ plus 1.
  std::vector<Group> groups_;
  std::deque<std::string> chosen_;       // Chosen paths that stand in no event.
  std::vector<uint32_t> advance_index_;  // By source; 0: none, else index into advances_ plus 1.
  base::Wall now_;
  int64_t today_ = 0;
  uint64_t next_seq_ = 0;

  std::vector<std::string_view> paths_;  // In step with hours_: each row brings its path.
  std::vector<stats::Batch::EventRow> events_;
  std::vector<stats::Batch::HourRow> hours_;
  std::vector<stats::Batch::HourRow> adjustments_;
  std::vector<uint32_t> adjustment_index_;  // By hours_; 0: none, else into adjustments_ plus 1.
  std::vector<stats::Batch::Advance> advances_;
  std::vector<stats::Batch::DeadLetter> dead_letters_;
  std::vector<stats::Batch::Replay> replays_;
  std::vector<stats::Batch::DegradedMerge> degraded_;
  std::vector<stats::Batch::DayRow> days_;
};

}  // namespace weir::pipeline
