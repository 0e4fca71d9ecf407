#pragma once
// What the rate limits, throttles and bans have counted, kept beyond the end of the process in one
// file, `limits` in the data directory (docs/formats/limits.md).
//
//   limiter ── changes of a second ──► frames at the end of the file ── too long ──► written anew
//                                                                       (limits.new, renamed)
//
// A kill forgets the changes since the last save: a second, by default. Power loss may forget all
// since the file was last written anew. Whatever is wrong with the file, the limits work: they
// begin empty, and say so.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "limit/limiter.h"
#include "os/files.h"

namespace weir::app {

// Ownership: borrows files and clock.
// Threading: one thread at a time; counts() any thread.
// Limits: the file holds at most about twice what the limiter does, and kSlackBytes.
class LimitFile {
 public:
  static constexpr std::string_view kName = "limits";
  static constexpr uint64_t kSlackBytes = 16ULL * 1024 * 1024;
  // Two million entries of one request.
  static constexpr uint64_t kPutOffBytesMax = 64ULL * 1024 * 1024;
  // While the file is written anew: how often changes are appended, and how much is synced at once.
  static constexpr std::chrono::milliseconds kChangesInterval{500};
  static constexpr uint64_t kSyncBytes = 4ULL * 1024 * 1024;

  // The file is written anew when it is `slack_bytes`, or what it was written anew with, longer.
  LimitFile(os::Files& files, const base::Clock& clock, const std::string& directory,
            uint64_t slack_bytes = kSlackBytes);

  // Reads the beginning of the file. Returns the seed that its keys were made with, for the limiter
  // that load() is given; where there is no file that can be read, a new one. Blocks.
  uint64_t seed();

  struct Loaded {
    size_t entries = 0;   // Put back, later versions of one included.
    std::string problem;  // Why not all that was saved; empty: it was, or nothing was.
  };
  // Puts back what still counts. After seed(), before save(). Requires that no other thread uses
  // the limiter. Blocks for the file; the entries wait in memory, about `put_off_bytes_max` at the
  // most, until somebody asks for their part of the limiter, or the first save does.
  Loaded load(limit::Limiter& limiter, uint64_t put_off_bytes_max = kPutOffBytesMax);

  // Saves what changed since the last save. Blocks for the file. Errors: those of os::Files; then
  // the next save writes the file anew, so that nothing is missing in it.
  base::Status save(limit::Limiter& limiter);

  struct Counts {
    uint64_t saves = 0;  // Those that had something to write.
    uint64_t failures = 0;
    uint64_t file_bytes = 0;
  };
  Counts counts() const;
  bool failing() const { return failing_.load(std::memory_order_relaxed); }

 private:
  base::Status open_for_reading();
  void go_on_behind(uint64_t offset);
  base::Status try_save(limit::Limiter& limiter);
  base::Status write_anew(limit::Limiter& limiter);
  // A file, and where its next frame goes.
  struct Tail {
    std::unique_ptr<os::File> file;
    uint64_t end;
  };
  base::Status append_changes(limit::Limiter& limiter, Tail* anew);
  base::Status write_frame(os::File& file, uint64_t& offset, std::string_view entries);
  std::chrono::microseconds shift_of(std::string_view frame_head) const;

  os::Files& files_;
  const base::Clock& clock_;
  const std::string directory_;
  const std::string path_;
  const uint64_t slack_bytes_;
  const std::string boot_;  // 16 bytes of this start of the machine; zeros: nobody says.
  uint64_t seed_ = 0;
  std::string problem_;              // With the beginning of the file.
  std::unique_ptr<os::File> input_;  // Between seed() and load().
  std::unique_ptr<os::File> file_;   // Null: there is none that changes may be appended to.
  bool is_anew_due_ = true;          // By the next save.
  uint64_t written_ = 0;             // Bytes of the file.
  uint64_t written_anew_ = 0;        // When it was last written anew.

  // Relaxed: figures for people.
  std::atomic<uint64_t> saves_{0};
  std::atomic<uint64_t> failures_{0};
  std::atomic<uint64_t> file_bytes_{0};
  std::atomic<bool> failing_{false};
};

}  // namespace weir::app
