#pragma once
// The job `alerts`: gathers the figures, has them judged (alerts/watch.h), and tells the webhook.
//
// It runs every minute on a thread of its own: a long job, an archive or a clean-up, must not keep
// anybody from being told. What it may take is bounded: kReadMax for each of two queries, then
// alerts::Watch::kSendingMax and one webhook::Sender::send(), for a webhook that does not answer.
//
// It never fails: figures that cannot be read are left out, and a webhook that fails is an alarm of
// the node (alarm()). What it remembers lies in the key-value store under kAlertsKey.

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "alerts/rules.h"
#include "alerts/watch.h"
#include "app/live_state.h"
#include "base/clock.h"
#include "base/logger.h"
#include "base/thread_annotations.h"
#include "config/config.h"
#include "jobs/scheduler.h"
#include "sqlite/database.h"
#include "sqlite/writer.h"
#include "webhook/sender.h"

namespace weir::app {

inline constexpr std::string_view kAlertsJob = "alerts";
inline constexpr std::string_view kAlertsKey = "alerts:state";
inline constexpr std::string_view kAlertsAsideKey = "alerts:state.refused";

// What commands, pages and metrics show.
struct AlertsView {
  std::vector<alerts::BookEntry> raised;  // Critical ones first.
  std::optional<int64_t> evaluated_ms;    // None: not yet.
  struct Webhook {
    std::string url;  // As config::shown_url() gives it; empty: none.
    std::string_view format;
    uint64_t delivered = 0;  // Messages of this process, as all three.
    uint64_t refused = 0;
    uint64_t unreachable = 0;
    std::optional<int64_t> last_ms;  // When the last message was sent, or was to be.
    bool last_delivered = false;
    std::string last_text;  // What came of it.
  } webhook;
  struct Test {
    uint64_t asked = 0;  // Numbers of request_test().
    uint64_t done = 0;
    bool delivered = false;
    std::string text;
  } test;
};

// Ownership: owns the book and the sender; borrows the rest.
// Threading: run(): the alerts' thread; the rest: any thread.
// Limits: kClientsMax clients fire at a time; alerts/book.h.
class AlertJob final : private alerts::WatchPorts {
 public:
  static constexpr std::chrono::seconds kReadMax{5};
  static constexpr int kClientsMax = 10;

  // What is known of live traffic; none: nothing yet. Called on the alerts' thread.
  using LiveFigures = std::function<std::optional<LiveState::View>()>;

  // `reader` is a reading connection of the alerts' thread.
  AlertJob(const config::Config& config, sqlite::Writer& writer, sqlite::Database& reader,
           const base::Clock& clock, base::Logger& logger, LiveFigures live);

  // One evaluation. Returns a sentence for the job's history. Errors: cancelled.
  base::Result<std::string> run(jobs::JobContext& context);

  void apply(const config::Config& config);
  // Which alarms of the node are raised now. One that is over before the next evaluation fires
  // there all the same.
  void note_alarms(const std::vector<alerts::NodeAlarm>& raised);
  // The next run sends a message that says nothing; view().test reaches the number returned.
  uint64_t request_test();

  AlertsView view() const;
  // Why messages do not arrive; empty: they do, or there is no webhook.
  std::string alarm() const;

 private:
  base::Result<std::optional<std::string>> load() override;
  base::Status save(std::string_view image) override;
  base::Status set_aside(std::string_view image) override;
  alerts::Sent send(const alerts::Message& message) override;
  void changed(const alerts::BookChange& change) override;

  base::Status put(std::string_view key, std::string_view value);
  alerts::Figures figures(const std::atomic<bool>& cancelled);
  std::optional<std::vector<alerts::BusyClient>> busy_clients(const std::atomic<bool>& cancelled);
  std::optional<std::vector<alerts::NodeAlarm>> take_alarms();
  void send_test();
  void publish();

  sqlite::Writer& writer_;
  sqlite::Database& reader_;
  const base::Clock& clock_;
  base::Logger& logger_;
  const LiveFigures live_;

  // Of the alerts' thread.
  alerts::Watch watch_;
  webhook::Sender sender_;
  config::Alerts alerts_;  // As of the run's beginning; so is the next.
  std::string node_;
  const std::atomic<bool>* cancelled_ = nullptr;  // Of the run.

  mutable base::Mutex mutex_;
  config::Alerts configured_ WEIR_GUARDED_BY(mutex_);
  std::string node_name_ WEIR_GUARDED_BY(mutex_);
  AlertsView view_ WEIR_GUARDED_BY(mutex_);
  bool alarms_known_ WEIR_GUARDED_BY(mutex_) = false;
  std::map<std::string, std::string> alarms_ WEIR_GUARDED_BY(mutex_);  // Since the last evaluation.
  std::vector<alerts::NodeAlarm> alarms_now_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::app
