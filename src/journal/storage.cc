#include "journal/storage.h"

#include <algorithm>

#include "base/assert.h"
#include "base/fault_point.h"

namespace weir::journal {
namespace {

using base::LogLevel;
using base::Status;
using std::chrono::milliseconds;

constexpr size_t kChunkBytesMax = 128 * 1024;
constexpr milliseconds kPauseMin{50};
constexpr milliseconds kPauseMax{2000};
// What the loops may write between two steps without a page fault, if they are that fast.
constexpr size_t kPrefaultBytes = size_t{4} * 1024 * 1024;
constexpr milliseconds kPrefaultInterval{1000};

constexpr base::Error kFull{base::ErrorCode::limit_exceeded, base::Origin::self,
                            base::Retry::with_backoff, 0, "journal at max_bytes"};

}  // namespace

Storage::Storage(const Parts& parts, Leftovers leftovers)
    : parts_(parts),
      writer_(parts.options, parts.files, parts.identity, parts.catalogue, parts.logger),
      recovery_(parts.options, parts.files, parts.identity, parts.catalogue, parts.old_collectors,
                writer_, parts.logger, std::move(leftovers)),
      started_(parts.clock.monotonic()),
      last_sync_(started_),
      last_collect_(started_) {
  for (const auto& ring : parts_.rings)
    readers_.emplace_back(*ring);
  note_status(started_);
}

base::Monotonic Storage::step() {
  const base::Monotonic now = parts_.clock.monotonic();
  filling_ = false;
  if (now >= retry_at_) {
    Status status = copy_rings();
    if (status.ok()) status = sync();
    if (status.ok()) status = recover();
    if (status.ok()) {
      if (pause_.count() > 0)
        parts_.logger.log(LogLevel::info, "journal: records are stored again");
      pause_ = milliseconds{0};
      full_ = false;
    } else {
      failed(status.error());
    }
  }
  collect();
  delete_released();
  delete_finished_collectors();
  prefault();
  note_status(now);
  const bool recovering = !recovery_.done() && recovery_pause_.count() == 0 && !full_;
  const bool more = pause_.count() == 0 && (filling_ || recovering);
  return more ? now : now + parts_.options.sync_interval;
}

Status Storage::make_room(uint64_t bytes) {
  if (writer_.has_room(bytes)) return {};
  WEIR_TRY(sync());
  const uint64_t after = parts_.catalogue.totals().bytes + parts_.options.segment_bytes;
  if (after > parts_.options.max_bytes) return kFull;
  return writer_.open_next();
}

Status Storage::copy_rings() {
  for (size_t i = 0; i < readers_.size(); ++i) {
    traffic::RingReader& reader = readers_[i];
    const traffic::Ring& ring = *parts_.rings[i];
    filling_ = filling_ || ring.used_bytes() > ring.data_bytes() / 4;
    // What the loop adds meanwhile is for the next step: this one ends.
    for (uint64_t left = reader.unread_bytes(); left > 0;) {
      WEIR_TRY(make_room(kChunkBytesMax));
      const auto chunk = reader.next(kChunkBytesMax);
      if (!chunk.has_value()) break;
      const Stream stream{ring.identity().epoch, ring.identity().loop};
      WEIR_TRY(writer_.append(stream, {chunk->first_sequence, chunk->last_sequence}, chunk->bytes));
      left -= std::min<uint64_t>(left, chunk->bytes.size());
    }
  }
  return {};
}

Status Storage::sync() {
  // Also without records: a ring whose bytes were all damaged has space to give back.
  const bool wrote = writer_.unsynced();
  if (wrote) {
    const base::Monotonic before = parts_.clock.monotonic();
    WEIR_TRY(writer_.sync());
    last_sync_ = parts_.clock.monotonic();
    counters_.last_sync_duration =
        std::chrono::duration_cast<std::chrono::microseconds>(last_sync_ - before);
    counters_.sync_duration_max =
        std::max(counters_.sync_duration_max, counters_.last_sync_duration);
    ++counters_.syncs;
  }
  base::fault_point(kFaultBeforeRelease);
  // The marks of all rings before any space is given back: whichever ring is found after a kill, it
  // knows at least what the journal held when that ring's records went.
  for (traffic::RingReader& reader : readers_)
    reader.mark_synced({writer_.durable_index(), writer_.durable_bytes(), reader.last_sequence()});
  for (traffic::RingReader& reader : readers_)
    reader.release();
  recovery_.synced();
  base::fault_point(kFaultAfterRelease);
  if (wrote && parts_.options.on_synced) parts_.options.on_synced();
  return {};
}

Status Storage::recover() {
  const base::Monotonic now = parts_.clock.monotonic();
  if (recovery_.done() || now < recovery_retry_at_) return {};
  if (recovery_.writes()) WEIR_TRY(make_room(Recovery::kRoomBytes));
  const uint64_t failures = writer_.write_failures();
  const Status status = recovery_.step();
  if (writer_.write_failures() != failures) return status;
  if (status.ok()) {
    recovery_pause_ = milliseconds{0};
  } else {
    // Old files that cannot be read must not keep the new ones from being written.
    if (recovery_pause_.count() == 0) {
      parts_.logger.log(LogLevel::error, "journal: what an earlier start left: {}, errno {}",
                        status.error().what.view(), status.error().os_errno);
    }
    recovery_pause_ = std::clamp(recovery_pause_ * 2, kPauseMin, kPauseMax);
    recovery_retry_at_ = now + recovery_pause_;
  }
  return sync();
}

// After a failure of the writer nothing appended since the last sync counts; without one, what was
// appended is still good and will be synced, so it must not be appended again.
void Storage::rewind() {
  if (writer_.unsynced()) return;
  for (traffic::RingReader& reader : readers_)
    reader.rewind();
  recovery_.rewind();
}

void Storage::failed(const base::Error& error) {
  rewind();
  if (error.what.view() == kFull.what.view()) {
    if (!full_) {
      parts_.logger.log(LogLevel::error,
                        "journal: {} bytes reached, the consumer is behind; nothing more is stored "
                        "until it catches up",
                        parts_.options.max_bytes);
    }
    full_ = true;
    return;  // Asked again at every step: it ends when the consumer releases a segment.
  }
  if (pause_.count() == 0) {
    parts_.logger.log(LogLevel::error, "journal: {}, errno {}; trying again", error.what.view(),
                      error.os_errno);
  }
  pause_ = std::clamp(pause_ * 2, kPauseMin, kPauseMax);
  retry_at_ = parts_.clock.monotonic() + pause_;
}

void Storage::collect() {
  const base::Monotonic now = parts_.clock.monotonic();
  if (now - last_collect_ < parts_.options.collector_interval) return;
  last_collect_ = now;
  for (const auto& collector : parts_.collectors)
    collector->try_swap();
}

void Storage::delete_released() {
  for (const SegmentId id : parts_.catalogue.deletable()) {
    const std::string path = parts_.options.dir + "/" + segment_name(id);
    base::fault_point(kFaultBeforeSegmentDelete);
    const Status removed = parts_.files.remove(path);
    base::fault_point(kFaultAfterSegmentDelete);
    if (!removed.ok() && removed.error().code != base::ErrorCode::not_found) {
      if (!delete_failed_) {
        parts_.logger.log(LogLevel::error, "journal: {}: removal failed, errno {}; trying again",
                          path, removed.error().os_errno);
      }
      delete_failed_ = true;
      return;
    }
    delete_failed_ = false;
    parts_.catalogue.remove_segment(id);
  }
}

void Storage::delete_finished_collectors() {
  for (const Stream stream : parts_.old_collectors.take_finished()) {
    // When it stays, the next start finds it again; the consumer knows its generations.
    static_cast<void>(
        parts_.files.remove(parts_.options.ring_dir + "/" + loop_file_name("paths", stream)).ok());
  }
}

void Storage::prefault() {
  const base::Monotonic now = parts_.clock.monotonic();
  if (!filling_ && last_prefault_ != base::Monotonic{} &&
      now - last_prefault_ < kPrefaultInterval) {
    return;
  }
  last_prefault_ = now;
  // It may fail (an old kernel, pages that are gone): the loop then takes the faults itself.
  for (traffic::RingReader& reader : readers_)
    static_cast<void>(reader.prefault(kPrefaultBytes).ok());
}

std::string Storage::path_of(std::string_view kind, uint16_t loop) const {
  return parts_.options.ring_dir + "/" + loop_file_name(kind, {parts_.identity.epoch, loop});
}

Status Storage::close_collector(size_t loop) {
  traffic::PathCollector& collector = *parts_.collectors[loop];
  const std::string path = path_of("paths", static_cast<uint16_t>(loop));
  collector.try_swap();
  if (collector.empty()) return parts_.files.remove(path);
  collector.mark_synced();
  const auto file = WEIR_TRY(parts_.files.open(path, os::OpenMode::read_write));
  WEIR_TRY(file->sync_data());
  return parts_.files.sync_directory(parts_.options.ring_dir);
}

Status Storage::close() {
  // The loops have ended, so one pass over what the rings hold is enough.
  Status status = copy_rings();
  if (status.ok()) status = sync();
  if (!status.ok()) {
    failed(status.error());
    note_status(parts_.clock.monotonic());
    return status;
  }
  for (size_t i = 0; i < readers_.size(); ++i) {
    base::fault_point(kFaultBeforeRingDelete);
    const Status removed = parts_.files.remove(path_of("ring", static_cast<uint16_t>(i)));
    base::fault_point(kFaultAfterRingDelete);
    if (status.ok()) status = removed;
    const Status collected = close_collector(i);
    if (status.ok()) status = collected;
  }
  delete_released();
  note_status(parts_.clock.monotonic());
  return status;
}

void Storage::note_status(base::Monotonic now) {
  JournalStatus status = counters_;
  status.epoch = parts_.identity.epoch;
  status.recovering = !recovery_.done();
  status.last_sync_age = std::chrono::duration_cast<milliseconds>(now - last_sync_);
  status.sync_failures = writer_.sync_failures();
  status.write_failures = writer_.write_failures();
  status.abandoned_segments = writer_.write_failures() + writer_.sync_failures();
  status.damaged_files = recovery_.damaged_files();
  status.discarded_collectors = recovery_.discarded_collectors();
  status.failing = pause_.count() > 0;
  status.full = full_;
  status.ended = recovery_.ended();
  uint64_t degraded = 0;
  for (size_t i = 0; i < readers_.size(); ++i) {
    const traffic::Ring& ring = *parts_.rings[i];
    const traffic::PathCollector& collector = *parts_.collectors[i];
    RingStatus& to = status.rings.emplace_back();
    to.stream = {ring.identity().epoch, ring.identity().loop};
    to.synced = readers_[i].synced_sequence();
    to.written = ring.written();
    to.answered = ring.answered();
    to.degraded = collector.counted(traffic::PathCollector::Why::degraded);
    to.totals_only = collector.counted(traffic::PathCollector::Why::totals_only);
    to.used_bytes = ring.used_bytes();
    to.capacity_bytes = ring.data_bytes();
    to.corrupt_bytes = readers_[i].corrupt_bytes();
    to.failed = ring.failed();
    degraded += to.degraded;
    status.degraded = status.degraded || to.failed;
  }
  if (degraded > degraded_seen_) {
    status.degraded = true;
    degraded_seen_ = degraded;
  }
  const base::MutexLock lock{mutex_};
  status_ = std::move(status);
}

JournalStatus Storage::status() const {
  const base::MutexLock lock{mutex_};
  return status_;
}

}  // namespace weir::journal
