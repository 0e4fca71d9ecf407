// How the Consumer serves dead letters. Beside consumer.cc to keep both short.

#include <algorithm>
#include <utility>

#include "pipeline/consumer.h"

namespace weir::pipeline {
namespace {

using base::LogLevel;
using traffic::Event;

// Letters of one slice: well below a batch, so that a long replay delays no batch noticeably.
constexpr size_t kSlice = 256;

}  // namespace

void Consumer::request_letters(LettersRequest request) {
  std::sort(request.letter_ids.begin(), request.letter_ids.end());
  letters_ = std::move(request);
  letters_after_ = 0;
  report_.letters = {.done_request = report_.letters.done_request};
}

// The open batch was numbered and judged from next_seq_ and the path book on when it is built, not
// before, so a slice may go first.
base::Status Consumer::serve_letters() {
  const std::vector<stats::StoredLetter> letters = WEIR_TRY(wanted_letters());
  if (letters.empty()) {
    LettersReport& report = report_.letters;
    report.done_request = letters_->number;
    letters_.reset();
    logger_.log(LogLevel::info, "dead letters: {} counted, {} deleted, {} refused", report.replayed,
                report.purged, report.refused);
    return {};
  }
  WEIR_TRY(letters_->action == LettersRequest::Action::purge ? purge_letters(letters)
                                                             : replay_letters(letters));
  letters_after_ = letters.back().letter_id;
  report_.letters_waiting = WEIR_TRY(stats_.dead_letter_count());
  return {};
}

// The next slice; empty: no letter is left.
base::Result<std::vector<stats::StoredLetter>> Consumer::wanted_letters() {
  const std::vector<int64_t>& ids = letters_->letter_ids;
  if (ids.empty()) return stats_.dead_letters(letters_after_, kSlice);
  std::vector<stats::StoredLetter> found;
  auto next = std::upper_bound(ids.begin(), ids.end(), letters_after_);
  for (; next != ids.end() && found.size() < kSlice; ++next) {
    std::vector<stats::StoredLetter> letter = WEIR_TRY(stats_.dead_letters(*next - 1, 1));
    if (!letter.empty() && letter.front().letter_id == *next) {
      found.push_back(std::move(letter.front()));
    }
  }
  return found;
}

base::Status Consumer::replay_letters(std::span<const stats::StoredLetter> letters) {
  std::vector<Event> events;
  events.reserve(letters.size());  // Their addresses are kept below.
  std::vector<BatchBuilder::Revived> revived;
  for (const stats::StoredLetter& letter : letters) {
    const base::Result<Event> decoded = traffic::decode(letter.payload);
    if (letter.reason == kDuplicateId || !decoded.ok() || !is_storable(decoded.value())) {
      ++report_.letters.refused;
      continue;
    }
    events.push_back(decoded.value());
    revived.push_back({&letter, &events.back()});
  }
  if (revived.empty()) return {};
  const base::Status committed = commit_revived(revived);
  if (committed.ok() || !stats::is_data_error(committed.error())) return committed;
  // One of them can never be stored: each for itself.
  for (const BatchBuilder::Revived& each : revived) {
    const base::Status alone = commit_revived({&each, 1});
    if (alone.ok()) continue;
    if (!stats::is_data_error(alone.error())) return alone;
    ++report_.letters.refused;
  }
  return {};
}

base::Status Consumer::commit_revived(std::span<const BatchBuilder::Revived> revived) {
  const base::Result<stats::Batch> batch = builder_.build(revived, next_seq_, clock_.wall());
  base::Status status;
  if (batch.ok()) {
    status = stats_.commit(batch.value(), heartbeat(revived.size()));
  } else {
    status = batch.error();
  }
  if (!status.ok()) {
    path_book_.forget();
    return status;
  }
  next_seq_ += revived.size();
  committed_since_derive_ = true;
  report_.events += revived.size();
  report_.letters.replayed += revived.size();
  for (const BatchBuilder::Revived& each : revived) {
    intake_.remember(each.event->id);
    for (EventSink* const sink : sinks_)
      sink->on_events({each.event, 1});
  }
  return {};
}

base::Status Consumer::purge_letters(std::span<const stats::StoredLetter> letters) {
  std::vector<int64_t> ids;
  for (const stats::StoredLetter& letter : letters)
    ids.push_back(letter.letter_id);
  report_.letters.purged += WEIR_TRY(stats_.purge_letters(ids));
  return {};
}

}  // namespace weir::pipeline
