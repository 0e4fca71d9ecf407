#pragma once
// Which events are archived, and where: the table `archive_parts` and what surrounds it.
//
// A part is the events of one UTC day with seq in (after, through], an interval that is fixed when
// the part is begun and never changes. The parts of a day follow each other without a gap, so each
// event belongs to exactly one, and events that come late for their day get the next part.
//
//   (nothing) ──begin_part()──► pending ──complete_part()──► completed ──clean_slice()…──► cleaned
//                                  └──fail_part()──► failed: begun again as it is
//
// What a part must hold is known from the ledger of its day, which the consumer adds to in the
// transactions of the events themselves: the archiver compares with it, and shares no code with it
// but digest_of().
//
// Functions take the Database of their thread: those that write run on the writing one, as short
// commands (sqlite/writer.h). Errors of all: those of sqlite/database.h.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "codec/iso_time.h"
#include "codec/sha256.h"
#include "sqlite/database.h"
#include "stats/stored_event.h"

namespace weir::stats {

struct ArchivePart {
  int64_t day = 0;  // Unix days.
  int64_t part = 1;
  std::string key;  // Of the object.
  uint64_t after = 0;
  uint64_t through = 0;
  uint64_t rows = 0;  // By the ledger.
  // By the ledger; none where events of the day were stored by a version that kept no digest.
  std::optional<RowsDigest> digest;
  uint64_t cleaned_through = 0;
  uint64_t cleaned_rows = 0;
  codec::Digest raw_sha256{};  // Of the lines; once it is completed.
  bool completed = false;
};

// Days that are looked at, both included (Unix days).
struct Days {
  // Beyond what an event's time stamp can tell, and far from overflow in milliseconds.
  static constexpr int64_t kLeast = -110'000'000;
  static constexpr int64_t kGreatest = 110'000'000;

  int64_t first = kLeast;
  int64_t last = kGreatest;

  int64_t begin_ms() const { return first * codec::kMsPerDay; }
  int64_t end_ms() const { return (last + 1) * codec::kMsPerDay; }
};

// What was written and read back.
struct ArchivedObject {
  uint64_t rows = 0;
  uint64_t raw_bytes = 0;
  uint64_t bytes = 0;
  codec::Digest raw_sha256{};
  RowsDigest digest;
};

// Whether `object`, read back, is what was recorded of the completed part.
bool is_recorded(const ArchivePart& part, const ArchivedObject& object);

// `traffic-events/{date}.jsonl.gz`, then `.part2` and so on before `.jsonl.gz`.
std::string archive_key(int64_t day, int64_t part);

// The next part to be archived: one that was begun and not completed, else a new one of the oldest
// day that holds events outside of all parts, if it is `age_days` old at `now` (a day in the
// future: if nothing came for it for as long). On the writing thread.
base::Result<std::optional<ArchivePart>> begin_part(sqlite::Database& database, base::Wall now,
                                                    int64_t age_days);

// The part is archived and verified. On the writing thread.
base::Status complete_part(sqlite::Database& database, const ArchivePart& part,
                           const ArchivedObject& object, base::Wall now);
base::Status fail_part(sqlite::Database& database, const ArchivePart& part, std::string_view error);

// Completed parts with rows that are not deleted yet, oldest first.
base::Result<std::vector<ArchivePart>> parts_to_clean(sqlite::Database& database);

// All parts of a day, in order.
base::Result<std::vector<ArchivePart>> parts_of(sqlite::Database& database, int64_t day);

// Completed parts of these days, in the order of day and part. They are not deleted before their
// rows are in another one (below), so a day's parts up to its last one hold all that was cleaned.
base::Result<std::vector<ArchivePart>> completed_parts(sqlite::Database& database,
                                                       const Days& days);

// ---- Compaction: several parts of a day become one (pipeline/compaction.h) ----

// `traffic-events/{date}.merged{part}.jsonl.gz`.
std::string merged_key(int64_t day, int64_t part);
base::Result<std::vector<int64_t>> days_of_several_parts(sqlite::Database& database);
// In one transaction: `merged` stands for `parts`, which must be as they were read (else conflict),
// and their keys are obsolete. On the writing thread.
base::Status swap_parts(sqlite::Database& database, const std::vector<ArchivePart>& parts,
                        const ArchivePart& merged, const ArchivedObject& object, base::Wall now);
// Keys of objects that no part names any more and that are still to be deleted.
base::Result<std::vector<std::string>> obsolete_objects(sqlite::Database& database);
base::Status forget_object(sqlite::Database& database, std::string_view key);

// Deletes events of the part among the next `seqs_max` (1 or more) seqs, and moves
// `cleaned_through` on, in one transaction. Returns the part as it is then. Deletes nothing that is
// not derived yet (stats.h): conflict. On the writing thread.
base::Result<ArchivePart> clean_slice(sqlite::Database& database, const ArchivePart& part,
                                      uint64_t seqs_max);

// Calls `each` for the events of the part in the order of seq, page by page, each page in a read
// transaction of its own. Views live during the call; an error from `each` ends the reading.
base::Status read_part(sqlite::Database& database, const ArchivePart& part,
                       const std::function<base::Status(const StoredEvent&)>& each);

}  // namespace weir::stats
