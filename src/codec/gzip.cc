#include "codec/gzip.h"

#include <algorithm>
#include <cstring>
#include <limits>

#define ZLIB_CONST  // NOLINT(readability-identifier-naming): zlib chose the name.
#include <zlib.h>

#include "base/assert.h"
#include "codec/crc32c.h"
#include "codec/little_endian.h"

namespace weir::codec {
namespace {

using base::Error;
using base::ErrorCode;
using base::Origin;
using base::Retry;
using base::Status;

// docs/formats/gzip.md. The first bytes are the same in every member.
constexpr std::string_view kHeaderStart{
    "\x1f\x8b\x08"         // gzip, deflate
    "\x04"                 // FLG: an extra field follows
    "\x00\x00\x00\x00"     // MTIME: none
    "\x00\xff"             // XFL: none; OS: unknown
    "\x0c\x00WR\x08\x00",  // XLEN 12: subfield WR of 8 bytes
    16};
constexpr size_t kLengthAt = 16;
constexpr size_t kChecksumAt = 20;
constexpr size_t kHeaderBytes = 24;
constexpr size_t kTrailerBytes = 8;
constexpr int kRawDeflate = -15;  // zlib's name for "no header of its own, window of 32 KiB".
constexpr size_t kOutBytes = 65536;

const Bytef* as_bytes(const char* text) {
  return reinterpret_cast<const Bytef*>(text);
}

uint32_t raw_crc(std::string_view raw, uint32_t before = 0) {
  return static_cast<uint32_t>(crc32_z(before, as_bytes(raw.data()), raw.size()));
}

uint32_t member_checksum(std::string_view member) {
  return crc32c(member.substr(kHeaderBytes), crc32c(member.substr(0, kChecksumAt)));
}

Error corrupt(base::StaticText what) {
  return {ErrorCode::corrupt, Origin::storage, Retry::never, 0, what};
}

}  // namespace

GzipWriter::GzipWriter(GzipOptions options, Sink sink)
    : member_raw_bytes_max_(options.member_raw_bytes_max),
      sink_(std::move(sink)),
      stream_(std::make_unique<z_stream_s>()) {
  WEIR_ASSERT(member_raw_bytes_max_ > 0 && member_raw_bytes_max_ <= kGzipMemberRawBytesMax);
  WEIR_ASSERT(options.level >= 1 && options.level <= 9);
  constexpr int kMemoryLevel = 8;  // zlib's default: 256 KiB.
  const int made = deflateInit2(stream_.get(), options.level, Z_DEFLATED, kRawDeflate, kMemoryLevel,
                                Z_DEFAULT_STRATEGY);
  WEIR_ASSERT(made == Z_OK);  // Else memory ran out.
  raw_.reserve(member_raw_bytes_max_);
  member_.resize(kHeaderBytes + deflateBound(stream_.get(), member_raw_bytes_max_) + kTrailerBytes);
}

GzipWriter::~GzipWriter() {
  deflateEnd(stream_.get());
}

Status GzipWriter::append(std::string_view bytes) {
  if (failed_) return *failed_;
  while (!bytes.empty()) {
    // A full buffer is written when more comes: the row may yet end exactly here.
    if (raw_.size() == member_raw_bytes_max_) {
      WEIR_TRY(write_member(row_end_ > 0 ? row_end_ : raw_.size()));
    }
    const size_t count = std::min(bytes.size(), member_raw_bytes_max_ - raw_.size());
    raw_.append(bytes.substr(0, count));
    bytes.remove_prefix(count);
  }
  return {};
}

Status GzipWriter::finish() {
  if (failed_) return *failed_;
  if (!raw_.empty() || compressed_offset_ == 0) return write_member(raw_.size());
  return {};
}

Status GzipWriter::write_member(size_t raw_bytes) {
  WEIR_ASSERT(deflateReset(stream_.get()) == Z_OK);
  stream_->next_in = as_bytes(raw_.data());
  stream_->avail_in = static_cast<uInt>(raw_bytes);
  stream_->next_out = reinterpret_cast<Bytef*>(member_.data() + kHeaderBytes);
  stream_->avail_out = static_cast<uInt>(member_.size() - kHeaderBytes - kTrailerBytes);
  WEIR_ASSERT(deflate(stream_.get(), Z_FINISH) == Z_STREAM_END);

  const size_t bytes = kHeaderBytes + stream_->total_out + kTrailerBytes;
  char* const trailer = member_.data() + bytes - kTrailerBytes;
  store_little_endian<uint32_t>(trailer, raw_crc({raw_.data(), raw_bytes}));
  store_little_endian<uint32_t>(trailer + 4, static_cast<uint32_t>(raw_bytes));
  std::memcpy(member_.data(), kHeaderStart.data(), kHeaderStart.size());
  store_little_endian<uint32_t>(member_.data() + kLengthAt, static_cast<uint32_t>(bytes));
  const std::string_view member{member_.data(), bytes};
  store_little_endian<uint32_t>(member_.data() + kChecksumAt, member_checksum(member));

  const Status taken = sink_(member, {raw_offset_, raw_bytes, compressed_offset_, bytes});
  if (!taken.ok()) return *(failed_ = taken.error());
  raw_offset_ += raw_bytes;
  compressed_offset_ += bytes;
  raw_.erase(0, raw_bytes);
  row_end_ = 0;
  return {};
}

GzipReader::GzipReader(uint64_t raw_bytes_max, Sink sink)
    : raw_bytes_max_(raw_bytes_max),
      sink_(std::move(sink)),
      stream_(std::make_unique<z_stream_s>()),
      out_(kOutBytes) {
  static_assert(kFixedBytesMax >= kHeaderBytes && kFixedBytesMax >= kTrailerBytes);
  WEIR_ASSERT(inflateInit2(stream_.get(), kRawDeflate) == Z_OK);
}

GzipReader::~GzipReader() {
  inflateEnd(stream_.get());
}

Status GzipReader::append(std::string_view bytes) {
  while (!bytes.empty()) {
    if (failed_) return *failed_;
    const Status taken = take(bytes);
    if (!taken.ok()) failed_ = taken.error();
  }
  if (failed_) return *failed_;
  return {};
}

Status GzipReader::finish() {
  if (failed_) return *failed_;
  if (state_ == State::header && fixed_bytes_ == 0 && members_ > 0) return {};
  return *(failed_ = corrupt("gzip stream that ends early"));
}

// Takes at least one byte from the front of `input`.
Status GzipReader::take(std::string_view& input) {
  switch (state_) {
    case State::header:
      if (!fill(input, kHeaderBytes)) return {};
      return begin_member();
    case State::deflate:
      return inflate_some(input);
    case State::trailer:
      if (!fill(input, kTrailerBytes)) return {};
      return end_member();
  }
  return {};
}

bool GzipReader::fill(std::string_view& input, size_t bytes) {
  const size_t count = std::min(input.size(), bytes - fixed_bytes_);
  std::memcpy(fixed_.data() + fixed_bytes_, input.data(), count);
  fixed_bytes_ += count;
  input.remove_prefix(count);
  if (fixed_bytes_ < bytes) return false;
  fixed_bytes_ = 0;
  return true;
}

Status GzipReader::begin_member() {
  const std::string_view header{fixed_.data(), kHeaderBytes};
  if (!header.starts_with(kHeaderStart)) return corrupt("gzip header");
  const uint32_t member_bytes = load_little_endian<uint32_t>(fixed_.data() + kLengthAt);
  if (member_bytes <= kHeaderBytes + kTrailerBytes) return corrupt("gzip member length");
  deflate_left_ = member_bytes - kHeaderBytes - kTrailerBytes;
  deflate_ended_ = false;
  expected_checksum_ = load_little_endian<uint32_t>(fixed_.data() + kChecksumAt);
  checksum_ = crc32c(header.substr(0, kChecksumAt));
  raw_crc_ = raw_size_ = 0;
  WEIR_ASSERT(inflateReset(stream_.get()) == Z_OK);
  state_ = State::deflate;
  return {};
}

Status GzipReader::inflate_some(std::string_view& input) {
  const std::string_view bytes = input.substr(
      0, std::min<uint64_t>({input.size(), deflate_left_, std::numeric_limits<uInt>::max()}));
  stream_->next_in = as_bytes(bytes.data());
  stream_->avail_in = static_cast<uInt>(bytes.size());
  WEIR_TRY(inflate_all());
  if (stream_->avail_in > 0) return corrupt("gzip member length");
  checksum_ = crc32c(bytes, checksum_);
  deflate_left_ -= bytes.size();
  input.remove_prefix(bytes.size());
  if (deflate_ended_ != (deflate_left_ == 0)) return corrupt("gzip member length");
  if (deflate_ended_) state_ = State::trailer;
  return {};
}

// Inflates the input that `stream_` has been given, to its end or to that of the deflate stream.
Status GzipReader::inflate_all() {
  do {
    stream_->next_out = reinterpret_cast<Bytef*>(out_.data());
    stream_->avail_out = static_cast<uInt>(out_.size());
    const int outcome = inflate(stream_.get(), Z_NO_FLUSH);
    WEIR_ASSERT(outcome != Z_MEM_ERROR && outcome != Z_STREAM_ERROR);
    const size_t count = out_.size() - stream_->avail_out;
    // Before any error, so that the limit is hit at the same byte however the input was split.
    if (count > raw_bytes_max_ - raw_bytes_) {
      return Error{ErrorCode::limit_exceeded, Origin::storage, Retry::never, 0, "raw bytes"};
    }
    if (outcome == Z_BUF_ERROR) return {};  // Nothing was left to do.
    if (outcome != Z_OK && outcome != Z_STREAM_END) return corrupt("deflate stream");
    WEIR_TRY(deliver({out_.data(), count}));
    deflate_ended_ = outcome == Z_STREAM_END;
  } while (!deflate_ended_ && (stream_->avail_in > 0 || stream_->avail_out == 0));
  return {};
}

Status GzipReader::deliver(std::string_view raw) {
  if (raw.empty()) return {};
  raw_bytes_ += raw.size();
  raw_size_ += static_cast<uint32_t>(raw.size());
  raw_crc_ = raw_crc(raw, raw_crc_);
  return sink_(raw);
}

Status GzipReader::end_member() {
  checksum_ = crc32c({fixed_.data(), kTrailerBytes}, checksum_);
  if (checksum_ != expected_checksum_) return corrupt("gzip member checksum");
  if (load_little_endian<uint32_t>(fixed_.data()) != raw_crc_) return corrupt("gzip checksum");
  if (load_little_endian<uint32_t>(fixed_.data() + 4) != raw_size_)
    return corrupt("gzip raw length");
  ++members_;
  state_ = State::header;
  return {};
}

}  // namespace weir::codec
