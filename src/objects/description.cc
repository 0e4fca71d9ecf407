#include "objects/description.h"

#include <array>
#include <cstring>

#include "base/assert.h"
#include "codec/crc32c.h"
#include "codec/little_endian.h"
#include "codec/text.h"
#include "codec/varint.h"

namespace weir::objects {
namespace {

using base::Result;

// docs/formats/objects.md: description, then the footer: its length, CRC32C of both, magic.
constexpr std::string_view kMagic = "WEIROBJ1";
constexpr size_t kNumberBytes = 4;
constexpr size_t kFooterBytes = 2 * kNumberBytes + 8;
constexpr size_t kEtagDigestBytes = 16;
static_assert(kMagic.size() == 8);

// Key, type, encoding, metadata, digest; three bytes of length before each text; three numbers.
static_assert(kKeyBytesMax + kContentTypeBytesMax + kContentEncodingBytesMax + kMetadataBytesMax +
                  3 * (3 + 2 * kMetadataEntriesMax) + 32 + 3 * codec::kVarintBytesMax +
                  kFooterBytes <=
              kTailBytesMax);

base::Error corrupt() {
  return {base::ErrorCode::corrupt, base::Origin::storage, base::Retry::never, 0,
          "object description"};
}

void put_number(std::string& out, uint64_t value) {
  std::array<char, codec::kVarintBytesMax> bytes{};
  out.append(bytes.data(), codec::write_varint(bytes.data(), value));
}

void put_text(std::string& out, std::string_view text) {
  put_number(out, text.size());
  out += text;
}

bool get_text(std::string_view& in, std::string& text) {
  uint64_t bytes = 0;
  if (!codec::read_varint(in, bytes) || bytes > in.size()) return false;
  text = in.substr(0, bytes);
  in.remove_prefix(bytes);
  return true;
}

bool get_metadata(std::string_view& in, Metadata& metadata) {
  uint64_t count = 0;
  if (!codec::read_varint(in, count) || count > kMetadataEntriesMax) return false;
  for (std::string name, value; count > 0; --count) {
    if (!get_text(in, name) || !get_text(in, value)) return false;
    if (!metadata.empty() && name <= metadata.rbegin()->first) return false;
    metadata.emplace_hint(metadata.end(), name, value);
  }
  return true;
}

std::string etag_of(std::string_view description) {
  const codec::Digest digest = codec::sha256(description);
  return codec::hex_encode(codec::as_text(digest).substr(0, kEtagDigestBytes));
}

std::string encode(const ObjectInfo& info) {
  std::string out;
  put_text(out, info.key);
  put_number(out, info.bytes);
  out += codec::as_text(info.sha256);
  put_text(out, info.content_type);
  put_text(out, info.content_encoding);
  put_number(out, codec::zigzag(info.modified.time_since_epoch().count()));
  put_number(out, info.metadata.size());
  for (const auto& [name, value] : info.metadata) {
    put_text(out, name);
    put_text(out, value);
  }
  return out;
}

bool decode(std::string_view in, ObjectInfo& info) {
  if (!get_text(in, info.key) || !codec::read_varint(in, info.bytes)) return false;
  if (in.size() < info.sha256.size()) return false;
  std::memcpy(info.sha256.data(), in.data(), info.sha256.size());
  in.remove_prefix(info.sha256.size());
  if (!get_text(in, info.content_type) || !get_text(in, info.content_encoding)) return false;
  uint64_t modified = 0;
  if (!codec::read_varint(in, modified)) return false;
  info.modified = base::Wall{std::chrono::microseconds{codec::unzigzag(modified)}};
  return get_metadata(in, info.metadata) && in.empty() && info.bytes <= kObjectBytesMax;
}

}  // namespace

std::string encode_tail(ObjectInfo& info) {
  std::string out = encode(info);
  info.etag = etag_of(out);
  codec::append_little_endian(out, static_cast<uint32_t>(out.size()));
  codec::append_little_endian(out, codec::crc32c(out));
  out += kMagic;
  WEIR_ASSERT(out.size() <= kTailBytesMax);
  return out;
}

Result<Tail> decode_tail(std::string_view file_end) {
  if (file_end.size() < kFooterBytes || !file_end.ends_with(kMagic)) return corrupt();
  const size_t before_footer = file_end.size() - kFooterBytes;
  const size_t bytes = codec::load_little_endian<uint32_t>(&file_end[before_footer]);
  if (bytes > before_footer) return corrupt();
  const std::string_view checked = file_end.substr(before_footer - bytes, bytes + kNumberBytes);
  if (codec::crc32c(checked) !=
      codec::load_little_endian<uint32_t>(&file_end[before_footer + kNumberBytes])) {
    return corrupt();
  }
  const std::string_view description = checked.substr(0, bytes);
  Tail tail{{}, bytes + kFooterBytes};
  if (!decode(description, tail.info)) return corrupt();
  const ObjectInfo& info = tail.info;
  const PutOptions options{.content_type = info.content_type,
                           .content_encoding = info.content_encoding,
                           .metadata = info.metadata};
  if (!check_key(info.key).ok() || !check_options(options).ok()) return corrupt();
  tail.info.etag = etag_of(description);
  return tail;
}

}  // namespace weir::objects
