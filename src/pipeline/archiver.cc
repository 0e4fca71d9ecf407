#include "pipeline/archiver.h"

#include <optional>
#include <utility>

#include <fmt/format.h>

#include "codec/iso_time.h"
#include "pipeline/archive_lines.h"

namespace weir::pipeline {
namespace {

using base::Error;
using base::ErrorCode;
using base::LogLevel;
using stats::ArchivedObject;
using stats::ArchivePart;
using stats::StoredEvent;

// Rows that one command deletes, so that it takes some 20 ms.
constexpr uint64_t kSeqsPerSlice = 20'000;

bool holds(const ArchivePart& part, const ArchivedObject& object) {
  return object.rows == part.rows && (!part.digest || object.digest == *part.digest);
}

// Whether the object still is, byte for byte, what was proven when it was archived. Looking into
// its lines again would tell nothing that their SHA-256 does not, and take ten times as long.
base::Status still_proven(objects::Store& store, const ArchivePart& part) {
  uint64_t rows = 0;
  const Lines lines = WEIR_TRY(read_lines(store, part.key, [&rows](std::string_view /*line*/) {
    ++rows;
    return base::Status{};
  }));
  if (rows != part.rows || lines.raw_sha256 != part.raw_sha256) return kDisagrees;
  return {};
}

}  // namespace

objects::PutOptions archive_options(const ArchivePart& part, base::Wall now) {
  return {.content_type = "application/gzip",
          .metadata = {{"archived_at", codec::iso_ms(base::unix_ms(now))},
                       {"source", "traffic_events"},
                       {"event_date", codec::iso_day(part.day)},
                       {"rows", fmt::format("{}", part.rows)},
                       {"after_seq", fmt::format("{}", part.after)},
                       {"through_seq", fmt::format("{}", part.through)}}};
}

base::Result<ArchiveOutcome> Archiver::run(const Work& work) {
  ArchiveOutcome outcome;
  for (;;) {
    if (work.cancelled.load(std::memory_order_relaxed)) return base::cancelled("archiving");
    std::optional<ArchivePart> part;
    const auto begin = [&](sqlite::Database& database) -> base::Status {
      part = WEIR_TRY(stats::begin_part(database, clock_.wall(), options_.age_days));
      return {};
    };
    WEIR_TRY(writer_.run(begin));
    if (!part) return outcome;
    const base::Result<ArchivedObject> object = write(*part, work);
    if (!object.ok()) {
      const std::string why =
          fmt::format("{} (errno {})", object.error().what.view(), object.error().os_errno);
      logger_.log(LogLevel::error, "archive {}: {}", part->key, why);
      if (object.error().code != ErrorCode::cancelled) {
        // Not noted: the part stays begun, and is begun again all the same.
        static_cast<void>(writer_.run(
            [&](sqlite::Database& database) { return stats::fail_part(database, *part, why); }));
      }
      return object.error();
    }
    WEIR_TRY(writer_.run([&](sqlite::Database& database) {
      return stats::complete_part(database, *part, object.value(), clock_.wall());
    }));
    ++outcome.parts;
    outcome.rows += object.value().rows;
    outcome.object_bytes += object.value().bytes;
    logger_.log(LogLevel::info, "archive {}: {} rows in {} bytes, verified", part->key,
                object.value().rows, object.value().bytes);
  }
}

base::Result<ArchivedObject> Archiver::write(const ArchivePart& part, const Work& work) {
  LinesWriter lines =
      WEIR_TRY(LinesWriter::start(store_, part.key, archive_options(part, clock_.wall())));
  uint64_t rows = 0;
  std::string line;
  const auto add = [&](const StoredEvent& event) -> base::Status {
    line.clear();
    stats::append_line(line, event);
    WEIR_TRY(lines.append(line));
    if (++rows % kRowsPerProgress != 0) return {};
    if (work.progress) work.progress(rows, part.rows);
    return work.cancelled.load(std::memory_order_relaxed)
               ? base::Status{base::cancelled("archiving")}
               : base::Status{};
  };
  WEIR_TRY(stats::read_part(reader_, part, add));
  const Lines written = WEIR_TRY(lines.finish());
  ArchivedObject object = WEIR_TRY(read_archive(store_, part.key, {}));
  if (object.raw_sha256 != written.raw_sha256) return kDamaged;
  if (!holds(part, object)) return kDisagrees;
  return object;
}

base::Result<ArchivedObject> read_archive(
    objects::Store& store, const std::string& key,
    const std::function<base::Status(const StoredEvent&)>& each) {
  ArchivedObject object;
  stats::ParsedEvent parsed;
  std::string scratch;
  const auto take = [&](std::string_view line) -> base::Status {
    WEIR_TRY(stats::parse_line(line, parsed));
    ++object.rows;
    object.digest += stats::digest_of(parsed.event, scratch);
    return each ? each(parsed.event) : base::Status{};
  };
  const Lines lines = WEIR_TRY(read_lines(store, key, take));
  object.raw_bytes = lines.raw_bytes;
  object.bytes = lines.bytes;
  object.raw_sha256 = lines.raw_sha256;
  return object;
}

base::Result<CleanOutcome> clean_archived(sqlite::Writer& writer, sqlite::Database& reader,
                                          objects::Store& store, base::Logger& logger,
                                          const Work& work) {
  CleanOutcome outcome;
  std::optional<Error> refused;
  for (ArchivePart part : WEIR_TRY(stats::parts_to_clean(reader))) {
    const base::Status proven = still_proven(store, part);
    if (!proven.ok()) {
      // The other parts are no worse for it; this one is reported when they are done.
      logger.log(LogLevel::error, "clean-up {}: its archive is not proven, nothing is deleted: {}",
                 part.key, proven.error().what.view());
      refused = proven.error();
      continue;
    }
    const uint64_t before = part.cleaned_rows;
    while (part.cleaned_through < part.through) {
      if (work.cancelled.load(std::memory_order_relaxed)) return base::cancelled("archiving");
      const auto clean = [&](sqlite::Database& database) -> base::Status {
        part = WEIR_TRY(stats::clean_slice(database, part, kSeqsPerSlice));
        return {};
      };
      WEIR_TRY(writer.run(clean));
      if (work.progress) work.progress(part.cleaned_rows, part.rows);
    }
    if (part.cleaned_rows != part.rows) {
      logger.log(LogLevel::error, "clean-up {}: {} rows were archived and {} deleted", part.key,
                 part.rows, part.cleaned_rows);
      refused = kDisagrees;
    }
    ++outcome.parts;
    outcome.rows += part.cleaned_rows - before;
    logger.log(LogLevel::info, "clean-up {}: {} rows deleted", part.key, part.cleaned_rows);
  }
  if (refused) return *refused;
  return outcome;
}

}  // namespace weir::pipeline
