#include "objects/objects.h"

#include <algorithm>

#include "codec/text.h"

namespace weir::objects {
namespace {

using base::Error;
using base::ErrorCode;
using base::Origin;
using base::Result;
using base::Retry;
using base::Status;

constexpr size_t kReadBytes = 65536;

Error invalid(base::StaticText what) {
  return {ErrorCode::invalid_input, Origin::client, Retry::never, 0, what};
}

Error over_limit(base::StaticText what) {
  return {ErrorCode::limit_exceeded, Origin::client, Retry::never, 0, what};
}

bool is_control(char byte) {
  return static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f;
}

bool is_field_value(std::string_view text) {
  if (text.starts_with(' ') || text.ends_with(' ')) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

bool is_metadata_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

Status check_metadata(const Metadata& metadata) {
  if (metadata.size() > kMetadataEntriesMax) return over_limit("object metadata entries");
  size_t bytes = 0;
  for (const auto& [name, value] : metadata) {
    if (!is_metadata_name(name)) return invalid("object metadata name");
    if (!is_field_value(value)) return invalid("object metadata value");
    bytes += name.size() + value.size();
  }
  if (bytes > kMetadataBytesMax) return over_limit("object metadata length");
  return {};
}

}  // namespace

Status check_key(std::string_view key) {
  if (key.size() > kKeyBytesMax) return over_limit("object key length");
  if (!codec::is_utf8(key)) return invalid("object key encoding");
  if (std::any_of(key.begin(), key.end(), is_control)) return invalid("object key character");
  for (size_t begin = 0; begin <= key.size();) {
    const size_t end = std::min(key.find('/', begin), key.size());
    const std::string_view segment = key.substr(begin, end - begin);
    if (segment.empty() || segment == "." || segment == "..") return invalid("object key segment");
    begin = end + 1;
  }
  return {};
}

Status check_options(const PutOptions& options) {
  if (options.content_type.size() > kContentTypeBytesMax) return over_limit("content type length");
  if (options.content_encoding.size() > kContentEncodingBytesMax) {
    return over_limit("content encoding length");
  }
  if (!is_field_value(options.content_type)) return invalid("content type");
  if (!is_field_value(options.content_encoding)) return invalid("content encoding");
  if (options.if_absent && !options.if_match.empty()) return invalid("two conditions of a put");
  return check_metadata(options.metadata);
}

Result<ObjectInfo> Store::head(std::string_view key) {
  return WEIR_TRY(open(key))->info();
}

Result<size_t> Store::get(std::string_view key, uint64_t offset, std::span<char> out) {
  const std::unique_ptr<Object> object = WEIR_TRY(open(key));
  return object->read_at(offset, out);
}

Status read_object(Object& object, const Sink& sink) {
  std::vector<char> buffer(kReadBytes);
  codec::Sha256 sha256;
  uint64_t offset = 0;
  while (const size_t count = WEIR_TRY(object.read_at(offset, buffer))) {
    const std::string_view bytes{buffer.data(), count};
    sha256.update(bytes);
    WEIR_TRY(sink(bytes));
    offset += count;
  }
  if (offset != object.info().bytes || sha256.finish() != object.info().sha256) {
    return Error{ErrorCode::corrupt, Origin::storage, Retry::never, 0, "object content"};
  }
  return {};
}

Result<ObjectInfo> verify(Store& store, std::string_view key) {
  const std::unique_ptr<Object> object = WEIR_TRY(store.open(key));
  WEIR_TRY(read_object(*object, [](std::string_view) { return Status{}; }));
  return object->info();
}

}  // namespace weir::objects
