#include "stats/accumulator.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "codec/iso_time.h"

namespace weir::stats {
namespace {

// An entry of the map and its node, beside what the sketches hold.
constexpr size_t kEntryBytes = sizeof(Accumulator::Sketches) + 64;

size_t bytes_of(const Accumulator::Sketches& sketches) {
  return kEntryBytes + sketches.latency.memory_bytes() + sketches.clients.memory_bytes();
}

}  // namespace

void Accumulator::start(uint64_t seq, uint64_t live_from) {
  sketches_.clear();
  dirty_.clear();
  writing_.clear();
  client_rows_.clear();
  writing_clients_.clear();
  days_.clear();
  sketch_bytes_ = 0;
  folded_through_ = seq;
  live_from_ = live_from;
  passing_ = false;
}

base::Status Accumulator::fold(const Fact& fact) {
  WEIR_ASSERT(fact.seq > folded_through_);
  const int64_t hour = codec::unix_hour_of_ms(fact.ts_ms);
  const int64_t day = codec::unix_day_of_ms(fact.ts_ms);
  // First all that can fail, then all that counts.
  Sketches* const of_path = WEIR_TRY(sketches_of({hour, fact.path_id}));
  Sketches* const of_all = WEIR_TRY(sketches_of({hour, kAllPaths}));
  const uint64_t client = WEIR_TRY(counted_as(day, fact.client));
  ClientRow& row = *WEIR_TRY(client_row_of({day, client}));

  add(*of_path, fact);
  add(*of_all, fact);
  if (fact.seq > row.through) {
    if (row.requests == 0) row.first_ms = row.last_ms = fact.ts_ms;
    row.through = fact.seq;
    ++row.requests;
    row.errors += fact.is_error() ? 1U : 0U;
    row.blocked += fact.is_blocked() ? 1U : 0U;
    row.throttled += fact.is_throttled() ? 1U : 0U;
    row.bytes_in += fact.bytes_in;
    row.bytes_out += fact.bytes_out;
    row.first_ms = std::min(row.first_ms, fact.ts_ms);
    row.last_ms = std::max(row.last_ms, fact.ts_ms);
    if (row.ip.empty() && client != kOtherClient) row.ip = fact.ip;
  }
  newest_hour_ = std::max(newest_hour_, hour);
  folded_through_ = fact.seq;
  return {};
}

void Accumulator::add(Sketches& sketches, const Fact& fact) {
  if (fact.seq <= sketches.through) return;
  sketches.latency.add(fact.us);
  sketches.clients.add(fact.client);
  sketches.through = fact.seq;
  sketches.used_pass = passes_;
  const size_t bytes = bytes_of(sketches);
  sketch_bytes_ += bytes - sketches.bytes;
  sketches.bytes = bytes;
  if (!sketches.dirty) {
    sketches.dirty = true;
    dirty_.push_back(&sketches);
  }
}

base::Result<Accumulator::Sketches*> Accumulator::sketches_of(SketchKey key) {
  const auto known = sketches_.find(key);
  if (known != sketches_.end()) return known->second.get();
  auto fresh = std::make_unique<Sketches>();
  fresh->key = key;
  if (folded_through_ + 1 < live_from_) {
    // The row may hold events that are folded again now.
    std::optional<SketchRow> row = WEIR_TRY(source_.sketch_row(key));
    if (row) {
      fresh->through = row->through;
      fresh->latency = std::move(row->latency);
      fresh->clients = std::move(row->clients);
    }
    fresh->complete = true;
  }
  fresh->used_pass = passes_;
  fresh->bytes = bytes_of(*fresh);
  sketch_bytes_ += fresh->bytes;
  return sketches_.emplace(key, std::move(fresh)).first->second.get();
}

base::Status Accumulator::complete(Sketches& sketches) {
  if (sketches.complete) return {};
  const std::optional<SketchRow> row = WEIR_TRY(source_.sketch_row(sketches.key));
  if (row) {
    sketches.latency.merge(row->latency);
    sketches.clients.merge(row->clients);
    const size_t bytes = bytes_of(sketches);
    sketch_bytes_ += bytes - sketches.bytes;
    sketches.bytes = bytes;
  }
  sketches.complete = true;
  return {};
}

base::Result<ClientRow*> Accumulator::client_row_of(ClientKey key) {
  const auto known = client_rows_.find(key);
  if (known != client_rows_.end()) return &known->second;
  ClientRow fresh{.key = key};
  if (folded_through_ + 1 < live_from_) fresh.through = WEIR_TRY(source_.client_through(key));
  return &client_rows_.emplace(key, std::move(fresh)).first->second;
}

base::Result<uint64_t> Accumulator::counted_as(int64_t day, uint64_t client) {
  Days& known = *WEIR_TRY(day_of(day));
  if (known.clients.contains(client)) return client;
  if (known.clients.size() >= limits_.clients_per_day_max) return kOtherClient;
  known.clients.insert(client);
  return client;
}

base::Result<Accumulator::Days*> Accumulator::day_of(int64_t day) {
  ++uses_;
  for (const auto& known : days_) {
    if (known->day != day) continue;
    known->used_at = uses_;
    return known.get();
  }
  auto fresh = std::make_unique<Days>();
  fresh->day = day;
  fresh->used_at = uses_;
  WEIR_TRY(source_.clients_of(day, fresh->clients));
  // What is not written yet is of that day, too.
  for (const auto& [key, row] : client_rows_) {
    if (key.day == day && key.client != kOtherClient) fresh->clients.insert(key.client);
  }
  for (const ClientRow& row : writing_clients_) {
    if (row.key.day == day && row.key.client != kOtherClient) fresh->clients.insert(row.key.client);
  }
  if (days_.size() == kDaysMax) {
    const auto oldest =
        std::min_element(days_.begin(), days_.end(),
                         [](const auto& a, const auto& b) { return a->used_at < b->used_at; });
    days_.erase(oldest);
  }
  days_.push_back(std::move(fresh));
  return days_.back().get();
}

void Accumulator::begin_pass() {
  if (passing_) return;
  passing_ = true;
  pass_seq_ = folded_through_;
  ++passes_;
  writing_.assign(dirty_.begin(), dirty_.end());
  dirty_.clear();
  for (auto& [key, row] : client_rows_) {
    if (row.requests > 0) writing_clients_.push_back(std::move(row));
  }
  client_rows_.clear();
}

std::vector<Accumulator::Sketches*> Accumulator::next_sketches(size_t max) {
  const size_t count = std::min(max, writing_.size());
  return {writing_.begin(), writing_.begin() + static_cast<std::ptrdiff_t>(count)};
}

std::vector<const ClientRow*> Accumulator::next_clients(size_t max) {
  std::vector<const ClientRow*> next;
  for (size_t i = 0; i < std::min(max, writing_clients_.size()); ++i)
    next.push_back(&writing_clients_[i]);
  return next;
}

void Accumulator::wrote_sketches(size_t count) {
  for (; count > 0; --count) {
    writing_.front()->dirty = false;
    writing_.pop_front();
  }
}

void Accumulator::wrote_clients(size_t count) {
  const auto first = writing_clients_.begin();
  writing_clients_.erase(first, first + static_cast<std::ptrdiff_t>(count));
}

void Accumulator::end_pass() {
  WEIR_ASSERT(pass_written());
  passing_ = false;
  drop_cold();
}

// Hours that are over go as soon as they are written. For the rest the limit decides, and what was
// not used since the pass began goes first.
void Accumulator::drop_cold() {
  const auto drop = [this](const auto& cold) {
    for (auto at = sketches_.begin(); at != sketches_.end();) {
      const Sketches& each = *at->second;
      if (each.dirty || !cold(each)) {
        ++at;
        continue;
      }
      sketch_bytes_ -= each.bytes;
      at = sketches_.erase(at);
    }
  };
  const uint64_t this_pass = passes_;
  drop([&](const Sketches& each) {
    return each.used_pass < this_pass && each.key.hour < newest_hour_;
  });
  if (sketch_bytes_ > limits_.sketch_bytes_max / 2) {
    drop([&](const Sketches& each) { return each.used_pass + 1 < this_pass; });
  }
  if (sketch_bytes_ > limits_.sketch_bytes_max / 4 * 3) {
    drop([](const Sketches&) { return true; });
  }
}

const Accumulator::Sketches* Accumulator::find(SketchKey key) const {
  const auto known = sketches_.find(key);
  return known == sketches_.end() ? nullptr : known->second.get();
}

}  // namespace weir::stats
