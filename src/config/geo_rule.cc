#include "config/geo_rule.h"

#include <algorithm>
#include <array>

#include "config/internal/text.h"

namespace weir::config {
namespace {

constexpr std::array<GeoPreset, 4> kPresets{
    {{"high-risk", "AF IQ SY KP IR LY SO YE"},
     {"gdpr", "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE"},
     {"asia-pacific", "CN JP KR SG TH VN IN ID MY PH AU NZ"},
     {"mainland-china", "CN"}}};

// U+00C0 to U+017F without case and marks, one letter each; '.': kept as it is; '2' and the letter
// after it in kDouble: two letters. Source: Unicode's decompositions, and the usual transcription
// of letters that have none.
constexpr std::string_view kFolded =
    "aaaaaa2ceeeeiiii"   // U+00C0
    "dnooooo.ouuuuy22"   // U+00D0
    "aaaaaa2ceeeeiiii"   // U+00E0
    "dnooooo.ouuuuy2y"   // U+00F0
    "aaaaaaccccccccdd"   // U+0100
    "ddeeeeeeeeeegggg"   // U+0110
    "gggghhhhiiiiiiii"   // U+0120
    "ii22jjkkklllllll"   // U+0130
    "lllnnnnnn2nnoooo"   // U+0140
    "oo22rrrrrrssssss"   // U+0150
    "ssttttttuuuuuuuu"   // U+0160
    "uuuuwwyyyzzzzzzs";  // U+0170
static_assert(kFolded.size() == 0x180 - 0xc0);

std::string_view two_letters(uint32_t point) {
  switch (point) {
    case 0xc6:
    case 0xe6:
      return "ae";
    case 0xde:
    case 0xfe:
      return "th";
    case 0xdf:
      return "ss";
    case 0x132:
    case 0x133:
      return "ij";
    case 0x149:
      return "n";
    default:
      return "oe";
  }
}

// One code point of two bytes, folded.
void append_folded(std::string& out, std::string_view bytes) {
  const auto lead = static_cast<uint8_t>(bytes[0]);
  const uint32_t point = (lead & 0x1fU) << 6U | (static_cast<uint8_t>(bytes[1]) & 0x3fU);
  if (point >= 0x300 && point <= 0x36f) return;  // A mark of the letter before it.
  const char folded = point >= 0xc0 && point < 0x180 ? kFolded[point - 0xc0] : '.';
  if (folded == '.') {
    out += bytes;
  } else if (folded == '2') {
    out += two_letters(point);
  } else {
    out += folded;
  }
}

}  // namespace

std::span<const GeoPreset> geo_presets() {
  return kPresets;
}

void append_city_key(std::string& out, std::string_view text) {
  const size_t begin = out.size();
  bool space = false;
  for (size_t at = 0; at < text.size();) {
    const auto byte = static_cast<uint8_t>(text[at]);
    if (byte == ' ' || (byte >= '\t' && byte <= '\r')) {
      space = out.size() > begin;
      ++at;
      continue;
    }
    const size_t word = out.size();
    if (space) out += ' ';
    const size_t written = out.size();
    const bool is_pair = byte >= 0xc2 && byte <= 0xdf && at + 1 < text.size() &&
                         (static_cast<uint8_t>(text[at + 1]) & 0xc0U) == 0x80U;
    if (is_pair) {
      append_folded(out, text.substr(at, 2));
      at += 2;
    } else {
      out += internal::lower(text[at++]);
    }
    if (out.size() > written) {
      space = false;
    } else {
      out.resize(word);  // A mark, which is nothing by itself.
    }
  }
}

std::optional<City> parse_city(std::string_view text) {
  if (text.size() > kGeoCityBytesMax ||
      std::any_of(text.begin(), text.end(), internal::is_control)) {
    return std::nullopt;
  }
  City city;
  const size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    city.country = Country::of(text.substr(0, slash));
    if (!city.country.is_known()) return std::nullopt;
    text.remove_prefix(slash + 1);
    if (text.find('/') != std::string_view::npos) return std::nullopt;
  }
  append_city_key(city.key, text);
  if (city.key.empty()) return std::nullopt;
  return city;
}

}  // namespace weir::config
