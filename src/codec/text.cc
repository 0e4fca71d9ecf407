#include "codec/text.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace weir::codec {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase64Url =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr base::Error bad(base::StaticText what) {
  return {base::ErrorCode::invalid_input, base::Origin::client, base::Retry::never, 0, what};
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string encode64(std::string_view bytes, std::string_view alphabet, bool padded) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t group_bytes = std::min<size_t>(3, bytes.size() - i);
    uint32_t bits = 0;
    for (size_t k = 0; k < 3; ++k) {
      bits = bits << 8U | (k < group_bytes ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (size_t k = 0; k < 4; ++k) {
      if (k <= group_bytes) {
        text.push_back(alphabet[(bits >> (18 - 6 * k)) & 63U]);
      } else if (padded) {
        text.push_back('=');
      }
    }
  }
  return text;
}

base::Result<std::string> decode64(std::string_view text, std::string_view alphabet, bool padded) {
  if (padded) {
    if (text.size() % 4 != 0) return bad("base64 length");
    for (int i = 0; i < 2 && !text.empty() && text.back() == '='; ++i)
      text.remove_suffix(1);
  }
  if (text.size() % 4 == 1) return bad("base64 length");
  std::array<int8_t, 256> values{};
  values.fill(-1);
  for (size_t i = 0; i < alphabet.size(); ++i) {
    values[static_cast<unsigned char>(alphabet[i])] = static_cast<int8_t>(i);
  }
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  uint32_t bits = 0;
  unsigned bit_count = 0;
  for (const char c : text) {
    const int value = values[static_cast<unsigned char>(c)];
    if (value < 0) return bad("base64 digit");
    bits = (bits << 6U | static_cast<uint32_t>(value)) & 0xffffU;
    bit_count += 6;
    if (bit_count >= 8) {
      bit_count -= 8;
      bytes.push_back(static_cast<char>(bits >> bit_count & 0xffU));
    }
  }
  if ((bits & ((1U << bit_count) - 1)) != 0) return bad("base64 trailing bits");
  return bytes;
}

// The bytes that follow `first` in a character of UTF-8; -1: no character begins with it.
int continuation_bytes(unsigned char first) {
  if (first < 0x80) return 0;
  if (first < 0xc2) return -1;  // A continuation, or a longer form of ASCII.
  if (first < 0xe0) return 1;
  if (first < 0xf0) return 2;
  return first < 0xf5 ? 3 : -1;
}

// Source: RFC 3629, section 4: neither longer forms, surrogates nor what lies beyond U+10FFFF.
bool valid_second(unsigned char first, unsigned char second) {
  switch (first) {
    case 0xe0:
      return second >= 0xa0;
    case 0xed:
      return second < 0xa0;
    case 0xf0:
      return second >= 0x90;
    case 0xf4:
      return second < 0x90;
    default:
      return true;
  }
}

}  // namespace

std::string hex_encode(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    text.push_back(kHexDigits[static_cast<unsigned char>(c) >> 4U]);
    text.push_back(kHexDigits[static_cast<unsigned char>(c) & 15U]);
  }
  return text;
}

base::Result<std::string> hex_decode(std::string_view text) {
  if (text.size() % 2 != 0) return bad("hexadecimal length");
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = hex_value(text[i]);
    const int low = hex_value(text[i + 1]);
    if (high < 0 || low < 0) return bad("hexadecimal digit");
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  return bytes;
}

std::string base64_encode(std::string_view bytes) {
  return encode64(bytes, kBase64, true);
}

base::Result<std::string> base64_decode(std::string_view text) {
  return decode64(text, kBase64, true);
}

std::string base64url_encode(std::string_view bytes) {
  return encode64(bytes, kBase64Url, false);
}

base::Result<std::string> base64url_decode(std::string_view text) {
  return decode64(text, kBase64Url, false);
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto first = static_cast<unsigned char>(text.front());
    const int more = continuation_bytes(first);
    if (more < 0 || text.size() <= static_cast<size_t>(more)) return false;
    for (size_t i = 1; i <= static_cast<size_t>(more); ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      if ((byte & 0xc0U) != 0x80 || (i == 1 && !valid_second(first, byte))) return false;
    }
    text.remove_prefix(static_cast<size_t>(more) + 1);
  }
  return true;
}

}  // namespace weir::codec
