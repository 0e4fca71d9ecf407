#include "pipeline/adjust_archiver.h"

#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "codec/iso_time.h"
#include "pipeline/archive_lines.h"

namespace weir::pipeline {
namespace {

using base::Error;
using base::ErrorCode;
using base::LogLevel;
using stats::Adjustment;
using stats::AdjustObject;
using stats::AdjustPart;

// Rows that one command deletes, so that it takes some 20 ms.
constexpr int64_t kRowsPerSlice = 5000;

constexpr Error kMiscounted{ErrorCode::corrupt, base::Origin::storage, base::Retry::with_backoff, 0,
                            "adjustments that are not those that were counted"};

objects::PutOptions options_of(const AdjustPart& part, base::Wall now) {
  return {.content_type = "application/gzip",
          .metadata = {{"archived_at", codec::iso_ms(base::unix_ms(now))},
                       {"source", "adjustments"},
                       {"event_date", codec::iso_day(part.day)},
                       {"requests", fmt::format("{}", part.requests)}}};
}

base::Result<AdjustObject> write(sqlite::Database& reader, objects::Store& store,
                                 const AdjustPart& part, base::Wall now, const Work& work) {
  LinesWriter lines = WEIR_TRY(LinesWriter::start(store, part.key, options_of(part, now)));
  std::string line;
  const auto add = [&](const Adjustment& adjustment) -> base::Status {
    if (work.cancelled.load(std::memory_order_relaxed)) return base::cancelled("archiving");
    line.clear();
    stats::append_line(line, adjustment);
    return lines.append(line);
  };
  WEIR_TRY(stats::read_adjust_part(reader, part, add));
  const Lines written = WEIR_TRY(lines.finish());
  AdjustObject object = WEIR_TRY(read_adjustments(store, part.key, {}));
  if (object.raw_sha256 != written.raw_sha256) return kDamaged;
  if (object.requests != part.requests) return kMiscounted;
  return object;
}

base::Result<std::optional<AdjustPart>> begin(sqlite::Writer& writer, const base::Clock& clock,
                                              int64_t age_days) {
  std::optional<AdjustPart> part;
  const auto command = [&](sqlite::Database& database) -> base::Status {
    part = WEIR_TRY(stats::begin_adjust_part(database, clock.wall(), age_days));
    return {};
  };
  WEIR_TRY(writer.run(command));
  return part;
}

}  // namespace

base::Result<ArchiveOutcome> archive_adjustments(sqlite::Writer& writer, sqlite::Database& reader,
                                                 objects::Store& store, const base::Clock& clock,
                                                 base::Logger& logger, const Work& work,
                                                 int64_t age_days) {
  ArchiveOutcome outcome;
  for (;;) {
    if (work.cancelled.load(std::memory_order_relaxed)) return base::cancelled("archiving");
    const std::optional<AdjustPart> part = WEIR_TRY(begin(writer, clock, age_days));
    if (!part) return outcome;
    const base::Result<AdjustObject> object = write(reader, store, *part, clock.wall(), work);
    if (!object.ok()) {
      const std::string why =
          fmt::format("{} (errno {})", object.error().what.view(), object.error().os_errno);
      logger.log(LogLevel::error, "archive {}: {}", part->key, why);
      if (object.error().code != ErrorCode::cancelled) {
        // Not noted: the part stays begun, and is begun again all the same.
        static_cast<void>(writer.run([&](sqlite::Database& database) {
          return stats::fail_adjust_part(database, *part, why);
        }));
      }
      return object.error();
    }
    WEIR_TRY(writer.run([&](sqlite::Database& database) {
      return stats::complete_adjust_part(database, *part, object.value(), clock.wall());
    }));
    ++outcome.parts;
    outcome.rows += object.value().rows;
    outcome.object_bytes += object.value().bytes;
    logger.log(LogLevel::info, "archive {}: {} requests without detail, verified", part->key,
               object.value().requests);
  }
}

base::Result<CleanOutcome> clean_adjustments(sqlite::Writer& writer, sqlite::Database& reader,
                                             objects::Store& store, base::Logger& logger,
                                             const Work& work) {
  CleanOutcome outcome;
  std::optional<Error> refused;
  for (const AdjustPart& part : WEIR_TRY(stats::adjust_parts_to_clean(reader))) {
    const base::Result<AdjustObject> object = read_adjustments(store, part.key, {});
    const bool proven = object.ok() && object.value().requests == part.requests &&
                        object.value().raw_sha256 == part.raw_sha256;
    if (!proven) {
      // The other parts are no worse for it; this one is reported when they are done.
      logger.log(LogLevel::error, "clean-up {}: its archive is not proven, nothing is deleted: {}",
                 part.key, object.ok() ? kMiscounted.what.view() : object.error().what.view());
      refused = object.ok() ? kMiscounted : object.error();
      continue;
    }
    for (bool cleaned = false; !cleaned;) {
      if (work.cancelled.load(std::memory_order_relaxed)) return base::cancelled("archiving");
      const auto clean = [&](sqlite::Database& database) -> base::Status {
        cleaned = WEIR_TRY(stats::clean_adjust_slice(database, part, kRowsPerSlice));
        return {};
      };
      WEIR_TRY(writer.run(clean));
    }
    ++outcome.parts;
    outcome.rows += object.value().rows;
  }
  if (refused) return *refused;
  return outcome;
}

base::Result<AdjustObject> read_adjustments(
    objects::Store& store, const std::string& key,
    const std::function<base::Status(const Adjustment&)>& each) {
  AdjustObject object;
  const auto take = [&](std::string_view line) -> base::Status {
    const Adjustment adjustment = WEIR_TRY(stats::parse_adjustment(line));
    ++object.rows;
    object.requests += adjustment.counts.requests;
    return each ? each(adjustment) : base::Status{};
  };
  const Lines lines = WEIR_TRY(read_lines(store, key, take));
  object.raw_bytes = lines.raw_bytes;
  object.bytes = lines.bytes;
  object.raw_sha256 = lines.raw_sha256;
  return object;
}

}  // namespace weir::pipeline
