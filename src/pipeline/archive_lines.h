#pragma once
// Objects of lines in gzip members, with their index beside them: the form of everything in the
// archive. docs/formats/archive.md.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "codec/gzip.h"
#include "codec/sha256.h"
#include "objects/objects.h"

namespace weir::pipeline {

// Of an object that is not, or is no longer, what was written.
inline constexpr base::Error kDamaged{base::ErrorCode::corrupt, base::Origin::storage,
                                      base::Retry::with_backoff, 0, "archive object"};

struct Lines {
  uint64_t raw_bytes = 0;  // Of the lines.
  uint64_t bytes = 0;      // Of the object.
  codec::Digest raw_sha256{};
};

// Ownership: owns an upload to a store that outlives it; without finish() nothing is written.
// Threading: one thread at a time.
// Limits: memory of one gzip member and one part of an upload.
class LinesWriter {
 public:
  // Errors: those of the store.
  static base::Result<LinesWriter> start(objects::Store& store, const std::string& key,
                                         const objects::PutOptions& options);

  // A whole line, '\n' included. Errors: those of the store; then the writer can only be destroyed.
  base::Status append(std::string_view line);
  // The object is durable, and its index. Errors: those of the store. Once.
  base::Result<Lines> finish();

 private:
  struct State;
  explicit LinesWriter(std::unique_ptr<State> state);

 public:
  LinesWriter(LinesWriter&& other) noexcept;
  ~LinesWriter();

 private:
  std::unique_ptr<State> state_;  // In one place: the compressor points to it.
};

// Streams an object's lines, without their '\n', to `each`; an error from it ends the reading.
// What was read is to be believed only when this has returned ok. Errors: corrupt: it is damaged,
// or no object of lines; those of the store.
base::Result<Lines> read_lines(objects::Store& store, const std::string& key,
                               const std::function<base::Status(std::string_view)>& each);

}  // namespace weir::pipeline
