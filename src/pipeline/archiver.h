#pragma once
// Moves events that are old enough out of the database into archive objects, and proves each object
// before anybody may delete what it holds.
//
//   begin_part() ─► read_part() ─► lines ─► gzip members ─► upload ─► object and its index
//                                                                        │
//   complete_part() ◄── equal ── rows, digest, SHA-256 ◄── lines ◄── read back
//
// The proof (P7): the object is read back from the store, decompressed and parsed, and three things
// must agree: its rows with the ledger that the consumer kept when it stored them, the digest over
// the rows with the consumer's, and the SHA-256 of the lines with what was sent.
//
// A kill at any moment leaves a part that is begun again as it was: the same interval, the same
// key, so the same object. Formats: docs/formats/archive.md.

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/logger.h"
#include "base/result.h"
#include "objects/objects.h"
#include "sqlite/writer.h"
#include "stats/archive_parts.h"

namespace weir::pipeline {

// What a long piece of work is given: how to stop, and whom to tell how far it is.
struct Work {
  const std::atomic<bool>& cancelled;
  std::function<void(uint64_t done, uint64_t total)> progress;
};

inline constexpr uint64_t kRowsPerProgress = 8192;

// Of an archive, sound by itself, that is not the one the tables know.
inline constexpr base::Error kDisagrees{base::ErrorCode::corrupt, base::Origin::storage,
                                        base::Retry::with_backoff, 0,
                                        "archive that holds other rows than were recorded"};

struct ArchiveOutcome {
  uint64_t parts = 0;
  uint64_t rows = 0;
  uint64_t object_bytes = 0;
};

// Ownership: borrows everything it is given.
// Threading: one thread at a time, not the writing Database's; `reader` is that thread's own.
// Limits: memory of one gzip member, one part of an upload and one page of rows.
class Archiver {
 public:
  struct Options {
    int64_t age_days = 3;
  };

  Archiver(sqlite::Writer& writer, sqlite::Database& reader, objects::Store& store,
           const base::Clock& clock, base::Logger& logger, Options options)
      : writer_(writer),
        reader_(reader),
        store_(store),
        clock_(clock),
        logger_(logger),
        options_(options) {}

  // Archives every part that is due, oldest first; stops at the first that fails.
  // Errors: cancelled; corrupt: what was read back is not what was stored; those of the stores.
  base::Result<ArchiveOutcome> run(const Work& work);

 private:
  base::Result<stats::ArchivedObject> write(const stats::ArchivePart& part, const Work& work);

  sqlite::Writer& writer_;
  sqlite::Database& reader_;
  objects::Store& store_;
  const base::Clock& clock_;
  base::Logger& logger_;
  const Options options_;
};

// Reads the object of a part back and says what it holds. Errors: corrupt: it is damaged, or no
// archive; those of the store.
base::Result<stats::ArchivedObject> read_archive(
    objects::Store& store, const std::string& key,
    const std::function<base::Status(const stats::StoredEvent&)>& each);

// With what an object of events is stored.
objects::PutOptions archive_options(const stats::ArchivePart& part, base::Wall now);

struct CleanOutcome {
  uint64_t parts = 0;
  uint64_t rows = 0;
};

// Deletes the events of completed parts, each after its object has been read back once more and
// found to hold what was recorded. An object that does not stays, and so do its rows: `corrupt`.
// Threading, errors: as Archiver.
base::Result<CleanOutcome> clean_archived(sqlite::Writer& writer, sqlite::Database& reader,
                                          objects::Store& store, base::Logger& logger,
                                          const Work& work);

}  // namespace weir::pipeline
