#pragma once
// The embedded journal: one ring per loop in front of one log of segment files.
//
//   loops ──► Ring ──► Storage::step(), the storage thread ──► segments ──► SegmentJournal, the
//        └──► PathCollector ────────────────────────────────────────────►   consumer thread
//
// What crosses between the two threads is the Catalogue (a mutex inside): which bytes of which
// segment are synced, and what they hold. The storage thread publishes there after each fdatasync
// and the consumer reads nothing else, so it never sees a byte that a loss of power could take
// back. Closed sides of the PathCollectors cross as described there.
//
// Files, in `dir` unless said otherwise (docs/formats/segment.md):
//   epoch-0, epoch-1                 the last epochs; written in turn
//   segment-EEEEEEEE-NNNNNNNN        epoch and index, hexadecimal
//   ring-EEEEEEEE-LLLL               in ring_dir; epoch and loop
//   paths-EEEEEEEE-LLLL              in ring_dir
// The epoch in every name makes sure that no start can write what an earlier one wrote.

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "journal/catalogue.h"
#include "journal/journal.h"
#include "journal/old_collectors.h"
#include "journal/options.h"
#include "journal/segment_reader.h"
#include "journal/status.h"
#include "journal/storage.h"
#include "os/files.h"
#include "traffic/path_collector.h"
#include "traffic/ring.h"

namespace weir::journal {

// Ownership: owns rings, collectors, catalogue and Storage; borrows files, clock and logger.
// Destroyed after the loops, the storage thread and the consumer have stopped. Destruction does no
// file operation: to the files it is the same as a kill. Storage::close() ends in good order.
// Threading: open(): one thread, before the others start. ring(), collector(), storage(), epoch():
// any thread. status(): any thread. The Journal's functions: the consumer thread.
// Limits: JournalOptions; one read returns at most kReadBytesMax bytes of payloads.
class SegmentJournal final : public Journal {
 public:
  static constexpr size_t kReadBytesMax = size_t{4} * 1024 * 1024;

  // Opens a new epoch, durably, and creates rings and collectors. What earlier starts left behind
  // is read later, by Storage::step(). The caller holds the lock of the data directory. Blocks: a
  // few file operations, independent of how much is stored. Errors (Origin::storage): those of
  // os/files.h; the journal cannot be used then.
  static base::Result<std::unique_ptr<SegmentJournal>> open(const JournalOptions& options,
                                                            os::Files& files,
                                                            const base::Clock& clock,
                                                            base::Logger& logger);

  uint32_t epoch() const { return identity_.epoch; }
  traffic::Ring& ring(uint16_t loop) { return *rings_.at(loop); }
  traffic::PathCollector& collector(uint16_t loop) { return *collectors_.at(loop); }
  Storage& storage() { return *storage_; }
  JournalStatus status() const;

  std::vector<Stream> streams() override;
  base::Result<Read> read(Stream stream, uint64_t from, size_t records_max) override;
  base::Status release(Stream stream, uint64_t through) override;
  base::Result<std::vector<DegradedSide>> degraded() override;
  base::Status release_degraded(Stream stream, uint64_t generation) override;

  // For open(), which alone makes a journal that can be used.
  SegmentJournal(const JournalOptions& options, os::Files& files, EpochIdentity identity);

 private:
  base::Status create_loop_files();
  void remove_loop_files();

  const JournalOptions options_;
  os::Files& files_;
  const EpochIdentity identity_;
  std::vector<std::unique_ptr<traffic::Ring>> rings_;
  std::vector<std::unique_ptr<traffic::PathCollector>> collectors_;
  Catalogue catalogue_;
  OldCollectors old_collectors_;
  SegmentReader reader_;
  std::unique_ptr<Storage> storage_;
};

}  // namespace weir::journal
