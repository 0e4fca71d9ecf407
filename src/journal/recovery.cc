#include "journal/recovery.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.h"
#include "base/fault_point.h"
#include "journal/storage.h"

namespace weir::journal {
namespace {

using base::ErrorCode;
using base::LogLevel;
using base::Status;

// The first record in a segment that is not a note ends its notes.
Status read_notes_of(os::File& file, uint32_t salt, uint64_t end,
                     std::map<uint32_t, SegmentNote>& notes) {
  RecordFile records{file, salt};
  uint64_t offset = kSegmentHeaderBytes;
  while (true) {
    const auto found = WEIR_TRY(records.at(offset, end));
    if (!found.has_value() || found->record.place.kind != traffic::RecordKind::note) return {};
    decode_note(found->record.payload, notes);
    offset = found->end();
  }
}

// Somebody removed it, or an earlier step did and was cut short: nothing to take over.
bool is_gone(const base::Result<std::unique_ptr<os::File>>& file) {
  return !file.ok() && file.error().code == ErrorCode::not_found;
}

}  // namespace

Recovery::Recovery(const JournalOptions& options, os::Files& files, const EpochIdentity& identity,
                   Catalogue& catalogue, OldCollectors& collectors, SegmentWriter& writer,
                   base::Logger& logger, Leftovers leftovers)
    : options_(options),
      files_(files),
      identity_(identity),
      catalogue_(catalogue),
      collectors_(collectors),
      writer_(writer),
      logger_(logger) {
  for (const SegmentId id : leftovers.segments) {
    EpochLeftovers& epoch = epochs_[id.epoch];
    if (epoch.segments.empty()) notes_left_.push_back(id.epoch);
    epoch.segments.push_back(id);
  }
  // Known before anything is read, so that no stream looks closed before its ring was copied.
  for (const Stream stream : leftovers.rings)
    catalogue_.add_stream(stream);
  ring_headers_left_.assign(leftovers.rings.begin(), leftovers.rings.end());
  segments_left_.assign(leftovers.segments.begin(), leftovers.segments.end());
  collectors_left_.assign(leftovers.collectors.begin(), leftovers.collectors.end());
}

Status Recovery::step() {
  switch (phase_) {
    case Phase::ring_headers:
      if (!ring_headers_left_.empty()) return read_ring_headers();
      phase_ = Phase::notes;
      return {};
    case Phase::notes:
      if (!notes_left_.empty()) return read_notes();
      phase_ = Phase::segments;
      return {};
    case Phase::segments:
      if (!segments_left_.empty()) return catalogue_segment();
      phase_ = Phase::copy_ring;
      return {};
    case Phase::copy_ring:
      if (copy_.has_value()) return copy_->finished() ? finish_ring() : copy_records();
      if (!rings_left_.empty()) return open_ring();
      phase_ = Phase::collectors;
      return {};
    case Phase::collectors:
      if (!collectors_left_.empty()) return read_collector();
      phase_ = Phase::done;
      catalogue_.finish_recovery();
      return {};
    case Phase::done:
      return {};
  }
  return {};
}

std::string Recovery::ring_path(std::string_view kind, Stream stream) const {
  return options_.ring_dir + "/" + loop_file_name(kind, stream);
}

Status Recovery::set_aside(const std::string& path) {
  ++damaged_files_;
  logger_.log(LogLevel::error, "journal: {}: damaged; set aside as {}.damaged", path, path);
  return files_.rename(path, path + ".damaged");
}

Status Recovery::read_ring_headers() {
  const Stream stream = ring_headers_left_.front();
  const std::string path = ring_path("ring", stream);
  const auto file = files_.open(path, os::OpenMode::read);
  if (is_gone(file)) {
    catalogue_.close_stream(stream);
    ring_headers_left_.pop_front();
    return {};
  }
  if (!file.ok()) return file.error();
  auto header = traffic::read_old_ring(*file.value());
  if (!header.ok() && header.error().code != ErrorCode::corrupt) return header.error();
  const bool valid = header.ok() && header.value().identity.epoch == stream.epoch &&
                     header.value().identity.loop == stream.loop;
  if (valid) {
    const traffic::OldRing ring = std::move(header).value();
    EpochLeftovers& epoch = epochs_[stream.epoch];
    epoch.salt = ring.identity.salt;
    if (!identity_.boot_id.empty() && ring.identity.boot_id == identity_.boot_id) {
      if (!epoch.mark.has_value()) epoch.mark.emplace();
      // All rings of an epoch tell of the same segments; a kill may come between their marks.
      if (std::pair(ring.mark.segment, ring.mark.bytes) >
          std::pair(epoch.mark->segment, epoch.mark->bytes)) {
        epoch.mark = ring.mark;
      }
    }
    rings_left_.push_back({stream, ring});
  } else {
    // A loss of power may leave a ring of which nothing reached the disk: no damage, nothing there.
    std::array<char, traffic::Ring::kHeaderBytes> page{};
    const size_t got = WEIR_TRY(file.value()->read_at(0, page));
    const bool empty = std::all_of(page.begin(), page.begin() + static_cast<ptrdiff_t>(got),
                                   [](char c) { return c == 0; });
    WEIR_TRY(empty ? files_.remove(path) : set_aside(path));
    catalogue_.close_stream(stream);
  }
  ring_headers_left_.pop_front();
  return {};
}

Status Recovery::read_notes() {
  EpochLeftovers& epoch = epochs_.at(notes_left_.front());
  epoch.notes.clear();
  for (const SegmentId id : epoch.segments) {
    const auto file = files_.open(options_.dir + "/" + segment_name(id), os::OpenMode::read);
    if (is_gone(file)) continue;
    if (!file.ok()) return file.error();
    std::string head(kSegmentHeaderBytes, '\0');
    head.resize(WEIR_TRY(file.value()->read_at(0, head)));
    const auto salt = decode_segment_header(head, id);
    if (!salt.has_value()) continue;
    epoch.salts[id.index] = *salt;
    epoch.salt = *salt;
    const uint64_t size = WEIR_TRY(file.value()->size());
    WEIR_TRY(read_notes_of(*file.value(), *salt, size, epoch.notes));
  }
  notes_left_.pop_front();
  return {};
}

Status Recovery::catalogue_segment() {
  const SegmentId id = segments_left_.front();
  const EpochLeftovers& epoch = epochs_.at(id.epoch);
  const std::string path = options_.dir + "/" + segment_name(id);
  const auto file = files_.open(path, os::OpenMode::read);
  if (is_gone(file)) {
    segments_left_.pop_front();
    return {};
  }
  if (!file.ok()) return file.error();
  const uint64_t size = WEIR_TRY(file.value()->size());

  auto salt = epoch.salts.find(id.index) != epoch.salts.end()
                  ? std::optional{epoch.salts.at(id.index)}
                  : epoch.salt;
  if (!epoch.salts.contains(id.index)) {
    // Nothing is written into a segment before its header is durable.
    std::string head(kSegmentHeaderBytes, '\0');
    head.resize(WEIR_TRY(file.value()->read_at(0, head)));
    const bool unused = head.find_first_not_of('\0') == std::string::npos;
    if (unused) {
      WEIR_TRY(files_.remove(path));
      segments_left_.pop_front();
      return {};
    }
    if (!salt.has_value()) {
      WEIR_TRY(set_aside(path));
      segments_left_.pop_front();
      return {};
    }
    ++damaged_files_;
    logger_.log(LogLevel::error, "journal: {}: damaged header; reading its records", path);
  }

  const auto note = epoch.notes.find(id.index);
  uint64_t end = size;
  if (note == epoch.notes.end() && epoch.mark.has_value()) {
    if (id.index == epoch.mark->segment) end = std::min(size, epoch.mark->bytes);
    if (id.index > epoch.mark->segment) end = std::min<uint64_t>(size, kSegmentHeaderBytes);
  } else if (note == epoch.notes.end()) {
    // Before its records count as durable. When it fails they are still the best there is.
    static_cast<void>(file.value()->sync_data().ok());
  }
  if (end < size) WEIR_TRY(cut(path, end));
  catalogue_.add_segment(id, *salt);
  if (note != epoch.notes.end()) {
    catalogue_.publish_noted(id, note->second);
  } else if (const Status scanned = scan_segment(id, *file.value(), *salt, end); !scanned.ok()) {
    catalogue_.remove_segment(id);
    return scanned;
  }
  catalogue_.finish_segment(id);
  segments_left_.pop_front();
  return {};
}

// What lies behind the mark is in the ring, and goes into another segment. Left here, power loss
// could bring part of it back, with gaps that are none.
Status Recovery::cut(const std::string& path, uint64_t end) {
  const auto file = WEIR_TRY(files_.open(path, os::OpenMode::read_write));
  WEIR_TRY(file->truncate(end));
  return file->sync_data();
}

Status Recovery::scan_segment(SegmentId id, os::File& file, uint32_t salt, uint64_t end) {
  RecordFile records{file, salt};
  std::vector<Catalogue::Chunk> chunks;
  uint64_t offset = kSegmentHeaderBytes;
  while (true) {
    const auto found = WEIR_TRY(records.next(offset, end));
    if (!found.has_value()) break;
    offset = found->end();
    const traffic::RecordPlace& place = found->record.place;
    if (place.kind != traffic::RecordKind::event) continue;
    const Stream stream{place.epoch, place.loop};
    if (!chunks.empty() && chunks.back().stream == stream &&
        place.sequence > chunks.back().range.last) {
      chunks.back().range.last = place.sequence;
      chunks.back().bytes = offset - chunks.back().offset;
    } else {
      chunks.push_back(
          {stream, found->offset, found->record.bytes, {place.sequence, place.sequence}});
    }
  }
  catalogue_.publish(id, chunks, end);
  return {};
}

Status Recovery::open_ring() {
  Copy copy;
  copy.ring = rings_left_.front();
  const Stream stream = copy.ring.stream;
  auto opened = files_.open(ring_path("ring", stream), os::OpenMode::read);
  if (is_gone(opened)) {
    catalogue_.close_stream(stream);
    rings_left_.pop_front();
    return {};
  }
  if (!opened.ok()) return opened.error();
  copy.file = std::move(opened).value();
  copy.synced_before = std::max(copy.ring.header.mark.sequence, catalogue_.last_sequence(stream));
  const uint64_t size = WEIR_TRY(copy.file->size());
  const uint64_t end = std::min(size, traffic::Ring::kHeaderBytes + copy.ring.header.data_bytes);
  copy.data_end = end;
  RecordFile records{*copy.file, copy.ring.header.identity.salt};
  uint64_t offset = traffic::Ring::kHeaderBytes;
  while (true) {
    const auto found = WEIR_TRY(records.next(offset, end));
    if (!found.has_value()) break;
    offset = found->end();
    const traffic::RecordPlace& place = found->record.place;
    if (Stream{place.epoch, place.loop} == stream && place.kind == traffic::RecordKind::event &&
        place.sequence > copy.synced_before) {
      copy.records.push_back({place.sequence, found->offset});
    }
  }
  std::sort(copy.records.begin(), copy.records.end(),
            [](const RingRecord& a, const RingRecord& b) { return a.sequence < b.sequence; });
  rings_left_.pop_front();
  copy_.emplace(std::move(copy));
  return {};
}

Status Recovery::copy_records() {
  Copy& copy = *copy_;
  RecordFile records{*copy.file, copy.ring.header.identity.salt};
  size_t step_bytes = 0;
  alignas(8) std::array<char, traffic::kRecordBytesMax> record;
  while (!copy.finished() && step_bytes < kStepBytes && writer_.has_room(kRoomBytes)) {
    batch_.clear();
    SequenceRange range{copy.records[copy.appended].sequence, 0};
    size_t taken = 0;
    while (copy.appended + taken < copy.records.size() &&
           batch_.size() + traffic::kRecordBytesMax <= kRoomBytes) {
      const RingRecord& from = copy.records[copy.appended + taken];
      const auto found = WEIR_TRY(records.at(from.offset, copy.data_end));
      ++taken;
      // Damaged since it was found: it is lost, as the next sequence shows.
      if (!found.has_value() || found->record.place.sequence != from.sequence) continue;
      const std::string_view payload = found->record.payload;
      std::memcpy(record.data() + traffic::kRecordHeaderBytes, payload.data(), payload.size());
      const uint64_t word =
          traffic::seal_record(record.data(), found->record.place, payload.size(), identity_.salt);
      traffic::commit_record(record.data(), word);
      batch_.append(record.data(), traffic::record_bytes(payload.size()));
      range.last = from.sequence;
    }
    if (!batch_.empty()) WEIR_TRY(writer_.append(copy.ring.stream, range, batch_));
    copy.appended += taken;
    step_bytes += batch_.size();
  }
  return {};
}

// Everything is appended; deletes the ring once that is durable.
Status Recovery::finish_ring() {
  Copy& copy = *copy_;
  if (copy.durable < copy.appended) return {};  // After the next sync.
  const Stream stream = copy.ring.stream;
  base::fault_point(kFaultBeforeRingDelete);
  const Status removed = files_.remove(ring_path("ring", stream));
  base::fault_point(kFaultAfterRingDelete);
  if (!removed.ok() && removed.error().code != ErrorCode::not_found) return removed;
  const uint64_t reached = copy.records.empty() ? copy.synced_before : copy.records.back().sequence;
  ended_.push_back({stream, copy.ring.header.answered, copy.synced_before, reached});
  logger_.log(LogLevel::info, "journal: epoch {} loop {}: {} records taken over from the ring",
              stream.epoch, stream.loop, copy.records.size());
  catalogue_.close_stream(stream);
  copy_.reset();
  return {};
}

void Recovery::synced() {
  if (copy_.has_value()) copy_->durable = copy_->appended;
}

void Recovery::rewind() {
  if (copy_.has_value()) copy_->appended = copy_->durable;
}

Status Recovery::read_collector() {
  const Stream stream = collectors_left_.front();
  const std::string path = ring_path("paths", stream);
  const auto file = files_.open(path, os::OpenMode::read);
  if (is_gone(file)) {
    collectors_left_.pop_front();
    return {};
  }
  if (!file.ok()) return file.error();
  auto old = traffic::read_old_collector(*file.value());
  if (!old.ok() && old.error().code != ErrorCode::corrupt) return old.error();
  const bool valid = old.ok() && old.value().identity.epoch == stream.epoch &&
                     old.value().identity.loop == stream.loop;
  const bool believed =
      valid && (old.value().synced ||
                (!identity_.boot_id.empty() && old.value().identity.boot_id == identity_.boot_id));
  if (believed) {
    collectors_.add(stream, std::move(old).value().sides);
  } else {
    ++discarded_collectors_;
    logger_.log(LogLevel::warning,
                "journal: epoch {} loop {}: totals that were not merged are lost (power loss)",
                stream.epoch, stream.loop);
    WEIR_TRY(files_.remove(path));
  }
  collectors_left_.pop_front();
  return {};
}

}  // namespace weir::journal
