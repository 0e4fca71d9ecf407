#pragma once
// Streams of gzip members, for archives that are written once, read from any member on, and must
// show every flipped bit.
//
// The writer cuts its input into members of bounded size, at the ends of rows, and says where each
// one lies, so that a reader can start at any of them. Every gzip program reads the result (RFC
// 1952 lets members follow one another). Plain gzip is not enough to find every damage: nothing
// checks its header or the padding bits, and a match that points elsewhere may copy the same bytes.
// So each member carries, in an extra field that other programs skip, its length and a CRC32C over
// all of it (docs/formats/gzip.md). The reader demands that field: it reads what the writer writes,
// and nothing else.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct z_stream_s;

namespace weir::codec {

// Where one member lies: in the bytes that went in, and in those that came out.
struct GzipMember {
  uint64_t raw_offset = 0;
  uint64_t raw_bytes = 0;
  uint64_t compressed_offset = 0;
  uint64_t compressed_bytes = 0;

  bool operator==(const GzipMember&) const = default;
};

struct GzipOptions {
  size_t member_raw_bytes_max = size_t{1} << 20U;  // 1 to kGzipMemberRawBytesMax.
  // 1 (fast) to 9 (small). Source: measured on JSON rows of 400 bytes, November 2026: level 1
  // shrinks them 6.4 times at 56 MB/s, 3: 6.6 times at 65, 6: 7.4 at 32, 9: 7.6 at 15.
  int level = 3;
};
inline constexpr size_t kGzipMemberRawBytesMax = size_t{1} << 30U;

// A member ends at the last end of a row that fits into `member_raw_bytes_max`, or, where one row
// alone is longer, in the middle of it. The output depends on the bytes, the ends of rows, the
// options and the version of zlib; not on how the bytes were split between calls, nor on the time.
//
// Ownership: owns its buffers and the sink.
// Threading: one thread at a time.
// Limits: memory of 2 × member_raw_bytes_max + 0.3 MiB; allocates most of it when constructed.
class GzipWriter {
 public:
  // Takes each member, in order and as soon as it is whole; the view lives until the sink returns.
  // An error ends the stream: it comes back from the call that led to it and from all later ones.
  using Sink = std::function<base::Status(std::string_view bytes, const GzipMember& member)>;

  GzipWriter(GzipOptions options, Sink sink);
  ~GzipWriter();
  GzipWriter(const GzipWriter&) = delete;
  GzipWriter& operator=(const GzipWriter&) = delete;

  // Errors: the sink's.
  base::Status append(std::string_view bytes);

  // A member may end here.
  void end_row() { row_end_ = raw_.size(); }

  // Writes what is left. A stream that got no bytes becomes one empty member, because gzip has no
  // other way to say "nothing". After it only the totals may be asked for. Errors: the sink's.
  base::Status finish();

  // What the sink has taken so far.
  uint64_t raw_bytes() const { return raw_offset_; }
  uint64_t compressed_bytes() const { return compressed_offset_; }

 private:
  base::Status write_member(size_t raw_bytes);

  const size_t member_raw_bytes_max_;
  const Sink sink_;
  const std::unique_ptr<z_stream_s> stream_;
  std::string raw_;     // What no member holds yet; at most member_raw_bytes_max_.
  size_t row_end_ = 0;  // The last end of a row in `raw_`; 0: none.
  std::string member_;
  uint64_t raw_offset_ = 0;
  uint64_t compressed_offset_ = 0;
  std::optional<base::Error> failed_;
};

//   header --24 bytes--> deflate --its end--> trailer --8 bytes--> header ...
//
// A single flipped bit is found for certain, other damage but for one case in 2^32. Members that
// are missing, or there twice, are not: whoever needs all of them compares a count or a digest.
//
// Ownership: owns its buffers and the sink.
// Threading: one thread at a time.
// Limits: 64 KiB and zlib's 40 KiB of memory, whatever the members' size; at most `raw_bytes_max`
//   bytes come out, beyond: limit_exceeded.
class GzipReader {
 public:
  // Takes the decompressed bytes in pieces of up to 64 KiB. They have been checked only when the
  // call after their member's last byte, or finish(), has returned without error. An error ends the
  // stream, as in GzipWriter.
  using Sink = std::function<base::Status(std::string_view raw)>;

  GzipReader(uint64_t raw_bytes_max, Sink sink);
  ~GzipReader();
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  // Errors (Origin::storage, Retry::never), all of them final: corrupt, limit_exceeded; the sink's.
  base::Status append(std::string_view bytes);

  // The input has ended. Errors: corrupt, when it ended within a member or before the first.
  base::Status finish();

  uint64_t raw_bytes() const { return raw_bytes_; }
  uint64_t members() const { return members_; }  // Whole and checked.

 private:
  enum class State : uint8_t { header, deflate, trailer };
  static constexpr size_t kFixedBytesMax = 24;

  base::Status take(std::string_view& input);
  bool fill(std::string_view& input, size_t bytes);  // True when `fixed_` holds that many.
  base::Status begin_member();
  base::Status inflate_some(std::string_view& input);
  base::Status inflate_all();
  base::Status deliver(std::string_view raw);
  base::Status end_member();

  const uint64_t raw_bytes_max_;
  const Sink sink_;
  const std::unique_ptr<z_stream_s> stream_;
  std::vector<char> out_;
  State state_ = State::header;
  std::array<char, kFixedBytesMax> fixed_{};  // The header or the trailer, as far as it has come.
  size_t fixed_bytes_ = 0;
  uint64_t deflate_left_ = 0;
  bool deflate_ended_ = false;
  uint32_t expected_checksum_ = 0;
  uint32_t checksum_ = 0;  // CRC32C of the member.
  uint32_t raw_crc_ = 0;   // gzip's own CRC of the member's raw bytes,
  uint32_t raw_size_ = 0;  // and their number modulo 2^32.
  uint64_t raw_bytes_ = 0;
  uint64_t members_ = 0;
  std::optional<base::Error> failed_;
};

}  // namespace weir::codec
