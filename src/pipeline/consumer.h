#pragma once
// Takes traffic events out of the journal and commits them to the statistics database, each exactly
// once.
//
//   journal ──read──► Intake (open batch) ──build──► stats::Batch ──one transaction──► database
//      ▲                                                                                  │
//      └──────────────── release(position), only after the commit is durable ◄────────────┘
//
// The position of each stream is stored in the transaction of what it stands for, so it alone
// decides what is new: a record that is delivered again is at or below it and is skipped.
//
// What goes wrong is told apart (design section 6):
//   store errors (busy, full, I/O, read-only, corrupt, gone): the transaction is rolled back, the
//     batch kept, the position stays; step() asks to be called again after a growing delay, for
//     ever. An alarm, and never a dead letter.
//   data errors (what can never be stored): three tries, then the batch is halved until the event
//   is
//     alone; it becomes a dead letter with its reason, in the transaction of the position that
//     passes it. So do records that cannot be decoded, and events whose id came before
//     (recent_ids.h).

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "base/result.h"
#include "journal/journal.h"
#include "kv/kv.h"
#include "pipeline/batch_builder.h"
#include "pipeline/intake.h"
#include "pipeline/path_book.h"
#include "pipeline/snapshot.h"
#include "stats/stats.h"

namespace weir::pipeline {

// Sees every event that was committed, in the order of the database's `seq`, those without a detail
// row included; dead letters not. What was committed before a crash is not shown again, so at most
// the events of one batch are missed.
// Threading: the consumer thread.
class EventSink {
 public:
  virtual ~EventSink() = default;
  // The events' views are valid during the call only.
  virtual void on_events(std::span<const traffic::Event> events) = 0;
};

struct ConsumerOptions {
  uint32_t batch_events_max = 16'384;
  uint64_t batch_bytes_max = 16ULL * 1024 * 1024;
  std::chrono::milliseconds batch_wait{100};   // From a batch's first event to its commit.
  std::chrono::milliseconds poll{20};          // Between two looks at an empty journal.
  std::chrono::milliseconds retry_first{100};  // Doubled after each failure in a row.
  std::chrono::milliseconds retry_max{5'000};
  std::chrono::milliseconds degraded_poll{1'000};
  std::chrono::milliseconds heartbeat{10'000};  // When there is nothing to do.
  // How long sketches and client rows gather before they are written; a start folds that much
  // again.
  std::chrono::milliseconds derive_interval{10'000};
  PathBook::Limits paths;
  std::shared_ptr<const codec::PathTemplates> templates;  // Null: paths are counted as they come.
  SnapshotSchedule::Rules snapshots;
  uint64_t hash_seed = 0;  // Must not be known outside: see codec/seeded_hash.h.
};

// What an operator wants done with dead letters.
struct LettersRequest {
  enum class Action : uint8_t {
    // Counts what can be counted now: once, in the transaction in which the letter goes. Refuses
    // an event whose id came before: two exchanges never have one id.
    replay,
    purge,  // Deletes the letters; they stay dead.
  };
  uint64_t number = 0;  // Only grows.
  Action action = Action::replay;
  std::vector<int64_t> letter_ids;  // Empty: all.
};

struct LettersReport {
  uint64_t done_request = 0;  // The newest request that is done; the counts are of this or of the
  uint64_t replayed = 0;      // one being served.
  uint64_t purged = 0;
  uint64_t refused = 0;  // Cannot be counted: undecodable, not storable, or a duplicate.
};

// What `weir status` and the metrics show. Counted since the start of the process.
struct ConsumerReport {
  uint64_t batches = 0;
  uint64_t events = 0;  // Counted events, with or without a detail row.
  uint64_t dead_letters = 0;
  uint64_t letters_waiting = 0;  // In the database, of all times.
  uint64_t lost = 0;
  uint64_t degraded = 0;  // Requests merged from PathCollectors.
  uint64_t store_failures = 0;
  uint64_t snapshots = 0;
  uint64_t snapshot_failures = 0;
  uint64_t damaged_sketches = 0;  // stats::Stats::damaged_sketches().
  uint64_t flushed = 0;           // The newest request_flush() that is done.
  LettersReport letters;
  std::string store_alarm;    // Empty: the last commit succeeded.
  std::string journal_alarm;  // Empty: all streams can be read.
};

// Ownership: borrows everything it is given.
// Threading: the consumer thread.
// Limits: ConsumerOptions; memory is bounded by one batch and the caches of its parts.
class Consumer {
 public:
  Consumer(journal::Journal& journal, stats::Stats& stats, kv::Kv& kv, const base::Clock& clock,
           base::Logger& logger, ConsumerOptions options);
  ~Consumer();
  Consumer(const Consumer&) = delete;
  Consumer& operator=(const Consumer&) = delete;

  // Called in the order of addition.
  void add_sink(EventSink& sink) { sinks_.push_back(&sink); }

  enum class Close : uint8_t {
    when_due,  // A batch is committed when it is full or old enough.
    now,       // Whatever there is is committed: shutting down, and tests.
  };
  struct Step {
    bool drained = false;               // All that is synced is committed.
    std::chrono::milliseconds wait{0};  // Nothing to do before that has passed, or more is synced.
  };

  // Does one thing: reads and commits at most one batch, or some housekeeping. Call it again and
  // again. Blocks for the disk, for one batch at most.
  Step step(Close close = Close::when_due);

  // Writes what is derived (stats.h) as of now, in the steps that follow, for other readers of the
  // database. `request`: a number that only grows; report().flushed reaches it when that is done.
  void request_flush(uint64_t request) { flush_wanted_ = request; }

  // Serves dead letters in the steps that follow, a slice between two batches. A request that is
  // not done is replaced; what it did stays done. Outcome: report().letters.
  void request_letters(LettersRequest request);

  // Takes effect with the next batch. What is committed stays grouped as it was.
  void set_paths(PathBook::Limits limits, std::shared_ptr<const codec::PathTemplates> templates) {
    path_book_.set_limits(limits);
    builder_.use(std::move(templates));
  }

  // Publishes a snapshot in the next step that has the time.
  void request_snapshot() { snapshot_schedule_.request(); }

  // The last word after draining: the heartbeat becomes "inactive".
  void stop();

  const ConsumerReport& report() const { return report_; }

 private:
  // One stream of the journal.
  struct Source {
    journal::Stream stream;
    uint64_t read = 0;      // Sequences up to it are in the batch or committed.
    bool released = false;  // The journal knows the committed position.
    bool at_end = false;
    base::Monotonic retry_at{};  // After a read that failed; zero: readable.
  };
  // A range of the batch's items, and how often it may still be tried as a whole.
  struct Range {
    size_t begin = 0;
    size_t end = 0;
    int tries = 1;
  };

  base::Status prepare();
  base::Status follow_streams();
  base::Status adopt(std::span<const journal::Stream> fresh);
  bool agrees(const std::vector<stats::Position>& positions, uint64_t next_seq) const;
  void start_anew(const std::vector<stats::Position>& positions, uint64_t next_seq);
  void drop_idle_sources(std::span<const journal::Stream> listed);
  void fill();
  bool fill_from(Source& source, uint32_t index);

  base::Status commit_batch();
  base::Status commit_range(const Range& range);
  void passed(const Range& range, const stats::Batch& batch);
  void show(size_t begin, size_t end);
  void show_committed(const std::vector<stats::Position>& positions);
  void release_all();
  void raise_journal_alarm(const base::Error& error, journal::Stream stream);
  void count(const stats::Batch& batch);

  base::Status derive(Close close);
  base::Status serve_letters();
  base::Result<std::vector<stats::StoredLetter>> wanted_letters();
  base::Status replay_letters(std::span<const stats::StoredLetter> letters);
  base::Status commit_revived(std::span<const BatchBuilder::Revived> revived);
  base::Status purge_letters(std::span<const stats::StoredLetter> letters);
  base::Status merge_degraded();
  base::Status merge_side(const journal::DegradedSide& side);
  bool snapshot_if_due();
  void report_damage();
  Step idle();

  stats::Heartbeat heartbeat(uint64_t events) const;
  Step stumble(const base::Error& error);
  void recovered();

  journal::Journal& journal_;
  stats::Stats& stats_;
  kv::Kv& kv_;
  const base::Clock& clock_;
  base::Logger& logger_;
  const ConsumerOptions options_;

  PathBook path_book_;
  BatchBuilder builder_;
  Intake intake_;
  SnapshotSchedule snapshot_schedule_;
  std::optional<int64_t> read_ahead_hour_{0};  // Of the first snapshot; none: all is read.
  std::vector<EventSink*> sinks_;

  std::vector<Source> sources_;  // In step with the two below, which the builder reads.
  std::vector<journal::Stream> streams_;
  std::vector<uint64_t> committed_;
  size_t first_source_ = 0;  // Where the next fill begins, so that none is starved.
  uint64_t next_seq_ = 0;
  size_t committed_items_ = 0;  // Leading items of the batch that are committed.
  base::Monotonic opened_at_{};

  std::optional<LettersRequest> letters_;  // Being served,
  int64_t letters_after_ = 0;              // as far as this letter.

  bool ready_ = false;
  bool ids_loaded_ = false;
  std::chrono::milliseconds retry_delay_{0};
  base::Monotonic retry_at_{};
  base::Monotonic degraded_at_{};
  base::Monotonic heartbeat_at_{};
  base::Monotonic derive_at_{};
  int64_t derive_hour_ = 0;     // In which it was written last.
  uint64_t flush_wanted_ = 0;   // The newest request,
  uint64_t flush_serving_ = 0;  // and the one that is being served.
  bool deriving_ = false;       // Work is left from the step before.
  bool committed_since_derive_ = false;
  base::Monotonic last_commit_{};
  std::chrono::milliseconds last_batch_took_{0};
  int64_t damage_hour_ = -1;  // In which damaged sketches were reported last.
  uint64_t errors_since_beat_ = 0;
  ConsumerReport report_;
};

}  // namespace weir::pipeline
