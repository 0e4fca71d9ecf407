#pragma once
// Makes one archive object of the several parts of a day.
//
//   read the parts, each proven ─► write the merged object ─► read it back: rows, digest, SHA-256
//        ─► one transaction: the merged part stands for them, their keys are obsolete
//        ─► delete the obsolete objects, one by one
//
// A kill before the transaction leaves the parts as they are, and an object that nobody names until
// it is written again; a kill after it leaves keys to be deleted, which the next call does first.
// No key is used twice: a merged part has the number of its last one.

#include <cstdint>

#include "base/clock.h"
#include "base/logger.h"
#include "objects/objects.h"
#include "pipeline/archiver.h"
#include "sqlite/writer.h"

namespace weir::pipeline {

struct CompactOutcome {
  uint64_t days = 0;
  uint64_t parts = 0;  // That became fewer.
  uint64_t rows = 0;
};

// Ownership: borrows everything it is given.
// Threading: one thread at a time, not the writing Database's; `reader` is that thread's own.
// Limits: memory of one gzip member and one part of an upload.
class Compaction {
 public:
  Compaction(sqlite::Writer& writer, sqlite::Database& reader, objects::Store& store,
             const base::Clock& clock, base::Logger& logger)
      : writer_(writer), reader_(reader), store_(store), clock_(clock), logger_(logger) {}

  // One day (Unix days). A day with fewer than two parts, or with one that is not completed and
  // cleaned, stays as it is. Errors: cancelled; corrupt: a part is not what was recorded; those of
  // the stores.
  base::Result<CompactOutcome> run_day(int64_t day, const Work& work);
  // Every day that has several parts, oldest first.
  base::Result<CompactOutcome> run(const Work& work);

 private:
  base::Result<stats::ArchivedObject> write(const std::vector<stats::ArchivePart>& parts,
                                            const stats::ArchivePart& merged, const Work& work);
  base::Status delete_obsolete();

  sqlite::Writer& writer_;
  sqlite::Database& reader_;
  objects::Store& store_;
  const base::Clock& clock_;
  base::Logger& logger_;
};

}  // namespace weir::pipeline
