#pragma once
// The storage side of a node: rings and journal, the storage thread, the statistics database and
// the consumer thread. Data loops see their Recorder of it and nothing else.
//
// Nothing here can keep traffic from flowing: a database that cannot be opened is opened again and
// again by the consumer, while the journal keeps what comes.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/access_log.h"
#include "app/live_state.h"
#include "app/paced_thread.h"
#include "app/store_writer.h"
#include "base/clock.h"
#include "base/logger.h"
#include "base/thread_annotations.h"
#include "codec/path_template.h"
#include "config/config.h"
#include "gateway/gateway.h"
#include "journal/segment_journal.h"
#include "kv/sqlite_kv.h"
#include "os/files.h"
#include "pipeline/consumer.h"
#include "sqlite/database.h"
#include "stats/sqlite_stats.h"
#include "traffic/client_hasher.h"
#include "traffic/ring_recorder.h"

namespace weir::app {

// One change of the key-value store, by an operator.
struct KvWrite {
  std::string key;
  std::optional<std::string> value;  // Absent: the key is deleted.
  std::optional<base::Wall> expires;
};

// Ownership: owns everything named above; borrows clock, files and logger.
// Threading: the control thread, unless said otherwise.
class Recording final : public gateway::ClientIdentity {
 public:
  // Errors: those of the journal and the key file. Blocks for a few file operations.
  static base::Result<std::unique_ptr<Recording>> open(const config::Config& config,
                                                       const std::string& data_dir, uint32_t loops,
                                                       base::Clock& clock, os::Files& files,
                                                       base::Logger& logger);
  ~Recording() override;

  // One per loop, for as long as this lives.
  const std::vector<traffic::Recorder*>& recorders() const { return borrowed_; }
  // The options of `config` that can change at run time. Call on loop `index`'s thread, or before
  // it runs.
  void apply(uint32_t index, const config::Config& config);

  // The same for the consumer: how paths are grouped, from its next batch on. The control thread.
  void apply(const config::Config& config);

  // Sees what is committed. Before start().
  void add_sink(pipeline::EventSink& sink) { consumer_.add_sink(sink); }

  void start();
  // After the data loops have stopped: makes all that was recorded durable, and commits it to the
  // database if that takes at most `patience`.
  void stop(std::chrono::milliseconds patience);

  void reopen_access_log();

  // How other threads write to the statistics database; between start() and stop().
  sqlite::Writer& writer() { return *writer_; }
  // Everything derived is to be written soon, for other readers of the database: it is when
  // consumer_report().flushed reaches the number returned. Nothing: too many commands wait, and
  // nothing comes of it. Any thread.
  std::optional<uint64_t> request_flush();
  // A snapshot is to be published as soon as the consumer has the time. False: too many commands
  // wait, and nothing comes of it. Any thread.
  [[nodiscard]] bool request_snapshot();
  // Makes the change on the consumer's thread and then calls `done` there. False: too many wait,
  // and `done` is never called. Any thread.
  [[nodiscard]] bool write_kv(KvWrite write, std::function<void(base::Status)> done);
  // Likewise: LiveState::count().
  [[nodiscard]] bool count(CounterChange change, std::function<void(base::Result<int64_t>)> done);

  // The same, and waits for it, also for its turn where too many commands wait. Errors: cancelled;
  // timed_out, while the database fails; unavailable: its turn did not come. Any thread but the
  // consumer's.
  base::Status flush(const std::atomic<bool>& cancelled);
  // Dead letters are to be served: done when consumer_report().letters.done_request reaches the
  // number returned. `request.number` is given here. Nothing: too many commands wait. Any thread.
  std::optional<uint64_t> request_letters(pipeline::LettersRequest request);

  journal::JournalStatus journal_status() const { return journal_->status(); }
  pipeline::ConsumerReport consumer_report() const;
  // How much traffic there is, and who sends it; nothing before the database was open. Any thread.
  std::optional<LiveState::View> live_state(size_t paths = 10) { return live_state_.view(paths); }
  uint64_t access_log_dropped() const { return access_log_ ? access_log_->dropped() : 0; }

  uint64_t hash(const config::IpAddress& ip) const override;  // Any thread.

 private:
  struct PathGrouping {
    pipeline::PathBook::Limits limits;
    std::shared_ptr<const codec::PathTemplates> templates;
  };

  Recording(const config::Config& config, traffic::ClientHasher hasher,
            std::unique_ptr<journal::SegmentJournal> journal, const std::string& data_dir,
            base::Clock& clock, base::Logger& logger);
  base::Status make_threads();
  void add_recorder(uint32_t index, const config::Config& config);
  void publish_report();
  void take_up_grouping();
  static PathGrouping grouping(const config::Stats& stats);
  std::chrono::milliseconds storage_step();
  std::chrono::milliseconds consumer_step();

  base::Clock& clock_;
  base::Logger& logger_;
  const traffic::ClientHasher hasher_;
  std::unique_ptr<journal::SegmentJournal> journal_;
  std::vector<std::unique_ptr<traffic::RingRecorder>> recorders_;
  std::vector<traffic::Recorder*> borrowed_;

  // Of the consumer thread while it runs.
  sqlite::Database database_;
  stats::SqliteStats stats_;
  kv::SqliteKv kv_;
  std::unique_ptr<AccessLog> access_log_;
  LiveState live_state_;
  pipeline::Consumer consumer_;

  mutable base::Mutex mutex_;
  pipeline::ConsumerReport report_ WEIR_GUARDED_BY(mutex_);
  base::Condition report_published_;
  // What the consumer thread takes up with its next step.
  std::optional<PathGrouping> grouping_ WEIR_GUARDED_BY(mutex_);

  std::unique_ptr<PacedThread> consumer_thread_;
  std::unique_ptr<PacedThread> storage_thread_;
  std::unique_ptr<StoreWriter> writer_;
  std::atomic<uint64_t> flush_requests_{0};  // Counts of their own; relaxed.
  std::atomic<uint64_t> letters_requests_{0};
};

// The statistics database's file in a data directory, and how it is opened to write.
std::string database_path(const std::string& data_dir);
sqlite::Options database_options();

// Makes the change and removes a few keys that have expired. On the thread of `database`, which is
// open to write. Errors: those of kv::Kv::write().
base::Status write_kv(sqlite::Database& database, const base::Clock& clock, const KvWrite& write);

}  // namespace weir::app
