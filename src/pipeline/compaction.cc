#include "pipeline/compaction.h"

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "codec/iso_time.h"
#include "pipeline/archive_lines.h"

namespace weir::pipeline {
namespace {

using base::LogLevel;
using stats::ArchivedObject;
using stats::ArchivePart;
using stats::StoredEvent;

bool can_be_merged(const std::vector<ArchivePart>& parts) {
  return parts.size() > 1 && std::all_of(parts.begin(), parts.end(), [](const ArchivePart& part) {
           return part.completed && part.cleaned_through == part.through && part.digest;
         });
}

ArchivePart merged_of(const std::vector<ArchivePart>& parts) {
  ArchivePart merged = parts.back();
  merged.key = stats::merged_key(merged.day, merged.part);
  merged.after = parts.front().after;
  merged.rows = 0;
  merged.cleaned_rows = 0;
  merged.digest = stats::RowsDigest{};
  for (const ArchivePart& part : parts) {
    merged.rows += part.rows;
    merged.cleaned_rows += part.cleaned_rows;
    *merged.digest += *part.digest;
  }
  return merged;
}

}  // namespace

base::Result<CompactOutcome> Compaction::run_day(int64_t day, const Work& work) {
  WEIR_TRY(delete_obsolete());
  const std::vector<ArchivePart> parts = WEIR_TRY(stats::parts_of(reader_, day));
  if (!can_be_merged(parts)) return CompactOutcome{};
  const ArchivePart merged = merged_of(parts);
  const base::Result<ArchivedObject> object = write(parts, merged, work);
  if (!object.ok()) {
    logger_.log(LogLevel::error, "compaction of {}: {}", codec::iso_day(day),
                object.error().what.view());
    return object.error();
  }
  WEIR_TRY(writer_.run([&](sqlite::Database& database) {
    return stats::swap_parts(database, parts, merged, object.value(), clock_.wall());
  }));
  logger_.log(LogLevel::info, "compaction of {}: {} parts, {} rows in one object, verified",
              codec::iso_day(day), parts.size(), merged.rows);
  WEIR_TRY(delete_obsolete());
  return CompactOutcome{.days = 1, .parts = parts.size(), .rows = merged.rows};
}

base::Result<CompactOutcome> Compaction::run(const Work& work) {
  CompactOutcome sum;
  WEIR_TRY(delete_obsolete());
  for (const int64_t day : WEIR_TRY(stats::days_of_several_parts(reader_))) {
    if (work.cancelled.load(std::memory_order_relaxed)) return base::cancelled("compaction");
    const CompactOutcome outcome = WEIR_TRY(run_day(day, work));
    sum.days += outcome.days;
    sum.parts += outcome.parts;
    sum.rows += outcome.rows;
  }
  return sum;
}

// The parts follow each other in the order of seq, and so do their lines.
base::Result<ArchivedObject> Compaction::write(const std::vector<ArchivePart>& parts,
                                               const ArchivePart& merged, const Work& work) {
  LinesWriter lines =
      WEIR_TRY(LinesWriter::start(store_, merged.key, archive_options(merged, clock_.wall())));
  std::string line;
  uint64_t rows = 0;
  const auto add = [&](const StoredEvent& event) -> base::Status {
    if (work.cancelled.load(std::memory_order_relaxed)) return base::cancelled("compaction");
    line.clear();
    stats::append_line(line, event);
    if (++rows % kRowsPerProgress == 0 && work.progress) work.progress(rows, merged.rows);
    return lines.append(line);
  };
  for (const ArchivePart& part : parts) {
    const ArchivedObject read = WEIR_TRY(read_archive(store_, part.key, add));
    if (!stats::is_recorded(part, read)) return kDisagrees;
  }
  const Lines written = WEIR_TRY(lines.finish());
  ArchivedObject object = WEIR_TRY(read_archive(store_, merged.key, {}));
  const bool proven = object.raw_sha256 == written.raw_sha256 && object.rows == merged.rows &&
                      object.digest == *merged.digest;
  if (!proven) return kDisagrees;
  return object;
}

base::Status Compaction::delete_obsolete() {
  for (const std::string& key : WEIR_TRY(stats::obsolete_objects(reader_))) {
    WEIR_TRY(store_.remove(key + ".index"));
    WEIR_TRY(store_.remove(key));
    WEIR_TRY(writer_.run(
        [&](sqlite::Database& database) { return stats::forget_object(database, key); }));
  }
  return {};
}

}  // namespace weir::pipeline
