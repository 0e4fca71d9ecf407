#include "app/node.h"

#include <algorithm>
#include <csignal>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/log.h"
#include "app/reload.h"
#include "app/status.h"
#include "app/systemd.h"
#include "config/endpoint.h"
#include "config/render.h"
#include "config/validate.h"
#include "net/socket.h"
#include "os/random.h"
#include "os/sigbus.h"

namespace weir::app {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPublishPatience{1000};
constexpr milliseconds kDrainLook{50};
constexpr milliseconds kStopPatience{10'000};
constexpr milliseconds kAlarmLook{1000};
constexpr std::string_view kFileAuthor = "file";

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

// One descriptor per connection on each side, and some: the default of 1024 is for programs, not
// for servers.
void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

bool refuse(const std::string& sentence) {
  complain(sentence);
  return false;
}

bool refuse_listener(const std::string& address, const base::Error& error) {
  return refuse(fmt::format("{}: cannot listen: {}", address, error.what.view()));
}

bool refuse_descriptor(const std::string& address) {
  return refuse(fmt::format("{}: no such descriptor was passed (LISTEN_FDNAMES)", address));
}

std::optional<pipeline::DashboardInputs::Rates> rates_of(
    const std::optional<LiveState::View>& live) {
  if (!live) return std::nullopt;
  return pipeline::DashboardInputs::Rates{.current_rpm = live->traffic.stats.current_rpm,
                                          .peak_rpm = live->traffic.stats.peak_rpm};
}

}  // namespace

Node::Node(ServeOptions options) : options_(std::move(options)) {}
Node::~Node() = default;

int Node::run() {
  inherited_ = inherited_descriptors();
  block_signals();
  os::install_sigbus_handler();
  raise_descriptor_limit();
  // Control before traffic: whoever can connect to the node can ask it.
  if (!load_configuration() || !open_storage() || !open_control() || !open_data_plane() ||
      !open_admin() || !open_places()) {
    return 1;
  }
  recording_->start();
  housekeeping_->start();
  look_around(*config_);
  snapshot_ = endpoints_.build(config_, ++version_, addresses_, places_.database);
  data_plane_->start(snapshot_);
  probes_->watch(snapshot_);
  if (!start_watchdog() || !start_limit_saver()) return 1;
  watch_alarm_->set(kAlarmLook);
  start_ms_ = std::chrono::ceil<milliseconds>(clock_.monotonic() - options_.started).count();
  logger_->log(base::LogLevel::info, "weir {} serves {} with {} loops, {} routes, data in {}",
               kVersion, config_->traffic.front().address, loop_count_, config_->routes.size(),
               options_.data_dir);
  notify_supervisor("READY=1");
  if (config_->rules_source == config::RulesSource::file) note_rules_of_file();
  loop_->run();
  end();
  return 0;
}

bool Node::load_configuration() {
  config::LoadResult loaded =
      options_.config_file.empty()
          ? config::load(options_.config_text, "built-in", options_.environment)
          : load_file(options_.config_file, options_.environment);
  for (const config::Problem& problem : loaded.problems)
    complain(config::to_string(problem));
  if (!loaded.ok()) return false;
  if (loaded.config.server.node.empty()) loaded.config.server.node = host_name();
  config_ = std::make_shared<const config::Config>(std::move(loaded.config));
  logger_ = std::make_unique<FollowedLogger>(make_logger(clock_, config_->log_format), followers_);
  loop_count_ = config_->server.workers != 0 ? config_->server.workers
                                             : std::max(1U, std::thread::hardware_concurrency());
  return true;
}

bool Node::open_storage() {
  const base::Status made = files_.create_directory(options_.data_dir);
  if (!made.ok()) {
    return refuse(fmt::format("{}: the data directory cannot be made (errno {})", options_.data_dir,
                              made.error().os_errno));
  }
  auto lock = os::DirectoryLock::acquire(options_.data_dir);
  if (!lock.ok() && lock.error().code == base::ErrorCode::conflict) {
    return refuse(fmt::format("{}: another weir (process {}) uses this data directory",
                              options_.data_dir, os::lock_holder(options_.data_dir)));
  }
  if (!lock.ok()) {
    return refuse(fmt::format("{}: the data directory cannot be locked (errno {})",
                              options_.data_dir, lock.error().os_errno));
  }
  lock_ = std::move(lock).value();
  if (!take_stored_rules()) return false;
  auto recording =
      Recording::open(*config_, options_.data_dir, loop_count_, clock_, files_, *logger_);
  if (!recording.ok()) {
    return refuse(fmt::format("{}: the journal cannot be opened: {} (errno {})", options_.data_dir,
                              recording.error().what.view(), recording.error().os_errno));
  }
  recording_ = std::move(recording).value();
  recording_->add_sink(followers_);
  auto housekeeping = Housekeeping::open(
      *config_, options_.data_dir, recording_->writer(), clock_, files_, *logger_,
      {.derive =
           [this](const std::atomic<bool>& cancelled) { return recording_->flush(cancelled); },
       .request_snapshot = [this] { return recording_->request_snapshot(); },
       .rates = [this] { return rates_of(recording_->live_state(0)); },
       .live = [this] { return recording_->live_state(0); }});
  if (!housekeeping.ok()) {
    return refuse(fmt::format("{}: the object store cannot be opened: {} (errno {})",
                              objects_path(options_.data_dir), housekeeping.error().what.view(),
                              housekeeping.error().os_errno));
  }
  housekeeping_ = std::move(housekeeping).value();
  return true;
}

base::Status Node::open_rule_versions() {
  RuleVersions opened =
      WEIR_TRY(RuleVersions::open(files_, clock_, options_.data_dir, objects::Access::read_write));
  rule_versions_ = std::make_unique<RuleVersions>(std::move(opened));
  return {};
}

// Where the rules are the store's: they are known before anything is served.
bool Node::take_stored_rules() {
  if (config_->rules_source == config::RulesSource::file) return true;
  const auto give_up = [this](std::string_view what, const base::Error& error) {
    return refuse(fmt::format("{}/config: {}: {}", options_.data_dir, what, error.what.view()));
  };
  if (const base::Status opened = open_rule_versions(); !opened.ok()) {
    return give_up("the versions of the rules cannot be opened", opened.error());
  }
  const base::Result<uint64_t> newest = rule_versions_->newest_number();
  if (!newest.ok()) return give_up("the versions of the rules cannot be listed", newest.error());
  if (newest.value() == 0) {
    return add_rules_of_file("the first version cannot be stored");
  }
  const base::Result<RuleVersion> version = rule_versions_->get(newest.value());
  if (!version.ok()) {
    return give_up(
        fmt::format("the newest version of the rules, {}, cannot be read", newest.value()),
        version.error());
  }
  const config::LoadResult rules = config::load_rules(
      version.value().toml, fmt::format("version {}", newest.value()), config_->rate_limit_default);
  for (const config::Problem& problem : rules.problems)
    complain(config::to_string(problem));
  if (!rules.ok()) return false;
  rules_version_ = newest.value();
  if (config::same_rules(*config_, rules.config)) return true;
  // A file without routes has left its rules to the store. One that has some was edited: that
  // counts until somebody changes the rules in the store.
  if (!config_->routes.empty()) {
    if (version.value().author == kFileAuthor) {
      logger_->log(base::LogLevel::info, "configuration: {} has other rules than version {}",
                   options_.config_file, rules_version_);
      return add_rules_of_file("the rules of the file cannot be stored");
    }
    say_file_is_not_in_force();
  }
  config::Config merged = *config_;
  config::take_rules(merged, rules.config);
  config_ = std::make_shared<const config::Config>(std::move(merged));
  return true;
}

bool Node::add_rules_of_file(std::string_view or_else) {
  const auto added =
      rule_versions_->add(kFileAuthor, options_.config_file, config::rules_to_toml(*config_));
  if (!added.ok()) {
    return refuse(
        fmt::format("{}/config: {}: {}", options_.data_dir, or_else, added.error().what.view()));
  }
  rules_version_ = added.value();
  return true;
}

void Node::say_file_is_not_in_force() {
  logger_->log(base::LogLevel::warning,
               "configuration: the rules of {} are not in force, those of version {} are:"
               " config.source is \"store\"",
               options_.config_file, rules_version_);
}

// The file's history. Traffic does not need it, nor waits for it: what cannot be noted is said.
void Node::note_rules_of_file() {
  const auto note = [this]() -> base::Result<uint64_t> {
    if (rule_versions_ == nullptr) WEIR_TRY(open_rule_versions());
    const std::string toml = config::rules_to_toml(*config_);
    const uint64_t newest = WEIR_TRY(rule_versions_->newest_number());
    if (newest != 0) {
      const base::Result<RuleVersion> version = rule_versions_->get(newest);
      if (version.ok() && version.value().toml == toml) return newest;
      // A damaged one differs; the history goes on behind it.
      if (!version.ok() && version.error().code != base::ErrorCode::corrupt) return version.error();
    }
    return rule_versions_->add(kFileAuthor, options_.config_file, toml);
  };
  const base::Result<uint64_t> noted = note();
  rules_version_ = noted.ok() ? noted.value() : 0;
  rules_history_problem_ = noted.ok() ? std::string{} : std::string{noted.error().what.view()};
  if (!noted.ok()) {
    logger_->log(base::LogLevel::warning, "configuration: its history cannot be written: {}",
                 noted.error().what.view());
  }
}

bool Node::open_control() {
  auto loop = loop::Loop::create(clock_);
  if (!loop.ok()) return refuse("the control loop cannot be made: out of descriptors");
  loop_ = std::move(loop).value();
  auto resolver =
      Resolver::start(clock_, [this] { return loop_->post([this] { publish_what_changed(); }); });
  if (!resolver.ok()) return refuse("the resolver cannot be started: out of descriptors");
  resolver_ = std::move(resolver).value();
  auto probes = ProbeThread::start(clock_);
  if (!probes.ok()) return refuse("the prober of health cannot be started: out of descriptors");
  probes_ = std::move(probes).value();
  auto signals = Signals::open(*loop_, [this](int signal) { on_signal(signal); });
  if (!signals.ok()) return refuse("signals cannot be received: out of descriptors");
  signals_ = std::move(signals).value();
  auto socket = ControlSocket::open(
      *loop_, options_.data_dir + "/" + std::string{kControlSocketName},
      [this](std::string_view request, Ticket ticket) { return answer(request, ticket); });
  if (socket.ok()) {
    control_socket_ = std::move(socket).value();
    // Not sent: thousands of letters wait, and the next line tries again.
    followers_.set_notice(
        [this] { static_cast<void>(loop_->post([this] { control_socket_->pump(); })); });
  } else {
    // Traffic and counting do not need it.
    logger_->log(base::LogLevel::warning, "control socket: {}: weir status will not work",
                 socket.error().what.view());
  }
  drain_alarm_ = std::make_unique<loop::Alarm>(*loop_, [this] { drain_on(); });
  watch_alarm_ = std::make_unique<loop::Alarm>(*loop_, [this] { watch_alarms(); });
  return true;
}

bool Node::open_data_plane() {
  limit_saver_ = std::make_unique<LimitSaver>(files_, clock_, *logger_, options_.data_dir,
                                              config_->limits.rate_limit_save_interval);
  auto plane = DataPlane::create(
      {.loops = loop_count_,
       .node = config_->server.node,
       .seed = os::secure_random_u64(),
       .limiter_seed = limit_saver_->seed(),
       .rate_limit_clients_max = config_->limits.rate_limit_clients_max,
       .on_apply = [this](uint32_t index,
                          const config::Config& config) { recording_->apply(index, config); }},
      clock_, recording_->recorders(), *recording_);
  if (!plane.ok()) return refuse("the event loops cannot be made: out of descriptors");
  data_plane_ = std::move(plane).value();
  if (limit_saver_->load(data_plane_->limiter()) > 0) data_plane_->expect_bans(*config_);
  for (uint32_t i = 0; i < config_->traffic.size(); ++i) {
    if (!open_listener(config_->traffic[i], i)) return false;
  }
  return true;
}

bool Node::open_listener(const config::Listener& listener, uint32_t index) {
  const net::ListenerOptions options{
      .index = index,
      .proxy_protocol = listener.client_address == config::ClientAddress::proxy_protocol};
  const auto address = net::SocketAddress::parse(listener.address);
  base::Status opened;
  if (address.ok()) {
    opened = data_plane_->listen(address.value(), options);
  } else {
    const auto inherited =
        inherited_.find(config::parse_listen_address(listener.address).value().name);
    if (inherited == inherited_.end()) return refuse_descriptor(listener.address);
    opened = data_plane_->listen(inherited->second, options);
  }
  return opened.ok() || refuse_listener(listener.address, opened.error());
}

bool Node::start_watchdog() {
  auto watchdog =
      WatchdogThread::start(*data_plane_, config_->server.stall_threshold, clock_, *logger_);
  if (!watchdog.ok()) return refuse("the watchdog cannot be started: out of descriptors");
  watchdog_ = std::move(watchdog).value();
  return true;
}

bool Node::start_limit_saver() {
  return limit_saver_->start(data_plane_->limiter()).ok() ||
         refuse("the saver of rate limits cannot be started: out of descriptors");
}

bool Node::open_admin() {
  declare_metrics();
  admin_context_ = std::make_unique<net::LoopContext>(*loop_);
  admin_ = std::make_unique<admin::AdminServer>(
      *admin_context_, admin::AdminServer::Pages{.health_path = config_->health_path,
                                                 .metrics = [this] { return metrics_.render(); }});
  admin_group_.loads = std::make_unique<net::ServerGroup::Load[]>(1);
  admin_group_.connections_max = 256;
  admin_server_ = std::make_unique<net::Server>(*admin_context_, *admin_, *admin_, admin_group_, 0);
  admin_group_.servers.push_back(admin_server_.get());
  const auto address = net::SocketAddress::parse(config_->admin);
  if (!address.ok()) {
    const auto name = config::parse_listen_address(config_->admin).value().name;
    const auto inherited = inherited_.find(name);
    if (inherited == inherited_.end()) return refuse_descriptor(config_->admin);
    const base::Status opened = admin_server_->listen(std::move(inherited->second), {});
    return opened.ok() || refuse_listener(config_->admin, opened.error());
  }
  auto listener = net::listen_on(address.value(), net::PortSharing::exclusive);
  if (!listener.ok()) return refuse_listener(config_->admin, listener.error());
  const base::Status opened = admin_server_->listen(std::move(listener).value(), {});
  return opened.ok() || refuse_listener(config_->admin, opened.error());
}

std::vector<uint32_t> Node::publish(std::shared_ptr<const config::Config> config) {
  config_ = std::move(config);
  retired_.push_back(std::move(snapshot_));
  snapshot_ = endpoints_.build(config_, ++version_, addresses_, places_.database);
  const auto stalled = data_plane_->publish(snapshot_, kPublishPatience);
  probes_->watch(snapshot_);
  free_retired();
  admin_->set_health_path(config_->health_path);
  watchdog_->set_threshold(config_->server.stall_threshold);
  for (const uint32_t index : stalled) {
    logger_->log(base::LogLevel::error,
                 "configuration {}: loop-{} is stalled and will take it up later", version_, index);
  }
  return stalled;
}

// Whoever holds one of these alone holds the last of it: others only let go.
void Node::free_retired() {
  std::erase_if(retired_, [](const auto& snapshot) { return snapshot.use_count() == 1; });
}

// All that follows from another configuration. Returns the loops that are stalled.
std::vector<uint32_t> Node::put_in_force(config::Config config) {
  look_around(config);
  std::vector<uint32_t> stalled =
      publish(std::make_shared<const config::Config>(std::move(config)));
  recording_->apply(*config_);
  housekeeping_->apply(*config_);
  return stalled;
}

void Node::reload() {
  config::LoadResult loaded = load_file(options_.config_file, options_.environment);
  if (loaded.config.server.node.empty()) loaded.config.server.node = config_->server.node;
  const bool stored = config_->rules_source == config::RulesSource::store;
  if (stored && loaded.ok()) {
    if (!loaded.config.routes.empty() && !config::same_rules(loaded.config, *config_)) {
      say_file_is_not_in_force();
    }
    config::take_rules(loaded.config, *config_);
    loaded.problems = config::validate(loaded.config);
    for (config::Problem& problem : loaded.problems)
      problem.file = fmt::format("version {} of the rules", rules_version_);
  }
  for (const config::Problem& problem : loaded.problems) {
    logger_->log(base::LogLevel::error, "configuration: {}", config::to_string(problem));
  }
  std::vector<std::string> fixed;
  if (loaded.ok()) fixed = config::restart_needed(*config_, loaded.config);
  for (const std::string& key : fixed) {
    logger_->log(base::LogLevel::error, "configuration: {} cannot change without a restart", key);
  }
  if (!loaded.ok() || !fixed.empty()) {
    logger_->log(base::LogLevel::error, "configuration: refused; version {} stays in force",
                 version_);
    return;
  }
  static_cast<void>(put_in_force(std::move(loaded.config)));  // Stalled loops are in the log.
  if (!stored) note_rules_of_file();
  logger_->log(base::LogLevel::info, "configuration: version {} is in force, {} routes", version_,
               config_->routes.size());
}

void Node::on_signal(int signal) {
  switch (signal) {
    case SIGHUP:
      return options_.config_file.empty() ? void() : reload();
    case SIGUSR1:
      return recording_->reopen_access_log();
    default:
      if (draining_) return loop_->stop();  // A second one does not wait.
      return begin_drain();
  }
}

void Node::begin_drain() {
  draining_ = true;
  drain_began_ = clock_.monotonic();
  notify_supervisor("STOPPING=1");
  logger_->log(base::LogLevel::info, "ending: {} connections are open",
               data_plane_->open_connections());
  data_plane_->drain();
  drain_on();
}

void Node::drain_on() {
  const auto passed = clock_.monotonic() - drain_began_;
  if (data_plane_->drained() || passed >= config_->server.drain_timeout) return loop_->stop();
  drain_alarm_->set(kDrainLook);
}

void Node::end() {
  watchdog_.reset();
  data_plane_->stop();
  limit_saver_->stop();
  housekeeping_->stop();
  recording_->stop(kStopPatience);
  logger_->log(base::LogLevel::info, "ended");
}

void Node::watch_alarms() {
  std::vector<Alarm> now = alarms();
  for (const Alarm& alarm : now) {
    const bool known = std::any_of(known_alarms_.begin(), known_alarms_.end(),
                                   [&](const Alarm& other) { return other.name == alarm.name; });
    if (!known) logger_->log(base::LogLevel::error, "alarm {}: {}", alarm.name, alarm.text);
  }
  for (const Alarm& alarm : known_alarms_) {
    const bool raised = std::any_of(now.begin(), now.end(),
                                    [&](const Alarm& other) { return other.name == alarm.name; });
    if (!raised) logger_->log(base::LogLevel::info, "alarm {}: over", alarm.name);
  }
  free_retired();
  known_alarms_ = std::move(now);
  housekeeping_->alerts().note_alarms(known_alarms_);
  watch_alarm_->set(kAlarmLook);
}

std::vector<Alarm> Node::alarms() const {
  const journal::JournalStatus journal = recording_->journal_status();
  const pipeline::ConsumerReport consumer = recording_->consumer_report();
  std::vector<Alarm> raised;
  const auto raise = [&raised](bool on, const char* name, std::string text) {
    if (on) raised.push_back({name, std::move(text)});
  };
  raise(!consumer.store_alarm.empty(), "store", consumer.store_alarm);
  raise(!consumer.journal_alarm.empty(), "journal_read", consumer.journal_alarm);
  raise(journal.failing, "journal_failing", "writing or syncing the journal fails");
  raise(journal.full, "journal_full", "the journal holds journal.max_bytes");
  raise(journal.degraded, "degraded", "exchanges are counted without detail: the ring is full");
  raise(journal.lost > 0, "lost", fmt::format("{} records are lost", journal.lost));
  raise(journal.damaged_files > 0, "damaged_files",
        fmt::format("{} journal files were set aside", journal.damaged_files));
  raise(consumer.letters_waiting > 0, "dead_letters",
        fmt::format("{} events are dead letters: weir queues dead-letters",
                    consumer.letters_waiting));
  raise(!places_.problem.empty(), "geo_database",
        places_.problem + (places_.database != nullptr ? "; the database read before is in use"
                                                       : "; no country is known"));
  raise(lacks_countries(*config_), "geo_no_countries",
        "geographic rules need countries, and neither geo.database nor geo.country_header says"
        " any");
  raise(lacks_cities(*config_, places_.database.get()), "geo_no_cities",
        "geographic rules name cities, and nothing in use knows any: geo.database has countries"
        " alone");
  const std::string unbalanced = housekeeping_->audit_alarm();
  raise(!unbalanced.empty(), "audit", unbalanced);
  const bool ring_failed = std::any_of(journal.rings.begin(), journal.rings.end(),
                                       [](const auto& ring) { return ring.failed; });
  raise(ring_failed, "ring_failed", "a ring's memory failed: its loop counts without detail");
  const std::string disk = housekeeping_->disk_alarm();
  raise(!disk.empty(), "disk", disk);
  const std::string untold = housekeeping_->alerts().alarm();
  raise(!untold.empty(), alerts::kWebhookAlarm.data(), untold);
  const jobs::SchedulerReport jobs = housekeeping_->report();
  raise(!jobs.alarm.empty(), "jobs_history", jobs.alarm);
  std::string failed;
  for (const jobs::JobState& job : jobs.jobs) {
    if (!job.last || job.last->status != jobs::RunStatus::failed) continue;
    failed += fmt::format("{}{}: {}", failed.empty() ? "" : "; ", job.name, job.last->error);
  }
  raise(!failed.empty(), "job_failed", failed);
  raise(!rules_history_problem_.empty(), "rules_history",
        fmt::format("the rules in force are the file's, and could not be stored as a version: {}",
                    rules_history_problem_));
  const std::string not_saved = limit_saver_->alarm();
  raise(!not_saved.empty(), "limits_not_saved", not_saved);
  return raised;
}

}  // namespace weir::app
