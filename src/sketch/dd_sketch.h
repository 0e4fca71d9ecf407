#pragma once
// Percentiles of durations within 1 %, in little memory: a DDSketch over a fixed range.
//
// The values from 0 to kValueMax microseconds are divided into kBuckets buckets, each with one
// value that stands for all of it, and the sketch counts how many values fell into each bucket.
// Counts are exact integers, so merging is adding, and everything that is stored is a pure function
// of the multiset of bucketed values: a rebuilt sketch is the same byte for byte.
//
// The buckets come from integers alone, so every machine, compiler and libm agrees on them. Bucket
// 0 is {0}. After it, a bucket that starts at `low` is represented by r = low + floor(low / 100),
// the largest integer within 1 % above `low`, and reaches up to floor(100 r / 99), the largest
// integer that r is within 1 % of. Up to 98 us each value therefore has its own bucket; then they
// grow by 2 %. A table made at compile time leads from the highest 7 bits of a value to the only
// two buckets it can be in.
//
// Source: Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch" (2019,
// arXiv:1908.10693); the integer buckets are our own.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::sketch {

// Ownership: owns its memory; a value that can be copied and compared.
// Threading: one thread at a time.
// Limits: values over kValueMax (about 40 hours) are counted in the last bucket, as if they were
//   kValueMax. Counts stop at 2^64 - 1. No heap memory while empty; 18 to 144 bytes (as the largest
//   count needs 1, 2, 4 or 8) for each of at most 64 groups of 18 neighbouring buckets in use.
//   Encoded, 1 byte or a few for each bucket in use.
class DdSketch {
 public:
  static constexpr size_t kBuckets = 1152;
  static constexpr uint64_t kValueMax = 144'956'411'071;  // Microseconds.

  // Counts `us` microseconds `count` times; a count of 0 leaves no trace.
  void add(uint64_t us, uint64_t count = 1);

  // Afterwards this is as if everything added to `other` had been added here too.
  void merge(const DdSketch& other);

  // How many values were added.
  uint64_t count() const { return count_; }
  bool empty() const { return count_ == 0; }

  // The value, within 1 %, that has `rank` (0: the smallest) among all in ascending order; 0 when
  // empty. Ranks of count() and above mean the largest.
  uint64_t at_rank(uint64_t rank) const;

  // at_rank(floor(q * (count() - 1))): the `q` quantile. A product that is an integer but for the
  // rounding of `q` to a double counts as that integer.
  // Requires 0 <= q <= 1.
  uint64_t quantile(double q) const;

  // This object and the heap memory behind it, without the allocator's own overhead.
  size_t memory_bytes() const { return sizeof(*this) + counters_.capacity(); }

  // Appends the canonical bytes, docs/formats/sketches.md.
  void encode(std::string& out) const;

  // Errors: corrupt (Origin::storage): `bytes` are not what encode() writes.
  static base::Result<DdSketch> decode(std::string_view bytes);

  // Whether both hold the same; then, and only then, their encodings are equal.
  bool operator==(const DdSketch&) const = default;

 private:
  void add_at(size_t place, uint64_t count);
  size_t place_of(size_t bucket) const;
  uint64_t load(size_t place) const;
  void store(size_t place, uint64_t count);
  void reshape(uint64_t groups, uint8_t width);
  template <typename Visit>
  void for_each(Visit visit) const;

  // All four are functions of the content alone, so comparing them compares the content.
  uint64_t groups_ = 0;  // Bit g: some bucket of group g is in use, so the group has counters.
  uint64_t count_ = 0;
  std::vector<uint8_t> counters_;  // Of the groups in use, in order, `width_` bytes each.
  uint8_t width_ = 1;              // 1, 2, 4 or 8: the smallest that holds the largest count.
};

}  // namespace weir::sketch
