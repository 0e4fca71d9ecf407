#pragma once
// The form that all images share (docs/formats/state.md): a head with kind, version and generation,
// a body, a checksum. Readers accept only what writers write, so that no two images mean the same.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/thread_annotations.h"

namespace weir::state::internal {

enum class Kind : uint8_t { counter = 1, traffic_monitor = 2, client_paths = 3 };

// Counts beyond this are no counts: with it, adding events to a restored count cannot overflow.
inline constexpr uint64_t kCountMax = uint64_t{1} << 62U;

// Threading: one thread at a time.
class Writer {
 public:
  Writer(Kind kind, uint8_t version, uint64_t generation);

  void byte(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void number(uint64_t value);
  void signed_number(int64_t value);
  void fixed(uint64_t value);  // 8 bytes, least significant first.
  void text(std::string_view value);

  std::string finish() &&;

 private:
  std::string out_;
};

// Reads what a Writer wrote. After the first mistake all reads give zeros, and complete() an error;
// so a decoder reads on and asks once, but checks ok() in its loops.
// Threading: one thread at a time.
class Reader {
 public:
  Reader(std::string_view bytes WEIR_LIFETIMEBOUND, Kind kind, uint8_t version);

  uint8_t byte();
  uint64_t number(uint64_t max = UINT64_MAX);
  int64_t signed_number();
  uint64_t fixed();
  std::string_view text(size_t bytes_max) WEIR_LIFETIMEBOUND;

  // What the caller found to be impossible.
  void expect(bool condition) { ok_ = ok_ && condition; }

  bool ok() const { return ok_; }
  uint64_t generation() const { return generation_; }

  // Errors: corrupt, if anything was wrong or bytes are left.
  base::Status complete() const;

 private:
  std::string_view in_;
  bool ok_ = true;
  uint64_t generation_ = 0;
};

}  // namespace weir::state::internal
