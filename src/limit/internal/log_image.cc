#include "limit/internal/log_image.h"

#include "limit/internal/window_log.h"

namespace weir::limit {
namespace {

constexpr uint16_t kPaired = 1U << 15U;
constexpr uint64_t kNewestMax = (uint64_t{1} << 48U) - 1;

void append_number(std::string& out, uint64_t number, size_t bytes) {
  for (size_t nth = 0; nth < bytes; ++nth)
    out += static_cast<char>(number >> 8 * nth & 0xffU);
}

uint64_t take_number(std::string_view& bytes, size_t count) {
  uint64_t number = 0;
  for (size_t nth = 0; nth < count; ++nth)
    number |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[nth])) << 8 * nth;
  bytes.remove_prefix(count);
  return number;
}

// Oldest first, none older than a window can hold, and as many as a limit can be.
bool is_in_order(const LogImage& image) {
  const Scale scale{std::chrono::seconds{image.window_s}};
  const auto oldest = static_cast<int64_t>(scale.window_ticks + scale.part_ticks + 1);
  int64_t before = oldest;
  uint64_t sum = 0;
  for (size_t nth = 0; nth < image.words; nth += image.paired ? 2 : 1) {
    const int64_t age = static_cast<int32_t>(image.word[nth]);
    if (age > before || age < -static_cast<int64_t>(scale.part_ticks)) return false;
    before = age;
    const uint64_t count = image.paired ? image.word[nth + 1] : 1;
    if (count == 0) return false;
    sum += count;
  }
  return sum <= kRequestsMax;
}

}  // namespace

void append_head(std::string& out, const base::TableKey& key, uint64_t newest_us, uint32_t window_s,
                 bool paired, size_t words) {
  append_number(out, key.group, 8);
  append_number(out, key.member, 8);
  append_number(out, newest_us, 8);
  append_number(out, window_s, 4);
  append_number(out, words | (paired ? kPaired : 0U), 2);
}

void append_word(std::string& out, uint32_t word) {
  append_number(out, word, 4);
}

bool take_image(std::string_view& bytes, LogImage& image) {
  if (bytes.size() < LogImage::kHeadBytes) return false;
  image.key.group = take_number(bytes, 8);
  image.key.member = take_number(bytes, 8);
  image.newest_us = take_number(bytes, 8);
  image.window_s = static_cast<uint32_t>(take_number(bytes, 4));
  const auto words = static_cast<uint16_t>(take_number(bytes, 2));
  image.paired = (words & kPaired) != 0;
  image.words = words & (kPaired - 1U);
  if (image.newest_us > kNewestMax || image.words > LogImage::kWordsMax ||
      bytes.size() < image.words * 4 || (image.paired && image.words % 2 != 0)) {
    return false;
  }
  if (image.words > 0 && (image.window_s == 0 || image.window_s > kWindowMax.count())) return false;
  for (size_t nth = 0; nth < image.words; ++nth)
    image.word[nth] = static_cast<uint32_t>(take_number(bytes, 4));
  if (!image.paired && image.words > kExactRequestsMax) return false;
  return image.words == 0 || is_in_order(image);
}

}  // namespace weir::limit
