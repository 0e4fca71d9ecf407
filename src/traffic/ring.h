#pragma once
// The ring of one loop: a small file, mapped into memory, preallocated, never synced. The loop
// writes records into it and goes on; the storage thread copies them into the journal and gives the
// space back when the copy is on the disk. What the loop wrote survives the death of the process at
// any instant. File layout: docs/formats/ring.md.
//
//            released            copied              committed
//   ............|===================|===================|.............
//      free        written to a        not yet copied      free
//                 segment, not synced
//
// Positions count bytes since the ring was made and never go back; modulo the data's size they are
// offsets. A record never wraps: what is left at the end is filled by a pad.

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "os/files.h"
#include "os/sigbus.h"
#include "traffic/record.h"

namespace weir::traffic {

struct RingIdentity {
  uint32_t epoch = 0;
  uint16_t loop = 0;
  uint32_t salt = 0;    // Where checksums of this epoch start from. Secret: see traffic/record.h.
  std::string boot_id;  // At most 40 bytes.
};

// How far the copy in the journal is on the disk, as the storage thread notes it in the ring's
// header after each fdatasync. After a kill (not after a loss of power) it says which part of the
// last segment can be believed.
struct SyncMark {
  uint64_t segment = 0;   // Index of the segment within the ring's epoch.
  uint64_t bytes = 0;     // Of that segment, synced.
  uint64_t sequence = 0;  // Of this ring, the last one synced.
};

// Fault points, for base/fault_point.h, immediately before and after the store of the commit word.
inline constexpr const char* kFaultBeforeCommit = "ring.before_commit";
inline constexpr const char* kFaultAfterCommit = "ring.after_commit";

// The mapped file and the counters that the loop and the storage thread share.
// Ownership: owns the mapping; the file stays when it is destroyed.
// Threading: see each function; RingWriter and RingReader below are its two users.
// Limits: data_bytes, fixed.
class Ring {
 public:
  static constexpr size_t kHeaderBytes = 4096;
  static constexpr size_t kDataBytesMin = 64 * 1024;

  // Creates the file. `data_bytes` is cut to a multiple of 4096; requires at least kDataBytesMin.
  // Blocks. Errors: os/files.h; no file is left behind.
  static base::Result<std::unique_ptr<Ring>> create(os::Files& files, const std::string& path,
                                                    const RingIdentity& identity,
                                                    size_t data_bytes);

  // For create(). Takes the mapping of a new file, full of zeros.
  Ring(std::unique_ptr<os::MappedFile> file, RingIdentity identity);

  const RingIdentity& identity() const { return identity_; }
  size_t data_bytes() const { return data_.size(); }

  // Any thread, for status: how fresh the values are does not matter, so they are relaxed.
  uint64_t written() const { return written_.load(std::memory_order_relaxed); }
  uint64_t answered() const;
  uint64_t used_bytes() const;
  bool failed() const { return guard_.failed(); }  // SIGBUS: nothing is written any more.

 private:
  friend class RingWriter;
  friend class RingReader;

  const RingIdentity identity_;
  const std::unique_ptr<os::MappedFile> file_;
  os::GuardedRegion guard_;
  const std::span<char> data_;

  // The pair that passes records and space between the two threads.
  // committed_: stored by the loop (release) after the record's commit word; the storage thread
  // loads it (acquire) and then sees the whole record. released_: stored by the storage thread
  // (release) after it has read the bytes for the last time; the loop loads it (acquire) before
  // writing there. Each is on a cache line of its own: they are written by different threads.
  alignas(64) std::atomic<uint64_t> committed_ = 0;
  std::atomic<uint64_t> written_ = 0;  // The last sequence; for status.
  alignas(64) std::atomic<uint64_t> released_ = 0;
};

// The loop's end.
// Ownership: borrows the ring.
// Threading: home loop only.
// Limits: between begin() and commit() no allocation, no system call, no lock; a page of the
// mapping that the kernel cleaned may fault (RingReader::prefault() keeps that rare).
class RingWriter {
 public:
  explicit RingWriter(Ring& ring) : ring_(ring) {}

  // Space for a payload of up to kRecordPayloadBytesMax bytes, or nullptr: the ring is full or
  // failed. Nothing is reserved: a begin() without commit() leaves no trace.
  char* begin();

  // Makes the payload of `payload_bytes` at begin()'s place a record. After it returned true the
  // record survives a kill. False: the ring failed under our hands (SIGBUS), the record is not in
  // it.
  bool commit(size_t payload_bytes);

  uint64_t sequence() const { return sequence_; }  // Of the last record; 0 before the first.

  // One more response ended. Counts in the header, apart from everything above.
  void answered();

 private:
  Ring& ring_;
  uint64_t position_ = 0;       // Where the next record goes.
  size_t offset_ = 0;           // The same within the data; kept apart to spare a division.
  uint64_t released_seen_ = 0;  // At most what the storage thread released.
  uint64_t sequence_ = 0;
  uint64_t answered_ = 0;
};

// The storage thread's end.
// Ownership: borrows the ring.
// Threading: the storage thread.
class RingReader {
 public:
  struct Chunk {
    std::string_view bytes;  // Valid records without a gap between them, ready to be copied.
    uint64_t first_sequence = 0;
    uint64_t last_sequence = 0;
    uint64_t records = 0;
  };

  explicit RingReader(Ring& ring) : ring_(ring) {}

  // The next committed records, at most `bytes_max` (at least kRecordBytesMax) bytes of them;
  // nothing when all were given. Bytes that are no record of this ring (a flipped bit) are skipped
  // and counted. The bytes stay in place until release().
  std::optional<Chunk> next(size_t bytes_max);

  // Everything given so far is on the disk: its space may be written again.
  void release();

  // Nothing given since the last release() is on the disk: give it again.
  void rewind();

  // Leaves `mark` in the header for the start after a kill. Call it before release().
  void mark_synced(const SyncMark& mark);

  // Makes the `bytes` that will be written next present and writable, so that the loop does not
  // wait for page faults. Blocks.
  base::Status prefault(size_t bytes);

  uint64_t unread_bytes() const;                             // Committed, not given yet.
  uint64_t last_sequence() const { return sequence_; }       // Given so far.
  uint64_t corrupt_bytes() const { return corrupt_bytes_; }  // Skipped; counted once.

 private:
  Ring& ring_;
  uint64_t position_ = 0;
  uint64_t sequence_ = 0;
  uint64_t released_sequence_ = 0;
  uint64_t corrupt_bytes_ = 0;
  uint64_t corrupt_through_ = 0;  // Position up to which corrupt bytes are counted.
  uint64_t marks_ = 0;
};

// A ring that an earlier process left behind, read from its file, which is never written.
struct OldRing {
  RingIdentity identity;
  size_t data_bytes = 0;
  uint64_t answered = 0;
  SyncMark mark;  // All 0 when nothing was synced or no mark is readable.
};

// Errors: corrupt (neither copy of the header is valid); os/files.h.
base::Result<OldRing> read_old_ring(os::File& file);

}  // namespace weir::traffic
