#include "sketch/dd_sketch.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/assert.h"
#include "sketch/internal/bytes.h"

namespace weir::sketch {
namespace {

constexpr char kVersion = 1;
constexpr size_t kGroupBuckets = 18;
static_assert(DdSketch::kBuckets == 64 * kGroupBuckets, "one bit of a word for each group");

constexpr uint64_t representative_of(uint64_t low) {
  return low + low / 100;
}

// The largest value of each bucket.
constexpr std::array<uint64_t, DdSketch::kBuckets> make_highs() {
  std::array<uint64_t, DdSketch::kBuckets> highs{};
  for (size_t bucket = 1; bucket < highs.size(); ++bucket)
    highs[bucket] = 100 * representative_of(highs[bucket - 1] + 1) / 99;
  return highs;
}
constexpr auto kHighs = make_highs();
static_assert(kHighs.back() == DdSketch::kValueMax);

// Values that agree in their highest kSlotBits bits share a slot, which is at most 1/64 of its
// values wide: narrower than any bucket, so that it meets two buckets at most.
constexpr unsigned kSlotBits = 7;
constexpr uint64_t kHalf = uint64_t{1} << (kSlotBits - 1);
constexpr size_t slot_of(uint64_t value) {
  const auto shift = static_cast<unsigned>(std::bit_width(value | kHalf)) - kSlotBits;
  return shift * kHalf + (value >> shift);
}
constexpr uint64_t slot_low(size_t slot) {
  const size_t shift = slot < 2 * kHalf ? 0 : slot / kHalf - 1;
  return (slot - shift * kHalf) << shift;
}

// The lower of the two buckets of each slot.
constexpr size_t kSlots = slot_of(DdSketch::kValueMax) + 1;
constexpr std::array<uint16_t, kSlots> make_first_buckets() {
  std::array<uint16_t, kSlots> first{};
  uint16_t bucket = 0;
  for (size_t slot = 0; slot < kSlots; ++slot) {
    while (kHighs[bucket] < slot_low(slot))
      ++bucket;
    first[slot] = bucket;
  }
  return first;
}
constexpr auto kFirstBuckets = make_first_buckets();

constexpr bool every_slot_meets_two_buckets_at_most() {
  for (size_t slot = 0; slot + 1 < kSlots; ++slot) {
    const size_t next = kFirstBuckets[slot] + 1U;
    if (next < kHighs.size() && kHighs[next] < slot_low(slot + 1) - 1) return false;
  }
  return true;
}
static_assert(every_slot_meets_two_buckets_at_most());

size_t bucket_of(uint64_t us) {
  const uint64_t value = std::min(us, DdSketch::kValueMax);
  const size_t bucket = kFirstBuckets[slot_of(value)];
  return bucket + static_cast<size_t>(value > kHighs[bucket]);
}

uint64_t value_of(size_t bucket) {
  return bucket == 0 ? 0 : representative_of(kHighs[bucket - 1] + 1);
}

uint8_t width_for(uint64_t count) {
  return count <= 0xff ? 1 : count <= 0xffff ? 2 : count <= 0xffff'ffff ? 4 : 8;
}

// std::popcount() is a call into a table where the baseline of the processor has no instruction.
size_t bits_set(uint64_t word) {
  word -= (word >> 1U) & 0x5555'5555'5555'5555U;
  word = (word & 0x3333'3333'3333'3333U) + ((word >> 2U) & 0x3333'3333'3333'3333U);
  word = (word + (word >> 4U)) & 0x0f0f'0f0f'0f0f'0f0fU;
  return word * 0x0101'0101'0101'0101U >> 56U;
}

template <typename Counter>
uint64_t load_as(const uint8_t* from) {
  Counter counter = 0;
  std::memcpy(&counter, from, sizeof counter);
  return counter;
}
template <typename Counter>
void store_as(uint8_t* to, uint64_t count) {
  const auto counter = static_cast<Counter>(count);
  std::memcpy(to, &counter, sizeof counter);
}

// Calls visit(bucket, count) for each bucket in `bytes`, in order. False when the bytes are not
// what encode() writes, of which `visit` may have seen a part.
template <typename Visit>
bool scan(std::string_view bytes, Visit visit) {
  uint64_t used = 0;
  if (!codec::read_varint(bytes, used) || used > DdSketch::kBuckets) return false;
  uint64_t next = 0;  // The smallest bucket that can follow.
  for (; used > 0; --used) {
    uint64_t gap_and_form = 0;
    if (!codec::read_varint(bytes, gap_and_form)) return false;
    const uint64_t gap = gap_and_form >> 1U;
    if (gap >= DdSketch::kBuckets - next) return false;
    uint64_t count = 1;
    if ((gap_and_form & 1U) != 0) {
      if (!codec::read_varint(bytes, count)) return false;
      if (count > std::numeric_limits<uint64_t>::max() - 2) return false;
      count += 2;
    }
    visit(next + gap, count);
    next += gap + 1;
  }
  return bytes.empty();
}

}  // namespace

void DdSketch::add(uint64_t us, uint64_t count) {
  if (count == 0) return;
  const size_t bucket = bucket_of(us);
  const uint64_t group = uint64_t{1} << (bucket / kGroupBuckets);
  if ((groups_ & group) == 0) reshape(groups_ | group, width_);
  add_at(place_of(bucket), count);
  count_ = saturating_sum(count_, count);
}

void DdSketch::merge(const DdSketch& other) {
  const uint64_t count = saturating_sum(count_, other.count_);
  reshape(groups_ | other.groups_, std::max(width_, other.width_));
  size_t from = 0;
  for (uint64_t groups = other.groups_; groups != 0; groups &= groups - 1) {
    const size_t to = place_of(static_cast<size_t>(std::countr_zero(groups)) * kGroupBuckets);
    for (size_t i = 0; i < kGroupBuckets; ++i) {
      // Read before it is written, so `other` may be this sketch.
      if (const uint64_t more = other.load(from++); more != 0) add_at(to + i, more);
    }
  }
  count_ = count;
}

uint64_t DdSketch::at_rank(uint64_t rank) const {
  if (count_ == 0) return 0;
  if (rank >= count_ - 1) rank = std::numeric_limits<uint64_t>::max();  // Even if counts stopped.
  uint64_t value = 0;
  uint64_t below = 0;
  for_each([&](size_t bucket, uint64_t count) {
    if (below <= rank) value = value_of(bucket);
    below = saturating_sum(below, count);
  });
  return value;
}

uint64_t DdSketch::quantile(double q) const {
  WEIR_ASSERT(q >= 0 && q <= 1);
  if (count_ == 0) return 0;
  const auto last = static_cast<double>(count_ - 1);
  const double exact = q * last;
  const double nearest = std::round(exact);
  const double rounding = exact * 0x1p-50;
  const double rank = std::abs(exact - nearest) <= rounding ? nearest : std::floor(exact);
  return at_rank(rank < last ? static_cast<uint64_t>(rank) : count_ - 1);
}

void DdSketch::encode(std::string& out) const {
  size_t used = 0;
  for_each([&](size_t, uint64_t) { ++used; });
  out.push_back(kVersion);
  append_varint(out, used);
  size_t next = 0;
  for_each([&](size_t bucket, uint64_t count) {
    const uint64_t gap = bucket - next;
    append_varint(out, gap << 1U | static_cast<uint64_t>(count > 1));
    if (count > 1) append_varint(out, count - 2);
    next = bucket + 1;
  });
}

base::Result<DdSketch> DdSketch::decode(std::string_view bytes) {
  if (!take_byte(bytes, kVersion)) return corrupt("DDSketch version");
  DdSketch sketch;
  uint64_t groups = 0;
  uint64_t largest = 0;
  const bool good = scan(bytes, [&](size_t bucket, uint64_t count) {
    groups |= uint64_t{1} << (bucket / kGroupBuckets);
    largest = std::max(largest, count);
    sketch.count_ = saturating_sum(sketch.count_, count);
  });
  if (!good) return corrupt("DDSketch bytes");
  sketch.reshape(groups, width_for(largest));
  scan(bytes, [&](size_t bucket, uint64_t count) { sketch.store(sketch.place_of(bucket), count); });
  return sketch;
}

void DdSketch::add_at(size_t place, uint64_t count) {
  const uint64_t sum = saturating_sum(load(place), count);
  if (const uint8_t width = width_for(sum); width > width_) reshape(groups_, width);
  store(place, sum);
}

// Where the counter of `bucket` is, whose group must have counters.
size_t DdSketch::place_of(size_t bucket) const {
  const uint64_t group = uint64_t{1} << (bucket / kGroupBuckets);
  return bits_set(groups_ & (group - 1)) * kGroupBuckets + bucket % kGroupBuckets;
}

uint64_t DdSketch::load(size_t place) const {
  const uint8_t* const from = counters_.data() + place * width_;
  switch (width_) {
    case 1:
      return *from;
    case 2:
      return load_as<uint16_t>(from);
    case 4:
      return load_as<uint32_t>(from);
    default:
      return load_as<uint64_t>(from);
  }
}

void DdSketch::store(size_t place, uint64_t count) {
  uint8_t* const to = counters_.data() + place * width_;
  switch (width_) {
    case 1:
      *to = static_cast<uint8_t>(count);
      break;
    case 2:
      store_as<uint16_t>(to, count);
      break;
    case 4:
      store_as<uint32_t>(to, count);
      break;
    default:
      store_as<uint64_t>(to, count);
      break;
  }
}

// Gives counters of `width` bytes to `groups`, which must include those in use. Allocates exactly
// what is needed: this happens at most 64 + 3 times in a sketch's life.
void DdSketch::reshape(uint64_t groups, uint8_t width) {
  if (groups == groups_ && width == width_) return;
  DdSketch shaped;
  shaped.groups_ = groups;
  shaped.count_ = count_;
  shaped.width_ = width;
  shaped.counters_.resize(bits_set(groups) * kGroupBuckets * width);
  for_each([&](size_t bucket, uint64_t count) { shaped.store(shaped.place_of(bucket), count); });
  *this = std::move(shaped);
}

// Calls visit(bucket, count) for each bucket in use, in order.
template <typename Visit>
void DdSketch::for_each(Visit visit) const {
  size_t place = 0;
  for (uint64_t groups = groups_; groups != 0; groups &= groups - 1) {
    const size_t first = static_cast<size_t>(std::countr_zero(groups)) * kGroupBuckets;
    for (size_t i = 0; i < kGroupBuckets; ++i, ++place) {
      if (const uint64_t count = load(place); count != 0) visit(first + i, count);
    }
  }
}

}  // namespace weir::sketch
