#pragma once
// The highest rate of a minute that was known an hour ago. A peak that has just been reached is no
// measure for what reaches it.

#include <chrono>
#include <cstdint>
#include <optional>

namespace weir::alerts {

// A plain value.
// Threading: one thread at a time.
class SettledPeak {
 public:
  static constexpr std::chrono::hours kAge{1};

  struct Image {
    std::optional<uint64_t> settled;
    std::optional<uint64_t> next;  // Seen first at `next_since_ms`.
    int64_t next_since_ms = 0;
    bool operator==(const Image&) const = default;
  };

  SettledPeak() = default;
  explicit SettledPeak(const Image& image) : image_(image) {}

  // `peak_rpm` is the highest so far. True: the image has changed.
  bool observe(uint64_t peak_rpm, int64_t now_ms);

  // A peak that was known kAge to twice kAge before the last observation, or longer; none: nothing
  // was observed so early.
  std::optional<uint64_t> value() const { return image_.settled; }
  const Image& image() const { return image_; }

 private:
  Image image_;
};

}  // namespace weir::alerts
