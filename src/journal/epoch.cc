#include "journal/epoch.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "codec/crc32c.h"

namespace weir::journal {
namespace {

constexpr std::array<char, 8> kMagic = {'W', 'E', 'I', 'R', 'E', 'P', 'O', 'C'};

struct Content {
  std::array<char, 8> magic;
  uint32_t epoch;
  uint32_t crc;  // Of everything above.
};
static_assert(sizeof(Content) == 16);

uint32_t crc_of(const Content& content) {
  return codec::crc32c({reinterpret_cast<const char*>(&content), offsetof(Content, crc)});
}

std::string path_of(const std::string& dir, uint32_t epoch) {
  return dir + (epoch % 2 == 0 ? "/epoch-0" : "/epoch-1");
}

// 0 when the file says nothing: it is missing, torn or damaged.
base::Result<uint32_t> read_epoch(os::Files& files, const std::string& path) {
  const auto text = os::read_file(files, path, sizeof(Content));
  if (!text.ok()) {
    const base::ErrorCode code = text.error().code;
    if (code == base::ErrorCode::not_found || code == base::ErrorCode::limit_exceeded) {
      return uint32_t{0};
    }
    return text.error();
  }
  Content content;
  if (text.value().size() != sizeof content) return uint32_t{0};
  std::memcpy(&content, text.value().data(), sizeof content);
  if (content.magic != kMagic || content.crc != crc_of(content)) return uint32_t{0};
  return content.epoch;
}

}  // namespace

uint32_t Leftovers::epoch_max() const {
  uint32_t epoch = 0;
  if (!segments.empty()) epoch = segments.back().epoch;
  if (!rings.empty()) epoch = std::max(epoch, rings.back().epoch);
  if (!collectors.empty()) epoch = std::max(epoch, collectors.back().epoch);
  return epoch;
}

base::Result<Leftovers> find_leftovers(os::Files& files, const std::string& dir,
                                       const std::string& ring_dir) {
  Leftovers found;
  // The names are sorted, and their numbers have fixed widths: the lists ascend.
  for (const std::string& name : WEIR_TRY(files.list(dir))) {
    if (const auto segment = parse_segment_name(name)) found.segments.push_back(*segment);
  }
  for (const std::string& name : WEIR_TRY(files.list(ring_dir))) {
    if (const auto ring = parse_loop_file_name("ring", name)) found.rings.push_back(*ring);
    if (const auto paths = parse_loop_file_name("paths", name)) found.collectors.push_back(*paths);
  }
  return found;
}

base::Result<uint32_t> open_epoch(os::Files& files, const std::string& dir, uint32_t floor) {
  for (const uint32_t parity : {0U, 1U})
    floor = std::max(floor, WEIR_TRY(read_epoch(files, path_of(dir, parity))));
  if (floor == std::numeric_limits<uint32_t>::max()) {
    return base::Error{base::ErrorCode::limit_exceeded, base::Origin::storage, base::Retry::never,
                       0, "epochs"};
  }
  Content content{kMagic, floor + 1, 0};
  content.crc = crc_of(content);
  const std::string path = path_of(dir, content.epoch);
  auto file = files.open(path, os::OpenMode::read_write);
  if (!file.ok() && file.error().code == base::ErrorCode::not_found) {
    file = files.open(path, os::OpenMode::create_new);
  }
  if (!file.ok()) return file.error();
  WEIR_TRY(file.value()->write_at(0, {reinterpret_cast<const char*>(&content), sizeof content}));
  WEIR_TRY(file.value()->truncate(sizeof content));
  WEIR_TRY(file.value()->sync_data());
  WEIR_TRY(files.sync_directory(dir));
  return content.epoch;
}

}  // namespace weir::journal
