#include "traffic/ring.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/assert.h"
#include "base/fault_point.h"
#include "codec/crc32c.h"

namespace weir::traffic {
namespace {

constexpr std::array<char, 8> kMagic = {'W', 'E', 'I', 'R', 'R', 'I', 'N', 'G'};
constexpr uint32_t kVersion = 1;
constexpr size_t kPage = 4096;

// docs/formats/ring.md, "Header". Integers are little-endian.
struct Header {
  std::array<char, 8> magic;
  uint32_t version;
  uint32_t epoch;
  uint32_t loop;
  uint32_t salt;
  uint64_t data_bytes;
  std::array<char, 40> boot_id;
  uint32_t crc;  // Of everything above.
  uint32_t zero;
};
static_assert(sizeof(Header) == 80);
constexpr std::array<size_t, 2> kHeaderAt = {0,
                                             2048};  // Twice: one flipped bit must not cost a ring.
constexpr size_t kAnsweredAt = 512;
constexpr std::array<size_t, 2> kMarkAt = {1024, 1536};  // Written in turn.

struct Mark {
  uint64_t count;  // The higher one is the newer one.
  uint64_t segment;
  uint64_t bytes;
  uint64_t sequence;
  uint32_t crc;  // Of everything above.
  uint32_t zero;
};
static_assert(sizeof(Mark) == 40);

template <typename T>
uint32_t crc_of(const T& value, uint32_t salt) {
  return codec::crc32c({reinterpret_cast<const char*>(&value), offsetof(T, crc)}, salt);
}

// Fills the rest of the data, when no record fits into it. No record has this length.
constexpr uint64_t kPad = ~uint64_t{0};

uint64_t load_word(const char* at) {
  uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

std::atomic_ref<uint64_t> atomic_at(char* at) {
  return std::atomic_ref<uint64_t>(*static_cast<uint64_t*>(static_cast<void*>(at)));
}

}  // namespace

base::Result<std::unique_ptr<Ring>> Ring::create(os::Files& files, const std::string& path,
                                                 const RingIdentity& identity, size_t data_bytes) {
  WEIR_ASSERT(data_bytes >= kDataBytesMin);
  auto file = files.map_new(path, kHeaderBytes + data_bytes / kPage * kPage);
  if (!file.ok()) {
    // A name that was taken is not ours to remove.
    if (file.error().code != base::ErrorCode::conflict) static_cast<void>(files.remove(path).ok());
    return file.error();
  }
  return std::make_unique<Ring>(std::move(file).value(), identity);
}

Ring::Ring(std::unique_ptr<os::MappedFile> file, RingIdentity identity)
    : identity_(std::move(identity)),
      file_(std::move(file)),
      guard_(file_->bytes()),
      data_(file_->bytes().subspan(kHeaderBytes)) {
  Header header{kMagic, kVersion, identity_.epoch, identity_.loop, identity_.salt, data_.size(), {},
                0,      0};
  const size_t boot_bytes = std::min(identity_.boot_id.size(), header.boot_id.size());
  std::memcpy(header.boot_id.data(), identity_.boot_id.data(), boot_bytes);
  header.crc = crc_of(header, 0);
  for (const size_t at : kHeaderAt)
    std::memcpy(file_->bytes().data() + at, &header, sizeof header);
}

uint64_t Ring::answered() const {
  return atomic_at(file_->bytes().data() + kAnsweredAt).load(std::memory_order_relaxed);
}

uint64_t Ring::used_bytes() const {
  // released_ first: committed_ is never below an earlier released_.
  const uint64_t released = released_.load(std::memory_order_relaxed);
  return committed_.load(std::memory_order_relaxed) - released;
}

char* RingWriter::begin() {
  if (ring_.guard_.failed()) return nullptr;
  const size_t capacity = ring_.data_.size();
  const size_t left = capacity - offset_;
  const size_t pad = left < kRecordBytesMax ? left : 0;
  if (position_ + pad + kRecordBytesMax - released_seen_ > capacity) {
    released_seen_ = ring_.released_.load(std::memory_order_acquire);
    if (position_ + pad + kRecordBytesMax - released_seen_ > capacity) return nullptr;
  }
  if (pad > 0) {
    // Told to the reader together with the record behind it.
    std::memcpy(ring_.data_.data() + offset_, &kPad, sizeof kPad);
    position_ += pad;
    offset_ = 0;
  }
  char* const record = ring_.data_.data() + offset_;
  // No commit word of an earlier lap may stand before a payload that is being written. A kill sees
  // this thread's stores in program order, so the compiler's order is all that matters: the release
  // store in commit_record() keeps everything above it.
  atomic_at(record).store(0, std::memory_order_relaxed);
  return record + kRecordHeaderBytes;
}

bool RingWriter::commit(size_t payload_bytes) {
  char* const record = ring_.data_.data() + offset_;
  const RecordPlace place{ring_.identity_.epoch, ring_.identity_.loop, RecordKind::event,
                          sequence_ + 1};
  const uint64_t word = seal_record(record, place, payload_bytes, ring_.identity_.salt);
  base::fault_point(kFaultBeforeCommit);
  commit_record(record, word);
  base::fault_point(kFaultAfterCommit);
  // Looked at after the last store: a SIGBUS in any of them means that the record is not whole.
  if (ring_.guard_.failed()) return false;
  ++sequence_;
  position_ += record_bytes(payload_bytes);
  offset_ += record_bytes(payload_bytes);
  if (offset_ == ring_.data_.size()) offset_ = 0;
  ring_.committed_.store(position_, std::memory_order_release);
  ring_.written_.store(sequence_, std::memory_order_relaxed);
  return true;
}

void RingWriter::answered() {
  // Only this loop writes it; atomic so that status may read it.
  atomic_at(ring_.file_->bytes().data() + kAnsweredAt)
      .store(++answered_, std::memory_order_relaxed);
}

std::optional<RingReader::Chunk> RingReader::next(size_t bytes_max) {
  WEIR_ASSERT(bytes_max >= kRecordBytesMax);
  const uint64_t committed = ring_.committed_.load(std::memory_order_acquire);
  const size_t capacity = ring_.data_.size();
  Chunk chunk;
  const char* begin = nullptr;
  while (position_ < committed) {
    const size_t offset = position_ % capacity;
    const size_t lap_left = capacity - offset;
    const size_t readable = std::min<uint64_t>(lap_left, committed - position_);
    const char* const at = ring_.data_.data() + offset;
    const auto record = parse_record({at, readable}, ring_.identity_.salt);
    const bool ours = record.has_value() && record->place.epoch == ring_.identity_.epoch &&
                      record->place.loop == ring_.identity_.loop &&
                      record->place.kind == RecordKind::event && record->place.sequence > sequence_;
    if (!ours) {
      if (begin != nullptr) break;  // Give what we have; come back here.
      const bool pad = load_word(at) == kPad && readable == lap_left;
      const size_t step = pad ? lap_left : kRecordAlignment;
      position_ += step;
      if (!pad && position_ > corrupt_through_) {
        corrupt_through_ = position_;
        corrupt_bytes_ += step;
      }
      continue;
    }
    if (begin == nullptr) {
      begin = at;
      chunk.first_sequence = record->place.sequence;
    } else if (at != begin + chunk.bytes.size() || chunk.bytes.size() + record->bytes > bytes_max) {
      break;  // The lap ended exactly here, or enough.
    }
    chunk.bytes = {begin, chunk.bytes.size() + record->bytes};
    chunk.last_sequence = sequence_ = record->place.sequence;
    ++chunk.records;
    position_ += record->bytes;
  }
  if (begin == nullptr) return std::nullopt;
  return chunk;
}

void RingReader::release() {
  released_sequence_ = sequence_;
  ring_.released_.store(position_, std::memory_order_release);
}

void RingReader::rewind() {
  sequence_ = released_sequence_;
  position_ = ring_.released_.load(std::memory_order_relaxed);  // This thread stored it.
}

void RingReader::mark_synced(const SyncMark& mark) {
  Mark stored{++marks_, mark.segment, mark.bytes, mark.sequence, 0, 0};
  stored.crc = crc_of(stored, ring_.identity_.salt);
  std::memcpy(ring_.file_->bytes().data() + kMarkAt[marks_ % 2], &stored, sizeof stored);
  // Nothing later may be stored before it: a kill after release() must find it.
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

base::Status RingReader::prefault(size_t bytes) {
  const size_t capacity = ring_.data_.size();
  const size_t offset = ring_.committed_.load(std::memory_order_relaxed) % capacity;
  const size_t first = std::min({bytes, capacity, capacity - offset});
  WEIR_TRY(ring_.file_->populate(Ring::kHeaderBytes + offset, first));
  const size_t rest = std::min(bytes, capacity) - first;
  // The header is written as often as the data and must be as ready.
  return ring_.file_->populate(0, Ring::kHeaderBytes + rest);
}

uint64_t RingReader::unread_bytes() const {
  return ring_.committed_.load(std::memory_order_relaxed) - position_;
}

base::Result<OldRing> read_old_ring(os::File& file) {
  std::array<char, Ring::kHeaderBytes> page{};
  const size_t got = WEIR_TRY(file.read_at(0, page));
  for (const size_t at : kHeaderAt) {
    Header header;
    std::memcpy(&header, page.data() + at, sizeof header);
    const bool valid = got == page.size() && header.magic == kMagic && header.version == kVersion &&
                       header.crc == crc_of(header, 0) && header.loop <= UINT16_MAX;
    if (!valid) continue;
    OldRing ring;
    ring.identity.epoch = header.epoch;
    ring.identity.loop = static_cast<uint16_t>(header.loop);
    ring.identity.salt = header.salt;
    ring.identity.boot_id.assign(header.boot_id.begin(),
                                 std::find(header.boot_id.begin(), header.boot_id.end(), '\0'));
    ring.data_bytes = header.data_bytes;
    ring.answered = load_word(page.data() + kAnsweredAt);
    uint64_t newest = 0;
    for (const size_t mark_at : kMarkAt) {
      Mark mark;
      std::memcpy(&mark, page.data() + mark_at, sizeof mark);
      if (mark.count <= newest || mark.crc != crc_of(mark, header.salt)) continue;
      newest = mark.count;
      ring.mark = {mark.segment, mark.bytes, mark.sequence};
    }
    return ring;
  }
  return base::Error{base::ErrorCode::corrupt, base::Origin::storage, base::Retry::never, 0,
                     "ring header"};
}

}  // namespace weir::traffic
