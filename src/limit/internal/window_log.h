#pragma once
// What one entry of the limiter holds: when it admitted, oldest first, in 32-bit words.
//
//   plain:  time, time, time …            each request has its own; up to kExactRequestsMax
//   paired: time, count, time, count …    times rounded up to the end of a window's 128th part
//
// Eight words lie in the entry itself; more than eight in chunks of the stripe's pool, chained.
// Where the pool has none, times are rounded up to thirds of a window: four pairs, which the entry
// holds. A time is a Scale's ticks modulo 2^32. It counts for as long as its age is under a window,
// so a time that is rounded up counts too long, never too short.
//
// Threading of all this: whoever holds the stripe's lock.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/striped_table.h"
#include "limit/internal/log_image.h"
#include "limit/limiter.h"

namespace weir::limit {

struct Chunk {
  static constexpr size_t kWords = 14;  // Even: no pair lies in two chunks.
  static constexpr uint32_t kNone = 0;
  uint32_t next;
  uint32_t unused;
  std::array<uint32_t, kWords> words;
};
static_assert(sizeof(Chunk) == 64);

// The chunks of one stripe, numbered from 1.
// Threading: one thread at a time.
class ChunkPool {
 public:
  explicit ChunkPool(size_t chunks) : chunks_(chunks + 1), left_(chunks) {}

  uint32_t take();  // Chunk::kNone: there is none left.
  void give(uint32_t one);
  size_t left() const { return left_; }
  Chunk& at(uint32_t number) { return chunks_[number]; }

 private:
  base::ZeroedArray<Chunk> chunks_;
  size_t left_;
  uint32_t untouched_ = 1;
  uint32_t free_ = Chunk::kNone;
};

// How a window is measured. Most windows have ticks of a microsecond, and cost no division.
struct Scale {
  static constexpr uint64_t kTicksMax = uint64_t{1} << 30U;
  static constexpr uint64_t kParts = 128;
  // Parts of a coarse one: a window and one more of them end in four of them at the most.
  static constexpr uint64_t kCoarseParts = 43;

  explicit Scale(std::chrono::seconds window) {
    const auto window_us = static_cast<uint64_t>(std::chrono::microseconds{window}.count());
    tick_us = window_us <= kTicksMax ? 1 : divided_up(window_us, kTicksMax);
    window_ticks = tick_up(window_us);
    part_ticks = divided_up(window_ticks, kParts);
    coarse_ticks = part_ticks * kCoarseParts;
    counts_us = (window_ticks + part_ticks + 1) * tick_us;
  }
  uint64_t tick(uint64_t time_us) const { return tick_us == 1 ? time_us : time_us / tick_us; }
  uint64_t tick_up(uint64_t time_us) const {
    return tick_us == 1 ? time_us : divided_up(time_us, tick_us);
  }

  uint64_t tick_us;       // 1 for windows up to 2^30 us.
  uint64_t window_ticks;  // Rounded up; up to 2^30 and a few.
  uint64_t part_ticks;    // Of a 128th, rounded up.
  uint64_t coarse_ticks;  // Of a third, and a bit.
  uint64_t counts_us;     // How long a request can count at the most.

 private:
  static uint64_t divided_up(uint64_t a, uint64_t b) { return (a + b - 1) / b; }
};

// Zero bytes are an empty log.
struct WindowLog {
  static constexpr size_t kOwnWords = 8;

  uint64_t newest_us : 48;  // Time of the newest request; 2^48 us are 8.9 years.
  uint64_t words : 16;      // In use.
  uint32_t sum;             // Requests that count.
  uint32_t window_s : 22;
  uint32_t changed : 1;  // Since it was last saved.
  uint32_t : 1;
  uint32_t head : 6;  // Words in front that are used up, in the entry or in the first chunk.
  uint32_t paired : 1;
  uint32_t chained : 1;  // own[0] is the first chunk, own[1] the last.
  std::array<uint32_t, kOwnWords> own;
};
static_assert(sizeof(WindowLog) == 48);

// One entry, seen with its stripe's chunks.
// Threading: one thread at a time.
class LogView {
 public:
  LogView(WindowLog& log, ChunkPool& pool) : log_(log), pool_(pool) {}

  // Brings the entry to `now_us` and makes it fit for the limit: what is too old is dropped. All
  // others require this first. Returns the time that holds: the later of now_us and the newest.
  uint64_t prepare(const Limit& limit, uint64_t now_us);
  bool has_room(const Limit& limit) const { return log_.sum < limit.requests; }
  // Requires has_room(). False: it was rounded to thirds of a window for want of chunks.
  bool charge(const Limit& limit, uint64_t now_us);
  Room room(const Limit& limit, uint64_t now_us) const;

  // Nothing here counts any more.
  bool expired(uint64_t now_us) const;
  void clear();

  // Becomes what another entry of the stripe is.
  void copy(const LogView& other);

  // Appends the entry as log_image.h says.
  void save(const base::TableKey& key, bool shared, std::string& out) const;
  // Becomes what was saved, `shift_us` later, but not newer than now. Requires a checked image.
  void restore(const LogImage& image, int64_t shift_us, uint64_t now_us);

 private:
  struct Run {
    uint32_t time;
    uint32_t count;
  };

  // How long ago times of a log are at a moment, in ticks; negative for one that was rounded up
  // beyond it.
  class Ages {
   public:
    Ages(const WindowLog& log, uint64_t now_us, const Scale& scale);
    int64_t of(uint32_t time) const { return since_newest_ + static_cast<int32_t>(newest_ - time); }

   private:
    uint32_t newest_;
    int64_t since_newest_;
  };

  void start_anew(uint64_t newest_us, uint32_t window_s, bool paired);
  size_t end() const { return size_t{log_.head} + size_t{log_.words}; }
  size_t run_words() const { return log_.paired != 0 ? 2 : 1; }
  Run front() const;
  void pop();
  bool push(std::array<uint32_t, 2> words);  // False: no chunk.
  // `count` requests at a tick, behind all others. False: as charge().
  bool add(uint64_t tick, uint32_t count, const Scale& scale);
  uint32_t* last_run() const;  // Its words. Requires one.
  // Calls visit(run) from the oldest on until it says false.
  template <typename Visit>
  void each(Visit visit) const;
  void pair_up(const Scale& scale);
  bool add_coarse(uint64_t tick, uint32_t count, const Scale& scale);
  // Becomes these, oldest first. False: rounded to thirds of a window.
  bool refill(std::span<const Run> runs, const Scale& scale);

  WindowLog& log_;
  ChunkPool& pool_;
};

}  // namespace weir::limit
