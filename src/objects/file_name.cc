#include "objects/file_name.h"

#include "codec/sha256.h"
#include "codec/text.h"
#include "objects/objects.h"

namespace weir::objects {
namespace {

constexpr size_t kBeginningBytes = 128;

bool stands_for_itself(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '.' ||
         byte == '_' || byte == '-';
}

}  // namespace

std::string file_name(std::string_view key) {
  std::string name;
  for (const char byte : key) {
    if (stands_for_itself(byte)) {
      name += byte;
    } else {
      name += '%';
      name += codec::hex_encode({&byte, 1});
    }
  }
  if (name.size() <= kPlainBytesMax) return name;
  const codec::Digest digest = codec::sha256(key);
  return name.substr(0, kBeginningBytes) + '~' + codec::hex_encode(codec::as_text(digest));
}

bool is_shortened(std::string_view name) {
  constexpr size_t kDigestDigits = 64;
  return name.size() == kBeginningBytes + 1 + kDigestDigits && name[kBeginningBytes] == '~';
}

std::optional<std::string> key_of(std::string_view name) {
  std::string key;
  for (size_t at = 0; at < name.size(); ++at) {
    if (name[at] != '%') {
      key += name[at];
      continue;
    }
    const auto byte = codec::hex_decode(name.substr(at + 1, 2));
    if (!byte.ok() || byte.value().size() != 1) return std::nullopt;
    key += byte.value();
    at += 2;
  }
  if (!check_key(key).ok() || file_name(key) != name) return std::nullopt;
  return key;
}

}  // namespace weir::objects
