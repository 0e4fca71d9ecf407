#include "app/housekeeping.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/audit_command.h"
#include "app/recording.h"
#include "base/assert.h"
#include "codec/iso_time.h"
#include "config/resolve.h"
#include "jobs/timetable.h"
#include "kv/sqlite_kv.h"
#include "pipeline/adjust_archiver.h"
#include "pipeline/archiver.h"
#include "pipeline/audit.h"
#include "pipeline/compaction.h"
#include "pipeline/geo_snapshot.h"
#include "pipeline/retention.h"
#include "stats/client_lists.h"

namespace weir::app {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kNiceness = 10;
constexpr std::string_view kDashboardCron = "*/10 * * * *";
constexpr std::string_view kGeoCron = "*/5 * * * *";

constexpr base::Error kConsumerBusy{base::ErrorCode::unavailable, base::Origin::storage,
                                    base::Retry::with_backoff, 0, "the consumer is busy"};

pipeline::Work work_of(jobs::JobContext& context) {
  return {.cancelled = context.cancelled, .progress = [&context](uint64_t done, uint64_t total) {
            context.progress(done, total, "rows");
          }};
}

Json time_of(std::optional<base::Wall> wall) {
  return wall ? Json(codec::iso_ms(base::unix_ms(*wall))) : Json(nullptr);
}

Json run_json(const std::optional<jobs::JobRun>& run) {
  if (!run) return nullptr;
  return {{"trigger", jobs::to_string(run->trigger)},
          {"status", jobs::to_string(run->status)},
          {"started", time_of(run->started)},
          {"finished", time_of(run->finished)},
          {"summary", run->summary},
          {"error", run->error}};
}

std::vector<std::string> jobs_but_alerts() {
  std::vector<std::string> names;
  for (const std::string_view name : config::kJobNames) {
    if (name != kAlertsJob) names.emplace_back(name);
  }
  return names;
}

}  // namespace

std::string objects_path(const std::string& data_dir) {
  return data_dir + "/objects";
}

base::Result<std::unique_ptr<Housekeeping>> Housekeeping::open(const config::Config& config,
                                                               const std::string& data_dir,
                                                               sqlite::Writer& writer,
                                                               base::Clock& clock, os::Files& files,
                                                               base::Logger& logger, Hooks hooks) {
  auto store =
      WEIR_TRY(objects::DirectoryStore::open(files, clock, {.directory = objects_path(data_dir)}));
  std::unique_ptr<Housekeeping> housekeeping{new Housekeeping{
      config, data_dir, writer, std::move(store), clock, logger, std::move(hooks)}};  // Private.
  housekeeping->thread_ = WEIR_TRY(
      PacedThread::create(clock, "jobs", kNiceness,
                          [&scheduler = housekeeping->scheduler_] { return scheduler.step(); }));
  housekeeping->alerts_thread_ = WEIR_TRY(PacedThread::create(
      clock, "alerts", kNiceness,
      [&scheduler = housekeeping->alerts_scheduler_] { return scheduler.step(); }));
  return housekeeping;
}

Housekeeping::Housekeeping(const config::Config& config, const std::string& data_dir,
                           sqlite::Writer& writer, std::unique_ptr<objects::DirectoryStore> store,
                           base::Clock& clock, base::Logger& logger, Hooks hooks)
    : disabled_(config.jobs_disabled),
      crons_(config.crons),
      disk_bytes_max_(config.stats.disk_max),
      hourly_days_(config.stats.hourly_days),
      writer_(writer),
      clock_(clock),
      logger_(logger),
      hooks_(std::move(hooks)),
      store_(std::move(store)),
      reader_(database_path(data_dir), {.access = sqlite::Access::query_only}),
      history_reader_(database_path(data_dir), {.access = sqlite::Access::query_only}),
      history_(writer, history_reader_),
      scheduler_(history_, clock, logger, {.others = {std::string{kAlertsJob}}}),
      alerts_reader_(database_path(data_dir), {.access = sqlite::Access::query_only}),
      alerts_history_reader_(database_path(data_dir), {.access = sqlite::Access::query_only}),
      alerts_(config, writer, alerts_reader_, clock, logger, hooks_.live),
      alerts_history_(writer, alerts_history_reader_),
      alerts_scheduler_(alerts_history_, clock, logger, {.others = jobs_but_alerts()}) {
  add("archive", "0 2 * * *", [this](jobs::JobContext& context) { return archive(context); });
  add("clean_up", "0 3 * * *", [this](jobs::JobContext& context) { return clean_up(context); });
  add("client_lists", "30 1 * * *",
      [this](jobs::JobContext& context) { return list_clients(context); });
  add("audit", "40 * * * *", [this](jobs::JobContext& context) { return audit(context); });
  add("capacity_report", "0 4 * * *",
      [this](jobs::JobContext& context) { return report_capacity(context); });
  add("compact", "0 6 * * 0", [this](jobs::JobContext& context) { return compact(context); });
  add("retention", "0 5 * * *", [this](jobs::JobContext& context) { return retain(context); });
  add("dashboard_snapshot", kDashboardCron,
      [this](jobs::JobContext& context) { return snapshot_dashboard(context); });
  add("geo_snapshot", kGeoCron,
      [this](jobs::JobContext& context) { return snapshot_geo(context); });
  add("path_snapshot", "0 * * * *", [this](jobs::JobContext&) -> base::Result<std::string> {
    if (!hooks_.request_snapshot()) return kConsumerBusy;
    return std::string{"the consumer is asked for it"};
  });
  add(
      alerts_scheduler_, kAlertsJob, "* * * * *",
      [this](jobs::JobContext& context) { return alerts_.run(context); },
      /*routine=*/true);
  apply(config);
}

Housekeeping::~Housekeeping() {
  stop();
}

// The configuration's, where it has one; checked there.
std::string_view Housekeeping::cron_of(std::string_view name, std::string_view otherwise) const {
  const auto found = std::find_if(crons_.begin(), crons_.end(),
                                  [name](const auto& pair) { return pair.first == name; });
  return found == crons_.end() ? otherwise : std::string_view{found->second};
}

void Housekeeping::add(jobs::Scheduler& scheduler, std::string_view name, std::string_view schedule,
                       jobs::Job::Work work, bool routine) {
  WEIR_ASSERT(std::find(config::kJobNames.begin(), config::kJobNames.end(), name) !=
              config::kJobNames.end());
  scheduler.add({.name = std::string{name},
                 .schedule = codec::Cron::parse(cron_of(name, schedule)).value(),
                 .enabled = std::find(disabled_.begin(), disabled_.end(), name) == disabled_.end(),
                 .routine = routine,
                 .work = std::move(work)});
}

// Until when a snapshot of the job is kept; its schedule may be the configuration's.
base::Wall Housekeeping::kept_until(std::string_view name, std::string_view otherwise) const {
  return jobs::kept_until(codec::Cron::parse(cron_of(name, otherwise)).value(), clock_.wall());
}

base::Status Housekeeping::write_kv(const std::function<base::Status(kv::Kv&)>& write) {
  return writer_.run([&](sqlite::Database& database) {
    kv::SqliteKv store{database, clock_};
    return write(store);
  });
}

// Rules for the cache do not exist, so no path has any.
void Housekeeping::apply(const config::Config& config) {
  alerts_.apply(config);
  const auto limited =
      std::count_if(config.routes.begin(), config.routes.end(), [&](const config::Route& route) {
        const auto limits = config::resolve_rate_limits(config, route, nullptr).limits;
        return std::any_of(
            limits.begin(), limits.end(),
            [](const config::EffectiveRateLimit& limit) { return limit.value.enabled; });
      });
  std::set<std::string_view> with_geo;
  for (const config::GeoRule& rule : config.geo_rules) {
    if (rule.enabled) with_geo.insert(rule.routes.begin(), rule.routes.end());
  }
  const base::MutexLock lock{mutex_};
  configured_ = {.paths = config.routes.size(),
                 .with_rate_limit = static_cast<uint64_t>(limited),
                 .with_geo = with_geo.size()};
}

void Housekeeping::start() {
  thread_->start();
  alerts_thread_->start();
}

void Housekeeping::stop() {
  scheduler_.stop();
  alerts_scheduler_.stop();
  if (thread_) thread_->stop();
  if (alerts_thread_) alerts_thread_->stop();
}

jobs::SchedulerReport Housekeeping::report() const {
  jobs::SchedulerReport report = scheduler_.report();
  jobs::SchedulerReport of_alerts = alerts_scheduler_.report();
  for (jobs::JobState& job : of_alerts.jobs)
    report.jobs.push_back(std::move(job));
  report.history_read = report.history_read && of_alerts.history_read;
  report.runs_waiting += of_alerts.runs_waiting;
  report.runs_lost += of_alerts.runs_lost;
  if (report.alarm.empty()) report.alarm = std::move(of_alerts.alarm);
  return report;
}

base::Status Housekeeping::request_run(std::string_view job) {
  return (job == kAlertsJob ? alerts_scheduler_ : scheduler_).request_run(job);
}

base::Status Housekeeping::cancel(std::string_view job) {
  return (job == kAlertsJob ? alerts_scheduler_ : scheduler_).cancel(job);
}

// The file may have been replaced since the last job.
base::Status Housekeeping::open_reader() {
  return reader_.open();
}

base::Result<std::string> Housekeeping::archive(jobs::JobContext& context) {
  WEIR_TRY(hooks_.derive(context.cancelled));  // Adjustments are archived with their sketches.
  WEIR_TRY(open_reader());
  pipeline::Archiver archiver{writer_, reader_, *store_, clock_, logger_, {}};
  const pipeline::ArchiveOutcome outcome = WEIR_TRY(archiver.run(work_of(context)));
  const pipeline::ArchiveOutcome adjusted = WEIR_TRY(
      pipeline::archive_adjustments(writer_, reader_, *store_, clock_, logger_, work_of(context)));
  return fmt::format("{} parts, {} rows, {} bytes, all verified", outcome.parts + adjusted.parts,
                     outcome.rows + adjusted.rows, outcome.object_bytes + adjusted.object_bytes);
}

base::Result<std::string> Housekeeping::clean_up(jobs::JobContext& context) {
  WEIR_TRY(hooks_.derive(context.cancelled));  // What is not derived is not deleted.
  WEIR_TRY(open_reader());
  const pipeline::CleanOutcome outcome =
      WEIR_TRY(pipeline::clean_archived(writer_, reader_, *store_, logger_, work_of(context)));
  const pipeline::CleanOutcome adjusted =
      WEIR_TRY(pipeline::clean_adjustments(writer_, reader_, *store_, logger_, work_of(context)));
  return fmt::format("{} parts, {} rows deleted", outcome.parts + adjusted.parts,
                     outcome.rows + adjusted.rows);
}

base::Result<std::string> Housekeeping::list_clients(jobs::JobContext& context) {
  WEIR_TRY(hooks_.derive(context.cancelled));
  WEIR_TRY(open_reader());
  const stats::ListOutcome outcome =
      WEIR_TRY(stats::list_clients(writer_, reader_, clock_.wall(), context.cancelled));
  return fmt::format("{} days, {} clients listed", outcome.days, outcome.clients);
}

base::Result<std::string> Housekeeping::audit(jobs::JobContext& context) {
  WEIR_TRY(hooks_.derive(context.cancelled));
  WEIR_TRY(open_reader());
  const pipeline::AuditReport report =
      WEIR_TRY(pipeline::audit(reader_, clock_, {.cancel = &context.cancelled}));
  std::string summary = summary_of(report);
  const base::MutexLock lock{mutex_};
  audit_alarm_ = report.balanced() ? std::string{} : summary;
  audited_ = {.agrees = report.count(pipeline::Verdict::agrees),
              .differs = report.count(pipeline::Verdict::differs),
              .skipped = report.count(pipeline::Verdict::skipped),
              .at = clock_.wall()};
  return summary;
}

base::Result<std::string> Housekeeping::compact(jobs::JobContext& context) {
  WEIR_TRY(open_reader());
  pipeline::Compaction compaction{writer_, reader_, *store_, clock_, logger_};
  const pipeline::CompactOutcome outcome = WEIR_TRY(compaction.run(work_of(context)));
  return fmt::format("{} days, {} parts and {} rows in one object each", outcome.days,
                     outcome.parts, outcome.rows);
}

base::Result<std::string> Housekeeping::retain(jobs::JobContext& context) {
  WEIR_TRY(hooks_.derive(context.cancelled));  // What is not derived is not merged.
  WEIR_TRY(open_reader());
  const pipeline::RetentionOutcome outcome = WEIR_TRY(
      pipeline::retain(writer_, reader_, clock_, {.hourly_days = hourly_days_}, work_of(context)));
  const std::string kept =
      fmt::format("hourly rows from {} on, sketches of hours from {} on are kept",
                  codec::iso_day(outcome.hourly_from), codec::iso_day(outcome.sketches_from));
  if (outcome.damaged_sketches == 0) return kept;
  return fmt::format("{}; {} damaged sketches were left out of their days: weir stats rebuild",
                     kept, outcome.damaged_sketches);
}

base::Result<std::string> Housekeeping::report_capacity(jobs::JobContext& /*context*/) {
  WEIR_TRY(open_reader());
  const auto number = [this](std::string_view sql) { return reader_.query_int(sql); };
  const int64_t page_bytes = WEIR_TRY(number("PRAGMA page_size"));
  const int64_t pages = WEIR_TRY(number("PRAGMA page_count"));
  const int64_t free_pages = WEIR_TRY(number("PRAGMA freelist_count"));
  const int64_t events = WEIR_TRY(number("SELECT count(*) FROM events"));
  const int64_t hours = WEIR_TRY(number("SELECT count(*) FROM hourly"));
  const int64_t completed =
      WEIR_TRY(number("SELECT count(*) FROM archive_metadata WHERE status = 'completed'"));
  const int64_t cleaned =
      WEIR_TRY(number("SELECT count(*) FROM archive_metadata WHERE d1_cleaned = 1"));
  const auto bytes = static_cast<uint64_t>(page_bytes * (pages - free_pages));
  const base::MutexLock lock{mutex_};
  disk_alarm_.clear();
  if (disk_bytes_max_ > 0 && bytes > disk_bytes_max_) {
    disk_alarm_ = fmt::format("the database holds {} bytes, more than stats.disk_max ({})", bytes,
                              disk_bytes_max_);
  }
  return fmt::format(
      "{} bytes used, {} bytes free inside, {} events, {} hourly rows, {} days archived, {} of them"
      " cleaned",
      bytes, page_bytes * free_pages, events, hours, completed, cleaned);
}

base::Result<std::string> Housekeeping::snapshot_dashboard(jobs::JobContext& context) {
  // Where it fails, the estimates are some ten seconds old.
  static_cast<void>(hooks_.derive(context.cancelled));
  WEIR_TRY(open_reader());
  pipeline::DashboardInputs inputs{.rates = hooks_.rates()};
  {
    const base::MutexLock lock{mutex_};
    inputs.configured = configured_;
  }
  const pipeline::Dashboard dashboard =
      WEIR_TRY(pipeline::make_dashboard(reader_, clock_, inputs, context.cancelled));
  const base::Wall expires = kept_until("dashboard_snapshot", kDashboardCron);
  WEIR_TRY(
      write_kv([&](kv::Kv& kv) { return pipeline::publish_dashboard(kv, dashboard, expires); }));
  std::string summary = fmt::format("{} requests in 24 hours", dashboard.requests);
  if (!dashboard.errors.empty()) {
    summary += fmt::format(", degraded, without: {} {}", fmt::join(dashboard.errors, ", "),
                           dashboard.message);
  }
  return summary;
}

base::Result<std::string> Housekeeping::snapshot_geo(jobs::JobContext& context) {
  WEIR_TRY(open_reader());
  const pipeline::GeoTraffic traffic =
      WEIR_TRY(pipeline::geo_traffic(reader_, clock_.wall(), context.cancelled));
  const base::Wall expires = kept_until("geo_snapshot", kGeoCron);
  WEIR_TRY(write_kv([&](kv::Kv& kv) { return pipeline::publish_geo(kv, traffic, expires); }));
  return fmt::format("{} edges", traffic.edges.size());
}

std::string Housekeeping::disk_alarm() const {
  const base::MutexLock lock{mutex_};
  return disk_alarm_;
}

std::string Housekeeping::audit_alarm() const {
  const base::MutexLock lock{mutex_};
  return audit_alarm_;
}

std::optional<Housekeeping::Audited> Housekeeping::audited() const {
  const base::MutexLock lock{mutex_};
  return audited_;
}

std::string jobs_json(const jobs::SchedulerReport& report) {
  constexpr std::array<std::string_view, 3> kPhases{"idle", "waiting", "running"};
  Json list = Json::array();
  for (const jobs::JobState& job : report.jobs) {
    list.push_back({{"name", job.name},
                    {"schedule", job.schedule},
                    {"enabled", job.enabled},
                    {"phase", kPhases[static_cast<size_t>(job.phase)]},
                    {"next", job.enabled ? time_of(job.next) : Json(nullptr)},
                    {"last", run_json(job.last)},
                    {"progress",
                     {{"done", job.progress.done},
                      {"total", job.progress.total},
                      {"unit", job.progress.unit}}}});
  }
  return Json{{"jobs", list}, {"alarm", report.alarm}}.dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace weir::app
