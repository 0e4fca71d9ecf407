#include "pipeline/batch_builder.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"
#include "codec/iso_time.h"

namespace weir::pipeline {
namespace {

using base::Error;
using stats::Batch;
using traffic::Event;
using traffic::EventFlag;

constexpr Error kOverflow{base::ErrorCode::invalid_input, base::Origin::storage, base::Retry::never,
                          0, "integer overflow"};

bool has(const Event& event, uint16_t flag) {
  return (event.flags & flag) != 0;
}

// From 1970 to 9999; a count under a stamp outside is kept, under the present hour.
bool is_hour(int64_t hour) {
  return hour >= 0 && hour < 70'389'528;
}

uint64_t with_hour(uint64_t hash, int64_t hour) {
  return hash ^ (static_cast<uint64_t>(hour) * 0x9e3779b97f4a7c15U);
}

// The path an event is counted under, template and limits apart.
std::string_view path_of(const Event& event) {
  if (has(event, EventFlag::kMalformed)) return stats::kMalformedPath;
  if (has(event, EventFlag::kUnrouted) && has(event, EventFlag::kTotalsOnly)) {
    return stats::kUnroutedPath;
  }
  return event.path;
}

}  // namespace

void BatchBuilder::start(size_t items, uint64_t next_seq, base::Wall now) {
  now_ = now;
  next_seq_ = next_seq;
  today_ = codec::unix_day_of_ms(base::unix_ms(now));
  // Each item may add its path, the template of that, and `__other__`; half stay free.
  slots_.assign(std::bit_ceil(2 * (items + 1) * 3), 0);
  groups_.clear();
  chosen_.clear();
  advance_index_.clear();
  paths_.clear();
  events_.clear();
  hours_.clear();
  adjustments_.clear();
  adjustment_index_.clear();
  advances_.clear();
  dead_letters_.clear();
  replays_.clear();
  degraded_.clear();
  days_.clear();
}

Batch BatchBuilder::finish() {
  return {.paths = paths_,
          .events = events_,
          .hours = hours_,
          .adjustments = adjustments_,
          .advances = advances_,
          .dead_letters = dead_letters_,
          .replays = replays_,
          .degraded = degraded_,
          .days = days_,
          .now = now_};
}

base::Result<Batch> BatchBuilder::build(const Input& input) {
  start(input.items.size(), input.next_seq, input.now);
  advance_index_.assign(input.streams.size(), 0);
  for (const Item& item : input.items)
    WEIR_TRY(add(input, item));
  return finish();
}

base::Status BatchBuilder::add(const Input& input, const Item& item) {
  Batch::Advance& advance = advance_of(input, item.source);
  const uint64_t accounts_for = item.sequence - advance.through;
  WEIR_ASSERT(accounts_for == item.lost + (item.kind == Item::Kind::gap ? 0U : 1U));
  advance.through = item.sequence;
  if (item.lost > 0) {
    advance.accounted.lost += item.lost;
    accounted_today().lost += item.lost;
  }
  if (item.kind == Item::Kind::event) {
    return add_event(input.events[item.event], advance.stream, item.sequence, advance.accounted);
  }
  if (item.kind == Item::Kind::dead) {
    ++advance.accounted.dead;
    ++accounted_today().dead;
    dead_letters_.push_back({advance.stream, item.sequence, item.reason, item.payload});
  }
  return {};
}

base::Result<Batch> BatchBuilder::build(std::span<const Revived> letters, uint64_t next_seq,
                                        base::Wall now) {
  start(letters.size(), next_seq, now);
  for (const Revived& each : letters) {
    const stats::StoredLetter& letter = *each.letter;
    Batch::Replay replay{.letter_id = letter.letter_id,
                         .stream = letter.stream,
                         .sequence = letter.sequence,
                         .dead_day = codec::unix_day_of_ms(base::unix_ms(letter.died))};
    WEIR_TRY(add_event(*each.event, letter.stream, letter.sequence, replay.accounted));
    replays_.push_back(replay);
  }
  return finish();
}

base::Status BatchBuilder::add_event(const Event& event, journal::Stream stream, uint64_t sequence,
                                     stats::Accounted& accounted) {
  const int64_t ms = event.arrival_us / 1000;
  const uint32_t row = WEIR_TRY(row_of(path_of(event), event.route_id, codec::unix_hour_of_ms(ms)));
  if (!hours_[row].counts.add(event)) return kOverflow;

  stats::Accounted& day = day_of(codec::unix_day_of_ms(ms)).accounted;
  bool detail = false;
  if (has(event, EventFlag::kTotalsOnly)) {
    ++accounted.totals_only;
    ++day.totals_only;
  } else if (has(event, EventFlag::kSampledOut)) {
    ++accounted.sampled_out;
    ++day.sampled_out;
  } else {
    ++accounted.inserted;
    ++day.inserted;
    detail = true;
  }
  if (!detail) WEIR_TRY(adjust(row, event, next_seq_ + events_.size()));
  events_.push_back({.seq = next_seq_ + events_.size(),
                     .stream = stream,
                     .path = hours_[row].path,
                     .sequence = sequence,
                     .event = &event,
                     .detail = detail});
  return {};
}

base::Status BatchBuilder::adjust(uint32_t row, const Event& event, uint64_t seq) {
  if (adjustment_index_.size() < hours_.size()) adjustment_index_.resize(hours_.size(), 0);
  uint32_t& index = adjustment_index_[row];
  if (index == 0) {
    const Batch::HourRow& hour = hours_[row];
    const bool named = paths_[hour.path] != stats::kOtherPath;  // Which has no route.
    adjustments_.push_back({.hour = hour.hour,
                            .path = hour.path,
                            .route = named ? std::string_view{event.route_id} : std::string_view{},
                            .first_seq = seq});
    index = static_cast<uint32_t>(adjustments_.size());
  }
  return adjustments_[index - 1].counts.add(event) ? base::Status{} : base::Status{kOverflow};
}

base::Result<Batch> BatchBuilder::build(std::span<const journal::DegradedSide> sides,
                                        base::Wall now) {
  size_t rows = 0;
  for (const journal::DegradedSide& side : sides)
    rows += side.rows.size();
  start(rows, 0, now);
  const int64_t this_hour = codec::unix_hour_of_ms(base::unix_ms(now));
  for (const journal::DegradedSide& side : sides) {
    Batch::DegradedMerge merge{side.stream, side.generation, 0};
    for (const journal::DegradedRow& counted : side.rows) {
      // Its route is not known: it may use a path's row, and start one like a request without
      // route.
      const int64_t hour = is_hour(counted.hour) ? counted.hour : this_hour;
      Batch::HourRow& row = hours_[WEIR_TRY(row_of(counted.path, {}, hour))];
      stats::Counts counts;
      counts.requests = counted.requests;
      counts.errors = counted.errors;
      counts.us_sum = counted.duration_us_sum;
      counts.us_count = counted.requests;
      counts.bytes_in = counted.bytes_in;
      counts.bytes_out = counted.bytes_out;
      if (!row.counts.add(counts)) return kOverflow;
      row.partial = row.partial || !counted.totals_only;
      merge.requests += counted.requests;
      day_of(codec::unix_day_of_ms(hour * codec::kMsPerHour)).degraded += counted.requests;
    }
    degraded_.push_back(merge);
  }
  adjustments_ = hours_;
  return finish();
}

const BatchBuilder::Group* BatchBuilder::find(std::string_view path, int64_t hour,
                                              uint64_t hash) const {
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask; slots_[i] != 0; i = (i + 1) & mask) {
    const Group& group = groups_[slots_[i] - 1];
    if (group.hash == hash && group.hour == hour && group.path == path) return &group;
  }
  return nullptr;
}

void BatchBuilder::insert(const Group& group) {
  groups_.push_back(group);
  const size_t mask = slots_.size() - 1;
  size_t i = group.hash & mask;
  while (slots_[i] != 0)
    i = (i + 1) & mask;
  slots_[i] = static_cast<uint32_t>(groups_.size());
}

base::Result<uint32_t> BatchBuilder::row_of(std::string_view path, std::string_view route,
                                            int64_t hour) {
  const uint64_t path_hash = hash_(path);
  const uint64_t hash = with_hour(path_hash, hour);
  if (const Group* const known = find(path, hour, hash)) return known->row;
  const std::string_view chosen = templates_.of(path, path_hash);
  const bool same = chosen.data() == path.data();
  const uint32_t row =
      same ? WEIR_TRY(new_row(path, route, hour)) : WEIR_TRY(chosen_row(chosen, route, hour));
  insert({path, hour, hash, row});
  return row;
}

base::Result<uint32_t> BatchBuilder::chosen_row(std::string_view path, std::string_view route,
                                                int64_t hour) {
  const uint64_t hash = with_hour(hash_(path), hour);
  if (const Group* const known = find(path, hour, hash)) return known->row;
  const std::string_view kept = chosen_.emplace_back(path);
  // One level deep: `__other__` is always admitted.
  const uint32_t row = WEIR_TRY(new_row(kept, route, hour));  // NOLINT(misc-no-recursion)
  insert({kept, hour, hash, row});
  return row;
}

base::Result<uint32_t> BatchBuilder::new_row(std::string_view path, std::string_view route,
                                             int64_t hour) {
  if (!WEIR_TRY(path_book_.admit(hour, path, route))) {
    return chosen_row(stats::kOtherPath, {}, hour);  // NOLINT(misc-no-recursion)
  }
  hours_.push_back({.hour = hour, .path = static_cast<uint32_t>(paths_.size()), .route = route});
  paths_.push_back(path);
  return static_cast<uint32_t>(hours_.size() - 1);
}

Batch::Advance& BatchBuilder::advance_of(const Input& input, uint32_t source) {
  uint32_t& index = advance_index_[source];
  if (index == 0) {
    const uint64_t from = input.committed[source];
    advances_.push_back({.stream = input.streams[source], .from = from, .through = from});
    index = static_cast<uint32_t>(advances_.size());
  }
  return advances_[index - 1];
}

Batch::DayRow& BatchBuilder::day_of(int64_t day) {
  // Nearly always one or two days; the newest is asked for most.
  for (size_t i = days_.size(); i-- > 0;) {
    if (days_[i].day == day) return days_[i];
  }
  days_.push_back({.day = day});
  return days_.back();
}

}  // namespace weir::pipeline
