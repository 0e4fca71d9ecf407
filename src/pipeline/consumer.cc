#include "pipeline/consumer.h"

#include <algorithm>
#include <utility>

#include "codec/iso_time.h"

namespace weir::pipeline {
namespace {

using base::Error;
using base::LogLevel;
using std::chrono::milliseconds;

// Log texts that operators search for; never changed (founding document, spec 8.4).
constexpr std::string_view kSnapshotMark = "🔄 触发 KV 快照刷新";

constexpr milliseconds kIdleBeforeCheckpoint{1000};
constexpr milliseconds kJournalRetry{1000};

milliseconds rounded_up(base::Monotonic::duration duration) {
  return std::chrono::ceil<milliseconds>(duration);
}

}  // namespace

Consumer::Consumer(journal::Journal& journal, stats::Stats& stats, kv::Kv& kv,
                   const base::Clock& clock, base::Logger& logger, ConsumerOptions options)
    : journal_(journal),
      stats_(stats),
      kv_(kv),
      clock_(clock),
      logger_(logger),
      options_(options),
      path_book_(stats, options.paths, options.hash_seed),
      builder_(path_book_, options.hash_seed),
      intake_(options.batch_events_max, options.batch_bytes_max),
      snapshot_schedule_(options.snapshots) {
  builder_.use(options.templates);
}

Consumer::~Consumer() = default;

Consumer::Step Consumer::step(Close close) {
  const base::Monotonic now = clock_.monotonic();
  if (now < retry_at_) return {.wait = rounded_up(retry_at_ - now)};
  if (const base::Status prepared = prepare(); !prepared.ok()) return stumble(prepared.error());
  if (const base::Status merged = merge_degraded(); !merged.ok()) return stumble(merged.error());
  if (!intake_.full()) fill();
  if (const base::Status derived = derive(close); !derived.ok()) return stumble(derived.error());
  if (letters_) {
    if (const base::Status served = serve_letters(); !served.ok()) return stumble(served.error());
  }
  if (intake_.empty()) return idle();

  const base::Monotonic due = opened_at_ + options_.batch_wait;
  if (close == Close::when_due && !intake_.full() && now < due) {
    return {.wait = std::min(options_.poll, rounded_up(due - now))};
  }
  if (const base::Status committed = commit_batch(); !committed.ok()) {
    return stumble(committed.error());
  }
  recovered();
  release_all();
  if (const base::Status kept = stats_.maintain(/*idle=*/false); !kept.ok()) {
    return stumble(kept.error());
  }
  static_cast<void>(snapshot_if_due());  // The next step begins at once in any case.
  return {};
}

// Makes sure that what this object believes is what the database holds.
base::Status Consumer::prepare() {
  if (!ready_) {
    WEIR_TRY(stats_.load());
    const uint64_t next_seq = WEIR_TRY(stats_.next_seq());
    const std::vector<stats::Position> positions = WEIR_TRY(stats_.positions(streams_));
    if (!agrees(positions, next_seq)) start_anew(positions, next_seq);
    if (!ids_loaded_) {
      intake_.forget_ids();
      WEIR_TRY(stats_.recent_ids(RecentIds::kWindow,
                                 [this](const traffic::EventId& id) { intake_.remember(id); }));
      ids_loaded_ = true;
    }
    report_.letters_waiting = WEIR_TRY(stats_.dead_letter_count());
    ready_ = true;
  }
  return follow_streams();
}

bool Consumer::agrees(const std::vector<stats::Position>& positions, uint64_t next_seq) const {
  if (next_seq != next_seq_) return false;
  for (size_t i = 0; i < positions.size(); ++i) {
    if (positions[i].through != committed_[i]) return false;
  }
  return true;
}

// A commit that was reported as failed was made after all, or the database was restored: what is in
// memory is worthless, and the journal is read again from where the database stands.
void Consumer::start_anew(const std::vector<stats::Position>& positions, uint64_t next_seq) {
  show_committed(positions);
  intake_.clear();
  committed_items_ = 0;
  path_book_.forget();
  ids_loaded_ = false;
  next_seq_ = next_seq;
  for (size_t i = 0; i < sources_.size(); ++i) {
    committed_[i] = positions[i].through;
    sources_[i].read = positions[i].through;
    sources_[i].released = false;
  }
}

base::Status Consumer::follow_streams() {
  const std::vector<journal::Stream> listed = journal_.streams();
  std::vector<journal::Stream> fresh;
  for (const journal::Stream& stream : listed) {
    if (std::find(streams_.begin(), streams_.end(), stream) == streams_.end()) {
      fresh.push_back(stream);
    }
  }
  if (!fresh.empty()) WEIR_TRY(adopt(fresh));
  if (intake_.empty()) drop_idle_sources(listed);
  return {};
}

base::Status Consumer::adopt(std::span<const journal::Stream> fresh) {
  const std::vector<stats::Position> positions = WEIR_TRY(stats_.positions(fresh));
  for (const stats::Position& position : positions) {
    sources_.push_back({.stream = position.stream, .read = position.through});
    streams_.push_back(position.stream);
    committed_.push_back(position.through);
  }
  return {};
}

void Consumer::drop_idle_sources(std::span<const journal::Stream> listed) {
  for (size_t i = sources_.size(); i-- > 0;) {
    if (std::find(listed.begin(), listed.end(), streams_[i]) != listed.end()) continue;
    const auto at = static_cast<std::ptrdiff_t>(i);
    sources_.erase(sources_.begin() + at);
    streams_.erase(streams_.begin() + at);
    committed_.erase(committed_.begin() + at);
  }
}

void Consumer::fill() {
  const bool was_empty = intake_.empty();
  for (Source& source : sources_)
    source.at_end = false;
  bool progress = true;
  while (progress && !intake_.full()) {
    progress = false;
    for (size_t i = 0; i < sources_.size() && !intake_.full(); ++i) {
      const size_t index = (first_source_ + i) % sources_.size();
      if (sources_[index].at_end) continue;
      progress = fill_from(sources_[index], static_cast<uint32_t>(index)) || progress;
    }
  }
  ++first_source_;
  if (was_empty && !intake_.empty()) opened_at_ = clock_.monotonic();
}

// One read, of no more than a fair share of what is free.
bool Consumer::fill_from(Source& source, uint32_t index) {
  const base::Monotonic now = clock_.monotonic();
  source.at_end = true;
  if (now < source.retry_at) return false;
  const size_t share = std::max<size_t>(1, intake_.room() / sources_.size());
  const base::Result<journal::Read> read =
      journal_.read(source.stream, source.read + 1, std::min(share, intake_.room()));
  if (!read.ok()) {
    source.retry_at = now + kJournalRetry;
    raise_journal_alarm(read.error(), source.stream);
    return false;
  }
  source.retry_at = {};
  source.at_end = read.value().at_end;
  const uint64_t before = source.read;
  source.read = intake_.add(index, source.read, read.value());
  if (!read.value().at_end && source.read == before) source.at_end = true;  // No progress: later.
  return source.read != before;
}

void Consumer::raise_journal_alarm(const Error& error, journal::Stream stream) {
  if (!report_.journal_alarm.empty()) return;
  report_.journal_alarm = fmt::format("epoch {}, loop {}: {} (errno {})", stream.epoch, stream.loop,
                                      error.what.view(), error.os_errno);
  logger_.log(LogLevel::error, "the journal cannot be read: {}", report_.journal_alarm);
}

void Consumer::release_all() {
  for (size_t i = 0; i < sources_.size(); ++i) {
    Source& source = sources_[i];
    if (source.released || committed_[i] == 0) continue;
    // Only space depends on it; a failure is mended by the next call.
    source.released = journal_.release(source.stream, committed_[i]).ok();
  }
}

base::Status Consumer::merge_degraded() {
  const base::Monotonic now = clock_.monotonic();
  if (now < degraded_at_) return {};
  base::Result<std::vector<journal::DegradedSide>> listed = journal_.degraded();
  if (!listed.ok()) {
    degraded_at_ = now + options_.degraded_poll;
    raise_journal_alarm(listed.error(), {});
    return {};
  }
  std::vector<journal::DegradedSide> sides = std::move(listed).value();
  // An older generation after a newer one would be taken for known.
  std::sort(sides.begin(), sides.end(), [](const auto& a, const auto& b) {
    return std::pair{a.stream, a.generation} < std::pair{b.stream, b.generation};
  });
  for (const journal::DegradedSide& side : sides)
    WEIR_TRY(merge_side(side));
  degraded_at_ = now + options_.degraded_poll;
  return {};
}

base::Status Consumer::merge_side(const journal::DegradedSide& side) {
  const std::vector<uint64_t> known = WEIR_TRY(stats_.degraded_generations({&side.stream, 1}));
  if (side.generation > known.front()) {
    const base::Result<stats::Batch> batch = builder_.build({&side, 1}, clock_.wall());
    base::Status status;
    if (batch.ok()) {
      status = stats_.commit(batch.value(), heartbeat(0));
    } else {
      status = batch.error();
    }
    if (!status.ok() && stats::is_data_error(status.error())) {
      // Sums that cannot be added would block every later side: it stays where it is.
      path_book_.forget();
      logger_.log(LogLevel::error, "degraded counts of epoch {}, loop {} cannot be added: {}",
                  side.stream.epoch, side.stream.loop, status.error().what.view());
      return {};
    }
    WEIR_TRY(std::move(status));
    errors_since_beat_ = 0;
    recovered();
    const uint64_t requests = batch.value().degraded.front().requests;
    report_.degraded += requests;
    logger_.log(LogLevel::warning, "merged {} requests that were counted without detail", requests);
  }
  static_cast<void>(journal_.release_degraded(side.stream, side.generation));
  return {};
}

// A slice at a time, between batches: at the interval, when an hour has ended, and when asked to. A
// flush that has begun is ended before the next one, which then holds what came meanwhile.
base::Status Consumer::derive(Close close) {
  const base::Monotonic now = clock_.monotonic();
  const int64_t hour = codec::unix_hour_of_ms(base::unix_ms(clock_.wall()));
  const bool wanted = flush_wanted_ > report_.flushed || now >= derive_at_ ||
                      hour != derive_hour_ || (close == Close::now && intake_.empty());
  const bool flush = wanted && !deriving_;
  if (!flush && !deriving_ && !committed_since_derive_) return {};
  if (flush) flush_serving_ = flush_wanted_;
  const bool done = WEIR_TRY(stats_.derive(flush ? stats::Flush::yes : stats::Flush::no));
  report_damage();
  if (flush) {
    derive_at_ = now + options_.derive_interval;
    derive_hour_ = hour;
  }
  committed_since_derive_ = false;
  deriving_ = !done;
  if (done) report_.flushed = flush_serving_;
  return {};
}

// Before the first one, the hours that are over are read one in a step: a million rows at once
// would keep batches waiting for half a second. True: some are left, and the snapshot is still due.
bool Consumer::snapshot_if_due() {
  const base::Monotonic now = clock_.monotonic();
  if (!snapshot_schedule_.due(now, clock_.wall())) return false;
  if (read_ahead_hour_) {
    const int64_t first_hour = std::max(*read_ahead_hour_, first_snapshot_hour(clock_.wall()));
    const auto next = stats_.read_ahead(first_hour);
    if (next.ok()) read_ahead_hour_ = next.value();
    if (next.ok() && read_ahead_hour_) return true;
  }
  const base::Result<Snapshot> snapshot = publish_snapshot(stats_, kv_, clock_.wall());
  snapshot_schedule_.done(now, clock_.monotonic(), clock_.wall());
  report_damage();
  if (!snapshot.ok()) {
    snapshot_schedule_.request();
    ++report_.snapshot_failures;
    logger_.log(LogLevel::warning, "snapshot: {} ({})", snapshot.error().what.view(),
                stats_.last_error());
    return false;
  }
  if (snapshot.value().version == 0) return false;
  ++report_.snapshots;
  logger_.mark(kSnapshotMark, "version {}, {} paths, {} ms", snapshot.value().version,
               snapshot.value().paths, rounded_up(clock_.monotonic() - now).count());
  return false;
}

// A row that nobody writes any more is read again by every snapshot: one line an hour is enough.
void Consumer::report_damage() {
  const uint64_t damaged = stats_.damaged_sketches();
  if (damaged == report_.damaged_sketches) return;
  report_.damaged_sketches = damaged;
  const int64_t hour = codec::unix_hour_of_ms(base::unix_ms(clock_.wall()));
  if (hour == damage_hour_) return;
  damage_hour_ = hour;
  logger_.log(LogLevel::error,
              "sketches in the statistics database are damaged: percentiles and clients leave them"
              " out, counts are exact; weir stats rebuild makes them again");
}

Consumer::Step Consumer::idle() {
  release_all();
  const base::Monotonic now = clock_.monotonic();
  const bool alarmed = !report_.store_alarm.empty();
  if (alarmed || now >= heartbeat_at_) {
    if (const base::Status beaten = stats_.beat(heartbeat(0)); !beaten.ok()) {
      return stumble(beaten.error());
    }
    heartbeat_at_ = now + options_.heartbeat;
    errors_since_beat_ = 0;
    recovered();
  }
  if (now - last_commit_ >= kIdleBeforeCheckpoint) {
    if (const base::Status kept = stats_.maintain(/*idle=*/true); !kept.ok()) {
      return stumble(kept.error());
    }
  }
  if (snapshot_if_due()) return {};
  bool drained = true;
  bool readable = true;
  for (const Source& source : sources_) {
    drained = drained && source.at_end;
    readable = readable && source.retry_at == base::Monotonic{};
  }
  if (readable && !report_.journal_alarm.empty()) {
    logger_.log(LogLevel::info, "the journal can be read again");
    report_.journal_alarm.clear();
  }
  if (deriving_ || letters_) return {.drained = false, .wait = {}};
  return {.drained = drained && readable, .wait = options_.poll};
}

void Consumer::stop() {
  if (!ready_) return;
  stats::Heartbeat last = heartbeat(0);
  last.state = stats::Heartbeat::State::inactive;
  static_cast<void>(stats_.beat(last));
}

stats::Heartbeat Consumer::heartbeat(uint64_t events) const {
  return {.at = clock_.wall(),
          .batch_events = events,
          .batch_ms = static_cast<uint64_t>(last_batch_took_.count()),
          .errors = errors_since_beat_,
          .state = stats::Heartbeat::State::active};
}

Consumer::Step Consumer::stumble(const Error& error) {
  release_all();  // Ranges before the failure may have been committed.
  ++report_.store_failures;
  ++errors_since_beat_;
  ready_ = false;
  path_book_.forget();
  // What was being written may begin anew: a flush that somebody waits for does.
  deriving_ = false;
  flush_serving_ = report_.flushed;
  const std::string alarm = fmt::format("{}: {}", error.what.view(), stats_.last_error());
  if (alarm != report_.store_alarm) {
    logger_.log(LogLevel::error, "the statistics database fails, nothing is lost, retrying: {}",
                alarm);
    report_.store_alarm = alarm;
  }
  retry_delay_ = std::clamp(2 * retry_delay_, options_.retry_first, options_.retry_max);
  retry_at_ = clock_.monotonic() + retry_delay_;
  return {.wait = retry_delay_};
}

void Consumer::recovered() {
  retry_delay_ = {};
  if (report_.store_alarm.empty()) return;
  logger_.log(LogLevel::info, "the statistics database works again");
  report_.store_alarm.clear();
}

}  // namespace weir::pipeline
