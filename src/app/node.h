#pragma once
// The running server: everything that `weir serve` starts, in order, and how it ends.
//
// Start: lock the data directory → journal and database (recording.h) → control loop (signals,
// control socket) → listeners → data loops. End, on SIGTERM or SIGINT: stop
// accepting, let exchanges end (server.drain_timeout), stop the loops, make everything recorded
// durable, commit it, unlock.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admin/admin_server.h"
#include "alerts/rules.h"
#include "app/control_socket.h"
#include "app/data_plane.h"
#include "app/follow_hub.h"
#include "app/housekeeping.h"
#include "app/limit_saver.h"
#include "app/places_watch.h"
#include "app/probe_thread.h"
#include "app/recording.h"
#include "app/resolver.h"
#include "app/rule_versions.h"
#include "app/signals.h"
#include "app/watchdog_thread.h"
#include "base/clock.h"
#include "base/logger.h"
#include "config/load.h"
#include "gateway/endpoint_table.h"
#include "gateway/limit_use.h"
#include "metrics/registry.h"
#include "net/server.h"
#include "os/clock.h"
#include "os/directory_lock.h"
#include "os/files.h"

namespace weir::app {

struct ServeOptions {
  std::string config_file;  // Empty: `config_text` alone.
  std::string config_text;  // Used where there is no file (the demo).
  std::string data_dir;
  config::Environment environment;
  base::Monotonic started;  // When the process began, for `start_ms`.
};

// Something an operator should look at. Raised again with every look until it is over.
// Its name, "store", "journal_failing", …, is the label of weir_alarm.
using Alarm = alerts::NodeAlarm;

// Ownership: owns everything that runs.
// Threading: the control thread.
class Node {
 public:
  explicit Node(ServeOptions options);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Returns the exit code: 0 after a graceful end, 1 if it could not start; then one sentence on
  // standard error says why.
  int run();

 private:
  friend class StatusReport;

  // The parts of a start, in order. False: the reason was said.
  bool load_configuration();
  bool open_storage();
  bool open_control();
  bool open_data_plane();
  bool open_listener(const config::Listener& listener, uint32_t index);
  bool start_watchdog();
  bool start_limit_saver();
  bool open_admin();
  bool open_places();

  base::Status open_rule_versions();
  bool take_stored_rules();
  bool add_rules_of_file(std::string_view or_else);
  void say_file_is_not_in_force();

  std::vector<uint32_t> publish(std::shared_ptr<const config::Config> config);
  std::vector<uint32_t> put_in_force(config::Config config);
  void look_around(const config::Config& config);
  void publish_what_changed();
  void free_retired();
  void note_rules_of_file();
  void take_places(PlacesState state);
  void reload();
  void on_signal(int signal);
  void begin_drain();
  void drain_on();
  void end();
  std::optional<std::string> answer(std::string_view request, Ticket ticket);
  std::optional<std::string> answer_tail(std::string_view request, Ticket ticket);
  std::optional<std::string> answer_kv(std::string_view request, Ticket ticket);
  std::string change_rules(std::string_view request, Ticket ticket);
  std::string answer_bans();
  std::string answer_limits(const gateway::LimitSubject& subject, bool reset);
  std::optional<std::string> answer_counter(const std::string& operation, Ticket ticket);
  void answer_later(Ticket ticket, std::string text);
  std::string answer_alerts(bool test);
  std::string answer_jobs(const std::string& command, const std::string& name);
  std::vector<Alarm> alarms() const;
  void watch_alarms();
  void declare_metrics();
  void declare_loop_metrics();
  void declare_stall_metrics();
  void declare_response_metrics();
  void declare_rule_metrics();
  void declare_journal_metrics();
  void declare_consumer_metrics();
  void declare_audit_metrics();
  void declare_traffic_metrics();
  void declare_alert_metrics();

  const ServeOptions options_;
  os::RealClock clock_;
  os::RealFiles files_;
  FollowHub followers_{clock_};
  std::unique_ptr<base::Logger> logger_;
  std::map<std::string, os::Fd> inherited_;
  std::shared_ptr<const config::Config> config_;
  uint64_t version_ = 0;  // Of the published configuration.
  std::unique_ptr<RuleVersions> rule_versions_;
  uint64_t rules_version_ = 0;         // The stored one that is in force; 0: it is not stored.
  std::string rules_history_problem_;  // Why not; empty: it is.
  int64_t start_ms_ = 0;
  uint32_t loop_count_ = 0;
  bool draining_ = false;
  base::Monotonic drain_began_{};
  std::vector<Alarm> known_alarms_;

  std::unique_ptr<os::DirectoryLock> lock_;
  gateway::EndpointTable endpoints_;
  std::shared_ptr<const gateway::Snapshot> snapshot_;  // In force.
  // Not in force any more, and in use: freed here, because a loop would stall for it.
  std::vector<std::shared_ptr<const gateway::Snapshot>> retired_;
  gateway::Addresses addresses_;
  PlacesState places_;
  std::unique_ptr<Recording> recording_;
  std::unique_ptr<Housekeeping> housekeeping_;
  std::unique_ptr<DataPlane> data_plane_;
  std::unique_ptr<LimitSaver> limit_saver_;  // Ends before the limiter, which is data_plane_'s.
  std::unique_ptr<WatchdogThread> watchdog_;

  std::unique_ptr<loop::Loop> loop_;  // The control loop, of the thread that called run().
  metrics::Registry metrics_;
  std::unique_ptr<net::LoopContext> admin_context_;
  net::ServerGroup admin_group_;
  std::unique_ptr<admin::AdminServer> admin_;
  std::unique_ptr<net::Server> admin_server_;
  std::unique_ptr<ControlSocket> control_socket_;
  std::unique_ptr<Signals> signals_;
  std::unique_ptr<loop::Alarm> drain_alarm_;
  std::unique_ptr<loop::Alarm> watch_alarm_;
  std::unique_ptr<Resolver> resolver_;
  std::unique_ptr<PlacesWatch> places_watch_;
  std::unique_ptr<ProbeThread> probes_;
};

}  // namespace weir::app
