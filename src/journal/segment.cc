#include "journal/segment.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "codec/crc32c.h"

namespace weir::journal {
namespace {

constexpr std::array<char, 8> kMagic = {'W', 'E', 'I', 'R', 'S', 'E', 'G', 'M'};
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderCopyBytes = kSegmentHeaderBytes / 2;

// docs/formats/segment.md, "Header". Integers are little-endian.
struct Header {
  std::array<char, 8> magic;
  uint32_t version;
  uint32_t epoch;
  uint32_t index;
  uint32_t salt;
  uint32_t zero;
  uint32_t crc;  // Of everything above.
};
static_assert(sizeof(Header) == 32);

struct NoteHead {
  uint32_t index;
  uint32_t streams;
  uint64_t readable_bytes;
};
struct NoteStream {
  uint32_t epoch;
  uint32_t loop;
  uint64_t first;
  uint64_t last;
};
static_assert(sizeof(NoteHead) == 16 && sizeof(NoteStream) == 24);
constexpr size_t kStreamsPerNote =
    (traffic::kRecordPayloadBytesMax - sizeof(NoteHead)) / sizeof(NoteStream);

uint32_t crc_of(const Header& header) {
  return codec::crc32c({reinterpret_cast<const char*>(&header), offsetof(Header, crc)});
}

template <typename T>
void append(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// "prefix" and two hexadecimal numbers of fixed widths, joined by '-'.
template <typename First, typename Second>
bool parse_name(std::string_view name, std::string_view prefix, size_t first_digits,
                size_t second_digits, First& first, Second& second) {
  if (name.size() != prefix.size() + 1 + first_digits + 1 + second_digits) return false;
  if (!name.starts_with(prefix) || name[prefix.size()] != '-') return false;
  name.remove_prefix(prefix.size() + 1);
  if (name[first_digits] != '-') return false;
  const char* const middle = name.data() + first_digits;
  const char* const end = name.data() + name.size();
  const auto lower_case = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '-';
  };
  if (!std::all_of(name.begin(), name.end(), lower_case)) return false;
  return std::from_chars(name.data(), middle, first, 16).ptr == middle &&
         std::from_chars(middle + 1, end, second, 16).ptr == end;
}

}  // namespace

std::string segment_name(SegmentId id) {
  return fmt::format("segment-{:08x}-{:08x}", id.epoch, id.index);
}

std::optional<SegmentId> parse_segment_name(std::string_view name) {
  SegmentId id;
  if (!parse_name(name, "segment", 8, 8, id.epoch, id.index)) return std::nullopt;
  return id;
}

std::string loop_file_name(std::string_view kind, Stream stream) {
  return fmt::format("{}-{:08x}-{:04x}", kind, stream.epoch, stream.loop);
}

std::optional<Stream> parse_loop_file_name(std::string_view kind, std::string_view name) {
  Stream stream;
  if (!parse_name(name, kind, 8, 4, stream.epoch, stream.loop)) return std::nullopt;
  return stream;
}

std::string encode_segment_header(SegmentId id, uint32_t salt) {
  Header header{kMagic, kVersion, id.epoch, id.index, salt, 0, 0};
  header.crc = crc_of(header);
  std::string bytes(kSegmentHeaderBytes, '\0');
  for (const size_t at : {size_t{0}, kHeaderCopyBytes})
    std::memcpy(bytes.data() + at, &header, sizeof header);
  return bytes;
}

std::optional<uint32_t> decode_segment_header(std::string_view bytes, SegmentId id) {
  for (const size_t at : {size_t{0}, kHeaderCopyBytes}) {
    if (bytes.size() < at + sizeof(Header)) return std::nullopt;
    Header header;
    std::memcpy(&header, bytes.data() + at, sizeof header);
    if (header.magic == kMagic && header.version == kVersion && header.crc == crc_of(header) &&
        header.epoch == id.epoch && header.index == id.index) {
      return header.salt;
    }
  }
  return std::nullopt;
}

std::string encode_note(const SegmentNote& note, uint32_t epoch, uint32_t salt,
                        uint64_t first_sequence) {
  std::string out;
  auto it = note.streams.begin();
  size_t left = note.streams.size();
  do {
    const size_t count = std::min(left, kStreamsPerNote);
    std::string payload;
    append(payload, NoteHead{note.index, static_cast<uint32_t>(count), note.readable_bytes});
    for (size_t i = 0; i < count; ++i, ++it) {
      const auto& [stream, range] = *it;
      append(payload, NoteStream{stream.epoch, stream.loop, range.first, range.last});
    }
    left -= count;
    // Through aligned memory, because the commit word is stored in one piece.
    alignas(8) std::array<char, traffic::kRecordBytesMax> record{};
    std::memcpy(record.data() + traffic::kRecordHeaderBytes, payload.data(), payload.size());
    const traffic::RecordPlace place{epoch, 0, traffic::RecordKind::note, first_sequence++};
    const uint64_t word = traffic::seal_record(record.data(), place, payload.size(), salt);
    traffic::commit_record(record.data(), word);
    out.append(record.data(), traffic::record_bytes(payload.size()));
  } while (left > 0);
  return out;
}

bool decode_note(std::string_view payload, std::map<uint32_t, SegmentNote>& notes) {
  NoteHead head;
  if (payload.size() < sizeof head) return false;
  std::memcpy(&head, payload.data(), sizeof head);
  payload.remove_prefix(sizeof head);
  if (payload.size() != uint64_t{head.streams} * sizeof(NoteStream)) return false;
  SegmentNote& note = notes[head.index];
  note.index = head.index;
  note.readable_bytes = head.readable_bytes;
  for (; !payload.empty(); payload.remove_prefix(sizeof(NoteStream))) {
    NoteStream stream;
    std::memcpy(&stream, payload.data(), sizeof stream);
    note.streams[{stream.epoch, stream.loop}] = {stream.first, stream.last};
  }
  return true;
}

base::Status RecordFile::load(uint64_t offset, uint64_t end) {
  if (window_ == nullptr) window_ = std::make_unique_for_overwrite<char[]>(kWindowBytes);
  window_at_ = offset;
  window_bytes_ = 0;
  const size_t wanted = std::min<uint64_t>(kWindowBytes, end - offset);
  window_bytes_ = WEIR_TRY(file_.read_at(offset, {window_.get(), wanted}));
  at_file_end_ = window_bytes_ < wanted;
  return {};
}

base::Result<std::optional<RecordFile::Found>> RecordFile::at(uint64_t offset, uint64_t end) {
  if (offset + traffic::kRecordHeaderBytes > end) return std::optional<Found>{};
  const uint64_t needed_end = std::min(offset + traffic::kRecordBytesMax, end);
  const bool in_window = offset >= window_at_ && needed_end <= window_at_ + window_bytes_;
  if (!in_window && !(at_file_end_ && offset >= window_at_)) WEIR_TRY(load(offset, end));
  const uint64_t readable_end = std::min(end, window_at_ + window_bytes_);
  if (offset >= readable_end) return std::optional<Found>{};
  const std::string_view bytes{window_.get() + (offset - window_at_), readable_end - offset};
  const auto record = traffic::parse_record(bytes, salt_);
  if (!record.has_value()) return std::optional<Found>{};
  return std::optional{Found{offset, *record}};
}

// Most of a ring was never written, and no record begins with eight zeros: its payload is not
// empty. From `offset`, where no record is, to the last such place in front of other bytes, or of
// bytes that are not in memory.
uint64_t RecordFile::last_zero(uint64_t offset, uint64_t end) const {
  const uint64_t readable_end = std::min(end, window_at_ + window_bytes_);
  const auto is_zero = [&](uint64_t at) {
    uint64_t word = 0;
    if (at + sizeof word > readable_end) return false;
    std::memcpy(&word, window_.get() + (at - window_at_), sizeof word);
    return word == 0;
  };
  while (is_zero(offset + traffic::kRecordAlignment))
    offset += traffic::kRecordAlignment;
  return offset;
}

base::Result<std::optional<RecordFile::Found>> RecordFile::next(uint64_t offset, uint64_t end) {
  for (; offset + traffic::kRecordHeaderBytes <= end; offset += traffic::kRecordAlignment) {
    auto found = WEIR_TRY(at(offset, end));
    if (found.has_value()) return found;
    // Nothing comes behind the end of a file that is shorter than `end`.
    if (at_file_end_) end = std::min(end, window_at_ + window_bytes_);
    offset = last_zero(offset, end);
  }
  return std::optional<Found>{};
}

}  // namespace weir::journal
