#include "limit/internal/log_image.h"

#include "codec/little_endian.h"
#include "limit/internal/window_log.h"

namespace weir::limit {
namespace {

constexpr uint16_t kPaired = 1U << 15U;
constexpr uint16_t kShared = 1U << 14U;
constexpr uint16_t kWords = kShared - 1U;
constexpr uint64_t kNewestMax = (uint64_t{1} << 48U) - 1;

template <typename Number>
Number take(std::string_view& bytes) {
  const auto number = codec::load_little_endian<Number>(bytes.data());
  bytes.remove_prefix(sizeof number);
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
    // Rounded up again after a restart of the machine, whose clock has its parts elsewhere.
    if (age > before || age < -2 * static_cast<int64_t>(scale.coarse_ticks)) return false;
    before = age;
    const uint64_t count = image.paired ? image.word[nth + 1] : 1;
    if (count == 0) return false;
    sum += count;
  }
  return sum <= kRequestsMax;
}

}  // namespace

void append_head(std::string& out, const base::TableKey& key, uint64_t newest_us, uint32_t window_s,
                 bool paired, bool shared, size_t words) {
  codec::append_little_endian(out, key.group);
  codec::append_little_endian(out, key.member);
  codec::append_little_endian(out, newest_us);
  codec::append_little_endian(out, window_s);
  codec::append_little_endian(
      out, static_cast<uint16_t>(words | (paired ? kPaired : 0U) | (shared ? kShared : 0U)));
}

void append_word(std::string& out, uint32_t word) {
  codec::append_little_endian(out, word);
}

size_t image_bytes(std::string_view bytes) {
  if (bytes.size() < LogImage::kHeadBytes) return 0;
  const auto words = codec::load_little_endian<uint16_t>(&bytes[LogImage::kHeadBytes - 2]);
  const size_t whole = LogImage::kHeadBytes + 4 * size_t{words & uint32_t{kWords}};
  return whole <= bytes.size() ? whole : 0;
}

uint64_t image_group(std::string_view bytes) {
  return codec::load_little_endian<uint64_t>(bytes.data());
}

bool take_image(std::string_view& front, LogImage& image) {
  std::string_view bytes = front.substr(0, image_bytes(front));
  front.remove_prefix(bytes.size());
  image.key.group = take<uint64_t>(bytes);
  image.key.member = take<uint64_t>(bytes);
  image.newest_us = take<uint64_t>(bytes);
  image.window_s = take<uint32_t>(bytes);
  const auto words = take<uint16_t>(bytes);
  image.paired = (words & kPaired) != 0;
  image.shared = (words & kShared) != 0;
  image.words = words & uint32_t{kWords};
  if (image.newest_us > kNewestMax || image.words > LogImage::kWordsMax ||
      (image.paired && image.words % 2 != 0)) {
    return false;
  }
  if (image.words > 0 && (image.window_s == 0 || image.window_s > kWindowMax.count())) return false;
  for (size_t nth = 0; nth < image.words; ++nth)
    image.word[nth] = take<uint32_t>(bytes);
  if (!image.paired && image.words > kExactRequestsMax) return false;
  return image.words == 0 || is_in_order(image);
}

}  // namespace weir::limit
