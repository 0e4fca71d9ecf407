// How the Consumer commits a batch. Beside consumer.cc to keep both short.

#include <algorithm>
#include <utility>

#include "base/fault_point.h"
#include "pipeline/consumer.h"

namespace weir::pipeline {
namespace {

using base::Error;
using base::ErrorCode;
using base::LogLevel;
using std::chrono::milliseconds;

// Log texts that operators search for; never changed (founding document, spec 8.4).
constexpr std::string_view kBatchMark = "📦 Queue Batch";
constexpr std::string_view kGroupedMark = "📊 Grouped into";
constexpr std::string_view kAggregatedMark = "✅ Aggregated";
constexpr std::string_view kUpsertMark = "💾 批量 upsert";

constexpr int kTries = 3;

}  // namespace

base::Status Consumer::commit_batch() {
  std::vector<Item>& items = intake_.items();
  logger_.mark(kBatchMark, "{} records from {} streams", items.size() - committed_items_,
               streams_.size());
  std::vector<Range> waiting{{committed_items_, items.size(), kTries}};  // Last one first.
  while (!waiting.empty()) {
    Range range = waiting.back();
    waiting.pop_back();
    const base::Status committed = commit_range(range);
    if (committed.ok()) continue;
    path_book_.forget();
    if (!stats::is_data_error(committed.error())) return committed;
    ++errors_since_beat_;
    if (--range.tries > 0) {
      waiting.push_back(range);
    } else if (range.end - range.begin > 1) {
      const size_t middle = range.begin + (range.end - range.begin) / 2;
      waiting.push_back({middle, range.end, 1});
      waiting.push_back({range.begin, middle, 1});
    } else if (items[range.begin].kind == Item::Kind::event) {
      items[range.begin].kind = Item::Kind::dead;
      items[range.begin].reason = committed.error().what.view();
      waiting.push_back({range.begin, range.end, 1});
    } else {
      // Nothing of the event is left to blame: the store is at fault, and is tried again.
      return Error{ErrorCode::unavailable, base::Origin::storage, base::Retry::with_backoff, 0,
                   "dead letter refused"};
    }
  }
  intake_.clear();
  committed_items_ = 0;
  return {};
}

base::Status Consumer::commit_range(const Range& range) {
  const base::Monotonic began = clock_.monotonic();
  const std::span<const Item> items =
      std::span{intake_.items()}.subspan(range.begin, range.end - range.begin);
  const stats::Batch batch = WEIR_TRY(builder_.build({.items = items,
                                                      .events = intake_.events(),
                                                      .streams = streams_,
                                                      .committed = committed_,
                                                      .next_seq = next_seq_,
                                                      .now = clock_.wall()}));
  WEIR_TRY(stats_.commit(batch, heartbeat(items.size())));
  last_commit_ = clock_.monotonic();
  last_batch_took_ = std::chrono::ceil<milliseconds>(last_commit_ - began);
  heartbeat_at_ = last_commit_ + options_.heartbeat;
  errors_since_beat_ = 0;
  passed(range, batch);
  return {};
}

void Consumer::passed(const Range& range, const stats::Batch& batch) {
  const std::vector<Item>& items = intake_.items();
  for (size_t i = range.begin; i < range.end; ++i) {
    committed_[items[i].source] = items[i].sequence;
    sources_[items[i].source].released = false;
  }
  committed_items_ = range.end;
  committed_since_derive_ = true;
  next_seq_ += batch.events.size();
  snapshot_schedule_.batch_done();
  count(batch);
  show(range.begin, range.end);
}

void Consumer::count(const stats::Batch& batch) {
  stats::Accounted sum;
  for (const stats::Batch::Advance& advance : batch.advances)
    sum += advance.accounted;
  const uint64_t events = sum.inserted + sum.sampled_out + sum.totals_only;
  ++report_.batches;
  report_.events += events;
  report_.dead_letters += sum.dead;
  report_.letters_waiting += sum.dead;
  report_.lost += sum.lost;
  logger_.mark(kGroupedMark, "{} groups of path and hour", batch.hours.size());
  logger_.mark(kAggregatedMark, "{} events", events);
  logger_.mark(kUpsertMark, "{} hourly rows, {} events in {} ms", batch.hours.size(),
               batch.events.size(), last_batch_took_.count());
  if (sum.dead > 0) {
    logger_.log(LogLevel::error, "{} records became dead letters, the first: {}", sum.dead,
                batch.dead_letters.front().reason);
  }
  if (sum.lost > 0) logger_.log(LogLevel::error, "{} records are lost in the journal", sum.lost);
}

// The events of a run of items lie side by side, except where a dead letter lies between.
void Consumer::show(size_t begin, size_t end) {
  if (sinks_.empty()) return;
  const std::span<const traffic::Event> events{intake_.events()};
  size_t first = 0;
  size_t length = 0;
  const auto flush = [&] {
    if (length == 0) return;
    for (EventSink* const sink : sinks_)
      sink->on_events(events.subspan(first, length));
    length = 0;
  };
  for (size_t i = begin; i < end; ++i) {
    const Item& item = intake_.items()[i];
    if (item.kind != Item::Kind::event) continue;
    if (length > 0 && item.event != first + length) flush();
    if (length == 0) first = item.event;
    ++length;
  }
  flush();
}

// A commit that seemed to fail was made: its events are shown before they are forgotten.
void Consumer::show_committed(const std::vector<stats::Position>& positions) {
  const std::vector<Item>& items = intake_.items();
  for (size_t i = committed_items_; i < items.size(); ++i) {
    if (items[i].sequence <= positions[items[i].source].through) show(i, i + 1);
  }
}

}  // namespace weir::pipeline
