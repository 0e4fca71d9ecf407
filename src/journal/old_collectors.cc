#include "journal/old_collectors.h"

#include <algorithm>

namespace weir::journal {

DegradedSide degraded_side(Stream stream, traffic::CollectedSide side) {
  DegradedSide result{stream, side.generation, {}};
  result.rows.reserve(side.rows.size());
  for (traffic::PathTotals& row : side.rows) {
    DegradedRow& to = result.rows.emplace_back();
    to.path = std::move(row.path);
    to.hour = row.hour;
    to.totals_only = row.totals_only;
    to.requests = row.requests;
    to.errors = row.errors;
    to.duration_us_sum = row.duration_us_sum;
    to.bytes_in = row.bytes_in;
    to.bytes_out = row.bytes_out;
  }
  return result;
}

void OldCollectors::add(Stream stream, std::vector<traffic::CollectedSide> sides) {
  const base::MutexLock lock{mutex_};
  if (sides.empty()) finished_.push_back(stream);
  for (traffic::CollectedSide& side : sides)
    sides_.push_back(degraded_side(stream, std::move(side)));
}

std::vector<Stream> OldCollectors::take_finished() {
  const base::MutexLock lock{mutex_};
  return std::exchange(finished_, {});
}

void OldCollectors::append_to(std::vector<DegradedSide>& out) const {
  const base::MutexLock lock{mutex_};
  out.insert(out.end(), sides_.begin(), sides_.end());
}

void OldCollectors::release(Stream stream, uint64_t generation) {
  const base::MutexLock lock{mutex_};
  const auto of_stream = [stream](const DegradedSide& side) { return side.stream == stream; };
  const auto gone = std::remove_if(sides_.begin(), sides_.end(), [&](const DegradedSide& side) {
    return of_stream(side) && side.generation == generation;
  });
  if (gone == sides_.end()) return;
  sides_.erase(gone, sides_.end());
  if (std::none_of(sides_.begin(), sides_.end(), of_stream)) finished_.push_back(stream);
}

}  // namespace weir::journal
