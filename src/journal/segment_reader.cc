#include "journal/segment_reader.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"

namespace weir::journal {
namespace {

void add(std::atomic<uint64_t>& counter, uint64_t count) {
  // One writer: the consumer thread.
  counter.store(counter.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
}

}  // namespace

SegmentReader::SegmentReader(os::Files& files, std::string dir, Catalogue& catalogue,
                             size_t bytes_max)
    : files_(files),
      dir_(std::move(dir)),
      catalogue_(catalogue),
      payload_bytes_max_(bytes_max),
      payloads_(std::make_unique_for_overwrite<char[]>(bytes_max)) {
  WEIR_ASSERT(bytes_max >= traffic::kRecordPayloadBytesMax);
}

base::Status SegmentReader::open(const Catalogue::Extent& extent) {
  if (open_segment_ == extent.segment) return {};
  records_.reset();
  file_.reset();
  open_segment_.reset();
  auto file = files_.open(dir_ + "/" + segment_name(extent.segment), os::OpenMode::read);
  if (!file.ok()) return file.error();
  file_ = std::move(file).value();
  records_.emplace(*file_, extent.salt);
  open_segment_ = extent.segment;
  return {};
}

// Sequences from read.next up to `next - 1` are in no valid record.
void SegmentReader::account(Cursor& cursor, Read& read, uint64_t next) {
  if (next <= read.next) return;
  read.lost += next - read.next;
  const uint64_t counted = std::max(cursor.lost_counted, read.next - 1);
  if (next - 1 > counted) {
    add(lost_, next - 1 - counted);
    cursor.lost_counted = next - 1;
  }
  read.next = next;
}

void SegmentReader::count_corrupt(SegmentId segment, uint64_t begin, uint64_t end) {
  if (corrupt_places_.contains({segment, begin})) return;
  if (corrupt_places_.size() < kPlacesMax) corrupt_places_.emplace(segment, begin);
  add(corrupt_bytes_, end - begin);
}

base::Result<bool> SegmentReader::read_extent(const Catalogue::Extent& extent, Stream stream,
                                              size_t records_max, Cursor& cursor, Read& read) {
  uint64_t offset = extent.begin;
  while (offset < extent.end) {
    const auto found = WEIR_TRY(records_->next(offset, extent.end));
    const uint64_t record_at = found.has_value() ? found->offset : extent.end;
    if (record_at > offset) count_corrupt(extent.segment, offset, record_at);
    if (!found.has_value()) break;
    const traffic::RecordView& record = found->record;
    const bool ours = record.place.kind == traffic::RecordKind::event &&
                      Stream{record.place.epoch, record.place.loop} == stream &&
                      record.place.sequence >= read.next;
    if (ours) {
      if (read.records.size() == records_max ||
          record.payload.size() > payload_bytes_max_ - payload_bytes_) {
        cursor.end = {read.next, extent.segment, found->offset};
        return true;
      }
      account(cursor, read, record.place.sequence);
      char* const copy = payloads_.get() + payload_bytes_;
      if (!record.payload.empty()) std::memcpy(copy, record.payload.data(), record.payload.size());
      payload_bytes_ += record.payload.size();
      read.records.push_back({record.place.sequence, {copy, record.payload.size()}});
      read.next = record.place.sequence + 1;
    }
    offset = found->end();
  }
  cursor.end = {read.next, extent.segment, extent.end};
  return false;
}

base::Result<Read> SegmentReader::read(Stream stream, uint64_t from, size_t records_max) {
  WEIR_ASSERT(from >= 1 && records_max >= 1);
  payload_bytes_ = 0;
  Read read;
  read.next = from;
  // Asked before looking: what is published meanwhile is found by the next read.
  const bool closed = catalogue_.closed(stream);
  const uint64_t last = catalogue_.last_sequence(stream);

  Cursor& cursor = cursors_[stream];
  Place place{from, {}, 0};
  if (cursor.end.sequence == from) place = cursor.end;
  if (cursor.start.sequence == from) place = cursor.start;
  cursor.start = cursor.end = place;
  while (true) {
    const auto extent = catalogue_.find(stream, read.next, place.segment, place.offset);
    if (!extent.has_value()) break;
    const base::Status opened = open(*extent);
    if (opened.ok()) {
      if (WEIR_TRY(read_extent(*extent, stream, records_max, cursor, read))) return read;
    } else if (opened.error().code != base::ErrorCode::not_found) {
      return opened.error();
    }
    // A file that somebody removed: its records are lost, which the next one or `last` shows.
    place = {read.next, extent->segment, extent->end};
  }
  // Whatever the storage thread wrote up to `last` and we did not find is damaged.
  account(cursor, read, last + 1);
  cursor.end.sequence = read.next;
  read.at_end = true;
  read.closed = closed;
  return read;
}

void SegmentReader::forget(Stream stream, uint64_t through) {
  const auto it = cursors_.find(stream);
  if (it != cursors_.end() && it->second.end.sequence <= through + 1 && catalogue_.closed(stream)) {
    cursors_.erase(it);
  }
  if (open_segment_.has_value() && !catalogue_.contains(*open_segment_)) {
    records_.reset();
    file_.reset();  // Its storage goes now.
    open_segment_.reset();
    corrupt_places_.clear();
  }
}

}  // namespace weir::journal
