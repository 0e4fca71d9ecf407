#include <algorithm>

#include "base/assert.h"
#include "stats/count_columns.h"
#include "stats/stats.h"

namespace weir::stats {
namespace {

bool add_to(uint64_t& sum, uint64_t value) {
  return !__builtin_add_overflow(sum, value, &sum);
}

size_t method_index(std::string_view method) {
  const auto* const found = std::find(kMethods.begin(), kMethods.end(), method);
  return static_cast<size_t>(found - kMethods.begin());  // kOtherMethod when not found.
}

void widen(Counts& counts, uint64_t least, uint64_t greatest) {
  counts.us_min = std::min(counts.us_min.value_or(least), least);
  counts.us_max = std::max(counts.us_max.value_or(greatest), greatest);
}

// Calls `each` with every value that is always there, in the order of kCountNames.
template <typename Counted, typename Each>
void for_each_sum(Counted& counts, const Each& each) {
  each(counts.requests);
  each(counts.errors);
  for (auto& value : counts.status_classes)
    each(value);
  for (auto& value : counts.methods)
    each(value);
  for (auto& value : counts.caches)
    each(value);
  each(counts.bytes_in);
  each(counts.bytes_out);
  each(counts.us_sum);
  each(counts.us_count);
}

}  // namespace

bool Counts::add(const Counts& other) {
  Counts sum = *this;
  bool fits = add_to(sum.requests, other.requests) && add_to(sum.errors, other.errors) &&
              add_to(sum.bytes_in, other.bytes_in) && add_to(sum.bytes_out, other.bytes_out) &&
              add_to(sum.us_sum, other.us_sum) && add_to(sum.us_count, other.us_count);
  for (size_t i = 0; i < sum.status_classes.size(); ++i) {
    fits = fits && add_to(sum.status_classes[i], other.status_classes[i]);
  }
  for (size_t i = 0; i < sum.methods.size(); ++i) {
    fits = fits && add_to(sum.methods[i], other.methods[i]);
  }
  for (size_t i = 0; i < sum.caches.size(); ++i) {
    fits = fits && add_to(sum.caches[i], other.caches[i]);
  }
  if (!fits) return false;
  if (other.us_min && other.us_max) widen(sum, *other.us_min, *other.us_max);
  *this = sum;
  return true;
}

bool Counts::add(const traffic::Event& event) {
  WEIR_ASSERT(event.status >= 100 && event.status <= 599);
  uint64_t sums[3] = {bytes_in, bytes_out, us_sum};
  if (!add_to(sums[0], event.bytes_in) || !add_to(sums[1], event.bytes_out) ||
      !add_to(sums[2], event.duration_us)) {
    return false;
  }
  bytes_in = sums[0];
  bytes_out = sums[1];
  us_sum = sums[2];
  ++us_count;
  ++requests;
  if (event.is_error()) ++errors;
  ++status_classes[event.status / 100U - 1U];
  ++methods[method_index(event.method)];
  const auto cache = static_cast<size_t>(event.cache);
  if (cache >= 1 && cache <= kCacheStatuses) ++caches[cache - 1];
  widen(*this, event.duration_us, event.duration_us);
  return true;
}

CountValues values_of(const Counts& counts) {
  CountValues values;
  size_t next = 0;
  for_each_sum(counts, [&](uint64_t value) { values[next++] = value; });
  values[next++] = counts.us_min;
  values[next++] = counts.us_max;
  WEIR_ASSERT(next == values.size());
  return values;
}

Counts counts_of(const CountValues& values) {
  Counts counts;
  size_t next = 0;
  for_each_sum(counts, [&](uint64_t& value) { value = values[next++].value_or(0); });
  counts.us_min = values[next++];
  counts.us_max = values[next++];
  return counts;
}

Accounted& Accounted::operator+=(const Accounted& other) {
  inserted += other.inserted;
  sampled_out += other.sampled_out;
  totals_only += other.totals_only;
  dead += other.dead;
  lost += other.lost;
  return *this;
}

}  // namespace weir::stats
