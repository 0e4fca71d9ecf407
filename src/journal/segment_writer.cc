#include "journal/segment_writer.h"

#include "base/assert.h"
#include "base/fault_point.h"
#include "journal/storage.h"

namespace weir::journal {

SegmentWriter::SegmentWriter(const JournalOptions& options, os::Files& files,
                             const EpochIdentity& identity, Catalogue& catalogue,
                             base::Logger& logger)
    : options_(options),
      files_(files),
      identity_(identity),
      catalogue_(catalogue),
      logger_(logger),
      id_{identity.epoch, 0} {}

bool SegmentWriter::has_room(uint64_t bytes) const {
  return file_ != nullptr && written_ + bytes <= options_.segment_bytes;
}

base::Status SegmentWriter::create(SegmentId id, os::File& file) {
  // Reserved as a whole: a full disk shows here, before any record is in it.
  WEIR_TRY(file.allocate(options_.segment_bytes));
  std::string head = encode_segment_header(id, identity_.salt);
  uint64_t sequence = 1;
  for (const SegmentId left : unnoted_) {
    if (!catalogue_.contains(left)) continue;  // Consumed and deleted meanwhile.
    const SegmentNote note = catalogue_.note_of(left);
    const std::string records = encode_note(note, id.epoch, identity_.salt, sequence);
    sequence += note.streams.size() + 1;
    head += records;
  }
  WEIR_TRY(file.write_at(0, head));
  WEIR_TRY(file.sync_data());
  WEIR_TRY(files_.sync_directory(options_.dir));
  written_ = synced_ = head.size();
  return {};
}

base::Status SegmentWriter::open_next() {
  WEIR_ASSERT(!unsynced());
  if (file_ != nullptr) leave();
  const SegmentId next{identity_.epoch, id_.index + 1};
  const std::string path = options_.dir + "/" + segment_name(next);
  auto file = files_.open(path, os::OpenMode::create_new);
  if (!file.ok()) {
    // A name that an earlier failure could not remove again is not used twice.
    if (file.error().code == base::ErrorCode::conflict) id_ = next;
    return file.error();
  }
  id_ = next;
  written_ = synced_ = 0;
  if (const base::Status created = create(next, *file.value()); !created.ok()) {
    // Nothing is in it. What cannot be removed is found at the next start.
    static_cast<void>(files_.remove(path).ok());
    return created.error();
  }
  file_ = std::move(file).value();
  unnoted_.clear();
  catalogue_.add_segment(id_, identity_.salt);
  catalogue_.publish(id_, {}, synced_);
  durable_index_ = id_.index;
  durable_bytes_ = synced_;
  return {};
}

base::Status SegmentWriter::append(const Stream& stream, SequenceRange range,
                                   std::string_view bytes) {
  WEIR_ASSERT(has_room(bytes.size()));
  base::fault_point(kFaultBeforeWrite);
  const base::Status written = file_->write_at(written_, bytes);
  base::fault_point(kFaultAfterWrite);
  if (!written.ok()) {
    ++write_failures_;
    logger_.log(base::LogLevel::error, "journal: {}: write failed, errno {}; segment abandoned",
                segment_name(id_), written.error().os_errno);
    abandon();
    return written;
  }
  chunks_.push_back({stream, written_, bytes.size(), range});
  written_ += bytes.size();
  return {};
}

base::Status SegmentWriter::sync() {
  if (!unsynced()) return {};
  base::fault_point(kFaultBeforeSync);
  const base::Status synced = file_->sync_data();
  base::fault_point(kFaultAfterSync);
  if (!synced.ok()) {
    ++sync_failures_;
    logger_.log(base::LogLevel::error, "journal: {}: sync failed, errno {}; segment abandoned",
                segment_name(id_), synced.error().os_errno);
    abandon();
    return synced;
  }
  synced_ = durable_bytes_ = written_;
  catalogue_.publish(id_, chunks_, synced_);
  chunks_.clear();
  return {};
}

void SegmentWriter::abandon() {
  chunks_.clear();
  written_ = synced_;
  leave();
}

void SegmentWriter::leave() {
  file_.reset();
  unnoted_.push_back(id_);
  catalogue_.finish_segment(id_);
}

}  // namespace weir::journal
