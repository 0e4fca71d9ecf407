#include "pipeline/archive_query.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace weir::pipeline {
namespace {

using base::Error;
using base::ErrorCode;
using stats::ArchivedObject;
using stats::ArchivePart;
using stats::StoredEvent;

constexpr int kTurnsMax = 100;

constexpr Error kRestless{ErrorCode::unavailable, base::Origin::storage, base::Retry::with_backoff,
                          0, "archive that changes all the time"};

}  // namespace

stats::QueryOutcome ArchiveQuery::run(std::string_view sql, const stats::QueryOptions& options,
                                      const stats::QueryEvents& events, const Work& work) {
  stats::QueryOutcome outcome;
  outcome.status = begin(work);
  if (outcome.status.ok()) {
    outcome = stats::run_query(reader_, clock_, sql, options, events);
  } else {
    outcome.message = message_.empty()
                          ? fmt::format("the archive cannot be read: {} {}",
                                        outcome.status.error().what.view(), reader_.message())
                          : message_;
  }
  rows_.end_reading();
  return outcome;
}

// Ends in a read transaction in which every event is seen once.
base::Status ArchiveQuery::begin(const Work& work) {
  WEIR_TRY(rows_.prepare());
  for (int turn = 0; turn < kTurnsMax; ++turn) {
    const std::vector<ArchivePart> missing = WEIR_TRY(rows_.begin_reading());
    if (missing.empty()) return {};
    rows_.end_reading();
    for (const ArchivePart& part : missing)
      rows_to_load_ += part.rows;
    for (const ArchivePart& part : missing)
      WEIR_TRY(load(part, work));
  }
  return kRestless;
}

base::Status ArchiveQuery::load(const ArchivePart& part, const Work& work) {
  base::Status added;
  const auto add = [&](const StoredEvent& event) -> base::Status {
    if (++rows_loaded_ % kRowsPerProgress == 0 && work.progress)
      work.progress(rows_loaded_, rows_to_load_);
    added = work.cancelled.load(std::memory_order_relaxed)
                ? base::Status{base::cancelled("loading of archives")}
                : rows_.add(part, event);
    return added;
  };
  const base::Result<ArchivedObject> object = read_archive(store_, part.key, add);
  if (object.ok() && stats::is_recorded(part, object.value())) {
    WEIR_TRY(rows_.finish(part));
    if (work.progress) work.progress(rows_loaded_, rows_to_load_);
    return {};
  }
  const Error error = object.ok() ? kDisagrees : object.error();
  if (!added.ok()) {
    message_ = error.code == ErrorCode::cancelled
                   ? "the query was cancelled"
                   : fmt::format("{}: its rows cannot be kept in temporary files (TMPDIR): {} {}",
                                 part.key, error.what.view(), reader_.message());
    return error;
  }
  WEIR_TRY(rows_.drop(part));
  // Compaction deletes the objects it has replaced: then the next turn reads the merged one.
  if (!WEIR_TRY(is_named(part))) return {};
  message_ =
      error.code == ErrorCode::not_found
          ? fmt::format("{}: this archive is missing, and with it {} rows", part.key, part.rows)
          : fmt::format("{}: this archive cannot be read: {}", part.key, error.what.view());
  return error;
}

base::Result<bool> ArchiveQuery::is_named(const ArchivePart& part) {
  const std::vector<ArchivePart> parts = WEIR_TRY(stats::parts_of(reader_, part.day));
  return std::any_of(parts.begin(), parts.end(),
                     [&](const ArchivePart& other) { return other.key == part.key; });
}

}  // namespace weir::pipeline
