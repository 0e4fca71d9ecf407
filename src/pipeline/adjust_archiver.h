#pragma once
// Moves counts without detail rows (stats/adjust_parts.h) into the archive, proves them, and
// deletes them there where they are proven: as pipeline/archiver.h does with events.
//
// The proof: the object is read back; the requests in its lines are what the ledger of the day
// counted, and the SHA-256 of the lines is that of what was sent.

#include <functional>
#include <string>

#include "base/clock.h"
#include "base/logger.h"
#include "pipeline/archiver.h"
#include "stats/adjust_parts.h"

namespace weir::pipeline {

// Archives every part that is due. Requires that what it counts is in the sketches: the caller lets
// the consumer write them first, else conflict. Threading, errors: as Archiver.
base::Result<ArchiveOutcome> archive_adjustments(sqlite::Writer& writer, sqlite::Database& reader,
                                                 objects::Store& store, const base::Clock& clock,
                                                 base::Logger& logger, const Work& work,
                                                 int64_t age_days = 3);

// As clean_archived().
base::Result<CleanOutcome> clean_adjustments(sqlite::Writer& writer, sqlite::Database& reader,
                                             objects::Store& store, base::Logger& logger,
                                             const Work& work);

// As read_archive(). `each` may be empty.
base::Result<stats::AdjustObject> read_adjustments(
    objects::Store& store, const std::string& key,
    const std::function<base::Status(const stats::Adjustment&)>& each);

}  // namespace weir::pipeline
