#pragma once
// How many distinct things were seen, in little memory: HyperLogLog with 2^14 registers.
//
// While there are few, it keeps the first 25 bits of every hash (sparse), and the answer is nearly
// always the exact number. Beyond kSparseMax it keeps one register for each value of the first 14
// bits: the highest rank seen, a rank being 1 + the number of leading zeros in the rest of the hash
// (dense).
//
// Everything that is stored is a pure function of the set of hashes added: the order of adds and
// merges, and how often a hash came, leave no trace. So a rebuilt sketch is the same byte for byte.
//
// Source: Heule, Nunkesser, Hall, "HyperLogLog in Practice" (2013), for the sparse form with its
// 25 bits; Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017,
// arXiv:1702.01284), algorithm 6, for the estimate: it needs no table of measured biases and no
// switch between formulas.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::sketch {

// Ownership: owns its memory; a value that can be copied and compared.
// Threading: one thread at a time.
// Limits: standard error of the estimate at most 0.02 % while sparse, 1.04 / sqrt(2^14) = 0.81 %
//   beyond, without bias. No heap memory while empty; at most 16 KiB. Encoded at most
//   kEncodedBytesMax bytes; sparse, 2 to 4 bytes for each entry.
class HyperLogLog {
 public:
  static constexpr unsigned kPrecision = 14;        // Bits that choose a register.
  static constexpr unsigned kSparsePrecision = 25;  // Bits kept while sparse.
  static constexpr size_t kRegisters = size_t{1} << kPrecision;
  static constexpr size_t kSparseMax = 3072;  // Distinct 25-bit prefixes; one more: dense.
  static constexpr uint8_t kRankMax = 64 - kPrecision + 1;
  static constexpr size_t kEncodedBytesMax = 2 + kRegisters * 6 / 8;

  // All 64 bits of `hash` must look independent and fair over the things that are counted, as the
  // first 8 bytes of an HMAC do. Numbers in sequence, FNV or std::hash of an integer do not; they
  // would need a finaliser first.
  void add(uint64_t hash);

  // Afterwards this is as if everything added to `other` had been added here too.
  void merge(const HyperLogLog& other);

  // The number of distinct hashes added, estimated. Turning dense may make it step back by the
  // error above. Takes about 10 us when dense.
  uint64_t estimate() const;

  bool empty() const { return !dense_ && entries_ == 0; }

  // This object and the heap memory behind it, without the allocator's own overhead.
  size_t memory_bytes() const { return sizeof(*this) + words_.capacity() * sizeof(uint32_t); }

  // Appends the canonical bytes, docs/formats/sketches.md.
  void encode(std::string& out) const;

  // Errors: corrupt (Origin::storage): `bytes` are not what encode() writes.
  static base::Result<HyperLogLog> decode(std::string_view bytes);

  // Whether both hold the same; then, and only then, their encodings are equal.
  bool operator==(const HyperLogLog& other) const;

 private:
  void insert(uint32_t entry);
  size_t slot_of(uint32_t entry) const;
  void reserve(size_t slots);
  void raise(uint32_t entry);
  void raise(size_t index, uint8_t rank);
  void become_dense();
  void encode_registers(std::string& out) const;
  bool decode_registers(std::string_view bytes);
  bool decode_entries(std::string_view bytes);
  std::vector<uint32_t> sorted_entries() const;
  const uint8_t* registers() const { return reinterpret_cast<const uint8_t*>(words_.data()); }
  uint8_t* registers() { return reinterpret_cast<uint8_t*>(words_.data()); }

  // Sparse: a hash table of entries with linear probing, at most 3/4 of the slots used; 0 is a free
  // slot. An entry is the 25-bit prefix in bits 6 to 30, and in bits 0
  // to 5, where the last 11 bits of the prefix are zero, the rank of the remaining 39 bits: only
  // then does the dense rank depend on them.
  // Dense: kRegisters bytes, one for each register.
  std::vector<uint32_t> words_;
  uint32_t entries_ = 0;  // Used slots; 0 when dense.
  bool dense_ = false;
};

}  // namespace weir::sketch
