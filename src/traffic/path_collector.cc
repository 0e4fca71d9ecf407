#include "traffic/path_collector.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/assert.h"
#include "base/fault_point.h"
#include "codec/crc32c.h"

namespace weir::traffic {
namespace {

constexpr std::array<char, 8> kMagic = {'W', 'E', 'I', 'R', 'P', 'A', 'T', 'H'};
constexpr uint32_t kVersion = 1;
constexpr size_t kPage = 4096;
constexpr size_t kHeaderBytes = kPage;
constexpr std::array<size_t, 2> kHeaderAt = {0, 2048};
constexpr size_t kSyncedAt = 1024;
constexpr uint64_t kSyncedWord = 0x5745495253594e43U;
constexpr size_t kOtherSlots = 2 * PathCollector::kOtherHours;  // By reason.
constexpr size_t kProbesMax = 64;
constexpr uint32_t kSlotsMax = 1U << 24U;
constexpr uint32_t kTextBytesMax = 1U << 30U;

// docs/formats/path_collector.md. Integers are little-endian.
struct Header {
  std::array<char, 8> magic;
  uint32_t version;
  uint32_t epoch;
  uint32_t loop;
  uint32_t slots;
  uint32_t text_bytes;
  uint32_t zero;
  std::array<char, 40> boot_id;
  uint32_t crc;  // Of everything above.
  uint32_t zero_too;
};
static_assert(sizeof(Header) == 80);

struct Slot {
  uint64_t hash;
  int64_t hour;
  uint32_t text_offset;
  uint16_t text_bytes;
  uint8_t why;
  uint8_t used;
  uint64_t requests;
  uint64_t errors;
  uint64_t duration_us_sum;
  uint64_t bytes_in;
  uint64_t bytes_out;
};
static_assert(sizeof(Slot) == 64);

struct SideHeader {
  uint64_t generation;  // 0: free.
  uint64_t requests;    // Counted in this side, all rows together.
  uint32_t slots_used;
  uint32_t slots_used_unrouted;  // Part of slots_used.
  uint32_t text_used;
  uint32_t text_used_unrouted;  // Part of text_used.
  std::array<uint64_t, 4> zero;
};
static_assert(sizeof(SideHeader) == 64);

uint32_t crc_of(const Header& header) {
  return codec::crc32c({reinterpret_cast<const char*>(&header), offsetof(Header, crc)});
}

size_t side_bytes(const CollectorSize& size) {
  const size_t bytes =
      sizeof(SideHeader) + (kOtherSlots + size.slots) * sizeof(Slot) + size.text_bytes;
  return (bytes + kPage - 1) / kPage * kPage;
}

size_t file_bytes(const CollectorSize& size) {
  return kHeaderBytes + PathCollector::kSides * side_bytes(size);
}

// Eight bytes at a time through a 64 by 64 bit multiplication, folded. Good enough against chance
// and, with a secret, against clients; collisions cost probes, never correctness.
uint64_t hash_of(std::string_view text, uint64_t hour_and_why, uint64_t secret) {
  __extension__ using Wide = unsigned __int128;
  const auto fold = [](uint64_t a, uint64_t b) {
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64U);
  };
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15U;
  uint64_t hash = fold(hour_and_why ^ secret, kOdd) ^ text.size();
  while (!text.empty()) {
    uint64_t word = 0;
    const size_t step = std::min(sizeof word, text.size());
    std::memcpy(&word, text.data(), step);
    text.remove_prefix(step);
    hash = fold(hash ^ word ^ secret, kOdd ^ (secret << 1U)) + word;
  }
  return fold(hash, secret | 1U);
}

// The parts of one side in memory; shared by the live collector and the reader of old files.
struct SideParts {
  SideHeader* header;
  std::span<Slot> others;
  std::span<Slot> slots;
  std::span<char> text;
};

SideParts parts_of(char* at, const CollectorSize& size) {
  auto* const header = static_cast<SideHeader*>(static_cast<void*>(at));
  at += sizeof(SideHeader);
  auto* const slots = static_cast<Slot*>(static_cast<void*>(at));
  at += (kOtherSlots + size.slots) * sizeof(Slot);
  return {header, {slots, kOtherSlots}, {slots + kOtherSlots, size.slots}, {at, size.text_bytes}};
}

PathTotals totals_of(const Slot& slot, std::string_view path) {
  return {std::string{path},
          slot.hour,
          slot.why == static_cast<uint8_t>(PathCollector::Why::totals_only),
          slot.requests,
          slot.errors,
          slot.duration_us_sum,
          slot.bytes_in,
          slot.bytes_out};
}

// Everything a side holds. What cannot be (a text outside the side) is left out: the bytes may come
// from a file that anything happened to.
CollectedSide collect(const SideParts& parts) {
  CollectedSide side;
  side.generation = parts.header->generation;
  for (const Slot& slot : parts.slots) {
    if (slot.used != 1 || slot.requests == 0) continue;
    if (slot.text_offset > parts.text.size()) continue;
    if (slot.text_bytes > parts.text.size() - slot.text_offset) continue;
    side.rows.push_back(totals_of(slot, {parts.text.data() + slot.text_offset, slot.text_bytes}));
  }
  for (const Slot& slot : parts.others) {
    if (slot.used == 1 && slot.requests > 0) side.rows.push_back(totals_of(slot, kOtherPath));
  }
  return side;
}

// A kill sees this thread's stores in program order; the compiler must keep it.
void keep_order() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

void tally(Slot& slot, const Event& event) {
  ++slot.requests;
  if (event.is_error()) ++slot.errors;
  slot.duration_us_sum += event.duration_us;
  slot.bytes_in += event.bytes_in;
  slot.bytes_out += event.bytes_out;
}

// The `__other__` row of the hour, or, when all are taken, the nearest one.
Slot& other_slot(std::span<Slot> others, int64_t hour, uint8_t why) {
  const std::span<Slot> rows =
      others.subspan(why * PathCollector::kOtherHours, PathCollector::kOtherHours);
  const auto distance = [hour](const Slot& slot) {
    const auto a = static_cast<uint64_t>(slot.hour);
    const auto b = static_cast<uint64_t>(hour);
    return slot.hour > hour ? a - b : b - a;
  };
  Slot* nearest = rows.data();
  for (Slot& slot : rows) {
    if (slot.used != 1) {
      slot.hour = hour;
      slot.why = why;
      keep_order();
      slot.used = 1;
      return slot;
    }
    if (slot.hour == hour) return slot;
    if (distance(slot) < distance(*nearest)) nearest = &slot;
  }
  return *nearest;
}

// The slot of (path, hour, why), a new one if there is place, or nullptr.
Slot* find_slot(const SideParts& parts, std::string_view path, int64_t hour, uint8_t why,
                bool unrouted, uint64_t secret) {
  const uint64_t hash = hash_of(path, static_cast<uint64_t>(hour) << 1U | why, secret);
  const size_t mask = parts.slots.size() - 1;
  SideHeader& header = *parts.header;
  for (size_t probe = 0; probe < kProbesMax; ++probe) {
    Slot& slot = parts.slots[(hash + probe) & mask];
    if (slot.used == 1) {
      if (slot.hash == hash && slot.hour == hour && slot.why == why &&
          std::string_view{parts.text.data() + slot.text_offset, slot.text_bytes} == path) {
        return &slot;
      }
      continue;
    }
    const auto text_bytes = static_cast<uint32_t>(path.size());
    const bool fits =
        header.slots_used < parts.slots.size() / 4 * 3 &&
        text_bytes <= parts.text.size() - header.text_used &&
        (!unrouted || (header.slots_used_unrouted < parts.slots.size() / 4 &&
                       header.text_used_unrouted + text_bytes <= parts.text.size() / 4));
    if (!fits) return nullptr;
    if (!path.empty()) {
      std::memcpy(parts.text.data() + header.text_used, path.data(), path.size());
    }
    slot.hash = hash;
    slot.hour = hour;
    slot.text_offset = header.text_used;
    slot.text_bytes = static_cast<uint16_t>(path.size());
    slot.why = why;
    keep_order();
    slot.used = 1;
    ++header.slots_used;
    header.text_used += text_bytes;
    if (unrouted) {
      ++header.slots_used_unrouted;
      header.text_used_unrouted += text_bytes;
    }
    return &slot;
  }
  return nullptr;
}

int64_t hour_of(int64_t arrival_us) {
  constexpr int64_t kUsPerHour = 3'600'000'000;
  return arrival_us / kUsPerHour - (arrival_us % kUsPerHour < 0 ? 1 : 0);
}

std::atomic_ref<uint64_t> requests_of(SideHeader& header) {
  return std::atomic_ref<uint64_t>(header.requests);
}

}  // namespace

base::Result<std::unique_ptr<PathCollector>> PathCollector::create(
    os::Files& files, const std::string& path, const CollectorIdentity& identity,
    const CollectorSize& size) {
  WEIR_ASSERT(size.slots >= 64 && size.slots <= kSlotsMax && (size.slots & (size.slots - 1)) == 0);
  WEIR_ASSERT(size.text_bytes <= kTextBytesMax && size.text_bytes % 8 == 0);
  auto file = files.map_new(path, file_bytes(size));
  if (!file.ok()) {
    if (file.error().code != base::ErrorCode::conflict) static_cast<void>(files.remove(path).ok());
    return file.error();
  }
  return std::make_unique<PathCollector>(std::move(file).value(), identity, size);
}

PathCollector::PathCollector(std::unique_ptr<os::MappedFile> file,
                             const CollectorIdentity& identity, const CollectorSize& size)
    : identity_(identity), size_(size), file_(std::move(file)), guard_(file_->bytes()) {
  Header header{
      kMagic, kVersion, identity_.epoch, identity_.loop, size_.slots, size_.text_bytes, 0, {},
      0,      0};
  const size_t boot_bytes = std::min(identity_.boot_id.size(), header.boot_id.size());
  std::memcpy(header.boot_id.data(), identity_.boot_id.data(), boot_bytes);
  header.crc = crc_of(header);
  for (const size_t at : kHeaderAt)
    std::memcpy(file_->bytes().data() + at, &header, sizeof header);
  parts_of(side_at(0), size_).header->generation = ++generation_;
}

PathCollector::~PathCollector() = default;

char* PathCollector::side_at(size_t index) const {
  return file_->bytes().data() + kHeaderBytes + index * side_bytes(size_);
}

void PathCollector::count(const Event& event, std::string_view path, Why why) {
  path = path.substr(0, Event::kPathBytesMax);
  const auto reason = static_cast<uint8_t>(why);
  const bool unrouted = (event.flags & EventFlag::kUnrouted) != 0;
  const int64_t hour = hour_of(event.arrival_us);

  const uint64_t entry = entries_.load(std::memory_order_relaxed) + 1;  // Ours alone to write.
  entries_.store(entry, std::memory_order_seq_cst);
  const SideParts parts = parts_of(side_at(active_.load(std::memory_order_seq_cst)), size_);
  Slot* const slot = find_slot(parts, path, hour, reason, unrouted, identity_.secret);
  base::fault_point(kFaultBeforeCount);
  tally(slot != nullptr ? *slot : other_slot(parts.others, hour, reason), event);
  const auto requests = requests_of(*parts.header);
  requests.store(requests.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  base::fault_point(kFaultAfterCount);
  entries_.store(entry + 1, std::memory_order_release);

  auto& counted = counted_[reason];
  counted.store(counted.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

bool PathCollector::try_swap() {
  const uint32_t active = active_.load(std::memory_order_relaxed);  // This thread stores it.
  const uint32_t other = 1 - active;
  if (closing_) {
    const uint64_t now = entries_.load(std::memory_order_acquire);
    if (closing_entries_ % 2 != 0 && now == closing_entries_) return false;
    closing_ = false;
    closed_[other].store(true, std::memory_order_release);
    return true;
  }
  if (closed_[other].load(std::memory_order_acquire)) return false;
  if (requests_of(*parts_of(side_at(active), size_).header).load(std::memory_order_relaxed) == 0) {
    return false;
  }
  parts_of(side_at(other), size_).header->generation = ++generation_;
  active_.store(other, std::memory_order_seq_cst);
  closing_entries_ = entries_.load(std::memory_order_seq_cst);
  closing_ = true;
  return try_swap();  // NOLINT(misc-no-recursion): once; the loop is rarely inside.
}

bool PathCollector::closed() const {
  return closed_[0].load(std::memory_order_acquire) || closed_[1].load(std::memory_order_acquire);
}

CollectedSide PathCollector::closed_side() const {
  for (size_t i = 0; i < kSides; ++i) {
    if (closed_[i].load(std::memory_order_acquire)) return collect(parts_of(side_at(i), size_));
  }
  return {};
}

void PathCollector::release(uint64_t generation) {
  for (size_t i = 0; i < kSides; ++i) {
    const SideParts parts = parts_of(side_at(i), size_);
    if (!closed_[i].load(std::memory_order_acquire)) continue;
    if (parts.header->generation != generation) continue;
    // The generation first: a side that is half empty when we are killed must not look whole.
    parts.header->generation = 0;
    keep_order();
    std::memset(side_at(i), 0, side_bytes(size_));
    closed_[i].store(false, std::memory_order_release);
    return;
  }
}

void PathCollector::mark_synced() {
  std::memcpy(file_->bytes().data() + kSyncedAt, &kSyncedWord, sizeof kSyncedWord);
}

base::Result<OldCollector> read_old_collector(os::File& file) {
  constexpr auto kCorrupt = [](base::StaticText what) {
    return base::Error{base::ErrorCode::corrupt, base::Origin::storage, base::Retry::never, 0,
                       what};
  };
  alignas(8) std::array<char, kHeaderBytes> page{};
  const size_t got = WEIR_TRY(file.read_at(0, page));
  std::optional<Header> found;
  for (const size_t at : kHeaderAt) {
    Header header;
    std::memcpy(&header, page.data() + at, sizeof header);
    if (got == page.size() && header.magic == kMagic && header.version == kVersion &&
        header.crc == crc_of(header) && header.loop <= UINT16_MAX && header.slots >= 64 &&
        header.slots <= kSlotsMax && (header.slots & (header.slots - 1)) == 0 &&
        header.text_bytes <= kTextBytesMax && header.text_bytes % 8 == 0) {
      found = header;
      break;
    }
  }
  if (!found.has_value()) return kCorrupt("path collector header");

  OldCollector old;
  old.identity.epoch = found->epoch;
  old.identity.loop = static_cast<uint16_t>(found->loop);
  old.identity.boot_id.assign(found->boot_id.begin(),
                              std::find(found->boot_id.begin(), found->boot_id.end(), '\0'));
  old.synced = std::memcmp(page.data() + kSyncedAt, &kSyncedWord, sizeof kSyncedWord) == 0;
  const CollectorSize size{found->slots, found->text_bytes};
  if (WEIR_TRY(file.size()) != file_bytes(size)) return kCorrupt("path collector size");
  std::vector<char> bytes(side_bytes(size));
  for (size_t i = 0; i < PathCollector::kSides; ++i) {
    const uint64_t offset = kHeaderBytes + i * bytes.size();
    if (WEIR_TRY(file.read_at(offset, bytes)) != bytes.size()) {
      return kCorrupt("path collector size");
    }
    CollectedSide side = collect(parts_of(bytes.data(), size));
    if (side.generation > 0 && !side.rows.empty()) old.sides.push_back(std::move(side));
  }
  std::sort(old.sides.begin(), old.sides.end(),
            [](const auto& a, const auto& b) { return a.generation < b.generation; });
  return old;
}

}  // namespace weir::traffic
