#include "journal/segment_journal.h"

#include "base/assert.h"
#include "os/random.h"

namespace weir::journal {
namespace {

using base::Status;

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

base::Result<std::unique_ptr<SegmentJournal>> SegmentJournal::open(const JournalOptions& given,
                                                                   os::Files& files,
                                                                   const base::Clock& clock,
                                                                   base::Logger& logger) {
  JournalOptions options = given;
  if (options.ring_dir.empty()) options.ring_dir = options.dir;
  WEIR_ASSERT(options.loops >= 1 && options.segment_bytes >= kSegmentBytesMin &&
              options.max_bytes >= 2 * options.segment_bytes);
  WEIR_TRY(files.create_directory(options.dir));
  WEIR_TRY(files.create_directory(options.ring_dir));
  WEIR_TRY(files.sync_directory(parent_of(options.dir)));
  Leftovers leftovers = WEIR_TRY(find_leftovers(files, options.dir, options.ring_dir));
  const uint32_t floor = std::max(options.epoch_floor, leftovers.epoch_max());
  const uint32_t epoch = WEIR_TRY(open_epoch(files, options.dir, floor));
  const EpochIdentity identity{epoch, static_cast<uint32_t>(os::secure_random_u64()),
                               os::boot_id(files)};
  auto journal = std::make_unique<SegmentJournal>(options, files, identity);
  if (const Status created = journal->create_loop_files(); !created.ok()) {
    journal->remove_loop_files();
    return created.error();
  }
  journal->storage_ = std::make_unique<Storage>(
      Storage::Parts{journal->options_, files, clock, logger, journal->identity_,
                     journal->catalogue_, journal->old_collectors_, journal->rings_,
                     journal->collectors_},
      std::move(leftovers));
  return journal;
}

SegmentJournal::SegmentJournal(const JournalOptions& options, os::Files& files,
                               EpochIdentity identity)
    : options_(options),
      files_(files),
      identity_(std::move(identity)),
      reader_(files, options.dir, catalogue_, kReadBytesMax) {}

Status SegmentJournal::create_loop_files() {
  for (uint16_t loop = 0; loop < options_.loops; ++loop) {
    const Stream stream{identity_.epoch, loop};
    const traffic::RingIdentity ring{identity_.epoch, loop, identity_.salt, identity_.boot_id};
    rings_.push_back(WEIR_TRY(
        traffic::Ring::create(files_, options_.ring_dir + "/" + loop_file_name("ring", stream),
                              ring, options_.ring_bytes)));
    const traffic::CollectorIdentity collector{identity_.epoch, loop, os::secure_random_u64(),
                                               identity_.boot_id};
    collectors_.push_back(WEIR_TRY(traffic::PathCollector::create(
        files_, options_.ring_dir + "/" + loop_file_name("paths", stream), collector,
        options_.collector)));
    catalogue_.add_stream(stream);
  }
  return {};
}

// A start that fails again and again must not fill the disk with rings that nobody used.
void SegmentJournal::remove_loop_files() {
  rings_.clear();
  collectors_.clear();
  for (uint16_t loop = 0; loop < options_.loops; ++loop) {
    for (const char* const kind : {"ring", "paths"}) {
      const std::string name = loop_file_name(kind, {identity_.epoch, loop});
      static_cast<void>(files_.remove(options_.ring_dir + "/" + name).ok());
    }
  }
}

JournalStatus SegmentJournal::status() const {
  JournalStatus status = storage_->status();
  const Catalogue::Totals totals = catalogue_.totals();
  status.backlog_records = totals.backlog_records;
  status.backlog_bytes = totals.bytes;
  status.segments = totals.segments;
  status.lost = reader_.lost();
  status.corrupt_bytes = reader_.corrupt_bytes();
  // Fresher than the storage thread's last step.
  for (size_t i = 0; i < status.rings.size(); ++i) {
    status.rings[i].written = rings_[i]->written();
    status.rings[i].answered = rings_[i]->answered();
    status.rings[i].used_bytes = rings_[i]->used_bytes();
  }
  return status;
}

std::vector<Stream> SegmentJournal::streams() {
  return catalogue_.streams();
}

base::Result<Read> SegmentJournal::read(Stream stream, uint64_t from, size_t records_max) {
  return reader_.read(stream, from, records_max);
}

Status SegmentJournal::release(Stream stream, uint64_t through) {
  catalogue_.release(stream, through);
  reader_.forget(stream, through);
  return {};
}

base::Result<std::vector<DegradedSide>> SegmentJournal::degraded() {
  std::vector<DegradedSide> sides;
  old_collectors_.append_to(sides);
  for (const auto& collector : collectors_) {
    if (!collector->closed()) continue;
    sides.push_back(
        degraded_side({identity_.epoch, collector->identity().loop}, collector->closed_side()));
  }
  return sides;
}

Status SegmentJournal::release_degraded(Stream stream, uint64_t generation) {
  if (stream.epoch != identity_.epoch) {
    old_collectors_.release(stream, generation);
  } else if (stream.loop < collectors_.size()) {
    collectors_[stream.loop]->release(generation);
  }
  return {};
}

}  // namespace weir::journal
