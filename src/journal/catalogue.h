#pragma once
// Which segments there are and which synced records they hold: the one thing the storage thread and
// the consumer share.

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/thread_annotations.h"
#include "journal/journal.h"
#include "journal/segment.h"

namespace weir::journal {

// Threading: any thread; each call is one short critical section.
// Limits: per segment and stream at most one extent for each kExtentGapBytes of the segment.
class Catalogue {
 public:
  // Extents of one stream closer together than this are joined; the reader skips what lies between.
  static constexpr uint64_t kExtentGapBytes = 64 * 1024;

  // Consecutive records of one stream.
  struct Chunk {
    Stream stream;
    uint64_t offset = 0;
    uint64_t bytes = 0;
    SequenceRange range;
  };
  // Where to look for a stream's records: bytes [begin, end) of a segment, in which other streams
  // may have records too.
  struct Extent {
    SegmentId segment;
    uint32_t salt = 0;
    uint64_t begin = 0;
    uint64_t end = 0;
    SequenceRange range;  // Of the stream in the whole segment.
  };
  struct Totals {
    uint64_t segments = 0;
    uint64_t bytes = 0;
    uint64_t backlog_records = 0;
  };

  // --- The storage thread ---
  void add_stream(Stream stream);    // It may grow.
  void close_stream(Stream stream);  // By the recovery only.
  void add_segment(SegmentId id, uint32_t salt);
  // The segment is synced up to `readable_bytes`, and these chunks came since the last call.
  void publish(SegmentId id, std::span<const Chunk> chunks, uint64_t readable_bytes);
  // For segments of earlier starts whose records were not looked at one by one.
  void publish_noted(SegmentId id, const SegmentNote& note);
  void finish_segment(SegmentId id);  // Nothing more will come.
  // Until then no stream of an earlier epoch is closed, and none is forgotten.
  void finish_recovery();
  // Finished segments all of whose records are released, and before which no other of their epoch
  // is left: notes in a segment speak of those before it.
  std::vector<SegmentId> deletable() const;
  void remove_segment(SegmentId id);
  SegmentNote note_of(SegmentId id) const;
  Totals totals() const;
  uint64_t last_sequence(Stream stream) const;  // 0: none.

  // --- The consumer thread ---
  // Streams with unreleased records, or that may grow; ascending.
  std::vector<Stream> streams() const;
  // The first extent, by segment and offset, at or after (`after`, `offset`) in a segment that
  // holds sequences >= `from` of `stream`.
  std::optional<Extent> find(Stream stream, uint64_t from, SegmentId after, uint64_t offset) const;
  bool closed(Stream stream) const;
  bool contains(SegmentId id) const;
  // Of a stream that is not known (yet): no effect.
  void release(Stream stream, uint64_t through);

 private:
  struct Part {
    SequenceRange range;
    std::vector<std::pair<uint64_t, uint64_t>> extents;  // [begin, end), ascending.
  };
  struct Segment {
    uint32_t salt = 0;
    uint64_t readable_bytes = kSegmentHeaderBytes;
    bool finished = false;
    std::map<Stream, Part> parts;
  };
  struct StreamState {
    bool open = false;  // May still grow.
    uint64_t last = 0;  // Highest synced sequence.
    uint64_t released = 0;
    size_t segments = 0;  // That hold records of it.
  };
  static bool is_over(const StreamState& state) { return !state.open && state.segments == 0; }

  void add_part(Segment& segment, Stream stream, SequenceRange range, uint64_t begin, uint64_t end)
      WEIR_ATTRIBUTE(requires_capability(mutex_));

  mutable base::Mutex mutex_;
  std::map<SegmentId, Segment> segments_ WEIR_GUARDED_BY(mutex_);
  std::map<Stream, StreamState> streams_ WEIR_GUARDED_BY(mutex_);
  bool recovered_ WEIR_GUARDED_BY(mutex_) = false;
};

}  // namespace weir::journal
