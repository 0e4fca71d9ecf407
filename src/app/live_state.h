#pragma once
// What a node remembers beside its statistics: how much traffic there is (state::TrafficMonitor),
// what recent clients asked for (state::ClientPaths), and the counter that scripts may use
// (state::Counter). The first two learn from committed events; all outlive a restart: their images
// lie in the key-value store, keys `state:{name}`.
//
// The images are loaded as soon as the database can be read. Until then nothing is shown, and
// events that are committed meanwhile are not in these figures (`missed`); the statistics hold
// them.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/logger.h"
#include "base/result.h"
#include "base/thread_annotations.h"
#include "codec/path_template.h"
#include "kv/kv.h"
#include "pipeline/consumer.h"
#include "state/client_paths.h"
#include "state/counter.h"
#include "state/state.h"
#include "state/traffic_monitor.h"

namespace weir::app {

// The embedded state::Store.
// Ownership: borrows the key-value store.
// Threading: the thread of the key-value store.
// Limits: those of state::Store.
class KvStateStore final : public state::Store {
 public:
  explicit KvStateStore(kv::Kv& kv) : kv_(kv) {}

  base::Result<std::optional<std::string>> load(std::string_view name) override;
  base::Status save(std::string_view name, std::string_view bytes) override;

 private:
  kv::Kv& kv_;
};

enum class CounterChange : uint8_t { none, increment, decrement, reset };

// Ownership: owns the tables; borrows the key-value store, clock and logger.
// Threading: the consumer thread, unless said otherwise.
// Limits: those of the tables. A step() saves for one transaction of each Keeper; the monitor's
//   image is at most kMonitorInterval old, those of the clients kClientsInterval.
class LiveState final : public pipeline::EventSink {
 public:
  static constexpr std::chrono::seconds kStep{1};
  static constexpr std::chrono::seconds kMonitorInterval{5};
  static constexpr std::chrono::minutes kClientsInterval{5};
  static constexpr std::chrono::hours kCleanup{1};
  static constexpr std::chrono::seconds kLagMax{15};

  struct View {
    state::TrafficView traffic;
    state::ClientPaths::Metrics clients;
    uint64_t missed = 0;  // Events committed before the images were loaded.
    // False: events wait, older than kLagMax; what is shown is of some time ago.
    bool is_current = false;
    uint64_t saves = 0;
    uint64_t save_failures = 0;
  };

  LiveState(kv::Kv& kv, const base::Clock& clock, base::Logger& logger, uint64_t threshold);

  // Under which paths the events that follow are counted.
  void set_templates(std::shared_ptr<const codec::PathTemplates> templates) {
    templates_ = std::move(templates);
  }

  void on_events(std::span<const traffic::Event> events) override;

  // After each of the consumer's steps: whether all that is synced is committed.
  void note_progress(bool drained);

  // Loads if that has not succeeded, saves what is due; at most once in kStep, so it may be called
  // with every turn. Blocks for a few writes. Requires an open database.
  void step();

  // Saves all that changed. Blocks for up to 65 writes. Requires an open database.
  void flush();

  // The counter's value after the change, which is durable. Blocks for one write. Requires an open
  // database. Errors: those of state::Counter and of the store; then the change may have been made.
  base::Result<int64_t> count(CounterChange change);

  // With the `paths` busiest paths. Nothing before the images are loaded. Any thread.
  std::optional<View> view(size_t paths);

 private:
  base::Status load();
  void clean_up();
  void report(const base::Status& saved);

  const base::Clock& clock_;
  base::Logger& logger_;
  KvStateStore store_;
  state::TrafficMonitor monitor_;
  state::ClientPaths clients_;
  state::Counter counter_;
  state::Keeper monitor_keeper_;
  state::Keeper clients_keeper_;
  state::Keeper counter_keeper_;
  std::shared_ptr<const codec::PathTemplates> templates_;
  std::string scratch_;
  bool failing_ = false;                   // Logged once.
  int64_t newest_arrival_us_ = INT64_MIN;  // Of the events so far.
  base::Monotonic next_step_{};
  base::Monotonic next_cleanup_;

  // Set once, after the restores: its release makes them visible to whoever acquires `true`.
  std::atomic<bool> loaded_{false};
  std::atomic<int64_t> current_at_ns_;  // Monotonic. Relaxed: a number of its own.
  mutable base::Mutex mutex_;
  uint64_t missed_ WEIR_GUARDED_BY(mutex_) = 0;
  uint64_t saves_ WEIR_GUARDED_BY(mutex_) = 0;
  uint64_t save_failures_ WEIR_GUARDED_BY(mutex_) = 0;
};

}  // namespace weir::app
