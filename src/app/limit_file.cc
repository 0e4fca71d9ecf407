#include "app/limit_file.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "codec/crc32c.h"
#include "codec/little_endian.h"
#include "codec/sha256.h"
#include "os/random.h"

namespace weir::app {
namespace {

constexpr std::string_view kMagic = "WEIRLIM1";
constexpr size_t kHeaderBytes = 24;  // Magic, seed, checksum, zeros.
constexpr std::string_view kFrameMagic = "LIMF";
constexpr size_t kFrameHeadBytes = 44;  // Magic, length, two clocks, boot, checksum.
constexpr size_t kBootBytes = 16;
constexpr size_t kFrameAimBytes = 256UL * 1024;
constexpr size_t kFrameBytesMax = 4UL * 1024 * 1024;

int64_t us_of(base::Monotonic now) {
  return std::chrono::floor<std::chrono::microseconds>(now.time_since_epoch()).count();
}

std::string boot_bytes(os::Files& files) {
  const std::string id = os::boot_id(files);
  if (id.empty()) return std::string(kBootBytes, '\0');
  const codec::Digest digest = codec::sha256(id);
  return {reinterpret_cast<const char*>(digest.data()), kBootBytes};
}

std::string header_of(uint64_t seed) {
  std::string header{kMagic};
  codec::append_little_endian(header, seed);
  codec::append_little_endian(header, codec::crc32c(header));
  codec::append_little_endian(header, uint32_t{0});
  return header;
}

}  // namespace

LimitFile::LimitFile(os::Files& files, const base::Clock& clock, const std::string& directory,
                     uint64_t slack_bytes)
    : files_(files),
      clock_(clock),
      directory_(directory),
      path_(fmt::format("{}/{}", directory, kName)),
      slack_bytes_(slack_bytes),
      boot_(boot_bytes(files)) {}

uint64_t LimitFile::seed() {
  const base::Status opened = open_for_reading();
  if (opened.ok()) return seed_;
  input_.reset();
  if (opened.error().code != base::ErrorCode::not_found) {
    problem_ = fmt::format("{} cannot be read: {}", path_, opened.error().what.view());
  }
  seed_ = os::secure_random_u64();
  return seed_;
}

base::Status LimitFile::open_for_reading() {
  input_ = WEIR_TRY(files_.open(path_, os::OpenMode::read));
  std::array<char, kHeaderBytes> bytes;
  const size_t count = WEIR_TRY(input_->read_at(0, bytes));
  const std::string_view header{bytes.data(), count};
  if (count != kHeaderBytes ||
      header != header_of(codec::load_little_endian<uint64_t>(bytes.data() + kMagic.size()))) {
    return base::Error{base::ErrorCode::corrupt, base::Origin::storage, base::Retry::never, 0,
                       "its beginning is damaged, or of another version"};
  }
  seed_ = codec::load_little_endian<uint64_t>(bytes.data() + kMagic.size());
  return {};
}

// How much later a time of a frame is on today's clock. On the same start of the machine it is the
// same clock; else the wall clocks tell how much time went by, at least none.
std::chrono::microseconds LimitFile::shift_of(std::string_view head) const {
  const bool is_same_boot =
      head.substr(24, kBootBytes) == boot_ && boot_ != std::string(kBootBytes, '\0');
  if (is_same_boot) return std::chrono::microseconds{0};
  const auto saved_at = static_cast<int64_t>(codec::load_little_endian<uint64_t>(&head[8]));
  const auto saved_wall = static_cast<int64_t>(codec::load_little_endian<uint64_t>(&head[16]));
  const int64_t passed =
      std::max<int64_t>(0, clock_.wall().time_since_epoch().count() - saved_wall);
  return std::chrono::microseconds{us_of(clock_.monotonic()) - passed - saved_at};
}

LimitFile::Loaded LimitFile::load(limit::Limiter& limiter, uint64_t put_off_bytes_max) {
  Loaded loaded{.problem = std::exchange(problem_, {})};
  if (input_ == nullptr) return loaded;
  const std::unique_ptr<os::File> file = std::exchange(input_, nullptr);
  uint64_t put_off = 0;
  std::array<char, kFrameHeadBytes> bytes;
  for (uint64_t offset = kHeaderBytes;;) {
    // What ends in the middle of a frame, or is damaged, ends the file: the process, or the
    // machine, was stopped there.
    const base::Result<size_t> count = file->read_at(offset, bytes);
    if (!count.ok()) {
      loaded.problem = fmt::format("{} cannot be read: {}", path_, count.error().what.view());
      return loaded;
    }
    if (count.value() == 0) {
      go_on_behind(offset);
      return loaded;
    }
    loaded.problem = fmt::format("{} is damaged from byte {} on", path_, offset);
    const std::string_view head{bytes.data(), count.value()};
    if (head.size() < kFrameHeadBytes || !head.starts_with(kFrameMagic)) return loaded;
    const size_t length = codec::load_little_endian<uint32_t>(&head[4]);
    if (length > kFrameBytesMax) return loaded;
    std::string payload(length, '\0');
    const base::Result<size_t> read = file->read_at(offset + kFrameHeadBytes, payload);
    if (!read.ok() || read.value() != length) return loaded;
    const uint32_t sum = codec::crc32c(payload, codec::crc32c(head.substr(0, kFrameHeadBytes - 4)));
    if (sum != codec::load_little_endian<uint32_t>(&head[kFrameHeadBytes - 4])) return loaded;
    const base::Result<size_t> restored =
        limiter.restore(std::move(payload), shift_of(head), clock_.monotonic());
    if (!restored.ok()) return loaded;
    put_off += length;
    if (put_off > put_off_bytes_max) {
      limiter.finish_restore();
      put_off = 0;
    }
    loaded.problem.clear();
    loaded.entries += restored.value();
    offset += kFrameHeadBytes + length;
  }
}

// Until the first save has written the file anew, which may take seconds.
void LimitFile::go_on_behind(uint64_t offset) {
  auto file = files_.open(path_, os::OpenMode::read_write);
  if (!file.ok()) return;
  file_ = std::move(file).value();
  written_ = offset;
}

base::Status LimitFile::save(limit::Limiter& limiter) {
  const base::Status saved = try_save(limiter);
  failing_.store(!saved.ok(), std::memory_order_relaxed);
  if (!saved.ok()) {
    failures_.fetch_add(1, std::memory_order_relaxed);
    file_.reset();
    is_anew_due_ = true;
  }
  return saved;
}

base::Status LimitFile::try_save(limit::Limiter& limiter) {
  const uint64_t slack = std::max(slack_bytes_, written_anew_);
  if (is_anew_due_ || written_ > written_anew_ + slack) return write_anew(limiter);
  const uint64_t before = written_;
  WEIR_TRY(append_changes(limiter, nullptr));
  if (written_ == before) return {};
  saves_.fetch_add(1, std::memory_order_relaxed);
  file_bytes_.store(written_, std::memory_order_relaxed);
  return {};
}

// It may take seconds. Until the new file has its name, a kill leaves the old one: so what changes
// goes to the end of that one, too, before all and then again and again.
base::Status LimitFile::write_anew(limit::Limiter& limiter) {
  const std::string temporary = path_ + ".new";
  const base::Status removed = files_.remove(temporary);
  if (!removed.ok() && removed.error().code != base::ErrorCode::not_found) return removed.error();
  WEIR_TRY(append_changes(limiter, nullptr));
  Tail anew{WEIR_TRY(files_.open(temporary, os::OpenMode::create_new)), kHeaderBytes};
  WEIR_TRY(anew.file->write_at(0, header_of(seed_)));
  base::Monotonic appended = clock_.monotonic();
  uint64_t synced = 0;
  std::string entries;
  limit::Limiter::SavePlace place;
  for (bool more = true; more;) {
    entries.clear();
    more = limiter.save(place, /*all=*/true, clock_.monotonic(), kFrameAimBytes, entries);
    if (!entries.empty()) WEIR_TRY(write_frame(*anew.file, anew.end, entries));
    if (anew.end - synced >= kSyncBytes) {
      WEIR_TRY(anew.file->sync_data());
      synced = anew.end;
    }
    if (more && clock_.monotonic() - appended < kChangesInterval) continue;
    WEIR_TRY(append_changes(limiter, &anew));
    appended = clock_.monotonic();
  }
  WEIR_TRY(anew.file->sync_data());
  WEIR_TRY(files_.rename(temporary, path_));
  WEIR_TRY(files_.sync_directory(directory_));
  file_ = std::move(anew.file);
  is_anew_due_ = false;
  written_ = written_anew_ = anew.end;
  saves_.fetch_add(1, std::memory_order_relaxed);
  file_bytes_.store(written_, std::memory_order_relaxed);
  return {};
}

// To the file, where there is one, and to the one that is to take its place.
base::Status LimitFile::append_changes(limit::Limiter& limiter, Tail* anew) {
  std::string entries;
  limit::Limiter::SavePlace place;
  for (bool more = true; more;) {
    entries.clear();
    more = limiter.save(place, /*all=*/false, clock_.monotonic(), kFrameAimBytes, entries);
    if (entries.empty()) continue;
    if (file_ != nullptr) WEIR_TRY(write_frame(*file_, written_, entries));
    if (anew != nullptr) WEIR_TRY(write_frame(*anew->file, anew->end, entries));
  }
  return {};
}

base::Status LimitFile::write_frame(os::File& file, uint64_t& offset, std::string_view entries) {
  std::string head{kFrameMagic};
  codec::append_little_endian(head, static_cast<uint32_t>(entries.size()));
  codec::append_little_endian(head, static_cast<uint64_t>(us_of(clock_.monotonic())));
  codec::append_little_endian(head,
                              static_cast<uint64_t>(clock_.wall().time_since_epoch().count()));
  head += boot_;
  codec::append_little_endian(head, codec::crc32c(entries, codec::crc32c(head)));
  WEIR_TRY(file.write_at(offset, head));
  WEIR_TRY(file.write_at(offset + head.size(), entries));
  offset += head.size() + entries.size();
  return {};
}

LimitFile::Counts LimitFile::counts() const {
  return {.saves = saves_.load(std::memory_order_relaxed),
          .failures = failures_.load(std::memory_order_relaxed),
          .file_bytes = file_bytes_.load(std::memory_order_relaxed)};
}

}  // namespace weir::app
