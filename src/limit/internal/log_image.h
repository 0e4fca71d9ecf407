#pragma once
// One entry of the limiter as bytes: what save() appends and restore() takes. Little-endian:
//
//   key 16 (group, member) | newest 8 (us) | window 4 (s) | words 2, bits 15, 14 | words x 4
//
// Bit 15: paired. Bit 14: the entry that strangers of a group share; its member is 0.
// A word is a time, in ticks before the newest request (negative, in two's complement, for one that
// is rounded up beyond it), or, paired, every second one a count. No words: nothing counts.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/striped_table.h"

namespace weir::limit {

struct LogImage {
  static constexpr size_t kWordsMax = 512;
  static constexpr size_t kHeadBytes = 30;

  base::TableKey key;
  uint64_t newest_us = 0;
  uint32_t window_s = 0;
  bool paired = false;
  bool shared = false;
  size_t words = 0;
  std::array<uint32_t, kWordsMax> word;
};

// Appends the part before the words.
void append_head(std::string& out, const base::TableKey& key, uint64_t newest_us, uint32_t window_s,
                 bool paired, bool shared, size_t words);
void append_word(std::string& out, uint32_t word);

// Bytes of the one at the front of `bytes`; 0: it is not there whole.
size_t image_bytes(std::string_view bytes);
// The key's group of a whole one.
uint64_t image_group(std::string_view bytes);
// Takes a whole one from the front of `bytes`. False: it is none that this limiter writes, such as
// one whose times are out of order.
bool take_image(std::string_view& bytes, LogImage& image);

}  // namespace weir::limit
