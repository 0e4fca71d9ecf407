#include "journal/catalogue.h"

#include <algorithm>

#include "base/assert.h"

namespace weir::journal {

void Catalogue::add_stream(Stream stream) {
  const base::MutexLock lock{mutex_};
  streams_[stream].open = true;
}

void Catalogue::close_stream(Stream stream) {
  const base::MutexLock lock{mutex_};
  const auto it = streams_.find(stream);
  if (it != streams_.end()) it->second.open = false;
}

void Catalogue::add_segment(SegmentId id, uint32_t salt) {
  const base::MutexLock lock{mutex_};
  segments_[id].salt = salt;
}

void Catalogue::add_part(Segment& segment, Stream stream, SequenceRange range, uint64_t begin,
                         uint64_t end) {
  StreamState& state = streams_[stream];
  const auto [it, inserted] = segment.parts.try_emplace(stream);
  Part& part = it->second;
  if (inserted) {
    part.range = range;
    ++state.segments;
  }
  part.range.last = std::max(part.range.last, range.last);
  state.last = std::max(state.last, range.last);
  if (!part.extents.empty() && begin < part.extents.back().second + kExtentGapBytes) {
    part.extents.back().second = end;
  } else {
    part.extents.emplace_back(begin, end);
  }
}

void Catalogue::publish(SegmentId id, std::span<const Chunk> chunks, uint64_t readable_bytes) {
  const base::MutexLock lock{mutex_};
  Segment& segment = segments_.at(id);
  segment.readable_bytes = readable_bytes;
  for (const Chunk& chunk : chunks)
    add_part(segment, chunk.stream, chunk.range, chunk.offset, chunk.offset + chunk.bytes);
}

void Catalogue::publish_noted(SegmentId id, const SegmentNote& note) {
  const base::MutexLock lock{mutex_};
  Segment& segment = segments_.at(id);
  segment.readable_bytes = note.readable_bytes;
  for (const auto& [stream, range] : note.streams)
    add_part(segment, stream, range, kSegmentHeaderBytes, note.readable_bytes);
}

void Catalogue::finish_segment(SegmentId id) {
  const base::MutexLock lock{mutex_};
  segments_.at(id).finished = true;
}

void Catalogue::finish_recovery() {
  const base::MutexLock lock{mutex_};
  recovered_ = true;
  std::erase_if(streams_, [](const auto& entry) { return is_over(entry.second); });
}

std::vector<SegmentId> Catalogue::deletable() const {
  const base::MutexLock lock{mutex_};
  std::vector<SegmentId> result;
  std::optional<uint32_t> blocked_epoch;
  for (const auto& [id, segment] : segments_) {
    if (blocked_epoch == id.epoch) continue;
    const auto released = [this](const auto& part) WEIR_ATTRIBUTE(requires_capability(mutex_)) {
      return part.second.range.last <= streams_.at(part.first).released;
    };
    if (segment.finished && std::all_of(segment.parts.begin(), segment.parts.end(), released)) {
      result.push_back(id);
    } else {
      blocked_epoch = id.epoch;
    }
  }
  return result;
}

void Catalogue::remove_segment(SegmentId id) {
  const base::MutexLock lock{mutex_};
  const auto it = segments_.find(id);
  if (it == segments_.end()) return;
  for (const auto& [stream, part] : it->second.parts) {
    const auto state = streams_.find(stream);
    WEIR_ASSERT(state != streams_.end() && state->second.segments > 0);
    --state->second.segments;
    // Until then a segment that was not looked at yet may hold more of the stream, and what was
    // said of it is not said again.
    if (recovered_ && is_over(state->second)) streams_.erase(state);
  }
  segments_.erase(it);
}

SegmentNote Catalogue::note_of(SegmentId id) const {
  const base::MutexLock lock{mutex_};
  const Segment& segment = segments_.at(id);
  SegmentNote note{id.index, segment.readable_bytes, {}};
  for (const auto& [stream, part] : segment.parts)
    note.streams[stream] = part.range;
  return note;
}

Catalogue::Totals Catalogue::totals() const {
  const base::MutexLock lock{mutex_};
  Totals totals;
  totals.segments = segments_.size();
  for (const auto& [id, segment] : segments_)
    totals.bytes += segment.readable_bytes;
  for (const auto& [stream, state] : streams_) {
    if (state.last == 0) continue;
    uint64_t released = state.released;
    if (released == 0) {
      // Nothing said yet: what is not in any segment must have been released.
      for (const auto& [id, segment] : segments_) {
        const auto part = segment.parts.find(stream);
        if (part == segment.parts.end()) continue;
        released = part->second.range.first - 1;
        break;
      }
    }
    totals.backlog_records += state.last - std::min(released, state.last);
  }
  return totals;
}

uint64_t Catalogue::last_sequence(Stream stream) const {
  const base::MutexLock lock{mutex_};
  const auto it = streams_.find(stream);
  return it == streams_.end() ? 0 : it->second.last;
}

std::vector<Stream> Catalogue::streams() const {
  const base::MutexLock lock{mutex_};
  std::vector<Stream> result;
  for (const auto& [stream, state] : streams_) {
    if (state.open || state.last > state.released) result.push_back(stream);
  }
  return result;
}

std::optional<Catalogue::Extent> Catalogue::find(Stream stream, uint64_t from, SegmentId after,
                                                 uint64_t offset) const {
  const base::MutexLock lock{mutex_};
  for (auto it = segments_.lower_bound(after); it != segments_.end(); ++it) {
    const auto& [id, segment] = *it;
    const auto found = segment.parts.find(stream);
    if (found == segment.parts.end() || found->second.range.last < from) continue;
    const Part& part = found->second;
    const uint64_t begin = id == after ? offset : 0;
    const auto extent =
        std::find_if(part.extents.begin(), part.extents.end(),
                     [begin](const auto& candidate) { return candidate.second > begin; });
    if (extent == part.extents.end()) continue;
    return Extent{id, segment.salt, std::max(begin, extent->first), extent->second, part.range};
  }
  return std::nullopt;
}

bool Catalogue::closed(Stream stream) const {
  const base::MutexLock lock{mutex_};
  const auto it = streams_.find(stream);
  return recovered_ && (it == streams_.end() || !it->second.open);
}

bool Catalogue::contains(SegmentId id) const {
  const base::MutexLock lock{mutex_};
  return segments_.contains(id);
}

void Catalogue::release(Stream stream, uint64_t through) {
  const base::MutexLock lock{mutex_};
  const auto it = streams_.find(stream);
  if (it == streams_.end()) return;
  // Also beyond `last`: recovery may not have read the segments yet that hold these records, and
  // the consumer does not say it again.
  it->second.released = std::max(it->second.released, through);
}

}  // namespace weir::journal
