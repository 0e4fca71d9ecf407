#include "limit/internal/window_log.h"

#include <algorithm>

#include "base/assert.h"

namespace weir::limit {
namespace {

constexpr size_t kRunsMax =
    2 * Scale::kParts;  // Plain: kExactRequestsMax; paired: kParts and a few.

// The end of the part in which a tick lies, of parts of this length.
uint32_t part_end(uint64_t tick, uint64_t part_ticks) {
  return static_cast<uint32_t>((tick / part_ticks + 1) * part_ticks - 1);
}

}  // namespace

uint32_t ChunkPool::take() {
  uint32_t taken = Chunk::kNone;
  if (free_ != Chunk::kNone) {
    taken = free_;
    free_ = chunks_[taken].next;
  } else if (untouched_ < chunks_.size()) {
    taken = untouched_++;
  }
  if (taken == Chunk::kNone) return taken;
  chunks_[taken].next = Chunk::kNone;
  --left_;
  return taken;
}

void ChunkPool::give(uint32_t one) {
  chunks_[one].next = free_;
  free_ = one;
  ++left_;
}

// A time modulo 2^32 is no whole time. It is reckoned from the newest, a whole one: since that one
// two windows may go by, which may be more than 2^31 ticks, but between the two lies one at the
// most.
LogView::Ages::Ages(const WindowLog& log, uint64_t now_us, const Scale& scale) {
  const uint64_t newest = scale.tick_up(log.newest_us);
  newest_ = static_cast<uint32_t>(newest);
  since_newest_ = static_cast<int64_t>(scale.tick(now_us)) - static_cast<int64_t>(newest);
}

uint64_t LogView::prepare(const Limit& limit, uint64_t now_us) {
  const Scale scale{limit.window};
  now_us = std::max<uint64_t>(now_us, log_.newest_us);
  const bool is_other_window = log_.window_s != limit.window.count();  // Another measure.
  if (is_other_window || log_.words == 0 || now_us > log_.newest_us + scale.counts_us) {
    clear();
    log_.window_s = static_cast<uint32_t>(limit.window.count()) & 0x3f'ffffU;
  }
  const Ages ages{log_, now_us, scale};
  while (log_.words > 0 && ages.of(front().time) >= static_cast<int64_t>(scale.window_ticks))
    pop();
  if (limit.requests > kExactRequestsMax && log_.paired == 0) pair_up(scale);
  if (log_.words == 0) log_.paired = limit.requests > kExactRequestsMax ? 1 : 0;
  return now_us;
}

bool LogView::charge(const Limit& limit, uint64_t now_us) {
  WEIR_ASSERT(has_room(limit));
  const Scale scale{limit.window};
  log_.newest_us = now_us & 0xffff'ffff'ffffU;
  log_.changed = 1;
  return add(scale.tick_up(now_us), 1, scale);
}

bool LogView::add(uint64_t tick, uint32_t count, const Scale& scale) {
  log_.sum += count;
  if (log_.paired == 0) {
    WEIR_ASSERT(count == 1);
    if (push({static_cast<uint32_t>(tick), 0})) return true;
    log_.sum -= count;  // What pair_up() finds in the log is without it.
    pair_up(scale);
    log_.sum += count;
  }
  // Behind the last time lies nothing: with that one it counts too long, if at all.
  if (log_.words > 0) {
    uint32_t* const last = last_run();
    if (last[0] - static_cast<uint32_t>(tick) < scale.coarse_ticks) {
      last[1] += count;
      return true;
    }
  }
  if (push({part_end(tick, scale.part_ticks), count})) return true;
  return add_coarse(tick, count, scale);
}

// An empty log, to which add() adds what is older than its newest.
void LogView::start_anew(uint64_t newest_us, uint32_t window_s, bool paired) {
  clear();
  log_.newest_us = newest_us & 0xffff'ffff'ffffU;
  log_.window_s = window_s & 0x3f'ffffU;
  log_.paired = paired ? 1 : 0;
}

void LogView::copy(const LogView& other) {
  start_anew(other.log_.newest_us, other.log_.window_s, other.log_.paired != 0);
  const Scale scale{std::chrono::seconds{log_.window_s}};
  const uint64_t newest = scale.tick_up(log_.newest_us);
  other.each([&](const Run& run) {
    // A time modulo 2^32 is no whole time; it is reckoned from the newest, a whole one.
    const int64_t before = static_cast<int32_t>(static_cast<uint32_t>(newest) - run.time);
    add(newest - static_cast<uint64_t>(before), run.count, scale);
    return true;
  });
}

void LogView::save(const base::TableKey& key, bool shared, std::string& out) const {
  append_head(out, key, log_.newest_us, log_.window_s, log_.paired != 0, shared, log_.words);
  if (log_.words == 0) return;
  const Scale scale{std::chrono::seconds{log_.window_s}};
  const auto newest = static_cast<uint32_t>(scale.tick_up(log_.newest_us));
  each([&](const Run& run) {
    append_word(out, newest - run.time);
    if (log_.paired != 0) append_word(out, run.count);
    return true;
  });
}

// Times that are rounded up are so again: on a clock that was moved, parts of a window begin
// elsewhere.
void LogView::restore(const LogImage& image, int64_t shift_us, uint64_t now_us) {
  clear();
  if (image.words == 0) return;
  const Scale scale{std::chrono::seconds{image.window_s}};
  const int64_t shifted = static_cast<int64_t>(image.newest_us) + shift_us;
  const auto newest_us =
      static_cast<uint64_t>(std::clamp<int64_t>(shifted, 0, static_cast<int64_t>(now_us)));
  if (shifted < 0 || now_us > newest_us + scale.counts_us) return;
  start_anew(newest_us, image.window_s, image.paired);
  const auto newest = static_cast<int64_t>(scale.tick_up(newest_us));
  for (size_t nth = 0; nth < image.words; nth += image.paired ? 2 : 1) {
    const int64_t tick = newest - static_cast<int32_t>(image.word[nth]);
    // Older than the clock's beginning: it has left any window, or this could not be its newest.
    if (tick < 0) continue;
    add(static_cast<uint64_t>(tick), image.paired ? image.word[nth + 1] : 1, scale);
  }
}

Room LogView::room(const Limit& limit, uint64_t now_us) const {
  const Scale scale{limit.window};
  Room room;
  room.remaining = limit.requests > log_.sum ? limit.requests - log_.sum : 0;
  const Ages ages{log_, now_us, scale};
  const auto until_left = [&](uint32_t time) {
    const int64_t ticks = static_cast<int64_t>(scale.window_ticks) - ages.of(time);
    return std::chrono::microseconds{ticks * static_cast<int64_t>(scale.tick_us)};
  };
  if (log_.words == 0) return room;
  room.reset_after = until_left(*last_run());
  if (room.remaining > 0) return room;
  uint64_t to_leave = log_.sum - limit.requests + 1;
  each([&](const Run& run) {
    room.retry_after = until_left(run.time);
    to_leave -= std::min<uint64_t>(to_leave, run.count);
    return to_leave > 0;
  });
  return room;
}

bool LogView::expired(uint64_t now_us) const {
  if (log_.words == 0) return true;
  const Scale scale{std::chrono::seconds{log_.window_s}};
  return now_us > log_.newest_us + scale.counts_us;
}

void LogView::clear() {
  if (log_.chained != 0) {
    for (uint32_t chunk = log_.own[0]; chunk != Chunk::kNone;) {
      const uint32_t next = pool_.at(chunk).next;
      pool_.give(chunk);
      chunk = next;
    }
  }
  const uint32_t changed = log_.changed;
  log_ = WindowLog{};
  log_.changed = changed & 1U;
}

LogView::Run LogView::front() const {
  const uint32_t* words =
      (log_.chained != 0 ? pool_.at(log_.own[0]).words.data() : log_.own.data()) + log_.head;
  return {words[0], log_.paired != 0 ? words[1] : 1};
}

void LogView::pop() {
  log_.sum -= front().count;
  const size_t words = run_words();
  log_.words -= words & 0xffffU;
  log_.head = (log_.head + words) & 0x3fU;
  if (log_.chained != 0 && (log_.head == Chunk::kWords || log_.words == 0)) {
    const uint32_t first = log_.own[0];
    log_.own[0] = pool_.at(first).next;
    pool_.give(first);
    log_.head = 0;
    if (log_.own[0] == Chunk::kNone) log_.chained = 0;
  }
  if (log_.words == 0) log_.head = 0;
}

bool LogView::push(std::array<uint32_t, 2> words) {
  const size_t count = run_words();
  if (log_.chained == 0 && log_.words + count > WindowLog::kOwnWords) {
    const uint32_t chunk = pool_.take();
    if (chunk == Chunk::kNone) return false;
    std::copy_n(log_.own.begin() + log_.head, log_.words, pool_.at(chunk).words.begin());
    log_.own[0] = log_.own[1] = chunk;
    log_.head = 0;
    log_.chained = 1;
  }
  uint32_t* place = nullptr;
  if (log_.chained != 0) {
    const size_t used = end() % Chunk::kWords;
    if (used == 0) {
      const uint32_t chunk = pool_.take();
      if (chunk == Chunk::kNone) return false;
      pool_.at(log_.own[1]).next = chunk;
      log_.own[1] = chunk;
    }
    place = pool_.at(log_.own[1]).words.data() + used;
  } else {
    if (end() + count > WindowLog::kOwnWords) {
      std::copy_n(log_.own.begin() + log_.head, log_.words, log_.own.begin());
      log_.head = 0;
    }
    place = log_.own.data() + end();
  }
  std::copy_n(words.begin(), count, place);
  log_.words += count & 0xffffU;
  return true;
}

uint32_t* LogView::last_run() const {
  WEIR_ASSERT(log_.words > 0);
  if (log_.chained == 0) return log_.own.data() + end() - run_words();
  const size_t used = (end() - 1) % Chunk::kWords + 1;
  return pool_.at(log_.own[1]).words.data() + used - run_words();
}

template <typename Visit>
void LogView::each(Visit visit) const {
  uint32_t chunk = log_.chained != 0 ? log_.own[0] : Chunk::kNone;
  size_t at = log_.head;
  for (size_t left = log_.words; left > 0; left -= run_words(), at += run_words()) {
    if (chunk != Chunk::kNone && at == Chunk::kWords) {
      chunk = pool_.at(chunk).next;
      at = 0;
    }
    const uint32_t* words =
        (chunk != Chunk::kNone ? pool_.at(chunk).words.data() : log_.own.data()) + at;
    if (!visit(Run{words[0], log_.paired != 0 ? words[1] : 1})) return;
  }
}

// A plain log has at most kExactRequestsMax words and its pairs no more words than twice that, but
// times that fall into one part become one pair.
void LogView::pair_up(const Scale& scale) {
  std::array<Run, kExactRequestsMax> runs{};
  size_t count = 0;
  const uint64_t newest = scale.tick_up(log_.newest_us);
  each([&](const Run& run) {
    // A time modulo 2^32 is no whole time; its part is reckoned from the newest, a whole one.
    const auto before = static_cast<uint32_t>(static_cast<uint32_t>(newest) - run.time);
    const uint32_t end = part_end(newest - before, scale.part_ticks);
    if (count > 0 && runs[count - 1].time == end) {
      runs[count - 1].count += 1;
    } else {
      runs[count++] = {end, 1};
    }
    return true;
  });
  refill({runs.data(), count}, scale);
}

// Made dense, the log may have room for one more. If not, every time is rounded up to the end of a
// third, which lets it fit into its entry.
bool LogView::add_coarse(uint64_t tick, uint32_t count, const Scale& scale) {
  std::array<Run, kRunsMax + 1> runs{};
  size_t runs_count = 0;
  each([&](const Run& run) {
    WEIR_ASSERT(runs_count < kRunsMax);
    runs[runs_count++] = run;
    return true;
  });
  runs[runs_count++] = {part_end(tick, scale.part_ticks), count};
  return refill({runs.data(), runs_count}, scale);
}

bool LogView::refill(std::span<const Run> runs, const Scale& scale) {
  const WindowLog before = log_;
  const auto begin_anew = [&] {
    clear();
    log_.newest_us = before.newest_us;
    log_.window_s = before.window_s;
    log_.sum = before.sum;
    log_.paired = 1;
  };
  begin_anew();
  if (std::all_of(runs.begin(), runs.end(), [this](const Run& run) {
        return push({run.time, run.count});
      })) {
    return true;
  }
  begin_anew();
  const uint64_t newest = scale.tick_up(log_.newest_us);
  for (const Run& run : runs) {
    // Negative for one that is rounded up beyond the newest.
    const int64_t age = static_cast<int32_t>(static_cast<uint32_t>(newest) - run.time);
    const uint32_t end = part_end(newest - static_cast<uint64_t>(age), scale.coarse_ticks);
    uint32_t* const last = log_.words > 0 ? last_run() : nullptr;
    if (last != nullptr && (last[0] == end || log_.words == WindowLog::kOwnWords)) {
      last[0] = end;
      last[1] += run.count;
    } else {
      push({end, run.count});  // Into the entry itself.
    }
  }
  return false;
}

}  // namespace weir::limit
