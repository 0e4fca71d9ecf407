#include "sketch/hyper_log_log.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "sketch/internal/bytes.h"

namespace weir::sketch {
namespace {

constexpr char kVersion = 1;
constexpr char kSparseForm = 0;
constexpr char kDenseForm = 1;

constexpr unsigned kRankBits = 6;
constexpr unsigned kTailBits = HyperLogLog::kSparsePrecision - HyperLogLog::kPrecision;  // 11
constexpr uint32_t kTailMask = (1U << kTailBits) - 1;
constexpr uint32_t kPrefixes = 1U << HyperLogLog::kSparsePrecision;
constexpr uint32_t kSparseRankMax = 64 - HyperLogLog::kSparsePrecision + 1;  // 40
constexpr size_t kSlotsMin = 4;
constexpr size_t kSlotsMax = HyperLogLog::kSparseMax / 3 * 4;
static_assert(kSlotsMax * sizeof(uint32_t) == HyperLogLog::kRegisters,
              "the largest sparse table is as large as the registers");
static_assert(HyperLogLog::kRankMax < (1U << kRankBits));

// Rank of the bits of `hash` after the first `skipped`.
uint8_t rank_after(uint64_t hash, unsigned skipped) {
  const uint64_t guard = uint64_t{1} << (skipped - 1);  // Ends the zeros after the last bit.
  return static_cast<uint8_t>(std::countl_zero((hash << skipped) | guard) + 1);
}

uint32_t entry_of(uint64_t hash) {
  const auto prefix = static_cast<uint32_t>(hash >> (64 - HyperLogLog::kSparsePrecision));
  const uint32_t rank =
      (prefix & kTailMask) == 0 ? rank_after(hash, HyperLogLog::kSparsePrecision) : 0;
  return prefix << kRankBits | rank;
}
uint32_t prefix_of(uint32_t entry) {
  return entry >> kRankBits;
}
uint32_t rank_of(uint32_t entry) {
  return entry & ((1U << kRankBits) - 1);
}

size_t slots_for(size_t entries) {
  return std::max(kSlotsMin, (entries * 4 + 2) / 3);
}

// In a function of its own, with pointers that say so: then compilers take many at a time.
void raise_all(uint8_t* __restrict ranks, const uint8_t* __restrict others) {
  for (size_t i = 0; i < HyperLogLog::kRegisters; ++i)
    ranks[i] = ranks[i] < others[i] ? others[i] : ranks[i];
}

// Ertl 2017, algorithm 6: what registers at 0 and at the highest rank contribute. Both series
// converge quadratically.
double sigma(double x) {
  if (x == 1) return std::numeric_limits<double>::infinity();
  double sum = x;
  double weight = 1;
  for (double before = -1; before != sum;) {
    before = sum;
    x *= x;
    sum += x * weight;
    weight += weight;
  }
  return sum;
}
double tau(double x) {
  if (x == 0 || x == 1) return 0;
  double sum = 1 - x;
  double weight = 1;
  for (double before = -1; before != sum;) {
    before = sum;
    x = std::sqrt(x);
    weight /= 2;
    sum -= (1 - x) * (1 - x) * weight;
  }
  return sum / 3;
}

}  // namespace

void HyperLogLog::add(uint64_t hash) {
  if (dense_) {
    raise(hash >> (64 - kPrecision), rank_after(hash, kPrecision));
  } else {
    insert(entry_of(hash));
  }
}

void HyperLogLog::merge(const HyperLogLog& other) {
  if (&other == this) return;
  if (other.dense_) {
    become_dense();
    raise_all(registers(), other.registers());
    return;
  }
  // Room first: entries that come in the order of their slots would pile up in a smaller table.
  if (!dense_ && !other.empty())
    reserve(slots_for(std::min<size_t>(entries_ + other.entries_, kSparseMax)));
  for (const uint32_t entry : other.words_) {
    if (entry == 0) continue;
    if (dense_) {
      raise(entry);
    } else {
      insert(entry);
    }
  }
}

// While sparse, collisions among the 25-bit prefixes are too few to correct for: 0.14 are expected
// at kSparseMax.
uint64_t HyperLogLog::estimate() const {
  if (!dense_) return entries_;
  std::array<uint32_t, kRankMax + 1> count{};
  const uint8_t* const ranks = registers();
  for (size_t i = 0; i < kRegisters; ++i)
    ++count[ranks[i]];
  constexpr auto kM = static_cast<double>(kRegisters);
  double sum = kM * tau(1 - count[kRankMax] / kM);
  for (size_t rank = kRankMax - 1; rank >= 1; --rank)
    sum = (sum + count[rank]) / 2;
  sum += kM * sigma(count[0] / kM);
  constexpr double kAlpha = 0.721347520444481703680;  // 1 / (2 ln 2)
  const double estimate = std::round(kAlpha * kM * kM / sum);
  constexpr double kBeyond = 18446744073709551616.0;  // 2^64
  return estimate < kBeyond ? static_cast<uint64_t>(estimate)
                            : std::numeric_limits<uint64_t>::max();
}

bool HyperLogLog::operator==(const HyperLogLog& other) const {
  if (dense_ != other.dense_ || entries_ != other.entries_) return false;
  if (dense_) return words_ == other.words_;
  return std::all_of(words_.begin(), words_.end(), [&](uint32_t entry) {
    return entry == 0 || other.words_[other.slot_of(entry)] == entry;
  });
}

// Requires sparse.
void HyperLogLog::insert(uint32_t entry) {
  if (words_.empty()) reserve(kSlotsMin);
  size_t slot = slot_of(entry);
  if (words_[slot] != 0) {
    words_[slot] = std::max(words_[slot], entry);
    return;
  }
  if (entries_ == words_.size() * 3 / 4) {
    if (entries_ == kSparseMax) {
      become_dense();
      return raise(entry);
    }
    reserve(std::min(words_.size() * 3 / 2, kSlotsMax));
    slot = slot_of(entry);
  }
  words_[slot] = entry;
  ++entries_;
}

// The slot that holds the prefix of `entry`, else the free one where it belongs.
size_t HyperLogLog::slot_of(uint32_t entry) const {
  // Fibonacci hashing: prefixes from a bad hash do not pile up either.
  const uint32_t mixed = prefix_of(entry) * 0x9e3779b1U;
  const uint32_t* const slots = words_.data();
  size_t slot = mixed * words_.size() >> 32U;
  while (slots[slot] != 0 && prefix_of(slots[slot]) != prefix_of(entry)) {
    if (++slot == words_.size()) slot = 0;
  }
  return slot;
}

void HyperLogLog::reserve(size_t slots) {
  if (slots <= words_.size()) return;
  std::vector<uint32_t> before(slots);
  before.swap(words_);
  for (const uint32_t entry : before) {
    if (entry != 0) words_[slot_of(entry)] = entry;
  }
}

void HyperLogLog::raise(uint32_t entry) {
  const uint32_t tail = prefix_of(entry) & kTailMask;
  const uint32_t rank = tail == 0 ? kTailBits + rank_of(entry)
                                  : kTailBits + 1 - static_cast<uint32_t>(std::bit_width(tail));
  raise(prefix_of(entry) >> kTailBits, static_cast<uint8_t>(rank));
}

void HyperLogLog::raise(size_t index, uint8_t rank) {
  uint8_t& at = registers()[index];
  at = std::max(at, rank);
}

void HyperLogLog::become_dense() {
  if (dense_) return;
  std::vector<uint32_t> before(kRegisters / sizeof(uint32_t));
  before.swap(words_);
  dense_ = true;
  entries_ = 0;
  for (const uint32_t entry : before) {
    if (entry != 0) raise(entry);
  }
}

std::vector<uint32_t> HyperLogLog::sorted_entries() const {
  std::vector<uint32_t> entries;
  entries.reserve(entries_);
  for (const uint32_t entry : words_) {
    if (entry != 0) entries.push_back(entry);
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

void HyperLogLog::encode(std::string& out) const {
  out.push_back(kVersion);
  out.push_back(dense_ ? kDenseForm : kSparseForm);
  if (dense_) return encode_registers(out);
  append_varint(out, entries_);
  uint32_t next = 0;  // The smallest prefix that can follow.
  for (const uint32_t entry : sorted_entries()) {
    append_varint(out, prefix_of(entry) - next);
    if (rank_of(entry) != 0) out.push_back(static_cast<char>(rank_of(entry)));
    next = prefix_of(entry) + 1;
  }
}

base::Result<HyperLogLog> HyperLogLog::decode(std::string_view bytes) {
  HyperLogLog sketch;
  if (!take_byte(bytes, kVersion)) return corrupt("HyperLogLog version");
  const bool good = take_byte(bytes, kDenseForm)    ? sketch.decode_registers(bytes)
                    : take_byte(bytes, kSparseForm) ? sketch.decode_entries(bytes)
                                                    : false;
  if (!good) return corrupt("HyperLogLog bytes");
  return sketch;
}

bool HyperLogLog::decode_entries(std::string_view bytes) {
  uint64_t count = 0;
  if (!codec::read_varint(bytes, count) || count > kSparseMax || count > bytes.size()) return false;
  if (count > 0) reserve(slots_for(count));
  uint64_t next = 0;
  for (; entries_ < count; ++entries_) {
    uint64_t gap = 0;
    if (!codec::read_varint(bytes, gap) || gap >= kPrefixes - next) return false;
    const auto prefix = static_cast<uint32_t>(next + gap);
    next = prefix + 1;
    uint32_t rank = 0;
    if ((prefix & kTailMask) == 0) {
      if (bytes.empty()) return false;
      rank = static_cast<uint8_t>(bytes.front());
      if (rank == 0 || rank > kSparseRankMax) return false;
      bytes.remove_prefix(1);
    }
    const uint32_t entry = prefix << kRankBits | rank;
    words_[slot_of(entry)] = entry;
  }
  return bytes.empty();
}

// Four registers of 6 bits in three bytes, the first in the lowest bits.
void HyperLogLog::encode_registers(std::string& out) const {
  const size_t before = out.size();
  out.resize(before + kRegisters * 6 / 8);
  char* to = out.data() + before;
  const uint8_t* const ranks = registers();
  for (size_t i = 0; i < kRegisters; i += 4) {
    uint32_t four = 0;
    for (size_t j = 0; j < 4; ++j)
      four |= static_cast<uint32_t>(ranks[i + j]) << (kRankBits * j);
    for (unsigned shift = 0; shift < 24; shift += 8)
      *to++ = static_cast<char>(static_cast<uint8_t>(four >> shift));
  }
}

bool HyperLogLog::decode_registers(std::string_view bytes) {
  if (bytes.size() != kRegisters * 6 / 8) return false;
  become_dense();
  const char* from = bytes.data();
  uint8_t* const ranks = registers();
  for (size_t i = 0; i < kRegisters; i += 4) {
    uint32_t four = 0;
    for (unsigned shift = 0; shift < 24; shift += 8)
      four |= static_cast<uint32_t>(static_cast<uint8_t>(*from++)) << shift;
    for (size_t j = 0; j < 4; ++j) {
      const auto rank = static_cast<uint8_t>(rank_of(four >> (kRankBits * j)));
      if (rank > kRankMax) return false;
      ranks[i + j] = rank;
    }
  }
  return true;
}

}  // namespace weir::sketch
