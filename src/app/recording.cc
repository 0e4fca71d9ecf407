#include "app/recording.h"

#include <chrono>
#include <utility>

#include "base/assert.h"
#include "jobs/sqlite_history.h"
#include "os/random.h"

namespace weir::app {
namespace {

constexpr int kConsumerNiceness = 5;
constexpr std::chrono::seconds kFlushPatience{30};
constexpr std::chrono::milliseconds kFlushLook{100};  // At `cancelled`, between two reports.

base::Error not_flushed(base::ErrorCode code) {
  return {code, base::Origin::storage, base::Retry::with_backoff, 0,
          "waiting until all events are derived"};
}

constexpr base::Error kClosed{base::ErrorCode::unavailable, base::Origin::storage,
                              base::Retry::with_backoff, 0, "the database cannot be opened"};

pipeline::ConsumerOptions consumer_options(const config::Stats& stats, uint64_t hash_seed) {
  pipeline::ConsumerOptions options;
  options.batch_events_max = stats.batch_events_max;
  options.batch_wait = stats.batch_wait;
  options.hash_seed = hash_seed;
  return options;
}

traffic::RecorderOptions recorder_options(const config::Stats& stats) {
  return {.detail = stats.detail, .unrouted_paths = stats.collect == config::Collect::all};
}

// The highest epoch that the database knows: even without the journal's own files no epoch is used
// twice. 0 where there is no database, or none that can be read now.
uint32_t epoch_floor(const std::string& data_dir) {
  sqlite::Database database{database_path(data_dir), {.access = sqlite::Access::query_only}};
  if (!database.open().ok()) return 0;
  const auto highest = database.query_int("SELECT COALESCE(MAX(epoch), 0) FROM positions");
  return highest.ok() ? static_cast<uint32_t>(highest.value()) : 0;
}

}  // namespace

std::string database_path(const std::string& data_dir) {
  return data_dir + "/weir.db";
}

sqlite::Options database_options() {
  sqlite::Options options;
  options.schemas = {stats::schema(), kv::schema(), jobs::schema()};
  return options;
}

base::Status write_kv(sqlite::Database& database, const base::Clock& clock, const KvWrite& write) {
  constexpr size_t kExpiredRemoved = 16;
  kv::SqliteKv store{database, clock};
  const kv::Change change{.key = write.key, .value = write.value, .expires = write.expires};
  WEIR_TRY(store.write({&change, 1}));
  // What is not removed now is by the next write.
  static_cast<void>(store.remove_expired(kExpiredRemoved));
  return {};
}

base::Result<std::unique_ptr<Recording>> Recording::open(const config::Config& config,
                                                         const std::string& data_dir,
                                                         uint32_t loops, base::Clock& clock,
                                                         os::Files& files, base::Logger& logger) {
  const std::string keys = data_dir + "/keys";
  WEIR_TRY(files.create_directory(keys));
  auto hasher = traffic::ClientHasher::open(files, keys);
  if (!hasher.ok()) return hasher.error();
  journal::JournalOptions options;
  options.dir = data_dir + "/journal";
  options.ring_dir = config.journal.ring_dir;
  options.loops = static_cast<uint16_t>(loops);
  options.ring_bytes = config.journal.ring_bytes;
  options.segment_bytes = config.journal.segment_bytes;
  options.sync_interval = config.journal.sync_interval;
  options.max_bytes = config.journal.max_bytes;
  options.epoch_floor = epoch_floor(data_dir);
  auto journal = journal::SegmentJournal::open(options, files, clock, logger);
  if (!journal.ok()) return journal.error();
  std::unique_ptr<Recording> recording{new Recording{config, std::move(hasher).value(),
                                                     std::move(journal).value(), data_dir, clock,
                                                     logger}};  // Private constructor.
  WEIR_TRY(recording->make_threads());
  for (uint32_t i = 0; i < loops; ++i)
    recording->add_recorder(i, config);
  return recording;
}

Recording::Recording(const config::Config& config, traffic::ClientHasher hasher,
                     std::unique_ptr<journal::SegmentJournal> journal, const std::string& data_dir,
                     base::Clock& clock, base::Logger& logger)
    : clock_(clock),
      logger_(logger),
      hasher_(std::move(hasher)),
      journal_(std::move(journal)),
      database_(database_path(data_dir), database_options()),
      stats_(database_, os::secure_random_u64()),
      kv_(database_, clock),
      live_state_(kv_, clock, logger, config.stats.traffic_threshold),
      consumer_(*journal_, stats_, kv_, clock, logger,
                consumer_options(config.stats, os::secure_random_u64())),
      grouping_(grouping(config.stats)) {
  consumer_.add_sink(live_state_);
  if (config.access_log.enabled) {
    access_log_ = std::make_unique<AccessLog>(config.access_log, logger);
    consumer_.add_sink(*access_log_);
  }
}

Recording::~Recording() = default;

base::Status Recording::make_threads() {
  auto storage = PacedThread::create(clock_, "storage", 0, [this] { return storage_step(); });
  if (!storage.ok()) return storage.error();
  storage_thread_ = std::move(storage).value();
  auto consumer = PacedThread::create(clock_, "consumer", kConsumerNiceness,
                                      [this] { return consumer_step(); });
  if (!consumer.ok()) return consumer.error();
  consumer_thread_ = std::move(consumer).value();
  writer_ = std::make_unique<StoreWriter>(database_, *consumer_thread_);
  return {};
}

void Recording::add_recorder(uint32_t index, const config::Config& config) {
  const auto loop = static_cast<uint16_t>(index);
  recorders_.push_back(std::make_unique<traffic::RingRecorder>(
      journal_->ring(loop), journal_->collector(loop), os::secure_random_u64(),
      recorder_options(config.stats)));
  borrowed_.push_back(recorders_.back().get());
}

void Recording::apply(uint32_t index, const config::Config& config) {
  recorders_[index]->set_options(recorder_options(config.stats));
}

// The configuration is valid, so its rules can be used: anything else is our mistake.
Recording::PathGrouping Recording::grouping(const config::Stats& stats) {
  auto templates =
      codec::PathTemplates::create({.built_in = stats.path_templates, .rules = stats.path_rules});
  WEIR_ASSERT(templates.ok());
  return {{.per_route = stats.max_paths_per_hour, .in_all = stats.max_paths_per_hour_node},
          std::move(templates).value()};
}

void Recording::apply(const config::Config& config) {
  PathGrouping changed = grouping(config.stats);
  const base::MutexLock lock{mutex_};
  grouping_ = std::move(changed);
}

void Recording::take_up_grouping() {
  std::optional<PathGrouping> changed;
  {
    const base::MutexLock lock{mutex_};
    changed = std::exchange(grouping_, std::nullopt);
  }
  if (!changed) return;
  live_state_.set_templates(changed->templates);
  consumer_.set_paths(changed->limits, std::move(changed->templates));
}

void Recording::start() {
  storage_thread_->start();
  consumer_thread_->start();
}

std::chrono::milliseconds Recording::storage_step() {
  const base::Monotonic next = journal_->storage().step();
  return std::chrono::ceil<std::chrono::milliseconds>(next - clock_.monotonic());
}

std::chrono::milliseconds Recording::consumer_step() {
  take_up_grouping();
  const pipeline::Consumer::Step step = consumer_.step();
  live_state_.note_progress(step.drained);
  if (database_.is_open()) live_state_.step();
  publish_report();
  return step.wait;
}

void Recording::publish_report() {
  const base::MutexLock lock{mutex_};
  report_ = consumer_.report();
  report_published_.notify_all();
}

void Recording::stop(std::chrono::milliseconds patience) {
  storage_thread_->stop();
  consumer_thread_->stop();
  const base::Status closed = journal_->storage().close();
  if (!closed.ok()) {
    logger_.log(base::LogLevel::warning,
                "journal: closed with an error (errno {}); the next start takes over what is left",
                closed.error().os_errno);
  }
  take_up_grouping();
  const base::Monotonic deadline = clock_.monotonic() + patience;
  while (clock_.monotonic() < deadline) {
    const pipeline::Consumer::Step step = consumer_.step(pipeline::Consumer::Close::now);
    // A store that fails is not waited for: what is in the journal is safe there.
    if (step.drained || !consumer_.report().store_alarm.empty()) break;
  }
  if (database_.is_open()) live_state_.flush();
  consumer_.stop();
  publish_report();
}

std::optional<uint64_t> Recording::request_flush() {
  const uint64_t request = flush_requests_.fetch_add(1, std::memory_order_relaxed) + 1;
  const bool sent = consumer_thread_->post([this, request] { consumer_.request_flush(request); });
  return sent ? std::optional{request} : std::nullopt;
}

base::Status Recording::flush(const std::atomic<bool>& cancelled) {
  const base::Monotonic deadline = clock_.monotonic() + kFlushPatience;
  std::optional<uint64_t> request = request_flush();
  const base::MutexLock lock{mutex_};
  while (!request || report_.flushed < *request) {
    if (cancelled) return not_flushed(base::ErrorCode::cancelled);
    if (clock_.monotonic() >= deadline) {
      return not_flushed(request ? base::ErrorCode::timed_out : base::ErrorCode::unavailable);
    }
    report_published_.wait_for(mutex_, kFlushLook);
    if (!request) request = request_flush();
  }
  return {};
}

std::optional<uint64_t> Recording::request_letters(pipeline::LettersRequest request) {
  request.number = letters_requests_.fetch_add(1, std::memory_order_relaxed) + 1;
  const uint64_t number = request.number;
  const bool sent = consumer_thread_->post([this, request = std::move(request)] {
    consumer_.request_letters(request);
    publish_report();
  });
  return sent ? std::optional{number} : std::nullopt;
}

bool Recording::request_snapshot() {
  return consumer_thread_->post([this] { consumer_.request_snapshot(); });
}

bool Recording::count(CounterChange change, std::function<void(base::Result<int64_t>)> done) {
  return consumer_thread_->post([this, change, done = std::move(done)] {
    done(database_.is_open() ? live_state_.count(change) : base::Result<int64_t>{kClosed});
  });
}

bool Recording::write_kv(KvWrite write, std::function<void(base::Status)> done) {
  return consumer_thread_->post([this, write = std::move(write), done = std::move(done)] {
    done(database_.is_open() ? app::write_kv(database_, clock_, write) : base::Status{kClosed});
  });
}

void Recording::reopen_access_log() {
  if (access_log_) access_log_->reopen();
}

pipeline::ConsumerReport Recording::consumer_report() const {
  const base::MutexLock lock{mutex_};
  return report_;
}

uint64_t Recording::hash(const config::IpAddress& ip) const {
  return hasher_.hash(config::IpText{ip}.view());
}

}  // namespace weir::app
